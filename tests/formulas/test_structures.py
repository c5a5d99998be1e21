"""Tables of covariances and neighbours: how they are read and what is refused, and the covariances that they give."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from rows import visits

import glmm_zoo as zoo
from glmm_zoo.formulas.banded import Banded
from glmm_zoo.formulas.grammar import parse_formula
from glmm_zoo.formulas.neighbours import neighbour_structure
from glmm_zoo.formulas.structures import covariance_structure
from glmm_zoo.formulas.terms import fixed_formula
from glmm_zoo.tables.level_tables import LevelTable, read_level_table

LEVELS = tuple("ABCDEFGHIJ")  # of visits().g, and J, which has no rows
COV, CAR = "y ~ x + (1 | gr(g, cov=A))", 'y ~ x + car(W, gr=g, type="{}")'


def covariance() -> pd.DataFrame:
    R = np.random.default_rng(0).normal(size=(10, 20))
    return pd.DataFrame(R @ R.T / 20, index=LEVELS, columns=LEVELS)


def neighbours(*pairs: str) -> pd.DataFrame:
    """AB CD: A and B are neighbours, and C and D."""
    W = pd.DataFrame(0, index=LEVELS, columns=LEVELS)
    for a, b in pairs:
        W.loc[a, b] = W.loc[b, a] = 1
    return W


CIRCLE = [*map("".join, itertools.pairwise(LEVELS)), "AJ", "AE"]
PARTS = ["AB", "BC", "CA", "CD", "EF", "FG", "GH"]  # I and J have no neighbours


def laplacian(W: pd.DataFrame) -> np.ndarray:
    return np.diag(W.sum(axis=1)) - W.to_numpy(float)


# ------------------------------------------------------------------------------------------------------ what they give


def test_a_covariance_is_that_of_the_table() -> None:
    structure = covariance_structure(read_level_table("A", covariance()))
    np.testing.assert_allclose(structure.basis @ structure.basis.T, covariance(), atol=1e-12)
    assert structure.variance == pytest.approx(np.diag(covariance()).mean())


@pytest.mark.parametrize("kind", ["icar", "bym2"])
def test_neighbours_have_the_generalised_inverse_in_each_part_of_the_map(kind: str) -> None:
    """Freni-Sterrantino et al. (2018): of "bym2" the geometric mean of the variances is 1 in each part, and an island's variance is 1."""
    W = neighbours(*(CIRCLE if kind == "icar" else PARTS))
    of = neighbour_structure(read_level_table("W", W), kind)
    expected, eigenvalues, parts = np.eye(10), [], [slice(0, 10)] if kind == "icar" else [slice(0, 4), slice(4, 8)]
    for part in parts:
        spatial = np.linalg.pinv(laplacian(W)[part, part], hermitian=True, rcond=1e-10)
        scale = np.exp(np.log(np.diag(spatial)).mean()) if kind == "bym2" else 1.0
        np.testing.assert_allclose(of.scales[of.part[part]], scale, rtol=1e-10)
        expected[part, part] = spatial / scale
        eigenvalues += (scale * np.linalg.eigvalsh(laplacian(W)[part, part])[1:]).tolist()
    assert of.log_determinant == pytest.approx(np.log(eigenvalues).sum(), rel=1e-12)
    assert of.variance == pytest.approx(np.diag(expected).mean(), rel=1e-12)
    Q = np.empty((10, 10))
    Q[np.ix_(of.order, of.order)] = whole(of.grounded(0.0))
    np.testing.assert_allclose(np.linalg.pinv(Q, hermitian=True, rcond=1e-10), expected, atol=1e-10)


def whole(matrix: Banded) -> np.ndarray:
    size = matrix.below.shape[1]
    lower = sum(np.diag(row[: size - i], -i) for i, row in enumerate(matrix.below) if i < size)
    return lower + np.tril(lower, -1).T


def test_a_large_map_has_a_narrow_band_and_the_scale_of_the_dense_one() -> None:
    """A lattice of 20 x 25 areas named at random."""
    names = np.random.default_rng(1).permutation(500).reshape(20, 25)
    pairs = [(names[1:], names[:-1]), (names[:, 1:], names[:, :-1])]
    one, other = (np.concatenate([p[k].ravel() for p in pairs]) for k in (0, 1))
    of = neighbour_structure(read_level_table("W", pd.DataFrame({"from": one, "to": other})), "bym2")
    assert of.widths.max() <= 30
    W = np.zeros((500, 500))
    W[tuple(of.pairs.T)] = W[tuple(of.pairs.T[::-1])] = 1
    spatial = np.linalg.pinv(np.diag(W.sum(axis=1)) - W, hermitian=True, rcond=1e-10)
    assert of.scales == pytest.approx(np.exp(np.log(np.diag(spatial)).mean()), rel=1e-9)


# -------------------------------------------------------------------------------------------------------- how it is read


def test_forms_of_one_table_are_one(tmp_path: Path) -> None:
    A = covariance()
    A.to_csv(tmp_path / "unnamed.csv")
    A.loc[list("JIHGFEDCBA")].to_csv(tmp_path / "named.csv", index_label="id")
    forms: list[Any] = [
        A, A.loc[list("CABDEFGHIJ")], A.rename_axis("id").reset_index(), pa.table({"id": list(LEVELS), **A}),
        str(tmp_path / "unnamed.csv"), tmp_path / "named.csv",
    ]  # fmt: skip
    read = [read_level_table("A", form) for form in forms]
    assert {table.sha256() for table in read} == {read[0].sha256()}
    assert all(table.levels == LEVELS for table in read)


def test_levels_that_look_like_numbers_stay_as_they_are_written(tmp_path: Path) -> None:
    (tmp_path / "A.csv").write_text("id,01,2\n2,0.5,1\n01,1,0.5\n")
    table = read_level_table("A", tmp_path / "A.csv")
    assert table.levels == ("01", "2")
    np.testing.assert_array_equal(table.values, [[1, 0.5], [0.5, 1]])


def test_a_list_of_neighbours_names_each_pair_once_or_twice() -> None:
    pairs = pd.DataFrame({"from": ["b", "a", "c"], "to": ["a", "b", "b"]})
    table = read_level_table("W", pairs)
    assert table.levels == ("a", "b", "c")
    np.testing.assert_array_equal(table.square(), [[0, 1, 0], [1, 0, 1], [0, 1, 0]])


# ---------------------------------------------------------------------------------------------------------- refusals


def changed(table: pd.DataFrame, row: str, column: str, value: Any) -> pd.DataFrame:
    return (
        table.astype(object if isinstance(value, str) else float)
        .map(lambda x: x)
        .pipe(lambda t: t.assign(**{column: [value if i == row else x for i, x in t[column].items()]}))
    )


CHAIN = pd.DataFrame({"from": LEVELS[:-1], "to": LEVELS[1:]})
TWINS = covariance()
TWINS.loc["B"] = TWINS.loc["A"]
TWINS["B"] = TWINS["A"]
REFUSED: dict[str, tuple[str, Any, str]] = {
    "no table": (COV, {}, r"names the table 'A', and none is given; give it as tables={'A': ...} \(--table A=FILE\)"),
    "another name": (COV, {"B": covariance()}, "names the table 'A', and tables: B"),
    "unused": ("y ~ x + (1 | g)", {"A": covariance()}, "table 'A' is given and no term names it"),
    "no dict": (COV, covariance(), "tables is a dict of tables by name"),
    "no labels": (COV, {"A": covariance().to_numpy()}, "table 'A': it is a ndarray, which does not name its levels"),
    "not symmetric": (COV, {"A": changed(covariance(), "A", "C", 9.0)}, "'A', column 'C' has 9 and row 'C', column 'A' has "),
    "not positive definite": (COV, {"A": covariance() - 2 * np.eye(10)}, r"not positive definite, its smallest eigenvalue is -1\.\d+"),
    "twins": (COV, {"A": TWINS}, "'A' and 'B' have the same row; give them one level"),
    "levels": (COV, {"A": covariance().drop(index=["B", "J"], columns=["B", "J"])}, "1 level of 'g' is not in table 'A': 'B'"),
    "text": (COV, {"A": changed(covariance(), "C", "D", "?")}, r"table 'A': row 'C', column 'D' has '\?'; all of a square table are numbers"),
    "not square": (COV, {"A": covariance().drop(columns="C")}, "table 'A': it has 10 rows and 8 columns of levels"),
    "strangers": (COV, {"A": covariance().rename(index={"C": "c"})}, r"level 'c' has a row and no column; did you mean 'C'\?"),
    "a list": (COV, {"A": CHAIN}, r"is a list of neighbours, and cov= takes covariances, a square table; write car\(A"),
    "itself in a list": (CAR.format("bym2"), {"W": pd.concat([CHAIN, pd.DataFrame({"from": ["B"], "to": ["B"]})])}, "says that 'B' is its own neighbour; leave that row out"),
    "half a pair": (CAR.format("bym2"), {"W": pd.DataFrame({"from": ["A", "B"], "to": ["B", None]})}, "row 2 lacks one of two neighbours"),
    "weights": (CAR.format("bym2"), {"W": neighbours(*CIRCLE) * 2}, "row 'A', column 'B' has 2; make it 1 or 0"),
    "one way": (CAR.format("bym2"), {"W": changed(neighbours(*CIRCLE), "A", "B", 0)}, "not symmetric, as an adjacency is: row 'A', column 'B' has 0"),
    "itself": (CAR.format("bym2"), {"W": neighbours(*CIRCLE, "CC")}, "says that 'C' is its own neighbour"),
    "nobody": (CAR.format("bym2"), {"W": neighbours()}, "has no neighbours at all"),
    "islands": (CAR.format("icar"), {"W": neighbours(*PARTS)}, "'I', 'J' have no neighbours"),
}  # fmt: skip


@pytest.mark.parametrize("name", list(REFUSED))
def test_tables_that_cannot_be_are_refused(name: str) -> None:
    formula, tables, sentence = REFUSED[name]
    with pytest.raises(zoo.InputError, match=sentence):
        zoo.hierarchical_linear(visits(), formula, tables=tables)


@pytest.mark.parametrize(
    ("limit", "table", "sentence"),
    [
        ("level_tables.MOST_TABLE_LEVELS", covariance(), "10 levels, and at most 4 are computed with.*; of neighbours give a list instead"),
        ("level_tables.MOST_NEIGHBOURS_LEVELS", pd.DataFrame({"from": range(9), "to": range(1, 10)}), "it has 10 levels, and at most 4"),
    ],
)  # fmt: skip
def test_tables_that_are_too_large_are_refused(
    limit: str, table: pd.DataFrame, sentence: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(f"glmm_zoo.tables.{limit}", 4)
    with pytest.raises(zoo.InputError, match=sentence):
        read_level_table("A", table)


def test_neighbours_who_stand_in_no_order_near_each_other_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("glmm_zoo.formulas.neighbours._MOST_ENTRIES", 50)
    everybody = pd.DataFrame(list(itertools.combinations(LEVELS, 2)), columns=["from", "to"])
    with pytest.raises(
        zoo.InputError, match="in no order that was found do neighbours of its 10 levels stand near each other"
    ):
        neighbour_structure(read_level_table("W", everybody), "icar")


@pytest.mark.parametrize(
    ("formula", "sentence"),
    [
        ("y ~ car(W)", "gr of car"),
        ("y ~ car(W, gr=g)", 'type of car\\(\\) is "icar"'),
        ('y ~ car(W, gr=g, type="escar")', 'type of car\\(\\) is "icar"'),
        ('y ~ car(gr=g, type="icar")', "takes the name of a table of neighbours first"),
        ('y ~ car(W, gr=gr(g, cov=A), type="icar")', "gr of car"),
        ('y ~ car(W, gr=g, type="icar", M=2)', "'M=2' is not expected"),
        ('y ~ x - car(W, gr=g, type="icar")', "cannot be subtracted"),
    ],
)
def test_what_car_takes(formula: str, sentence: str) -> None:
    with pytest.raises(zoo.InputError, match=sentence):
        parse_formula(formula)


def test_terms_are_written_as_they_are_read() -> None:
    text = 'y ~ x + (1 | gr(g, cov=A)) + car(W, gr=`my area`, type="bym2") + (1 | h)'
    parsed = parse_formula(text)
    assert fixed_formula(text, parsed, ["h"]) == 'y ~ x + C(h) + (1 | gr(g, cov=A)) + car(W, gr=`my area`, type="bym2")'
    assert parsed.predictor_columns == ("x", "g", "my area", "h")


def test_one_factor_with_and_without_a_table_has_two_names() -> None:
    parsed = parse_formula("y ~ x + (1 | gr(g, cov=A)) + (1 | g)")
    assert [term.name for term in parsed.groups] == ["g_A", "g"]
    assert [term.name for term in parse_formula(COV).groups] == ["g"]


def test_predictors_that_disagree_on_a_factor_are_refused() -> None:
    tables = {"A": covariance()}
    with pytest.raises(zoo.InputError, match="levels of a table in one formula and those of the data in another"):
        zoo.hierarchical_linear(visits(), COV, dispersion="~ (1 | g)", tables=tables)
    with pytest.raises(zoo.InputError, match="give all of them the same cov="):
        zoo.hierarchical_linear(visits(), "y ~ (1 |p| gr(g, cov=A))", dispersion="~ (1 |p| g)", tables=tables)


def test_a_map_in_parts_is_noted() -> None:
    model = zoo.hierarchical_linear(visits(), CAR.format("bym2"), tables={"W": neighbours(*PARTS)})
    assert any(
        "2 connected parts of 4, 4 levels, and 2 levels without neighbours" in note for note in model.spec["notes"]
    )


def test_digests_of_equal_tables_are_equal() -> None:
    table = read_level_table("A", covariance())
    other = LevelTable("A", "elsewhere", table.levels, table.values.copy())
    assert table.sha256() == other.sha256()
    assert table.sha256() != LevelTable("A", "", table.levels, table.values + np.eye(10)).sha256()

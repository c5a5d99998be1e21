"""Every option of every builder with odd values: a model is planned, or one sentence says what is wrong."""

from __future__ import annotations

import json
import math
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import pytest

from glmm_zoo import registry
from glmm_zoo.errors import InputError, ZooWarning
from glmm_zoo.families.baselines import MOST_CUTS
from glmm_zoo.families.outcome import level_of
from glmm_zoo.graph import model as graph_model
from glmm_zoo.plans.options import LONGEST_TEXT, OptionType, read_option

ODD = (
    None, "", "none", "true", "no", "maybe", 0, -1, 1.5, ".2", 1e300, math.nan, [], [1, 2], {}, "a,b", "2019", "x" * 100_000,
    # the same as text of the command line, and further members of each kind
    "0", "-1", "1.5", "1e300", "nan", "inf", "[]", "[1, 2]", "{}", "['a', 'b']", "{'y': 'a'}", "[[[[", "{" * 5000, "\0", " ", "`", "~",
    True, False, -0.0, math.inf, 10**400, 1 + 2j, b"a", (1, 2), {"y": None}, {1: 2}, {"y": [None]}, [None], [[1], [2]], ["a", 1],
    np.float64(1.5), np.int64(3), np.bool_(True), np.array([1.0, 2.0]), np.array([]), pd.Series(["a", "b"]), range(3), {1, 2},
    object(), type, pd.DataFrame({"a": [1]}), np.datetime64("2020-01-01"), 10**12, "9" * 400, "\ud800", ["a", "a"], "a,,b", ",",
)  # fmt: skip


class PlanMadeError(Exception):
    """The plan of a model is made, so that the options have proved sound."""


@pytest.fixture(autouse=True)
def stop_at_the_graph(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    def planned(self: Any, plan: Any) -> None:
        json.dumps(plan.spec)
        raise PlanMadeError

    monkeypatch.setattr(graph_model.Model, "__init__", planned)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ZooWarning)
        yield


def _table() -> pd.DataFrame:
    rng, n = np.random.default_rng(1), 48
    id = np.repeat(np.arange(12), 4)
    return pd.DataFrame(
        {
            "y": rng.normal(size=n), "z": rng.normal(size=n), "count": rng.poisson(2, n), "ill": rng.integers(0, 2, n), "grade": rng.integers(1, 4, n),
            "x": rng.normal(size=n), "days": rng.uniform(1, 9, n), "share": rng.uniform(0.1, 0.9, n), "id": id, "time": np.tile(np.arange(4.0), 12),
            "cluster": id, "period": np.tile(np.arange(4), 12), "treat": (np.tile(np.arange(4), 12) > id % 3).astype(int),
        }
    )  # fmt: skip


_FOLLOW_UP = pd.DataFrame({"id": range(12), "years": np.linspace(3.1, 6, 12), "death": [0, 1, 1, 0] * 3})
_ARMS = pd.DataFrame(
    {
        "study": np.repeat(list("abcd"), 2),
        "treat": [0, 1] * 4,
        "events": [3, 1, 4, 2, 5, 2, 3, 3],
        "n": 20,
        "years": 30.0,
    }
)
_ONE = ([_table()], "count ~ x + (1 | id)", {})
_CALLS: Mapping[str, tuple[list[pd.DataFrame], Any, dict[str, Any]]] = {
    "hierarchical_linear": ([_table()], "y ~ x + (1 | id)", {}),
    "gamm": ([_table()], "y ~ s(x, k=5) + (1 | id)", {}),
    "hierarchical_logistic": ([_table()], "ill ~ x + (1 | id)", {}),
    "ordinal": ([_table()], "grade ~ x + (1 | id)", {}),
    **dict.fromkeys(("beta", "ordered_beta"), ([_table()], "share ~ x + (1 | id)", {})),
    "beta_binomial": ([_table()], "count | trials(30) ~ x + (1 | id)", {}),
    **dict.fromkeys(("gamma", "lognormal", "weibull"), ([_table()], "days ~ x + (1 | id)", {})),
    "meta_analysis": ([_ARMS], "events | trials(n) ~ treat", {}),
    "network_meta_analysis": ([_ARMS], "events | trials(n) ~ treat", {}),
    "stepped_wedge": ([_table()], "ill ~ x", {}),
    "joint_outcomes": ([_table()], ["y ~ x + (1 |p| id)", "z ~ x + (1 |p| id)"], {"families": "gaussian,gaussian"}),
    "survival": ([_table()], "Surv(days, ill) ~ x + (1 | id)", {}),
    "joint_survival": ([_table(), _FOLLOW_UP], "y ~ time + (1 | id)", {"event": "Surv(years, death) ~ 1"}),
}
_OPTIONS = [(b.name, option) for b in registry.builders().values() for option in (b.formula, *b.options)]


# options of which more is read beside others: the other options, the formula, and where in the option the value stands
_BESIDE: Mapping[tuple[str, str], tuple[dict[str, Any], str | list[str] | None, Callable[[Any], Any]]] = {
    ("survival", "cuts"): ({"baseline": "piecewise"}, None, lambda value: value),
    ("joint_survival", "cuts"): ({"baseline": "piecewise"}, None, lambda value: value),
    ("joint_survival", "association"): ({}, None, lambda value: {"y": value}),
    ("joint_survival", "levels"): ({"families": "ordinal"}, "grade ~ time + (1 | id)", lambda value: {"grade": value}),
    ("joint_outcomes", "levels"): ({"families": ["ordinal"]}, ["grade ~ x + (1 | id)"], lambda value: {"grade": value}),
    ("joint_outcomes", "success"): ({"families": ["bernoulli"]}, ["ill ~ x + (1 | id)"], lambda value: {"ill": value}),
    ("joint_outcomes", "zi"): ({"families": ["hurdle_poisson"]}, ["count ~ x"], lambda value: {"count": value}),
    ("joint_outcomes", "families"): ({}, None, lambda value: [value, value]),
    ("joint_outcomes", "formulas"): ({"families": None}, None, lambda value: {"y ~ x": value, "z ~ x": "gaussian"}),
    ("hierarchical_linear", "residual"): ({"time": "time", "within": "id"}, "y ~ x", lambda value: value),
    ("hierarchical_linear", "time"): ({"residual": "compound", "within": "id"}, "y ~ x", lambda value: value),
    ("hierarchical_linear", "within"): ({"residual": "compound", "time": "time"}, "y ~ x", lambda value: value),
    ("gamm", "zi"): ({"family": "hurdle_poisson"}, "count ~ s(x, k=5)", lambda value: value),
    ("gamm", "link"): ({"family": "bernoulli"}, "ill ~ x", lambda value: value),
    ("gamm", "priors"): ({}, None, lambda value: {"beta": value}),
    ("never_at_risk", "success"): ({"family": "bernoulli"}, "ill ~ x", lambda value: value),
    ("stepped_wedge", "exposure"): ({"family": "poisson"}, "count ~ x", lambda value: value),
    ("stepped_wedge", "crossover"): ({"treatment": None}, None, lambda value: value),
    ("meta_analysis", "exposure"): ({}, "events ~ treat", lambda value: value),
    ("network_meta_analysis", "exposure"): ({}, "events ~ treat", lambda value: value),
    ("meta_analysis", "baseline_risk"): ({"exposure": "years"}, "events ~ treat", lambda value: value),
}


def planned_or_raise(builder: str, tables: Sequence[pd.DataFrame] | None = None, **changed: Any) -> bool:
    """True where the model is planned."""
    usual, formula, options = _CALLS.get(builder, _ONE)
    known = registry.builders()[builder]
    try:
        known.function()(*(tables or usual), **{known.formula: formula, **options, **changed})
    except PlanMadeError:
        return True
    raise AssertionError("no plan was made")


def planned(builder: str, **changed: Any) -> bool:
    """Whether the model is planned; False for an `InputError`, whose sentences are short. All other errors are the test's."""
    try:
        return planned_or_raise(builder, **changed)
    except InputError as err:
        assert err.problems and all(0 < len(problem) < 12_000 for problem in err.problems), str(err)[:200]
        return False


@pytest.mark.parametrize("builder", sorted(registry.builders()))
def test_the_model_without_odd_values_is_planned(builder: str) -> None:
    assert planned(builder)


@pytest.mark.parametrize(("builder", "option"), _OPTIONS)
def test_an_odd_value_ends_in_a_plan_or_in_one_sentence(builder: str, option: str) -> None:
    assert not failures(builder, option, {}, lambda value: value)


@pytest.mark.parametrize(("builder", "option"), _BESIDE)
def test_an_odd_value_beside_other_options(builder: str, option: str) -> None:
    others, formula, place = _BESIDE[builder, option]
    given = others if formula is None else {**others, registry.builders()[builder].formula: formula}
    assert not failures(builder, option, given, place)


def failures(builder: str, option: str, others: Mapping[str, Any], place: Callable[[Any], Any]) -> list[str]:
    """What ended in neither a plan nor an `InputError`."""
    found = []
    for value in ODD:
        try:
            planned(builder, **{**others, option: place(value)})
        except Exception as err:
            found.append(f"{option}={value!r:.60}: {type(err).__name__}: {err!s:.150}")
    return found


@pytest.mark.parametrize("builder", sorted(registry.builders()))
def test_missing_values_of_covariates_are_planned_or_refused(builder: str) -> None:
    usual, formula, _ = _CALLS.get(builder, _ONE)
    v = np.where(np.arange(48) % 7 == 3, np.nan, np.random.default_rng(2).normal(size=48))
    tables = [usual[0].assign(v=v[: len(usual[0])]), *usual[1:]]
    texts = [formula] if isinstance(formula, str) else formula
    texts = [text.replace("~ ", "~ mi(v) + ") for text in texts]
    known = registry.builders()[builder]
    given = {"tables": tables, known.formula: texts[0] if isinstance(formula, str) else texts}
    with pytest.raises(InputError, match=r"mi\(v\)|column 'v' has \d missing value"):
        planned_or_raise(builder, **given)
    if "impute" in known.options:
        assert planned_or_raise(builder, **given, impute={"v": "~ x + (1 | id)"})


@pytest.mark.parametrize("column", ["2019", "True", "none", "no", "1.5", "[1]", "{}"])
def test_a_column_of_any_name_can_be_named(column: str) -> None:
    arms, visits = _ARMS.rename(columns={"study": column}), _table()
    for builder, tables, option, old in (
        ("meta_analysis", [arms], "study", None),
        ("never_at_risk", [visits.rename(columns={"id": column})], "subject", "count ~ x"),
        ("poisson", [visits.rename(columns={"days": column})], "exposure", "count ~ x"),
        ("stepped_wedge", [visits.rename(columns={"cluster": column})], "cluster", "ill ~ x"),
        ("joint_survival", [visits.rename(columns={"time": column}), _FOLLOW_UP], "time", f"y ~ `{column}` + (1 | id)"),
    ):
        assert planned(builder, tables=tables, **{option: column}, **({} if old is None else {"formula": old})), option


def test_numbers_and_lists_are_read_from_text_as_from_python() -> None:
    options = registry.builders()["joint_survival"].read_options
    event = {"event": "Surv(t, d) ~ 1"}
    for texts, values in (
        ({"causes": "1,2"}, ["1", "2"]),
        ({"causes": "['1', '2']"}, ["1", "2"]),
        ({"causes": '["1", "2"]'}, ["1", "2"]),
        ({"causes": "[dead, transplant]"}, ["dead", "transplant"]),
        ({"causes": "dead"}, ["dead"]),
        ({"causes": 1}, [1]),
        ({"cuts": "2"}, 2),
        ({"cuts": "1,.5"}, [1, 0.5]),
        ({"cuts": "[2]"}, [2]),
        ({"cuts": "none"}, None),
        ({"carry_forward": "YES"}, True),
        ({"center": "no"}, False),
        ({"zi": "{'y': '~ x'}"}, {"y": "~ x"}),
        ({"association": "value + slope"}, "value + slope"),
        ({"association": "{'a': 'value'}"}, {"a": "value"}),
        ({"families": "poisson,ordinal(probit)"}, "poisson,ordinal(probit)"),
        ({"levels": '{"y": ["low", "high"]}'}, {"y": ["low", "high"]}),
        ({"censored": "0"}, "0"),
    ):
        problems: list[str] = []
        (name,) = texts
        assert options({**event, **texts}, problems)[name] == values and not problems, texts


@pytest.mark.parametrize(
    ("option", "value", "sentence"),
    [
        ("center", "maybe", "center must be true, false, yes or no, not 'maybe'"),
        ("center", 17, "center must be true, false, yes or no, not 17"),
        ("center", 1, "center must be true, false, yes or no, not 1"),
        ("center", "1", "center must be true, false, yes or no, not '1'"),
        ("id", 2019, "id must be text, not 2019; a column of that name is written '2019'"),
        ("id", True, "id must be text, not True; a column of that name is written 'True'"),
        ("id", ["id"], "id must be text, not ['id']"),
        (
            "cuts",
            "1.5",
            "cuts must be a whole number or a list such as [1, 2] or a dict by name such as {'y': ...} or None, not '1.5'",
        ),
        ("causes", {}, "causes must be a list such as ['a', 'b'] or None, not {}"),
        ("zi", "~ x", "zi must be a dict by name such as {'y': ...} or None, not '~ x'"),
        ("time", "", "time must be text, not ''"),
        ("missing", "maybe", "missing must be 'error' or 'drop', not 'maybe'"),
        ("centre", True, "joint_survival has no option 'centre'; did you mean 'center'? options: "),
        ("priors", [], "priors must be a dict by name such as {'y': ...} or None, not []"),
    ],
)
def test_a_wrong_type_is_told_in_one_sentence(option: str, value: Any, sentence: str) -> None:
    with pytest.raises(InputError) as refused:
        planned_or_raise("joint_survival", **{option: value})
    assert str(refused.value).startswith(sentence)


def test_the_longest_text_is_read_and_no_longer_one() -> None:
    kind = OptionType(text=True)
    assert len(read_option("zi", "x" * LONGEST_TEXT, kind)) == LONGEST_TEXT
    with pytest.raises(InputError, match="zi must be text of at most 10,000 characters, not 10,001"):
        read_option("zi", "x" * (LONGEST_TEXT + 1), kind)


def test_every_option_has_a_declared_type() -> None:
    for builder in registry.builders().values():
        assert not [name for name, kind in builder.types.items() if kind.anything]


def test_no_means_no() -> None:
    assert planned("joint_outcomes", residual_correlation="no") and planned("joint_outcomes", center="no")
    with pytest.raises(InputError, match="residual_correlation ties two Gaussian outcomes"):
        planned_or_raise(
            "joint_outcomes", residual_correlation="yes", families="gaussian,poisson", formulas=["y ~ x", "count ~ x"]
        )


def test_cut_points_have_a_bound() -> None:
    assert planned("joint_survival", baseline="piecewise", cuts=MOST_CUTS)
    with pytest.raises(InputError, match="cuts must be at most 1,000 cut points, not 1,001"):
        planned_or_raise("joint_survival", baseline="piecewise", cuts=MOST_CUTS + 1)


def test_labels_are_found_as_they_are_written() -> None:
    assert level_of("1", ("0", "1")) == level_of(1.0, ("0", "1")) == level_of("1.0", ("0", "1")) == "1"
    assert level_of("true", ("False", "True")) == level_of(True, ("False", "True")) == "True"
    assert level_of("yes", ("No", "Yes")) is None and level_of(math.inf, ("1",)) is None
    assert level_of("True", ("true", "True")) == "True" and level_of("none", ("none", "some")) == "none"


@pytest.mark.parametrize("threads", ["banana", "1.5", "4,2"])
def test_a_wrong_variable_of_the_environment_is_told(threads: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", threads)
    with pytest.raises(InputError, match=r"variable OMP_NUM_THREADS must be a whole number, not '.*'; set it"):
        planned_or_raise("poisson")
    monkeypatch.setenv("OMP_NUM_THREADS", "2")
    assert planned("poisson")

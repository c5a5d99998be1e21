"""Fits of several imputed tables in one tree: against each table's own fit and least squares, what is refused, files, pages, commands."""

from __future__ import annotations

import functools
import json

import numpy as np
import pandas as pd
import pytest
from rows import visits

import glmm_zoo as zoo
from glmm_zoo import cli
from glmm_zoo.errors import InputError
from glmm_zoo.results.convergence import ess_bulk_and_rhat
from glmm_zoo.results.parameter_statistics import elements
from glmm_zoo.results.storage import metadata

FORMULA = "y ~ x + arm + (1 | g)"
M = 3


@functools.cache
def tables() -> tuple[pd.DataFrame, ...]:
    """`visits` with y by x, and x drawn anew in a third of the rows."""
    d, rng = visits(), np.random.default_rng(2)
    d = d.assign(y=2.0 * d.x + rng.normal(size=len(d)))
    gap = np.arange(len(d)) % 3 == 0
    return tuple(d.assign(x=np.where(gap, d.x + rng.normal(0, 0.8, len(d)), d.x)) for _ in range(M))


@functools.cache
def fitted():
    return zoo.fit_imputed(zoo.hierarchical_linear, tables(), FORMULA, seed=7, draws=1000, chains=2, progress=False)


def test_each_table_has_the_draws_of_its_own_fit_under_the_priors_of_the_first():
    tree = fitted()
    assert tree["posterior"]["imputation"].values.tolist() == [1, 1, 2, 2, 3, 3]
    first = zoo.hierarchical_linear(tables()[0], FORMULA)
    model = zoo.hierarchical_linear(tables()[1], FORMULA, priors={
        key: prior for name, of in first.spec["priors"].items() for key, prior in (of.items() if isinstance(of, dict) else [(name.replace("sd_g", "sd[g]"), of)])
    })  # fmt: skip
    alone = zoo.fit(model, seed=8, draws=1000, chains=2, progress=False)
    one = zoo.imputations(tree)[1]
    for name, values in alone["posterior"].data_vars.items():
        np.testing.assert_array_equal(one["posterior"][name].values, values.values)
        np.testing.assert_array_equal(tree["posterior"][name].values[2:4], values.values)
    assert metadata(one)["spec"]["data"]["sha256"] == model.spec["data"]["sha256"]
    pd.testing.assert_frame_equal(zoo.predictions(one).table, zoo.predictions(alone).table)
    pd.testing.assert_frame_equal(zoo.summary(one), zoo.summary(alone))
    assert (
        zoo.model_of(one).spec["priors"]
        == first.spec["priors"]
        != zoo.hierarchical_linear(tables()[1], FORMULA).spec["priors"]
    )
    stored = zoo.store_estimates(tree, "risks", zoo.predictions(tree, by="arm"))
    assert set(zoo.imputations(stored)[0].children) == set(one.children)


def test_agreement_is_within_tables():
    tree = fitted()
    beta = elements(tree["posterior"]["beta"])
    row = zoo.summary(tree).loc["beta[x]"]
    each = (
        [ess_bulk_and_rhat(part)[0][0] for part in np.split(beta, M)],
        [ess_bulk_and_rhat(part)[1][0] for part in np.split(beta, M)],
    )
    np.testing.assert_allclose([row["ess_bulk"], row["r_hat"]], [sum(each[0]), max(each[1])])
    assert ess_bulk_and_rhat(beta)[1][0] > 1.05  # the tables differ
    assert row["mcse_mean"] < 2 * row["sd"] / np.sqrt(row["ess_bulk"])
    assert not any("R-hat is" in str(p) for p in zoo.check(tree).problems)
    np.testing.assert_allclose([row["mean"], row["sd"]], [beta[..., 0].mean(), beta[..., 0].std(ddof=1)])


def test_one_bad_fit_is_named():
    tree = fitted().copy(deep=True)
    tree["posterior"]["beta"].values[3] += 3.0
    problems = zoo.check(tree).problems
    assert problems and all(str(p).startswith("Imputation 2: ") for p in problems)
    assert not zoo.check(tree).sound


def test_missing_information_is_that_of_rubins_rules_by_least_squares():
    """Weak priors and no groups: the posterior of each table is about normal, at its least squares."""
    tree = zoo.fit_imputed("lmm", tables(), "y ~ x + w", seed=3, draws=1000, chains=2, progress=False)
    W, q = [], []
    for d in tables():
        X = np.column_stack([np.ones(len(d)), d.x, d.w])
        b, (rss,), *_ = np.linalg.lstsq(X, d.y, rcond=None)
        q.append(b)
        W.append(np.diag(rss / (len(d) - 3 - 2) * np.linalg.inv(X.T @ X)))
    W, B = np.mean(W, axis=0), np.var(q, axis=0, ddof=1)
    r = (1 + 1 / M) * B / W
    df = (M - 1) * (1 + 1 / r) ** 2
    expected = np.column_stack([W, B, (r + 2 / (df + 3)) / (r + 1)])
    found = zoo.missing_information(tree).loc[["Intercept", "beta[x]", "beta[w]"]].to_numpy()
    np.testing.assert_allclose(found[:, 0], expected[:, 0], rtol=0.12)
    np.testing.assert_allclose(found[1, 1], expected[1, 1], rtol=0.12)  # B is far above Monte Carlo error
    np.testing.assert_allclose(found[:, 2], expected[:, 2], atol=0.05)
    assert expected[1, 2] > 0.3


def test_each_table_predicts_its_own_rows():
    tree, alone = fitted(), zoo.imputations(fitted())
    for ask in (
        lambda t, draws: zoo.predictions(t, by="arm", draws=draws),
        lambda t, draws: zoo.comparisons(t, "x", draws=draws),
        lambda t, draws: zoo.slopes(t, "x", draws=draws),
        lambda t, draws: zoo.predictions(t, draws=draws),
    ):
        whole, parts = ask(tree, 600), [ask(t, 200) for t in alone]
        np.testing.assert_array_equal(
            whole.draws["value"].values, np.concatenate([p.draws["value"].values for p in parts])
        )
        np.testing.assert_allclose(whole.table["p_positive"], np.mean([p.table["p_positive"] for p in parts], axis=0))
        np.testing.assert_allclose(whole.table["mean"], np.mean([p.table["mean"] for p in parts], axis=0))
        assert f"600 draws of {M} imputed tables" in whole.sentence
    assert "x" not in zoo.predictions(tree).table  # which differs
    assert zoo.hypotheses(tree, ["beta[x] > 0"]).table["ess"].iloc[0] == pytest.approx(
        zoo.summary(tree).loc["beta[x]", "ess_bulk"]
    )


def test_the_file_the_page_and_the_table(tmp_path):
    zoo.save(fitted(), tmp_path / "fit.nc")
    tree = zoo.load(tmp_path / "fit.nc")
    pd.testing.assert_frame_equal(zoo.summary(tree), zoo.summary(fitted()))
    pd.testing.assert_frame_equal(zoo.predictions(tree).table, zoo.predictions(fitted()).table)
    pd.testing.assert_frame_equal(
        zoo.imputations(tree)[2]["posterior"].to_dataset().to_dataframe(),
        zoo.imputations(fitted())[2]["posterior"].to_dataset().to_dataframe(),
    )
    zoo.write_report(tree, tmp_path / "fit.html")
    page = (tmp_path / "fit.html").read_text()
    for words in (
        "The model was fitted to each of 3 imputed data sets", "What the gaps cost: the fits of 3 imputed tables compared (Rubin 1987).",
        "It is of imputed table 1 of 3.", "--data IMPUTED.csv", "which differ in &#39;x&#39;", "3 imputed tables",
    ):  # fmt: skip
        assert words in page, words
    assert "imputed" in str(zoo.check(tree)) or not zoo.check(tree).sound


ONE_TABLE = {
    "loo": lambda t: zoo.loo(t),
    "loo of a group": lambda t: zoo.loo(t, level="g"),
    "r2": lambda t: zoo.r2(t),
    "sensitivity": lambda t: zoo.sensitivity(t),
    "update": lambda t: zoo.update(t, formula=". ~ ."),
    "model": lambda t: zoo.model_of(t),
}  # fmt: skip


@pytest.mark.parametrize("ask", ONE_TABLE)
def test_what_is_of_one_table(ask):
    with pytest.raises(
        InputError, match=r"is of one table, and this fit is of 3 imputed ones; ask it of each: zoo.imputations\(tree\)"
    ):
        ONE_TABLE[ask](fitted())
    with pytest.raises(InputError, match=r"this fit is of one table; zoo\.fit_imputed"):
        zoo.missing_information(zoo.imputations(fitted())[0])


def changed(column: str, row: int, value, at: int = 1) -> list[pd.DataFrame]:
    found = [t.copy() for t in tables()]
    found[at][column] = found[at][column].astype(object)
    found[at].loc[row, column] = value
    found[at] = found[at].infer_objects()
    return found


REFUSED = {
    "response": (changed("y", 4, 1.5), FORMULA, r"imputed table 2: column 'y' has 1.5 in row 5 and the first table has .*; only covariates may differ"),
    "group": (changed("g", 7, "Q", at=2), FORMULA, r"imputed table 3: column 'g' has Q in row 8 and the first table has"),
    "a column of groups": (
        [t.assign(half=np.where(t.g < last, "low", "high")) for t, last in zip(tables(), "EEF", strict=True)],
        "y ~ x + half + (1 | gr(g, by=half))", r"imputed table 3: column 'half' has low in row",
    ),
    "rows": ([tables()[0], tables()[1].iloc[:-2]], FORMULA, "imputed table 2: it has 70 rows that can be used and the first has 72"),
    "order": ([tables()[0], tables()[1].iloc[::-1].reset_index(drop=True)], FORMULA, "imputed table 2: column 'y' has .* in row 1"),
    "a gap": (changed("x", 9, None), FORMULA, r"imputed table 2: column 'x'.*row 10"),
    "a level": (changed("arm", 3, "huge"), FORMULA, r"imputed table 2: column 'arm' has the levels .*huge.*in the first table"),
    "text": (changed("x", 3, "many"), FORMULA, "imputed table 2: .*'x'"),
    "a column": ([tables()[0], tables()[1].drop(columns="x")], FORMULA, "imputed table 2: no column 'x'"),
    "all alike": ([tables()[0], tables()[0]], FORMULA, "the imputed tables are all the same, so nothing was imputed"),
    "one": ([tables()[0]], FORMULA, "imputed tables are two or more; 1 table given"),
    "a transform": (list(tables()), "y ~ scale(x)", r"imputed table 2: scale\(x\) learns from its column"),
    "a curve": (list(tables()), "y ~ s(x, k=5)", "imputed table 2: column 'x' has"),
    "a group of a covariate": (list(tables()), "y ~ w + (1 | x)", "imputed table 1: grouping factor 'x' has 72 levels"),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_tables_agree_in_all_but_covariates(case):
    given, formula, words = REFUSED[case]
    builder = zoo.gamm if "s(" in formula else zoo.hierarchical_linear
    with pytest.raises(InputError, match=words):
        zoo.fit_imputed(builder, given, formula, draws=100, progress=False)


def test_a_builder_of_two_tables_is_refused():
    with pytest.raises(InputError, match="fit_imputed takes a builder of one table"):
        zoo.fit_imputed(zoo.joint_survival, tables(), FORMULA)


def test_the_command(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    for k, table in enumerate(tables()):
        table[["y", "x", "arm", "g"]].to_csv(f"{'abc'[k]}.csv", index=False)
    arguments = [
        "fit",
        "lmm",
        "a.csv",
        "--data",
        "b.csv",
        "--data",
        "c.csv",
        "--formula",
        FORMULA,
        "--draws",
        "1000",
        "--chains",
        "2",
        "--seed",
        "7",
        "--out",
        "fit.nc",
    ]
    assert cli.run(arguments) in (0, 3)
    out = capsys.readouterr().out
    assert "Of what complete data would tell, up to" in out
    tree = zoo.load("fit.nc")
    sources = [table["spec"]["data"]["source"] for table in json.loads(tree.attrs["glmm_zoo"])["imputations"]]
    assert sources == ["a.csv", "b.csv", "c.csv"]
    np.testing.assert_allclose(tree["posterior"]["beta"].values, fitted()["posterior"]["beta"].values)
    assert cli.run(["fit", "lmm", "--data", "b.csv", "--formula", FORMULA]) == 2
    assert "--data gives further imputed tables beside DATA" in capsys.readouterr().err


@pytest.mark.slow
def test_a_replay_fits_each_table_again_with_its_own_seed(tmp_path):
    tree = fitted()
    zoo.save(tree, tmp_path / "fit.nc")
    found = zoo.replay(zoo.load(tmp_path / "fit.nc"), progress=False)
    assert found.exact, found.sentence
    metadata_of_other = tree.copy()
    metadata_of_other["posterior"] = tree["posterior"].dataset.assign(sigma=tree["posterior"]["sigma"] + 10)
    assert not zoo.replay(metadata_of_other, progress=False).agrees

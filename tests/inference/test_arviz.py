"""What ArviZ says of a fit file is what we say of it, and what ArviZ needs is in the file."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import arviz as az
import arviz_stats
import numpy as np
import pandas as pd
import pytest
import xarray as xr
from scipy import special, stats

import glmm_zoo as zoo
from glmm_zoo import registry
from glmm_zoo.results import storage

PRIORS = {"Intercept": "Normal(0, 2)", "beta": "Normal(0, 1)", "sd": "Exponential(2)", "corr": "LKJ(2)"}
MODELS: dict[str, Callable[[pd.DataFrame], Any]] = {
    "logistic": lambda d: zoo.hierarchical_logistic(d, "b ~ x + (1 + x | site)", priors=PRIORS),
    "linear": lambda d: zoo.hierarchical_linear(d, "y ~ x + (1 | site)"),
    "zip": lambda d: zoo.zero_inflated_poisson(d, "k ~ x", zi="~ x"),
    "ordinal": lambda d: zoo.ordinal(d.assign(o=pd.cut(d["y"], [-9, -0.5, 0.5, 9], labels=list("abc"))), "o ~ x"),
    "gamm": lambda d: zoo.gamm(d, "y ~ s(x)", family="gaussian"),
}

OF_CONSTANTS = pytest.mark.filterwarnings("ignore:invalid value encountered")  # in ArviZ, of the ones of correlations


@pytest.fixture(scope="module")
def data() -> pd.DataFrame:
    rng = np.random.default_rng(1)
    site, x = np.repeat(np.arange(8), 15), rng.normal(size=120)
    eta = -0.3 + 0.8 * x + rng.normal(0, 0.8, 8)[site]
    response = {
        "b": rng.binomial(1, special.expit(eta)),
        "y": eta + rng.normal(size=120),
        "k": rng.poisson(np.exp(eta)),
    }
    return pd.DataFrame({**response, "x": x, "site": [f"s{i}" for i in site]})


@pytest.fixture(scope="module")
def fits(data: pd.DataFrame, tmp_path_factory: pytest.TempPathFactory) -> dict[str, xr.DataTree]:
    """Small fits read from their files."""
    folder = tmp_path_factory.mktemp("fits")
    made = {}
    for name, build in MODELS.items():
        tree = zoo.fit(build(data), draws=300, tune=300, seed=1, thin=1, progress=False)
        made[name] = zoo.load(zoo.save(tree, folder / f"{name}.nc"))
    return made


def agrees(tree: xr.DataTree) -> None:
    """Verdict and numbers as ArviZ has them, but for the limits of random effects, which ours widen with their number."""
    spec = storage.metadata(tree)["spec"]
    reported = storage.reported_variables(tree["posterior"].dataset, spec)
    parameters = [n for n in reported if n not in storage.random_effect_variables(spec)]
    verdict = zoo.check(tree)
    found = {p.check for p in (*verdict.problems, *verdict.remarks)}
    _, peer = arviz_stats.diagnose(tree, var_names=parameters, show_diagnostics=False, return_diagnostics=True)
    assert (peer["divergent"]["n_divergent"] > 0) == ("divergences" in found)
    assert (peer["treedepth"]["n_max"] > 0) == ("tree_depth" in found)
    high = {name.split("[")[0] for name in verdict.table.index[verdict.table["r_hat"] > 1.01]}
    assert set(peer["rhat"]["bad_params"]) == high & set(parameters)
    assert not peer["rhat"]["bad_params"] or "rhat" in found
    wide = tree.copy()
    # effects of many groups have 32 bits, in which ArviZ adds up
    wide["posterior"] = wide["posterior"].dataset.astype(float)
    with az.rc_context({"stats.ci_prob": 0.95}):  # effective draws of tails are of this quantile too
        each = [  # of variables together ArviZ 1.3 gives numbers of one order of dimensions the labels of another
            arviz_stats.summary(wide, var_names=[n], ci_prob=0.95, ci_kind="eti", round_to="none") for n in reported
        ]
    theirs = pd.concat([pd.DataFrame(table) for table in each])
    theirs = theirs[theirs["ess_bulk"].notna() & (theirs["sd"] > 1e-9)]
    ours = verdict.table.loc[theirs.index]
    assert len(ours) == (verdict.table["r_hat"].notna()).sum()
    columns = {"mean": "mean", "sd": "sd", "lower": "eti95_lb", "upper": "eti95_ub"}
    columns |= {name: name for name in ("ess_bulk", "ess_tail", "r_hat", "mcse_mean", "mcse_sd")}
    for mine, theirs_name in columns.items():
        np.testing.assert_allclose(ours[mine], theirs[theirs_name], rtol=1e-8, atol=1e-12, err_msg=mine)


@OF_CONSTANTS
@pytest.mark.parametrize("name", list(MODELS))
def test_arviz_agrees_with_verdict_and_numbers(fits: dict[str, xr.DataTree], name: str) -> None:
    agrees(fits[name])


@pytest.mark.parametrize("name", list(MODELS))
@pytest.mark.filterwarnings("ignore:Estimated shape parameter")
def test_leave_one_out_and_prior_sensitivity_run(fits: dict[str, xr.DataTree], name: str) -> None:
    tree = fits[name]
    response = str(next(iter(tree["observed_data"].data_vars)))
    assert np.isfinite(az.loo_metrics(tree, kind="rmse", var_name=response).mean)
    assert np.isfinite(az.loo_score(tree, var_name=response).mean)
    parameters = [n for n in tree["posterior"].data_vars if str(n).endswith(("Intercept", "beta", "cutpoints"))]
    assert np.isfinite(az.psense_summary(tree, var_names=parameters)[["prior", "likelihood"]].to_numpy(float)).all()


def test_log_prior_is_that_of_the_priors_and_of_no_group_effect(fits: dict[str, xr.DataTree]) -> None:
    tree = fits["logistic"]
    p, log_prior = tree["posterior"].dataset, tree["log_prior"].dataset
    expected = {
        "Intercept_at_means": stats.norm(0, 2).logpdf(p["Intercept_at_means"]),
        "beta": stats.norm(0, 1).logpdf(p["beta"]),
        "sd_site_at_means": stats.expon(scale=0.5).logpdf(p["sd_site_at_means"]),
        "pcorr_site": stats.beta(2, 2).logpdf(p["pcorr_site"]),
    }
    assert set(log_prior.data_vars) == set(expected)
    for name, values in expected.items():
        np.testing.assert_allclose(log_prior[name], values, rtol=1e-8)
        assert log_prior[name].dims == p[name].dims


def test_a_file_without_log_prior_or_remarks_is_read_as_before(fits: dict[str, xr.DataTree], tmp_path: Path) -> None:
    older = fits["logistic"].copy()
    del older["log_prior"], older["report"].attrs["remarks"]
    again = zoo.load(zoo.save(older, tmp_path / "older.nc"))
    assert str(zoo.check(again)) == str(zoo.check(fits["logistic"]))
    assert len(zoo.summary(again))


@pytest.mark.slow
@OF_CONSTANTS
@pytest.mark.parametrize("card", list(registry.cards()))
def test_arviz_agrees_on_every_card(card: str, tmp_path: Path) -> None:
    import subprocess
    import sys

    out = tmp_path / "fit.nc"
    command = [sys.executable, "-m", "glmm_zoo", "fit", card, "--seed", "1", "--out", str(out)]
    assert subprocess.run(command, capture_output=True, cwd=tmp_path).returncode in (0, 3)
    agrees(zoo.load(out))

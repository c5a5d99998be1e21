"""Each fault that is planted in the draws is found by its check, just beyond its limit and not just below it."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

import arviz_stats
import numpy as np
import pandas as pd
import pytest
import xarray as xr
from scipy import optimize, special, stats

import glmm_zoo as zoo
from glmm_zoo.results import diagnostics, storage
from glmm_zoo.results.parameter_statistics import STATISTICS


def planted(tree: xr.DataTree, **changes: xr.DataArray) -> xr.DataTree:
    """A copy of the tree with variables of posterior or sample_stats replaced."""
    copy = tree.copy(deep=True)
    for name, values in changes.items():
        group = "posterior" if name in copy["posterior"] else "sample_stats"
        copy[group][name] = values
    return copy


def counted(zero: xr.DataArray, count: int) -> xr.DataArray:
    """An array of truth values of which so many are true."""
    flags = np.arange(zero.size).reshape(zero.shape) < count
    return xr.zeros_like(zero, dtype=bool) | flags


def checks(problems: Sequence[diagnostics.Problem]) -> list[str]:
    return [problem.check for problem in problems]


@pytest.fixture(scope="module")
def ideal(tree: xr.DataTree) -> xr.DataTree:
    """A fit whose draws are independent, but for its correlation matrices."""
    rng = np.random.default_rng(2)
    posterior = tree["posterior"].data_vars
    changes = {
        str(n): xr.zeros_like(v) + rng.normal(size=v.shape) for n, v in posterior.items() if "corr" not in str(n)
    }
    still = tree["sample_stats"]
    changes |= {
        "diverging": still["diverging"] & False,
        "reached_max_treedepth": still["diverging"] & False,
        "energy": xr.zeros_like(still["energy"]) + rng.normal(size=(4, 500)),
        "bfmi": still["bfmi"] * 0 + 0.9,
    }
    return planted(tree, **changes)


def table_of(quantities: Mapping[str, Mapping[str, float]]) -> pd.DataFrame:
    """The table of diagnostics of a flawless fit but for these numbers."""
    flawless = dict.fromkeys(STATISTICS, 0.0) | {"ess_bulk": 4000.0, "ess_tail": 4000.0, "r_hat": 1.001}
    return pd.DataFrame({name: flawless | numbers for name, numbers in quantities.items()}).T[list(STATISTICS)]


def numbered(
    tree: xr.DataTree, numbers: Mapping[str, Mapping[str, float]], effects: int = 20, **settings: Any
) -> diagnostics.Verdict:
    """The verdict on a fit with these settings and so many random effects, all flawless but for the numbers."""
    names = ["Intercept", "beta[x]", *(f"u_site[{i}]" for i in range(effects))]
    copy = tree.copy()
    content = storage.metadata(tree)
    storage.write_metadata(copy, {**content, "sampling": {**content["sampling"], **settings}})
    return diagnostics.judge(copy, table_of({name: numbers.get(name, {}) for name in names}))


# ---------------------------------------------------------------------------------------------- planted in the draws


@pytest.mark.parametrize("fault", ["divergences", "rhat", "ess_bulk", "bfmi", "complete", "stuck"])
def test_each_fault_is_found_by_its_check(ideal: xr.DataTree, fault: str) -> None:
    still, intercept = ideal["sample_stats"], ideal["posterior"]["Intercept"]
    rng = np.random.default_rng(0)
    walk = xr.zeros_like(intercept) + np.cumsum(rng.normal(size=intercept.shape), axis=1)
    changes = {
        "divergences": {"diverging": still["diverging"] | (still["tree_depth"] >= 0)},
        "rhat": {"Intercept": intercept + intercept["chain"]},
        "ess_bulk": {"Intercept": walk},
        "bfmi": {"bfmi": still["bfmi"] * 0 + 0.3},
        "complete": {"Intercept": intercept.where(intercept["draw"] < 400)},
        "stuck": {"Intercept": intercept * 0 + 3.0},
    }[fault]
    verdict = zoo.check(planted(ideal, **changes))
    assert not verdict.sound and fault in checks(verdict.problems)
    assert all(str(p).endswith(".") for p in verdict.problems)
    assert str(verdict).startswith(f"Not to be trusted yet: {len(verdict.problems)} check")


@pytest.mark.parametrize(("bfmi", "sound"), [(0.299, False), (0.301, True), (np.nan, False)])
def test_energies_of_all_transitions_count(tree: xr.DataTree, bfmi: float, sound: bool) -> None:
    """As the file has E-BFMI; in a file without it, of the energies that are kept."""
    of_file = planted(tree, bfmi=tree["sample_stats"]["bfmi"].where(tree["sample_stats"]["chain"] != 2, bfmi))
    energy = xr.zeros_like(tree["sample_stats"]["energy"]) + energies_of(bfmi, 500)
    without = planted(tree, energy=energy)
    without["sample_stats"] = without["sample_stats"].to_dataset().drop_vars("bfmi")
    for fit, chain in ((of_file, 2), (without, 0)):
        (found,) = [p.found for p in zoo.check(fit).problems if p.check == "bfmi"] or [""]
        assert found == (
            "" if sound else f"E-BFMI is {bfmi:.2f} in chain {chain}, more than 0.3 needed".replace("nan", "–")
        )


def energies_of(bfmi: float, draws: int) -> np.ndarray:
    """Energies of this E-BFMI, as ArviZ computes it: a slow wave has hardly any, one that turns at each draw has 4."""
    if np.isnan(bfmi):
        return np.ones(draws)
    slow, fast = np.sin(2 * np.pi * np.arange(draws) / draws), np.where(np.arange(draws) % 2, 1.0, -1.0)
    return slow + fast * optimize.brentq(
        lambda part: float(arviz_stats.bfmi((slow + part * fast)[None])[0]) - bfmi, 0.0, 10.0
    )


DIVERGED = [
    (
        [(0.8, 12), (0.95, 3), (0.99, 5)],
        "5 divergent transitions among 16000 at target_accept=0.99, after 2 runs abandoned, with 12 divergent transitions at 0.8, 3 divergent transitions at 0.95",
    ),
    ([(0.9, 5)], "5 divergent transitions among 16000 at target_accept=0.9"),
    ([(0.95, 1)], "1 divergent transition among 16000 at target_accept=0.95"),
    ([(0.995, 1)], "1 divergent transition among 16000 at target_accept=0.995"),
]


@pytest.mark.parametrize(("runs", "found"), DIVERGED)
def test_divergences_are_those_of_all_transitions_and_runs(
    tree: xr.DataTree, runs: list[tuple[float, int]], found: str
) -> None:
    copy = planted(tree, diverging=(tree["sample_stats"]["tree_depth"] < 0))
    copy["sample_stats"]["diverging"][0, 0] = True  # of one draw that is kept
    content = storage.metadata(copy)
    kinds = [{"target_accept": t, "divergences": n, "parts": 8, "coordinates_from_draws": False} for t, n in runs]
    content["sampling"] |= {"runs": kinds, "target_accept": runs[-1][0], "thin": 8}
    storage.write_metadata(copy, content)
    verdict = zoo.check(copy)
    (problem,) = [p for p in (*verdict.problems, *verdict.remarks) if p.check == "divergences"]
    assert problem.found == found
    advised = re.findall(r"target_accept=([\d.]*\d)", problem.advice)
    assert [float(t) > runs[-1][0] for t in advised] == [True] * (runs[-1][0] < 0.99)
    assert "sd_site" in problem.advice and ("parameterization" in problem.advice) == (not advised)


def test_independent_draws_are_sound(ideal: xr.DataTree) -> None:
    copy = ideal.copy()
    copy["posterior"] = copy["posterior"].to_dataset().drop_vars(["corr_site", "corr_site_at_means"])
    verdict = zoo.check(copy)
    assert verdict.sound and not verdict.remarks, str(verdict)
    assert (
        len(verdict.table) == 1 + 1 + 2 + 2 + 20
    )  # Intercept, beta, sds at means and zero, group effects; not what carries others
    assert str(verdict).endswith("no divergences, all chains complete.")


def test_what_is_stuck_is_named_with_its_chains_and_the_ones_of_a_correlation_matrix_are_not(
    ideal: xr.DataTree,
) -> None:
    beta, u = ideal["posterior"]["beta"], ideal["posterior"]["u_site"]
    assert zoo.check(ideal).sound and np.isnan(zoo.check(ideal).table.loc["corr_site[x, x]", "r_hat"])
    one_chain = zoo.check(planted(ideal, beta=beta.where(beta["chain"] != 2, 0.25)))
    assert "beta[x] stays at one value in chain 2." in str(one_chain)
    two_effects = u.where((u["chain"] == 0) | (u["site"] != "s3"), 0.0)
    found = zoo.check(planted(ideal, u_site=two_effects))
    assert "u_site[s3, Intercept], u_site[s3, x] stay at one value in chains 1, 2, 3." in str(found)
    each_its_own = zoo.check(planted(ideal, Intercept=ideal["posterior"]["Intercept"] * 0 + u["chain"]))
    assert "Intercept stays at one value in every chain." in str(each_its_own)
    for value in (0.5, 0.995, -0.9999, -0.999999, 1 - 1e-9):
        corr = zoo.check(planted(ideal, corr_site=ideal["posterior"]["corr_site"] * 0 + value))
        assert checks(corr.problems) == ["stuck"] and "corr_site[Intercept, Intercept]" in str(corr)


@pytest.mark.parametrize("finished", [[500, 500, 499, 500], [500, 500, 500, 0], [500, 500, 500]])
def test_a_draw_or_a_chain_that_lacks_is_told(ideal: xr.DataTree, finished: list[int]) -> None:
    copy, content = ideal.copy(), storage.metadata(ideal)
    content["sampling"] |= {"finished": finished}
    storage.write_metadata(copy, content)
    assert checks(zoo.check(copy).problems) == ["complete"]
    assert all(f"chain {k} has {n}" in str(zoo.check(copy)) for k, n in enumerate(finished) if n < 500)


def test_more_draws_are_advised_by_the_worst(ideal: xr.DataTree) -> None:
    """1.2 x 400 / 130 times as many rounded up, at most ten times."""
    for worst, draws in ((130.0, 2000), (250.0, 1000), (40.0, 5000)):
        verdict = numbered(ideal, {"beta[x]": {"ess_bulk": worst}, "Intercept": {"ess_bulk": 399.0}})
        assert "for beta[x], 400 needed (2 parameters below)" in str(verdict) and f"Try draws={draws}" in str(verdict)


def test_what_has_no_number_is_named_as_the_worst(ideal: xr.DataTree) -> None:
    for numbers in ((np.nan, 130.0), (130.0, np.nan)):
        both = dict(zip(("Intercept", "beta[x]"), ({"ess_bulk": n} for n in numbers), strict=True))
        (problem,) = numbered(ideal, both).problems
        unknown = "Intercept" if np.isnan(numbers[0]) else "beta[x]"
        assert problem.found == f"– effective draws (bulk) for {unknown}, 400 needed (2 parameters below)"
        assert problem.advice.startswith("Try draws=5000")
        r_hat = dict(zip(("Intercept", "beta[x]"), ({"r_hat": n / 100} for n in numbers), strict=True))
        assert f"R-hat is – for {unknown} (2 parameters at 1.01 or more)" in str(numbered(ideal, r_hat))
    alone = numbered(ideal, {"beta[x]": {"ess_bulk": np.nan}})
    assert "– effective draws (bulk) for beta[x], 400 needed (1 parameter below)" in str(alone)


def test_chains_that_lack_are_told_though_the_others_are_complete(ideal: xr.DataTree) -> None:
    for finished, words in (
        ([500, 500, 500], "of 500 draws each, chain 3 has 0"),
        ([500], "of 500 draws each, chain 1 has 0, chain 2 has 0, chain 3 has 0"),
        ([], "chain 0 has 0"),
        ([500, 499], "of 500 draws each, chain 1 has 499, chain 2 has 0, chain 3 has 0"),
    ):
        copy, content = ideal.copy(), storage.metadata(ideal)
        content["sampling"] |= {"finished": finished}
        storage.write_metadata(copy, content)
        assert words in str(zoo.check(copy)), str(zoo.check(copy))


def test_small_numbers_are_not_stuck(ideal: xr.DataTree) -> None:
    beta = ideal["posterior"]["beta"]
    assert zoo.check(planted(ideal, beta=beta * 1e-20)).sound
    assert zoo.check(planted(ideal, beta=1e6 + beta)).sound


@pytest.mark.parametrize(("draws", "sound"), [(3, False), (4, True)])
def test_fewer_draws_than_can_be_diagnosed_are_never_sound(tree: xr.DataTree, draws: int, sound: bool) -> None:
    verdict = numbered(tree, {}, draws=draws)
    assert verdict.sound == sound and (sound or checks(verdict.problems) == ["draws"])


def test_a_few_draws_of_a_fit_are_not_sound(tree: xr.DataTree) -> None:
    short = tree.sel(draw=slice(0, 2))
    content = storage.metadata(tree)
    storage.write_metadata(short, {**content, "sampling": {**content["sampling"], "draws": 3, "finished": [3] * 4}})
    assert str(zoo.check(short)) == (
        "Not to be trusted yet: 1 check failed.\n  - Only 3 draws in each chain. R-hat and effective draws need at least 4, "
        "so nothing was checked. Use draws=1000.\nMore: glmm-zoo explain draws."
    )


@pytest.mark.parametrize("statistic", ["r_hat", "ess_bulk", "ess_tail"])
@pytest.mark.parametrize("name", ["beta[x]", "u_site[4]"])
def test_nan_is_never_sound(ideal: xr.DataTree, statistic: str, name: str) -> None:
    verdict = numbered(ideal, {name: {statistic: np.nan}})
    assert checks(verdict.problems) == ["rhat" if statistic == "r_hat" else statistic] and name in str(verdict)


def test_a_single_chain_is_a_problem_of_its_own(ideal: xr.DataTree) -> None:
    nan = {key: {"r_hat": np.nan} for key in ["Intercept", "beta[x]", *(f"u_site[{i}]" for i in range(20))]}
    assert checks(numbered(ideal, nan, chains=1).problems) == ["chains"]


# ------------------------------------------------------------------------------------------------- just at the limits


@pytest.mark.parametrize(("r_hat", "sound"), [(1.00999, True), (1.01, False)])
@pytest.mark.parametrize("name", ["Intercept", "beta[x]"])
def test_limit_of_r_hat_of_parameters(ideal: xr.DataTree, name: str, r_hat: float, sound: bool) -> None:
    verdict = numbered(ideal, {name: {"r_hat": r_hat}})
    assert verdict.sound == sound and (sound or f"for {name} (1 parameter at 1.01 or more)" in str(verdict))


@pytest.mark.parametrize("statistic", ["ess_bulk", "ess_tail"])
@pytest.mark.parametrize("chains", [2, 4, 8])
def test_limit_of_effective_draws_is_a_hundred_for_each_chain(ideal: xr.DataTree, statistic: str, chains: int) -> None:
    assert numbered(ideal, {"beta[x]": {statistic: 100.0 * chains}}, chains=chains).sound
    verdict = numbered(ideal, {"beta[x]": {statistic: 100.0 * chains - 0.1}}, chains=chains)
    assert checks(verdict.problems) == [statistic] and f"{100 * chains} needed (1 parameter below)" in str(verdict)


@pytest.mark.parametrize("effects", [20, 2000, 20_000])
@pytest.mark.parametrize("chains", [2, 4])
def test_limits_of_random_effects_are_those_of_the_f_distribution(
    ideal: xr.DataTree, effects: int, chains: int
) -> None:
    noise = stats.f(2 * chains - 1, 100 * chains - 2 * chains).isf(0.01 / (4 * effects))
    r_hat, needed = np.sqrt(1 + (1.01**2 - 1) * noise), 100 * chains / noise

    def sound(**numbers: float) -> bool:
        return numbered(ideal, {"u_site[7]": numbers}, effects, chains=chains).sound

    assert sound(r_hat=r_hat - 1e-5) and not sound(r_hat=r_hat + 1e-5)
    assert sound(ess_bulk=needed + 0.01) and not sound(ess_bulk=needed - 0.01)
    assert sound(ess_tail=needed + 0.01) and not sound(ess_tail=needed - 0.01)


def test_noise_of_the_worst_of_many_effects_is_sound_and_said(ideal: xr.DataTree) -> None:
    five = numbered(ideal, {f"u_site[{i}]": {"r_hat": 1.010} for i in range(5)}, 20_000)
    assert five.sound and not five.remarks
    assert str(five) == (
        "Sound: R-hat at most 1.001, at least 4000 effective draws (1.010 and 4000 in the worst of 20000 random effects, "
        "within chance), no divergences, all chains complete."
    )
    assert numbered(ideal, {"u_site[9]": {"r_hat": 1.0104, "ess_bulk": 5901.0}}, 2000).sound


def test_effects_kept_as_moments_are_checked(ideal: xr.DataTree) -> None:
    levels = [f"s{i}" for i in range(10)]

    def with_moments(mean: float, sd: float, r_hat: float) -> diagnostics.Verdict:
        values = np.broadcast_to([[mean], [sd], [r_hat]], (3, 10))
        effects = xr.Dataset(
            {"u_site": (("statistic", "site"), values)}, {"statistic": ["mean", "sd", "r_hat"], "site": levels}
        )
        copy = ideal.copy()
        copy["group_effects"] = xr.DataTree(effects)
        copy["posterior"] = copy["posterior"].to_dataset().drop_vars("u_site")
        return zoo.check(copy)

    noise = stats.f(7, 392).isf(0.01 / (4 * 10))
    limit = np.sqrt(1 + 0.0201 * noise)
    assert with_moments(0.0, 1.0, limit - 1e-5).sound
    assert checks(with_moments(0.0, 1.0, limit + 1e-5).problems) == ["rhat"]
    assert "R-hat is 3.000 for u_site[s0] (10 random effects" in str(with_moments(0.0, 1.0, 3.0))
    assert not with_moments(0.0, 1.0, np.nan).sound
    assert "stay at one value in every chain" in str(with_moments(0.0, 0.0, np.nan))


@pytest.mark.parametrize("thin", [1, 4])
def test_one_divergence_in_a_thousand_transitions_is_a_remark(ideal: xr.DataTree, thin: int) -> None:
    diverging = ideal["sample_stats"]["diverging"]

    def with_divergences(count: int, **numbers: Mapping[str, float]) -> diagnostics.Verdict:
        return numbered(planted(ideal, diverging=counted(diverging, count)), numbers, thin=thin)

    few = with_divergences(2 * thin)  # of 2000 draws
    assert few.sound and checks(few.remarks) == ["divergences"] and not few.problems
    assert str(few).startswith("Sound, with 1 remark: R-hat at most 1.001") and "no divergences" not in str(few)
    more = with_divergences(2 * thin + 1)
    assert not more.sound and checks(more.problems) == ["divergences"] and not more.remarks
    assert checks(with_divergences(1, Intercept={"r_hat": 1.02}).problems) == ["divergences", "rhat"]
    assert not with_divergences(0).remarks


def test_runs_that_were_given_up_are_a_remark(ideal: xr.DataTree) -> None:
    runs = [{"divergences": 12, "target_accept": 0.8}, {"divergences": 0, "target_accept": 0.95}]
    verdict = numbered(ideal, {}, runs=runs, target_accept=0.95)
    assert verdict.sound and checks(verdict.remarks) == ["retried"]
    assert "1 run abandoned, with 12 divergent transitions at 0.8." in str(verdict)
    assert not numbered(ideal, {}, runs=runs[1:], target_accept=0.95).remarks


def test_cut_trajectories_are_a_remark_whatever_else_is_found(ideal: xr.DataTree) -> None:
    flags = ideal["sample_stats"]["diverging"]
    deep = planted(ideal, reached_max_treedepth=counted(flags, 7))
    verdict = zoo.check(deep)
    assert verdict.sound and checks(verdict.remarks) == ["tree_depth"] and "draws are valid but costly" in str(verdict)
    both = zoo.check(planted(deep, diverging=counted(flags, 1)))
    assert both.sound and checks(both.remarks) == ["divergences", "tree_depth"] and "with 2 remarks" in str(both)
    bad = zoo.check(planted(deep, diverging=counted(flags, 50)))
    assert checks(bad.problems) == ["divergences"] and checks(bad.remarks) == ["tree_depth"]
    assert "And 1 remark:\n  - 7 trajectories cut" in str(bad)


# -------------------------------------------------------------------------------------------- simulated sound chains


@pytest.mark.parametrize("folded", [False, True])
@pytest.mark.parametrize("chains", [2, 4])
def test_false_alarms_at_the_limit_are_as_rare_as_said(chains: int, folded: bool) -> None:
    """R-hat of chains that are worth the 100 independent draws each that are required, in bulk or in distance."""
    from glmm_zoo.results import convergence

    rng = np.random.default_rng(1)
    x = rng.normal(size=(chains, 100, 20_000))
    if folded:
        x = rng.choice([-1.0, 1.0], x.shape) * special.ndtri((1 + special.ndtr(x)) / 2)
    parts = [convergence.ess_bulk_and_rhat(x[:, :, i : i + 50]) for i in range(0, 20_000, 50)]
    effective, r_hat = np.concatenate(parts, axis=1)
    for effects in (20, 200):
        noise = diagnostics.noise_of_worst(effects, chains)
        alarms = (r_hat >= np.sqrt(1 + (1.01**2 - 1) * noise)) | (effective < 100 * chains / noise)
        assert alarms.reshape(-1, effects).any(axis=1).mean() < 0.02
    assert (r_hat.reshape(-1, 200) >= 1.01).any(axis=1).mean() > 0.99  # the strict limit


# ---------------------------------------------------------------------------------------------------- where it is told


def test_remarks_are_stored_and_shown(ideal: xr.DataTree, tmp_path) -> None:
    from glmm_zoo.report.page import write_report
    from glmm_zoo.results.report.stored import with_report

    remarked = with_report(planted(ideal, diverging=counted(ideal["sample_stats"]["diverging"], 1)))
    attributes = remarked["report"].attrs
    assert attributes["sound"] == 1 and json.loads(attributes["remarks"]) == ["divergences"]
    assert json.loads(attributes["problems"]) == []
    page = write_report(remarked, tmp_path / "r.html").read_text()
    assert "1 divergent transition" in page

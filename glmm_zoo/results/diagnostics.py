"""Whether the draws of a fit can be trusted: its diagnostics by parameter, and the checks that make a verdict of them.

Thresholds: R-hat < 1.01 and at least 100 effective draws per chain in bulk and tails (Vehtari et al. 2021), E-BFMI > 0.3
(Betancourt 2016), no divergence but a few that are remarked. Of random effects, which may be thousands, the worst may be
as far beyond these limits as chance alone takes it (`noise_of_worst`).
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from glmm_zoo.errors import listing, plural
from glmm_zoo.results import convergence
from glmm_zoo.results.imputations import imputations_of, verdict_of_imputations
from glmm_zoo.results.numbers import whole, written
from glmm_zoo.results.parameter_statistics import (
    LEAST_DRAWS,
    STATISTICS,
    at_one_value,
    element_labels,
    elements,
    moments_table,
    statistics_table,
)
from glmm_zoo.results.storage import metadata, random_effect_variables, reported_variables
from glmm_zoo.results.verdict import Problem, Verdict
from glmm_zoo.results.whole_fit import of_a_whole_fit

RHAT = 1.01
ESS_PER_CHAIN = 100
BFMI = 0.3
HIGHER_TARGETS = (0.95, 0.99)  # of the acceptance probability, one after the other where transitions diverge
DIVERGENT = 0.001  # share of the transitions; a tenth of the Monte Carlo error of a 95 % interval's probability
REMARKED = ("retried", "tree_depth")  # checks that say nothing against the draws
FALSE_ALARM = 0.01  # probability that the worst random effect of sound chains is beyond its limit


# ------------------------------------------------------------------------------------------------------------- verdict


def incomplete(tree: xr.DataTree, only: Collection[str] | None = None) -> str | None:
    """A sentence when chains or draws are missing; asked before any diagnosis, since that ignores missing draws.

    Of variables beyond `only` the numbers are not looked at.
    """
    settings = metadata(tree)["sampling"]
    wanted, finished = settings["draws"], settings["finished"]
    lacking = [0] * (settings["chains"] - len(finished))
    short = [f"chain {i} has {n}" for i, n in enumerate([*finished, *lacking]) if n < wanted]
    if short:
        return f"the run was interrupted: of {wanted} draws each, {listing(short)}"
    posterior = tree["posterior"].dataset
    asked = [str(name) for name in posterior.data_vars if only is None or name in only]
    broken = [name for name in asked if not all(np.isfinite(chain.values).all() for chain in posterior[name])]
    return f"values that are not finite in {listing(broken)}" if broken else None


@of_a_whole_fit
def check(tree: xr.DataTree) -> Verdict:
    """The verdict on a fit, fresh or loaded from a file.

    Returns
    -------
    Verdict
        `sound`, the `problems` and `remarks` each with a sentence on what it means here and what to try first, and the
        `table` of diagnostics by parameter.
    """
    tables = imputations_of(tree)
    if len(tables) > 1:
        return verdict_of_imputations(tree, [check(table) for table in tables])
    gap = incomplete(tree)
    if gap is not None:
        problem = Problem(
            "complete",
            gap[0].upper() + gap[1:],
            "No diagnosis is possible.",
            "Fit again; the seed gives the same draws.",
        )
        return Verdict(False, (problem,), pd.DataFrame(columns=pd.Index(STATISTICS), dtype=float))
    posterior = tree["posterior"].dataset
    return judge(tree, statistics_table(posterior[reported_variables(posterior, metadata(tree)["spec"])]))


@of_a_whole_fit
def judge(tree: xr.DataTree, diagnostics: pd.DataFrame) -> Verdict:
    """The verdict on a complete fit, given the table of its diagnostics (`statistics_table`); of several imputed tables that on each."""
    content = metadata(tree)
    if "imputations" in content:
        return check(tree)
    spec, settings = content["spec"], content["sampling"]
    if settings["draws"] < LEAST_DRAWS:
        return Verdict(False, (_too_few_draws(settings["draws"]),), diagnostics)
    stats = tree["sample_stats"].dataset
    sds = [f"{group['sd']} (prior {_sd_priors(spec, group['sd'])})" for group in spec["groups"].values()]
    moved, stuck = _moved(tree, diagnostics)
    kinds = _kinds(moved, spec, settings["chains"])
    of_last_run = (run["divergences"] for run in settings.get("runs", ())[-1:])  # of draws that are not kept too
    divergent = max([int(stats["diverging"].values.sum()), *of_last_run])
    found = (
        *_divergences(divergent, settings, sds),
        *_retried(settings),
        *stuck,
        *(problem for kind in kinds for problem in _disagreement(kind, spec, settings)),
        *_single_chain(settings),
        *(problem for kind in kinds for problem in _few_effective_draws(kind, spec, settings)),
        *_poor_energy(stats, sds),
        *_cut_trajectories(stats),
    )
    transitions = settings["draws"] * settings["chains"] * settings["thin"]
    problems, remarks = _weighed(found, few_divergences=divergent <= DIVERGENT * transitions)
    return Verdict(not problems, problems, diagnostics, remarks, _in_order(kinds, divergent))


def _too_few_draws(draws: int) -> Problem:
    return Problem(
        "draws",
        f"Only {plural(draws, 'draw')} in each chain",
        f"R-hat and effective draws need at least {LEAST_DRAWS}, so nothing was checked.",
        "Use draws=1000.",
    )


def _weighed(found: Sequence[Problem], *, few_divergences: bool) -> tuple[tuple[Problem, ...], tuple[Problem, ...]]:
    """What is against the draws, and what is only to be remarked; a few divergences are that if nothing else is amiss."""
    mild = {*REMARKED, "divergences"}
    if not few_divergences or any(p.check not in mild for p in found):
        mild = set(REMARKED)
    remarks = (
        replace(p, meaning="All else is in order, so what these few can have missed is less than Monte Carlo error.")
        if p.check == "divergences"
        else p
        for p in found
        if p.check in mild
    )
    return tuple(p for p in found if p.check not in mild), tuple(remarks)


# ----------------------------------------------------------------------------------------------- parameters and effects


@dataclass(frozen=True)
class _Kind:
    """Quantities that are held to the same limits: the statistics of each, what one is called, and the limits.

    Effective draws in the tails are NaN where only moments are of all draws.
    """

    rows: pd.DataFrame
    noun: str
    r_hat: float
    effective: float


def noise_of_worst(quantities: int, chains: int) -> float:
    """How many times its mean the variance between chains may be by chance, in the worst of so many quantities.

    The variance between the 2C halves of sound chains over that within has an F distribution, with 2C - 1 degrees of freedom
    and those of the effective draws that are required, 100 C. With them R-hat^2 = 1 + 2C F / 100C = 1 + 0.02 F, which is
    1.01^2 at the mean of F. The same F is what makes an estimate of effective draws small. The worst of `quantities`, of each
    of which R-hat and effective draws are taken twice, is beyond this quantile with probability `FALSE_ALARM` at most.
    """
    from scipy.special import fdtri

    halves, effective = 2 * chains, ESS_PER_CHAIN * chains
    return float(fdtri(halves - 1, effective - halves, 1 - FALSE_ALARM / (4 * quantities)))


def _kinds(moved: pd.DataFrame, spec: Mapping[str, Any], chains: int) -> tuple[_Kind, ...]:
    """The parameters of the population, and the random effects."""
    effects = moved.index.str.split("[").str[0].isin(random_effect_variables(spec))
    needed = ESS_PER_CHAIN * chains
    population = _Kind(moved[~effects], "parameter", RHAT, needed)
    if not effects.any():
        return (population,)
    rows = moved[effects]
    sound = (rows["r_hat"] < RHAT) & (rows[["ess_bulk", "ess_tail"]] >= needed).all(axis=1)
    noise = 1.0 if sound.all() else noise_of_worst(len(rows), chains)  # at least 1, so that it is not asked for in vain
    return population, _Kind(rows, "random effect", np.sqrt(1 + (RHAT**2 - 1) * noise), needed / noise)


def _moved(tree: xr.DataTree, diagnostics: pd.DataFrame) -> tuple[pd.DataFrame, Iterator[Problem]]:
    """The statistics of what varies in every chain, moments included, and a problem that names what does not.

    Elements of a correlation matrix that are 0, 1 or -1 in all draws are so by definition and are left out.
    """
    moments = moments_table(tree)
    still = dict.fromkeys(moments.index[moments["sd"] == 0], np.ones(tree["posterior"].sizes["chain"], bool))
    fixed: set[str] = set()
    for array in tree["posterior"].dataset.data_vars.values():
        values = elements(array)
        in_chain = at_one_value(values, 1)  # (chain, elements)
        labels = element_labels(array) if in_chain.any() else []
        for i in np.flatnonzero(in_chain.any(axis=0)) if labels else ():
            if (
                in_chain[:, i].all()
                and _correlates(array)
                and np.isclose(values[0, 0, i], (-1, 0, 1), rtol=0, atol=1e-12).any()
            ):
                fixed.add(labels[i])
            else:
                still[labels[i]] = in_chain[:, i]
    rows = pd.concat([t for t in (diagnostics, moments) if len(t)])
    named = {label: still[label] for label in rows.index if label in still}
    return rows[~rows.index.isin([*fixed, *named])], _stuck(named)


def _correlates(array: xr.DataArray) -> bool:
    """Whether a variable is a correlation matrix, by the names of its dimensions."""
    return array.ndim >= 4 and array.dims[-1] == f"{array.dims[-2]}_bis"


def _in_order(kinds: Sequence[_Kind], divergent: int) -> str:
    """What holds of a sound fit; of random effects it is told apart where they are beyond the limits of parameters."""
    r_hat, effective = _worst(kinds)
    words = ""
    if len(kinds) > 1 and (r_hat >= kinds[0].r_hat or effective < kinds[0].effective):
        of_effects = [
            f"{x:{form}}" for x, form in zip(_worst(kinds[1:]), (".3f", ".0f"), strict=True) if np.isfinite(x)
        ]
        r_hat, effective = _worst(kinds[:1])
        words = f" ({' and '.join(of_effects)} in the worst of {plural(len(kinds[1].rows), 'random effect')}, within chance)"
    words = f"R-hat at most {written(r_hat, 3)}, at least {whole(effective)} effective draws{words}"
    return f"{words}{'' if divergent else ', no divergences'}, all chains complete"


def _worst(kinds: Sequence[_Kind]) -> tuple[float, float]:
    """The largest R-hat and the fewest effective draws."""
    rows = pd.concat([kind.rows for kind in kinds])
    return rows["r_hat"].max(), rows[["ess_bulk", "ess_tail"]].min().min()


# --------------------------------------------------------------------------------------------------------------- checks


def abandoned_runs(settings: Mapping[str, Any]) -> str:
    """`"1 run abandoned, with 6 divergent transitions at 0.8"`: the runs before the one that counts, at their target_accept; "" for none.

    Files of older versions do not tell.
    """
    abandoned = settings.get("runs", ())[:-1]
    each = (f"{plural(run['divergences'], 'divergent transition')} at {run['target_accept']:g}" for run in abandoned)
    return f"{plural(len(abandoned), 'run')} abandoned, with {listing(each)}" if abandoned else ""


def _divergences(divergent: int, settings: Mapping[str, Any], sds: Sequence[str]) -> Iterator[Problem]:
    if divergent:
        before, target = abandoned_runs(settings), settings["target_accept"]
        yield Problem(
            "divergences",
            f"{plural(divergent, 'divergent transition')} among {settings['draws'] * settings['chains'] * settings['thin']} "
            f"at target_accept={target:g}" + (f", after {before}" if before else ""),
            "The sampler could not follow part of the posterior, so it may be missing from the draws.",
            _after_divergences(target, settings["parameterization"], sds),
        )


def _after_divergences(target: float, parameterization: str, sds: Sequence[str]) -> str:
    """What to try: smaller steps as long as they help, then another posterior."""
    tighter = f"a tighter prior on {listing(sds, 3)}" if sds else "tighter priors"
    higher = next((t for t in HIGHER_TARGETS if t > target), None)
    if higher is not None:
        return f"Try target_accept={higher:g} first, or {tighter}."
    other = "centered" if parameterization == "noncentered" else "noncentered"
    reparameterized = f', or parameterization="{other}"' if sds else ""
    return f"Smaller steps hardly help any more: try {tighter}{reparameterized}."


def _retried(settings: Mapping[str, Any]) -> Iterator[Problem]:
    if abandoned_runs(settings):
        yield Problem(
            "retried",
            abandoned_runs(settings),
            "Part of this posterior is hard to follow; only the last run, in smaller steps, counts.",
            f"Give target_accept={settings['target_accept']:g} at once in the next fit.",
        )


def _stuck(still: Mapping[str, np.ndarray]) -> Iterator[Problem]:
    """What did not move, by name, with the chains (chains,) in which it did not."""
    if still:
        where = np.any(list(still.values()), axis=0)
        chains = [str(k) for k in np.flatnonzero(where)]
        yield Problem(
            "stuck",
            f"{listing(still, 3)} {'stays' if len(still) == 1 else 'stay'} at one value in "
            + ("every chain" if where.all() else f"chain{'s' if len(chains) > 1 else ''} {listing(chains)}"),
            "The sampler did not move there, so these draws say nothing of the posterior.",
            "Try another seed and more warm-up first; if it stays, priors that keep to the scale of the data.",
        )


def _disagreement(kind: _Kind, spec: Mapping[str, Any], settings: Mapping[str, Any]) -> Iterator[Problem]:
    """Chains that do not agree."""
    r_hat = kind.rows["r_hat"]
    if settings["chains"] == 1:
        r_hat = r_hat.dropna()  # but moments have that of the two halves
    high = r_hat[~(r_hat < kind.r_hat)].sort_values(ascending=False, na_position="first")
    if len(high):
        yield Problem(
            "rhat",
            f"R-hat is {written(high.iloc[0], 3)} for {high.index[0]} ({plural(len(high), kind.noun)} at {kind.r_hat:.4g} or more)",
            "The chains do not agree yet on where this posterior lies.",
            f"Try more draws and warm-up (draws={2 * settings['draws']}, tune={2 * settings['tune']}); if it stays, {_simpler(spec)}.",
        )


def _single_chain(settings: Mapping[str, Any]) -> Iterator[Problem]:
    if settings["chains"] == 1:
        yield Problem(
            "chains", "Only one chain", "R-hat compares chains, so agreement was not checked.", "Use chains=4."
        )


def _few_effective_draws(kind: _Kind, spec: Mapping[str, Any], settings: Mapping[str, Any]) -> Iterator[Problem]:
    for name, words in (("ess_bulk", "its mean is"), ("ess_tail", "its interval is")):
        drawn = kind.rows[name][
            kind.rows["median"].notna() | kind.rows[name].notna()
        ]  # of moments there are none in the tails
        low = drawn[~(drawn >= kind.effective)].sort_values(na_position="first")
        if len(low):
            factor = int(np.ceil(1.2 * kind.effective / np.nanmax([low.iloc[0], 1])))
            yield Problem(
                name,
                f"{whole(low.iloc[0])} effective draws ({name.removeprefix('ess_')}) for {low.index[0]}, "
                f"{whole(kind.effective)} needed ({plural(len(low), kind.noun)} below)",
                f"The draws are strongly correlated, so {words} still noisy.",
                f"Try draws={settings['draws'] * min(factor, 10)}" + (f"; or {_simpler(spec)}." if factor > 4 else "."),
            )


def _poor_energy(stats: xr.Dataset, sds: Sequence[str]) -> Iterator[Problem]:
    """E-BFMI of all transitions; of the draws kept where the file does not have it."""
    bfmi = stats["bfmi"].values if "bfmi" in stats else convergence.bfmi(stats["energy"].values)
    if not (bfmi > BFMI).all():
        yield Problem(
            "bfmi",
            f"E-BFMI is {written(bfmi.min(), 2)} in chain {int(bfmi.argmin())}, more than {BFMI} needed",
            "The tails of the posterior are heavier than the sampler can explore in steps of its energy.",
            f"Try a tighter prior on {listing(sds, 3)}." if sds else "Try tighter priors.",
        )


def _cut_trajectories(stats: xr.Dataset) -> Iterator[Problem]:
    deep = int(stats["reached_max_treedepth"].values.sum())
    if deep:
        yield Problem(
            "tree_depth",
            f"{plural(deep, 'trajectory').replace('ys', 'ies')} cut at the largest tree depth",
            "The posterior is much longer in some direction than in others; draws are valid but costly.",
            "Try center=True and covariates of similar scale, scale(x), first.",
        )


def _sd_priors(spec: Mapping[str, Any], name: str) -> str:
    """The prior of a group's sds, or their different priors."""
    prior = spec["priors"].get(name, "")
    return prior if isinstance(prior, str) else listing(dict.fromkeys(prior.values()))


def _simpler(spec: Mapping[str, Any]) -> str:
    """A simpler model to try."""
    many = [factor for factor, group in spec["groups"].items() if len(group["effects"]) > 1]
    if many:
        return f"fewer effects in the group term of {many[0]!r}"
    return "fewer group terms" if len(spec["groups"]) > 1 else "tighter priors"

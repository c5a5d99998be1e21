"""Whether the draws of a fit can be trusted: its diagnostics by parameter, and the checks that make a verdict of them.

Thresholds: R-hat < 1.01 and at least 100 effective draws per chain in bulk and tails (Vehtari et al. 2021), no
divergence, E-BFMI > 0.3 (Betancourt 2016), no trajectory cut at the largest tree depth.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from glmm_zoo.errors import listing, plural
from glmm_zoo.results import convergence
from glmm_zoo.results.storage import metadata, reported_variables

RHAT = 1.01
ESS_PER_CHAIN = 100
BFMI = 0.3
HIGHER_TARGETS = (0.95, 0.99)  # of the acceptance probability, one after the other where transitions diverge
_AT_ONCE = 50  # quantities diagnosed together: with more, arrays no longer fit the processor's caches
STATISTICS = ("mean", "median", "sd", "lower", "upper", "mcse_mean", "mcse_sd", "ess_bulk", "ess_tail", "r_hat")


@dataclass(frozen=True)
class Problem:
    """One failed check: what was found, what it means for this model, what to try first."""

    check: str
    found: str
    meaning: str
    advice: str

    def __str__(self) -> str:
        return f"{self.found}. {self.meaning} {self.advice}"


@dataclass(frozen=True)
class Verdict:
    """What the diagnostics say. `table` has one row for each parameter, group effects included."""

    sound: bool
    problems: tuple[Problem, ...]
    table: pd.DataFrame

    def __str__(self) -> str:
        if self.sound:
            worst = self.table[["ess_bulk", "ess_tail"]].min().min()
            return (
                f"Sound: R-hat at most {self.table['r_hat'].max():.3f}, at least {worst:.0f} effective draws, "
                "no divergences, all chains complete."
            )
        lines = [f"Not to be trusted yet: {plural(len(self.problems), 'check')} failed."]
        return "\n".join(lines + [f"  - {p}" for p in self.problems])


# ---------------------------------------------------------------------------------------------------------- statistics


def element_labels(array: xr.DataArray) -> list[str]:
    """The names of a variable's elements, as ArviZ writes them: "beta[age]", "corr_id[Intercept, age]"."""
    dims = [d for d in array.dims if d not in ("chain", "draw")]
    if not dims:
        return [str(array.name)]
    index = pd.MultiIndex.from_product([[str(v) for v in array[d].values] for d in dims])
    return [f"{array.name}[{', '.join(entry)}]" for entry in index]


def statistics(values: np.ndarray, prob: float = 0.95) -> np.ndarray:
    """The numbers of `STATISTICS` (quantities, statistics) for draws (chain, draw, quantities).

    Diagnostics of a quantity that is constant, or has fewer than 4 draws in a chain, are NaN, and so is R-hat of a single
    chain.
    """
    parts = [values[:, :, start : start + _AT_ONCE] for start in range(0, values.shape[2], _AT_ONCE)]
    with ThreadPoolExecutor() as pool:  # NumPy lets go of the interpreter lock for most of it
        rows = list(pool.map(lambda part: _statistics(part, prob), parts))
    return np.concatenate([np.empty((0, len(STATISTICS))), *rows])


def _statistics(values: np.ndarray, prob: float) -> np.ndarray:
    rows = np.full((values.shape[2], len(STATISTICS)), np.nan)
    lower, median, upper = np.quantile(values, [(1 - prob) / 2, 0.5, (1 + prob) / 2], axis=(0, 1))
    mean, sd = values.mean(axis=(0, 1)), values.std(axis=(0, 1), ddof=1)
    rows[:, :5] = np.column_stack([mean, median, sd, lower, upper])
    varies = np.ptp(values, axis=(0, 1)) >= 1e-12 * np.maximum(1.0, np.abs(mean))
    rows[~varies, 5:7] = 0.0
    values = values[:, :, varies]
    if not varies.any() or values.shape[1] < 4:
        return rows
    errors = convergence.mcse_mean(values), convergence.mcse_sd(values)
    ess_bulk, r_hat = convergence.ess_bulk_and_rhat(values)
    rows[varies, 5:9] = np.column_stack([*errors, ess_bulk, convergence.ess_tail(values)])
    if values.shape[0] > 1:
        rows[varies, 9] = r_hat
    return rows


def statistics_table(posterior: xr.Dataset, prob: float = 0.95) -> pd.DataFrame:
    """`statistics` of every element of every variable, one row each."""
    arrays = list(posterior.data_vars.values())
    rows = np.concatenate([statistics(_elements(array), prob) for array in arrays])
    names = [label for array in arrays for label in element_labels(array)]
    return pd.DataFrame(rows, index=pd.Index(names, name="parameter"), columns=pd.Index(STATISTICS))


def _elements(array: xr.DataArray) -> np.ndarray:
    """Draws of a variable with its elements in one axis: (chain, draw, elements)."""
    values = array.transpose("chain", "draw", ...).values
    return values.reshape(*values.shape[:2], -1)


# ------------------------------------------------------------------------------------------------------------- verdict


def incomplete(tree: xr.DataTree) -> str | None:
    """A sentence when chains or draws are missing; asked before any diagnosis, since that ignores missing draws."""
    settings = metadata(tree)["sampling"]
    finished = settings["finished"]
    wanted = settings["draws"]
    short = [f"chain {i} has {n}" for i, n in enumerate(finished) if n < wanted]
    if short or len(finished) < settings["chains"]:
        return f"the run was interrupted: of {wanted} draws each, {listing(short)}"
    broken = [str(name) for name, v in tree["posterior"].data_vars.items() if not np.isfinite(v.values).all()]
    return f"values that are not finite in {listing(broken)}" if broken else None


def check(tree: xr.DataTree) -> Verdict:
    """The verdict on a fit, fresh or loaded from a file.

    Returns
    -------
    Verdict
        `sound`, the `problems` each with a sentence on what it means here and what to try first, and the `table` of
        diagnostics by parameter.
    """
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


def judge(tree: xr.DataTree, diagnostics: pd.DataFrame) -> Verdict:
    """The verdict on a complete fit, given the table of its diagnostics (`statistics_table`)."""
    content = metadata(tree)
    spec, settings = content["spec"], content["sampling"]
    stats = tree["sample_stats"].dataset
    sds = [f"{group['sd']} (prior {_sd_priors(spec, group['sd'])})" for group in spec["groups"].values()]
    problems = (
        *_divergences(stats, settings, sds),
        *_disagreement(diagnostics, spec, settings),
        *_few_effective_draws(diagnostics, spec, settings),
        *_poor_energy(stats, sds),
        *_cut_trajectories(stats),
    )
    return Verdict(not problems, problems, diagnostics)


def _divergences(stats: xr.Dataset, settings: Mapping[str, Any], sds: Sequence[str]) -> Iterator[Problem]:
    divergent = int(stats["diverging"].values.sum())
    if divergent:
        *abandoned, last = settings.get("runs") or [{"divergences": 0}]
        divergent = max(divergent, last["divergences"])  # of draws that are not kept too
        before = ", ".join(f"{run['divergences']} at {run['target_accept']:g}" for run in abandoned)
        target = settings["target_accept"]
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


def _disagreement(diagnostics: pd.DataFrame, spec: Mapping[str, Any], settings: Mapping[str, Any]) -> Iterator[Problem]:
    """Chains that do not agree, or a single one, of which that cannot be known."""
    high = diagnostics["r_hat"][diagnostics["r_hat"] >= RHAT].sort_values(ascending=False)
    if len(high):
        yield Problem(
            "rhat",
            f"R-hat is {high.iloc[0]:.3f} for {high.index[0]} ({plural(len(high), 'parameter')} at {RHAT} or more)",
            "The chains do not agree yet on where this posterior lies.",
            f"Try more draws and warm-up (draws={2 * settings['draws']}, tune={2 * settings['tune']}); if it stays, {_simpler(spec)}.",
        )
    if settings["chains"] == 1:
        yield Problem(
            "chains", "Only one chain", "R-hat compares chains, so agreement was not checked.", "Use chains=4."
        )


def _few_effective_draws(
    diagnostics: pd.DataFrame, spec: Mapping[str, Any], settings: Mapping[str, Any]
) -> Iterator[Problem]:
    needed = ESS_PER_CHAIN * settings["chains"]
    for kind, words in (("ess_bulk", "its mean is"), ("ess_tail", "its interval is")):
        low = diagnostics[kind][diagnostics[kind] < needed].sort_values()
        if len(low):
            factor = int(np.ceil(1.2 * needed / max(low.iloc[0], 1)))
            yield Problem(
                kind,
                f"{low.iloc[0]:.0f} effective draws ({kind.removeprefix('ess_')}) for {low.index[0]}, "
                f"{needed} needed ({plural(len(low), 'parameter')} below)",
                f"The draws are strongly correlated, so {words} still noisy.",
                f"Try draws={settings['draws'] * min(factor, 10)}" + (f"; or {_simpler(spec)}." if factor > 4 else "."),
            )


def _poor_energy(stats: xr.Dataset, sds: Sequence[str]) -> Iterator[Problem]:
    """E-BFMI of all transitions; of the draws kept where the file does not have it."""
    bfmi = stats["bfmi"].values if "bfmi" in stats else convergence.bfmi(stats["energy"].values)
    if not (bfmi > BFMI).all():
        yield Problem(
            "bfmi",
            f"E-BFMI is {bfmi.min():.2f} in chain {int(bfmi.argmin())}, more than {BFMI} needed",
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

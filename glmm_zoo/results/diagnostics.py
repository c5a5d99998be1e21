"""Can these draws be trusted? Imports `errors`, `storage`, `convergence`; sees a DataTree, never a builder.

Thresholds: R-hat < 1.01 and at least 100 effective draws per chain in bulk and tails (Vehtari et al. 2021), no
divergence, E-BFMI > 0.3 (Betancourt 2016), no trajectory cut at the largest tree depth.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from glmm_zoo.errors import listing, plural
from glmm_zoo.results import convergence
from glmm_zoo.results.storage import about

RHAT = 1.01
ESS_PER_CHAIN = 100
BFMI = 0.3
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


def labels_of(array: xr.DataArray) -> list[str]:
    """ArviZ's names for the elements: "beta[age]", "corr_id[Intercept, age]"."""
    dims = [d for d in array.dims if d not in ("chain", "draw")]
    if not dims:
        return [str(array.name)]
    index = pd.MultiIndex.from_product([[str(v) for v in array[d].values] for d in dims])
    return [f"{array.name}[{', '.join(entry)}]" for entry in index]


def flat(array: xr.DataArray) -> np.ndarray:
    """(chain, draw, elements)."""
    values = array.transpose("chain", "draw", ...).values
    return values.reshape(*values.shape[:2], -1)


def statistics(values: np.ndarray, prob: float = 0.95) -> np.ndarray:
    """The numbers of `STATISTICS` for quantities (chain, draw, quantities), a row for each; NaN diagnostics for a constant."""
    parts = [values[:, :, start : start + _AT_ONCE] for start in range(0, values.shape[2], _AT_ONCE)]
    with ThreadPoolExecutor() as pool:  # NumPy lets go of the interpreter lock for most of it
        found = list(pool.map(lambda part: _statistics(part, prob), parts))
    return np.concatenate([np.empty((0, len(STATISTICS))), *found])


def _statistics(values: np.ndarray, prob: float) -> np.ndarray:
    found = np.full((values.shape[2], len(STATISTICS)), np.nan)
    lower, median, upper = np.quantile(values, [(1 - prob) / 2, 0.5, (1 + prob) / 2], axis=(0, 1))
    centre, spread = values.mean(axis=(0, 1)), values.std(axis=(0, 1), ddof=1)
    found[:, :5] = np.column_stack([centre, median, spread, lower, upper])
    varies = np.ptp(values, axis=(0, 1)) >= 1e-12 * np.maximum(1.0, np.abs(centre))
    found[~varies, 5:7] = 0.0
    values = values[:, :, varies]
    if not varies.any() or values.shape[1] < 4:
        return found
    errors = convergence.error_of_mean(values), convergence.error_of_sd(values)
    bulk, r_hat = convergence.bulk_and_rhat(values)
    found[varies, 5:9] = np.column_stack([*errors, bulk, convergence.tail(values)])
    if values.shape[0] > 1:
        found[varies, 9] = r_hat
    return found


def table(posterior: xr.Dataset, prob: float = 0.95) -> pd.DataFrame:
    """`statistics` of every element of every variable."""
    arrays = list(posterior.data_vars.values())
    rows = np.concatenate([statistics(flat(array), prob) for array in arrays])
    names = [label for array in arrays for label in labels_of(array)]
    return pd.DataFrame(rows, index=pd.Index(names, name="parameter"), columns=pd.Index(STATISTICS))


def incomplete(tree: xr.DataTree) -> str | None:
    """A sentence when chains or draws are missing; run before any diagnosis, since that ignores missing draws."""
    settings = about(tree)["sampling"]
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
    posterior, carriers = tree["posterior"].dataset, about(tree)["spec"]["auxiliary"]
    return judge(tree, table(posterior[[n for n in posterior.data_vars if n not in carriers]]))


def judge(tree: xr.DataTree, diagnosed: pd.DataFrame) -> Verdict:
    """The verdict, given the table of diagnostics."""
    spec, settings = about(tree)["spec"], about(tree)["sampling"]
    sds = [f"{group['sd']} (prior {_sd_priors(spec, group['sd'])})" for group in spec["groups"].values()]
    stats = tree["sample_stats"].dataset
    chains = settings["chains"]
    needed = ESS_PER_CHAIN * chains
    problems = []

    divergent = int(stats["diverging"].values.sum())
    if divergent:
        tighter = f", or a tighter prior on {listing(sds, 3)}" if sds else ""
        problems.append(
            Problem(
                "divergences",
                f"{plural(divergent, 'divergent transition')} among {settings['draws'] * chains} draws",
                "The sampler could not follow part of the posterior, so it may be missing from the draws.",
                f"Try target_accept={min(0.99, (settings['target_accept'] + 1) / 2):.2g} first{tighter}.",
            )
        )
    high = diagnosed["r_hat"][diagnosed["r_hat"] >= RHAT].sort_values(ascending=False)
    if len(high):
        problems.append(
            Problem(
                "rhat",
                f"R-hat is {high.iloc[0]:.3f} for {high.index[0]} ({plural(len(high), 'parameter')} at {RHAT} or more)",
                "The chains do not agree yet on where this posterior lies.",
                f"Try more draws and warm-up (draws={2 * settings['draws']}, tune={2 * settings['tune']}); if it stays, {_simpler(spec)}.",
            )
        )
    if chains == 1:
        problems.append(
            Problem("chains", "Only one chain", "R-hat compares chains, so agreement was not checked.", "Use chains=4.")
        )
    for kind, words in (("ess_bulk", "its mean is"), ("ess_tail", "its interval is")):
        low = diagnosed[kind][diagnosed[kind] < needed].sort_values()
        if len(low):
            factor = int(np.ceil(1.2 * needed / max(low.iloc[0], 1)))
            problems.append(
                Problem(
                    kind,
                    f"{low.iloc[0]:.0f} effective draws ({kind.removeprefix('ess_')}) for {low.index[0]}, "
                    f"{needed} needed ({plural(len(low), 'parameter')} below)",
                    f"The draws are strongly correlated, so {words} still noisy.",
                    f"Try draws={settings['draws'] * min(factor, 10)}"
                    + (f"; or {_simpler(spec)}." if factor > 4 else "."),
                )
            )
    energy = stats["energy"].values
    bfmi = np.square(np.diff(energy, axis=1)).mean(axis=1) / energy.var(axis=1)
    if (bfmi <= BFMI).any():
        problems.append(
            Problem(
                "bfmi",
                f"E-BFMI is {bfmi.min():.2f} in chain {int(bfmi.argmin())}, more than {BFMI} needed",
                "The tails of the posterior are heavier than the sampler can explore in steps of its energy.",
                f"Try a tighter prior on {listing(sds, 3)}." if sds else "Try tighter priors.",
            )
        )
    deep = int(stats["reached_max_treedepth"].values.sum())
    if deep:
        problems.append(
            Problem(
                "tree_depth",
                f"{plural(deep, 'trajectory').replace('ys', 'ies')} cut at the largest tree depth",
                "The posterior is much longer in some direction than in others; draws are valid but costly.",
                "Try center=True and covariates of similar scale, scale(x), first.",
            )
        )
    return Verdict(not problems, tuple(problems), diagnosed)


def _sd_priors(spec: dict[str, Any], name: str) -> str:
    prior = spec["priors"].get(name, "")
    return prior if isinstance(prior, str) else listing(dict.fromkeys(prior.values()))


def _simpler(spec: dict[str, Any]) -> str:
    many = [g for g, group in spec["groups"].items() if len(group["effects"]) > 1]
    if many:
        return f"fewer effects in the group term of {many[0]!r}"
    return "fewer group terms" if len(spec["groups"]) > 1 else "tighter priors"

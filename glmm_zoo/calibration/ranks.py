"""Where the truth ranks among the draws of a fit, quantity by quantity.

With L draws of which r are below the truth and t equal it, and U uniform, the rank is (r + U (t + 1)) / (L + 1): uniform between 0 and
1 if the draws are of the posterior (Cook, Gelman & Rubin 2006; Talts et al. 2018; ties as in Modrák et al. 2023).
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator, Set
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import xarray as xr
from scipy import stats

from glmm_zoo.calibration.at_truth import values_at_truth
from glmm_zoo.errors import InputError
from glmm_zoo.estimands.predictions import predictions
from glmm_zoo.inference.prior_draws import determined_by_the_prior
from glmm_zoo.report.answer import answering
from glmm_zoo.results.convergence import ess_bulk, ess_tail
from glmm_zoo.results.once import computed_once
from glmm_zoo.results.parameter_statistics import element_labels, elements
from glmm_zoo.results.storage import metadata, random_effect_variables, reported_variables, stored_table
from glmm_zoo.results.summary import repeated_correlations

if TYPE_CHECKING:
    from glmm_zoo.graph.model import Model

GROUP_EFFECTS = 16  # of each factor, the first ones
_KINDS = {
    "group effects": r"(^|_)u_.*\[",
    "standard deviations": r"(^|_)(sd_|sigma)",
    "correlations": r"(^|_)corr_",
    "coefficients": r"(^|_)beta\[",
}  # by the names of parameters
SPREAD_OF = "spread of all "
LOG_LIKELIHOOD, PREDICTION, COMPARISON = "log-likelihood", "prediction of the first row", "comparison that answers"


def ranks_of_truth(truth: xr.DataTree, tree: xr.DataTree, model: Model, rng: np.random.Generator) -> dict[str, float]:
    """The rank of every quantity of a fit of the data that were drawn with the truth.

    Quantities are all parameters but group effects, of which there are at most sixteen of each factor, the expected response in the first row,
    the first comparison that answers the fit's question, and the joint log-likelihood of the data.
    """
    of_parameters = {str(v.name) for v in determined_by_the_prior(model)}  # others may depend on the responses too
    with computed_once():
        known, drawn = (dict(_quantities(of, of_parameters)) for of in (truth, tree))
    known[LOG_LIKELIHOOD] = np.array([[log_likelihood_of_truth(model, truth)]])
    drawn[LOG_LIKELIHOOD] = np.asarray(sum(_by_draw(array) for array in tree["log_likelihood"].data_vars.values()))
    return {name: rank(float(known[name].item()), draws, rng) for name, draws in drawn.items() if name in known}


def rank(truth: float, draws: np.ndarray, rng: np.random.Generator) -> float:
    """The rank of the truth among as many of the draws (chain, draw), evenly chosen, as these have effective ones."""
    kept = draws.ravel()[_evenly(draws)]
    below, equal = np.sum(kept < truth), np.sum(kept == truth)
    return float((below + rng.uniform() * (equal + 1)) / (len(kept) + 1))


def spread_of_kinds(ranks: pd.DataFrame) -> Iterator[tuple[str, list[float]]]:
    """The number of ranks of all quantities of a kind, their mean and sd, and a p-value of their spread, by the name of each kind that
    has several.

    Uniform ranks r have E 12 (r - 1/2)^2 = 1; the mean of this over a simulation's quantities is compared with 1 by a t-test over the
    simulations, which are independent, as the quantities of one are not.
    """
    for kind, pattern in _KINDS.items():
        of_kind = ranks[[name for name in ranks if re.search(pattern, str(name))]].dropna()
        if of_kind.shape[1] > 1 and len(of_kind) > 1:
            spread = 12 * ((of_kind - 0.5) ** 2).mean(axis=1)
            p = float(stats.ttest_1samp(spread, 1.0).pvalue)
            yield f"{SPREAD_OF}{kind}", [of_kind.size, of_kind.mean().mean(), of_kind.stack().std(), p]


def _evenly(draws: np.ndarray) -> np.ndarray:
    """Positions in the draws of all chains, one after the other, as many as there are effective draws."""
    values = draws[:, :, None]
    with np.errstate(all="ignore"):  # of chains, or of tails, with one value
        sizes = [ess_bulk(values)[0], ess_tail(values)[0]]
    effective = int(min([draws.size, *(size for size in sizes if np.isfinite(size))]))
    return np.linspace(0, draws.size - 1, max(effective, 1)).round().astype(int)


def _quantities(tree: xr.DataTree, of_parameters: Set[str]) -> Iterator[tuple[str, np.ndarray]]:
    """Draws (chain, draw) of every quantity but the log-likelihood, by name."""
    posterior, spec = tree["posterior"].dataset, metadata(tree)["spec"]
    effects, repeated = random_effect_variables(spec), {*repeated_correlations(posterior)}
    for name in reported_variables(posterior, spec):
        if name not in of_parameters and name not in effects:
            continue
        most = GROUP_EFFECTS if name in effects else None
        values = elements(posterior[name])
        for i, label in enumerate(element_labels(posterior[name])[:most]):
            if label not in repeated:
                yield label, values[:, :, i]
    with contextlib.suppress(InputError):  # models that predict no rows
        yield PREDICTION, predictions(tree, stored_table(tree).iloc[:1]).draws["value"].values[:, :, 0]
    with contextlib.suppress(InputError):
        comparisons = answering(tree).comparisons
        if comparisons is not None:
            yield COMPARISON, comparisons.draws["value"].values[:, :, 0]


def _by_draw(array: xr.DataArray) -> np.ndarray:
    return elements(array).sum(axis=2)


def log_likelihood_of_truth(model: Model, truth: xr.DataTree) -> float:
    """The log density of a model's data at the one draw of a tree."""
    import pymc as pm

    terms = values_at_truth(model, truth, [pm.logp(v, model.rvs_to_values[v]) for v in model.observed_RVs])
    return float(sum(np.sum(term) for term in terms))

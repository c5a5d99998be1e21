"""The thresholds between ordered categories in rows, which covariates may move apart (`nominal=`)."""

from __future__ import annotations

import numpy as np

from glmm_zoo.estimands.fitted import FittedOutcome
from glmm_zoo.estimands.linear_rows import LinearRows
from glmm_zoo.estimands.posterior import PosteriorDraws


def thresholds_of_rows(outcome: FittedOutcome, draws: PosteriorDraws, nominal: LinearRows | None) -> np.ndarray | None:
    """Thresholds (K - 1, S, m), or (K - 1, S, 1) where they are the cutpoints in every row; None where there are none.

    c_1 = cutpoint_1,  log(c_{k+1} - c_k) = log(cutpoint_{k+1} - cutpoint_k) + (w - mean(w))' gamma_k
    """
    if "cutpoints" not in outcome.own:
        return None
    cutpoints = draws[outcome.own["cutpoints"]].T[:, :, None]  # (K - 1, S, 1)
    if nominal is None:
        return cutpoints
    W = nominal.blocks[0][0] - outcome.parts["nominal"].population.means  # (m, q)
    gamma = draws[outcome.own["nominal_beta"]].reshape(draws.size, W.shape[1], -1)  # (S, q, K - 2)
    steps = np.diff(cutpoints, axis=0) * np.exp(np.einsum("mq,sqk->ksm", W, gamma))
    first = np.broadcast_to(cutpoints[:1], (1, *steps.shape[1:]))
    return np.cumsum(np.concatenate([first, steps]), axis=0)

"""The observed variable of an outcome in a graph."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from glmm_zoo.families.outcome import Outcome
from glmm_zoo.families.tensors import Tensor


def observe_rows(
    name: str,
    class_name: str,
    outcome: Outcome,
    parameters: Sequence[Any],
    log_f: Callable[..., Tensor],
    draw: Callable[..., Tensor],
    signature: str | None = None,
) -> None:
    """y_i ~ f, given `log_f(y, *parameters)` and `draw(*parameters, size)`; with weights w_i the density is f(y_i)^w_i."""
    import pymc as pm

    def weighted(y: Tensor, *parameters: Tensor) -> Tensor:
        return outcome.weights * log_f(y, *parameters)

    pm.CustomDist(
        name,
        *parameters,
        logp=log_f if outcome.weights is None else weighted,
        dist=draw,
        signature=signature,
        observed=pm.Data(f"_{name}_observed", outcome.values, dims=outcome.dim),
        dims=outcome.dim,
        class_name=class_name,
    )

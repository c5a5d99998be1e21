"""Gaussian responses."""

from __future__ import annotations

import numpy as np

from glmm_zoo.errors import InputError
from glmm_zoo.families.outcome import Outcome
from glmm_zoo.families.tensors import Tensor, import_pytensor
from glmm_zoo.formulas.population import evaluate_expression
from glmm_zoo.formulas.terms import Response
from glmm_zoo.tables.columns import Table


def read_gaussian(table: Table, response: Response) -> Outcome:
    """Any real response with more than one value."""
    if response.trials is not None:
        raise InputError("trials() belongs to a binomial response; a Gaussian one is y ~ ...")
    name = response.value.text
    if response.value.kind == "factor":
        raise InputError(f"the response is numeric here; write {name} ~ ... without C()")
    y = evaluate_expression(response.value, table)
    if len(y) > 1 and np.all(y == y[0]):
        raise InputError(f"response {name!r} has a single value ({y[0]:g}) in every row; there is nothing to model")
    return Outcome(name, y, None, float(np.mean(y)), float(np.std(y)), f"{name}: Gaussian, identity link")


def observe_gaussian(name: str, outcome: Outcome, eta: Tensor, log_sigma: Tensor) -> None:
    """y_i ~ Normal(eta_i, sigma_i)."""
    import pymc as pm

    y = pm.Data(f"_{name}_observed", outcome.values, dims=outcome.dim)
    pm.Normal(name, mu=eta, sigma=import_pytensor().exp(log_sigma), observed=y, dims=outcome.dim)

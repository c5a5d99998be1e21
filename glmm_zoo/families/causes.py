"""Competing causes of an event: each has a hazard of its own, with a linear predictor and parameters that bear its name.

    h(t) = sum_k h_k(t),  P(T <= t, cause k) = int_0^t h_k(s) exp(-sum_l H_l(s)) ds

with H_k the integral of h_k.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from glmm_zoo.families.family import OwnParameter
from glmm_zoo.families.outcome import Outcome
from glmm_zoo.formulas.names import prefixed
from glmm_zoo.priors import Parameter


def own_of_cause(cause: str, own: Mapping[str, Any]) -> Mapping[str, Any]:
    """The own parameters of one cause, by their names without that of the cause."""
    if not cause:
        return own
    return {name.removeprefix(f"{cause}_"): value for name, value in own.items() if name.startswith(f"{cause}_")}


def with_cause(cause: str, own: OwnParameter) -> OwnParameter:
    """A parameter of the distribution of one cause, whose names have that of the cause before them."""
    if not cause:
        return own

    def default(outcome: Outcome) -> Parameter:
        assert own.default is not None
        found = own.default(outcome)
        keys = tuple(tuple(prefixed(cause, key) for key in of_element) for of_element in found.keys)
        return replace(found, name=prefixed(cause, found.name), keys=keys)

    return replace(own, name=prefixed(cause, own.name), dim=own.dim and prefixed(cause, own.dim), default=default)

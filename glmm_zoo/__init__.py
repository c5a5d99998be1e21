"""A Bayesian model zoo of generalized linear mixed models on PyMC.

    import glmm_zoo as zoo

    model = zoo.hierarchical_logistic(data, "y ~ x + (1 | site)")
    tree = zoo.fit(model, seed=1)
    zoo.check(tree); zoo.summary(tree); zoo.save(tree, "fit.nc")

Builders are the files of `glmm_zoo/builders`; each is found here by its name and by its aliases. Nothing heavy is
imported before it is used.
"""

from __future__ import annotations

import importlib.util
from typing import TYPE_CHECKING, Any

from glmm_zoo.errors import FitError, InputError, ZooWarning

if TYPE_CHECKING:
    from glmm_zoo.aspects import findings
    from glmm_zoo.bands import curves
    from glmm_zoo.diagnostics import Verdict, check
    from glmm_zoo.estimands import summary
    from glmm_zoo.fitting import Interrupted, fit
    from glmm_zoo.geometry import quick
    from glmm_zoo.prediction import dynamic_prediction, landmark_accuracy
    from glmm_zoo.report import write_report
    from glmm_zoo.storage import load, save
    from glmm_zoo.wedge import simulate_design
    from glmm_zoo.zoo import builders, card, cards

_ROOMS = {
    "fitting": ("Interrupted", "fit"),
    "diagnostics": ("check", "Verdict"),
    "geometry": ("quick",),
    "aspects": ("findings",),
    "bands": ("curves",),
    "estimands": ("summary",),
    "prediction": ("dynamic_prediction", "landmark_accuracy"),
    "report": ("write_report",),
    "storage": ("load", "save"),
    "wedge": ("simulate_design",),
    "zoo": ("builders", "card", "cards"),
}
_HOME = {name: room for room, names in _ROOMS.items() for name in names}

__all__ = [
    "FitError",
    "InputError",
    "Interrupted",
    "Verdict",
    "ZooWarning",
    "builders",
    "card",
    "cards",
    "check",
    "curves",
    "dynamic_prediction",
    "findings",
    "fit",
    "landmark_accuracy",
    "load",
    "quick",
    "save",
    "simulate_design",
    "summary",
    "write_report",
]


def __getattr__(name: str) -> Any:
    if name in _HOME:
        found = getattr(importlib.import_module(f"glmm_zoo.{_HOME[name]}"), name)
        globals()[name] = found
        return found
    if not name.startswith("_") and importlib.util.find_spec(f"glmm_zoo.{name}") is None:  # not a room
        builder = importlib.import_module("glmm_zoo.zoo").find_builder(name)
        if builder is not None:
            return builder.function()
    raise AttributeError(f"module 'glmm_zoo' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__, *importlib.import_module("glmm_zoo.zoo").builders()})

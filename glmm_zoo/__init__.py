"""A Bayesian model zoo of generalized linear mixed models on PyMC.

    import glmm_zoo as zoo

    model = zoo.hierarchical_logistic(data, "y ~ x + (1 | site)")
    tree = zoo.fit(model, seed=1)
    zoo.check(tree); zoo.summary(tree); zoo.save(tree, "fit.nc")

Builders are the files of `glmm_zoo/builders`; each is found here by its name and by its aliases. Nothing heavy is
imported before it is used.
"""

from __future__ import annotations

import importlib
import importlib.util
from typing import TYPE_CHECKING, Any

from glmm_zoo.errors import FitError, InputError, ZooWarning

if TYPE_CHECKING:
    from glmm_zoo.calibration.calibrate import SimulationBasedCalibration, calibrate
    from glmm_zoo.calibration.operating import OperatingCharacteristics, simulate
    from glmm_zoo.estimands.comparisons import comparisons
    from glmm_zoo.estimands.explained_variance import r2
    from glmm_zoo.estimands.leave_one_out import Loo
    from glmm_zoo.estimands.loo_comparison import loo_compare
    from glmm_zoo.estimands.predictions import predictions
    from glmm_zoo.estimands.prior_predictive import PriorPredictive, prior_predictive
    from glmm_zoo.estimands.sensitivity import Sensitivity
    from glmm_zoo.estimands.slopes import slopes
    from glmm_zoo.inference.fit import Interrupted, fit
    from glmm_zoo.inference.quick import quick
    from glmm_zoo.joint.prediction.accuracy import landmark_accuracy
    from glmm_zoo.joint.prediction.dynamic import dynamic_prediction
    from glmm_zoo.qualification.qualify import Qualification, qualify
    from glmm_zoo.refits.imputed import fit_imputed, imputations
    from glmm_zoo.refits.leave_one_out import loo
    from glmm_zoo.refits.many import fit_many
    from glmm_zoo.refits.replay import Replay, replay
    from glmm_zoo.refits.sensitivity import sensitivity
    from glmm_zoo.refits.variations import model_of, update
    from glmm_zoo.registry import builders, card, cards
    from glmm_zoo.report.catalogue import plot
    from glmm_zoo.report.fit_table import FitTable, table, write_table
    from glmm_zoo.report.page import write_report
    from glmm_zoo.report.paragraphs import paragraphs
    from glmm_zoo.results.curves import curves
    from glmm_zoo.results.diagnostics import Verdict, check
    from glmm_zoo.results.estimates import Estimates
    from glmm_zoo.results.estimates_files import store_estimates, stored_estimates, write_estimates
    from glmm_zoo.results.findings import findings
    from glmm_zoo.results.hypotheses import hypotheses
    from glmm_zoo.results.imputations import missing_information
    from glmm_zoo.results.storage import load, save
    from glmm_zoo.results.summary import summary
    from glmm_zoo.results.verdicts import verdicts
    from glmm_zoo.trials.simulation import simulate_design

_HOME = {
    "Estimates": "results.estimates",
    "FitTable": "report.fit_table",
    "Interrupted": "inference.fit",
    "Loo": "estimands.leave_one_out",
    "OperatingCharacteristics": "calibration.operating",
    "PriorPredictive": "estimands.prior_predictive",
    "Qualification": "qualification.qualify",
    "Replay": "refits.replay",
    "Sensitivity": "estimands.sensitivity",
    "SimulationBasedCalibration": "calibration.calibrate",
    "Verdict": "results.diagnostics",
    "builders": "registry",
    "calibrate": "calibration.calibrate",
    "card": "registry",
    "cards": "registry",
    "check": "results.diagnostics",
    "comparisons": "estimands.comparisons",
    "curves": "results.curves",
    "dynamic_prediction": "joint.prediction.dynamic",
    "findings": "results.findings",
    "fit": "inference.fit",
    "fit_imputed": "refits.imputed",
    "fit_many": "refits.many",
    "hypotheses": "results.hypotheses",
    "imputations": "refits.imputed",
    "landmark_accuracy": "joint.prediction.accuracy",
    "load": "results.storage",
    "loo": "refits.leave_one_out",
    "loo_compare": "estimands.loo_comparison",
    "missing_information": "results.imputations",
    "model_of": "refits.variations",
    "paragraphs": "report.paragraphs",
    "plot": "report.catalogue",
    "predictions": "estimands.predictions",
    "prior_predictive": "estimands.prior_predictive",
    "qualify": "qualification.qualify",
    "quick": "inference.quick",
    "r2": "estimands.explained_variance",
    "replay": "refits.replay",
    "save": "results.storage",
    "sensitivity": "refits.sensitivity",
    "simulate": "calibration.operating",
    "simulate_design": "trials.simulation",
    "slopes": "estimands.slopes",
    "store_estimates": "results.estimates_files",
    "stored_estimates": "results.estimates_files",
    "summary": "results.summary",
    "table": "report.fit_table",
    "update": "refits.variations",
    "verdicts": "results.verdicts",
    "write_estimates": "results.estimates_files",
    "write_report": "report.page",
    "write_table": "report.fit_table",
}

__all__ = [
    "Estimates",
    "FitError",
    "FitTable",
    "InputError",
    "Interrupted",
    "Loo",
    "OperatingCharacteristics",
    "PriorPredictive",
    "Qualification",
    "Replay",
    "Sensitivity",
    "SimulationBasedCalibration",
    "Verdict",
    "ZooWarning",
    "builders",
    "calibrate",
    "card",
    "cards",
    "check",
    "comparisons",
    "curves",
    "dynamic_prediction",
    "findings",
    "fit",
    "fit_imputed",
    "fit_many",
    "hypotheses",
    "imputations",
    "landmark_accuracy",
    "load",
    "loo",
    "loo_compare",
    "missing_information",
    "model_of",
    "paragraphs",
    "plot",
    "predictions",
    "prior_predictive",
    "qualify",
    "quick",
    "r2",
    "replay",
    "save",
    "sensitivity",
    "simulate",
    "simulate_design",
    "slopes",
    "store_estimates",
    "stored_estimates",
    "summary",
    "table",
    "update",
    "verdicts",
    "write_estimates",
    "write_report",
    "write_table",
]

# Now, since a later import would put the package where the function of its name is found.
importlib.import_module("glmm_zoo.builders")
globals().pop("builders")


def __getattr__(name: str) -> Any:
    if name in _HOME:
        found = getattr(importlib.import_module(f"glmm_zoo.{_HOME[name]}"), name)
        globals()[name] = found
        return found
    if not name.startswith("_") and importlib.util.find_spec(f"glmm_zoo.{name}") is None:  # not a layer
        builder = importlib.import_module("glmm_zoo.registry").find_builder(name)
        if builder is not None:
            return builder.function()
    raise AttributeError(f"module 'glmm_zoo' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__, *importlib.import_module("glmm_zoo.registry").builders()})

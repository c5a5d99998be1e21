"""The file says of the hazard's curve at which marker and covariates it holds, and the knots of its baseline."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import row_models
from scipy.interpolate import BSpline

import glmm_zoo as zoo


@pytest.mark.parametrize("baseline", ["bspline", "piecewise", "weibull", "exponential"])
def test_the_curve_is_computed_again_from_what_the_file_says(baseline: str, tmp_path: Path) -> None:
    model = row_models.survival_model(baseline=baseline, event="Surv(years, death) ~ late")
    tree = zoo.fit(model, draws=20, tune=60, chains=1, seed=1, progress=False)
    posterior = zoo.load(zoo.save(tree, tmp_path / "fit.nc"))["posterior"].dataset.isel(chain=0)
    curve = posterior["surv_log_hazard"]
    t, knots, at = curve["surv_time"].values.astype(float), curve.attrs["knots"], json.loads(curve.attrs["at"])
    if baseline == "bspline":
        inside = np.minimum(t, knots[-3] * (1 - 1e-12))
        log_h0 = posterior["h0_weights"].values @ BSpline.design_matrix(inside, knots, 2).toarray().T
    elif baseline == "piecewise":
        log_h0 = posterior["log_h0"].values[:, [np.flatnonzero(knots < x)[-1] for x in t]]
    elif baseline == "weibull":
        k = posterior["weibull_shape"].values[:, None]
        log_h0 = posterior["surv_Intercept"].values[:, None] + np.log(k) + (k - 1) * np.log(t)
    else:
        log_h0 = posterior["surv_Intercept"].values[:, None] + 0 * t
    for name, dim, point in (("assoc", "association", at["association"]), ("surv_beta", "surv_coef", at["covariates"])):
        for label, value in point.items():
            log_h0 = log_h0 + value * posterior[name].sel({dim: label}).values[:, None]
    assert (curve.attrs["baseline"], [*at["association"]], [*at["covariates"]]) == (baseline, ["value"], ["late"])
    assert at["covariates"]["late"] == pytest.approx(np.mean(np.arange(48) % 3))
    np.testing.assert_allclose(curve.values, log_h0, rtol=1e-6)

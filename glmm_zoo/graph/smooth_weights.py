"""The penalised weights of smooths: w_s ~ Normal(0, sd_s)."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pymc as pm
import pytensor.tensor as pt
from pymc.distributions.shape_utils import rv_size_is_none

from glmm_zoo.families.tensors import Tensor
from glmm_zoo.formulas.predictor import PredictorDesign
from glmm_zoo.formulas.smooths.smooth import Smooth
from glmm_zoo.graph.model import Model, SmoothWeights
from glmm_zoo.graph.transforms.smooth_weights import SmoothWeightsTransform
from glmm_zoo.graph.variables import data_name, standard_deviation
from glmm_zoo.plans.groups import smooth_name


def add_weights(model: Model, predictor: PredictorDesign, smooth: Smooth) -> None:
    """Zs w to the predictor, w (q,) given the coefficients and the weights before it."""
    linear, several = model.linear[predictor.prefix], len(smooth.sds) > 1
    sd_name, name = (smooth_name(predictor, smooth, what) for what in ("sd", "weights"))
    sd = standard_deviation(model, sd_name, smooth_name(predictor, smooth, "part") if several else None)
    scale: Tensor = sd[smooth.sd_of] if several else sd * pt.ones(len(smooth.sd_of))
    dim = smooth_name(predictor, smooth, "weight")
    model.smooth_weight_names.append(name)
    weights = pm.CustomDist(
        name,
        scale,
        linear.coefficients,
        logp=_independent_logp,
        dist=_independent_draw,
        signature="(q),(p)->(q)",
        dims=dim,
        transform=SmoothWeightsTransform(),
        class_name="Normal",
    )
    Zs = pm.Data(data_name(f"{name}_columns"), smooth.penalised, dims=(predictor.dim, dim))
    model.linear[predictor.prefix] = replace(
        linear,
        eta=linear.eta + Zs @ weights,
        design=np.hstack([linear.design, smooth.penalised]),
        coefficients=pt.concatenate([linear.coefficients, weights]),
        smooth_weights=(*linear.smooth_weights, SmoothWeights(name, sd_name, smooth.sd_of)),
    )


def _independent_logp(w: Tensor, scale: Tensor, _: Tensor) -> Tensor:
    return pt.sum(-0.5 * (w / scale) ** 2 - pt.log(scale)) - 0.5 * np.log(2 * np.pi) * scale.shape[0]


def _independent_draw(scale: Tensor, _: Tensor, size: Tensor) -> Tensor:
    draws = () if rv_size_is_none(size) else tuple(size)
    return scale * pm.Normal.dist(0.0, 1.0, size=(*draws, scale.shape[-1]))

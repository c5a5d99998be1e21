"""Joint survival: a longitudinal outcome and the time to an event that depends on how it goes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from glmm_zoo import hazards, outcomes
from glmm_zoo.data import Missing

if TYPE_CHECKING:
    from glmm_zoo.terms import Model

ALIASES = ("jm",)


def joint_survival(
    longitudinal: Any,
    survival: Any,
    formula: str | Sequence[str] | Mapping[str, str],
    *,
    event: str,
    time: str = "time",
    id: str = "id",
    association: str | Sequence[str] | Mapping[str, str] = "value",
    association_scale: str = "linear_predictor",
    baseline: str = "bspline",
    cuts: int | Sequence[float] | None = None,
    families: Sequence[str] | str | None = None,
    causes: Sequence[Any] | None = None,
    censored: Any = None,
    carry_forward: bool = False,
    zi: Mapping[str, str] | None = None,
    dispersion: Mapping[str, str] | None = None,
    success: Mapping[str, Any] | None = None,
    levels: Mapping[str, Any] | None = None,
    center: bool = True,
    clusters: str = "random",
    missing: Missing = "error",
    priors: Mapping[str, str] | None = None,
) -> Model:
    """TODO"""
    joint, hazard = hazards.read(
        longitudinal, survival, formula, event=event, time=time, id=id, association=association,
        association_scale=association_scale, baseline=baseline, cuts=cuts, families=families, causes=causes,
        censored=censored, carry_forward=carry_forward,
        choices={"zi": zi, "dispersion": dispersion, "success": success, "levels": levels},
        clusters=clusters, missing=missing,
    )  # fmt: skip
    options = {
        "event": event, "time": time, "id": id, "association": association, "association_scale": association_scale,
        "baseline": baseline, "cuts": cuts, "families": families, "causes": causes, "censored": censored,
        "carry_forward": carry_forward, "zi": zi, "dispersion": dispersion, "success": success, "levels": levels,
        "center": center, "clusters": clusters, "missing": missing,
    }  # fmt: skip
    plan = outcomes.plan(
        "joint_survival", joint, options, priors, extra=hazards.parameters(hazard, priors), more=hazards.told(hazard)
    )
    from glmm_zoo import survival as graph  # PyMC is imported once the input has proved sound
    from glmm_zoo import terms

    with terms.Model(replace(plan, also={"event_row": hazard.events.table})) as model:
        outcomes.observe(model, joint, center=center)
        graph.observe(model, hazard, center=center)
    return model

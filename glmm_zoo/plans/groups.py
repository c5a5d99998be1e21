"""Group effects over all linear predictors of a model, and the names of their variables."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from glmm_zoo.formulas.group_effects import GroupEffects, GroupingFactor
from glmm_zoo.formulas.names import prefixed, variable_name
from glmm_zoo.formulas.predictor import PredictorDesign
from glmm_zoo.formulas.smooths.smooth import Smooth


@dataclass(frozen=True)
class Group:
    """The effects of one factor, over one or more predictors: what `sd_<g>`, `corr_<g>` and `u_<g>` describe.

    Column k of the effects enters predictor `owners[k]` with covariate `z[k]` (n,); `codes` (n,) has the level of each
    of a predictor's rows, by its prefix.
    """

    prefix: str
    factor: GroupingFactor
    labels: tuple[str, ...]
    blocks: tuple[tuple[int, ...], ...]
    owners: tuple[str, ...]
    z: tuple[np.ndarray, ...]
    spreads: tuple[float, ...]
    codes: Mapping[str, np.ndarray]

    @property
    def dim(self) -> str:
        return variable_name(self.factor.name)

    def name(self, what: str) -> str:
        return prefixed(self.prefix, f"{what}_{self.dim}")

    @property
    def effect_dim(self) -> str:
        return prefixed(self.prefix, f"{self.dim}_effect")

    @property
    def correlated(self) -> tuple[tuple[int, ...], ...]:
        return tuple(block for block in self.blocks if len(block) > 1)


def groups_of(predictors: Sequence[PredictorDesign]) -> tuple[Group, ...]:
    """Group effects of all predictors; terms on one factor that share a label, `(1 |p| g)`, become one block."""
    families: list[list[tuple[PredictorDesign, GroupEffects]]] = []
    for predictor in predictors:
        for effects in predictor.effects:
            kin = [family for family in families if any(_share_a_label(effects, other) for _, other in family)]
            families = [family for family in families if family not in kin]
            families.append([member for family in kin for member in family] + [(predictor, effects)])
    tied: dict[
        object, list[tuple[PredictorDesign, GroupEffects]]
    ] = {}  # two labels on one factor: two blocks of its effects
    for i, family in enumerate(families):
        tied.setdefault(family[0][1].factor.name if len(family) > 1 else i, []).extend(family)
    main = {family[0][1].factor.name for family in families if family[0][0].prefix == ""}
    return tuple(_merge(family, main) for family in tied.values())


def _share_a_label(a: GroupEffects, b: GroupEffects) -> bool:
    return a.factor.name == b.factor.name and bool(set(a.shared) & set(b.shared) - {None})


def _merge(mates: Sequence[tuple[PredictorDesign, GroupEffects]], main: Collection[str]) -> Group:
    """One block; it goes without a prefix unless its factor has another block in the main predictor (`main`)."""
    labels: list[str] = []
    owners: list[str] = []
    z: list[np.ndarray] = []
    spreads: list[float] = []
    blocks: dict[object, list[int]] = {}
    for predictor, effects in mates:
        start = len(labels)
        foreign = len(mates) > 1 and predictor.prefix
        labels += [f"{predictor.prefix}:{label}" if foreign else label for label in effects.labels]
        owners += [predictor.prefix] * len(effects.labels)
        z += [effects.z[:, k] for k in range(effects.z.shape[1])]
        spreads += effects.spreads
        for i, (block, label) in enumerate(zip(effects.blocks, effects.shared, strict=True)):
            blocks.setdefault(label or (predictor.prefix, i), []).extend(start + k for k in block)
    first = mates[0][0].prefix
    prefix = first if len(mates) == 1 or mates[0][1].factor.name in main else ""
    joined = tuple(tuple(b) for b in blocks.values())
    codes = {predictor.prefix: effects.factor.codes for predictor, effects in mates}
    return Group(prefix, mates[0][1].factor, tuple(labels), joined, tuple(owners), tuple(z), tuple(spreads), codes)


def smooth_name(predictor: PredictorDesign, smooth: Smooth, what: str) -> str:
    """`s_x_sd`, or `zi_s_x_sd` for a predictor with the prefix "zi"."""
    return prefixed(predictor.prefix, f"s_{variable_name(smooth.name)}_{what}")

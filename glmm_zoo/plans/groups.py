"""Group effects over all linear predictors of a model, and the names of their variables."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from glmm_zoo.errors import InputError
from glmm_zoo.formulas.group_effects import GroupEffects, GroupingFactor, Strata
from glmm_zoo.formulas.names import prefixed, variable_name
from glmm_zoo.formulas.predictor import PredictorDesign
from glmm_zoo.formulas.series import Series
from glmm_zoo.formulas.smooths.smooth import Smooth
from glmm_zoo.formulas.structures import KnownCovariance, LevelStructure

type _Term = tuple[PredictorDesign, GroupEffects]


@dataclass(frozen=True)
class Group:
    """The effects of one grouping factor in one or more linear predictors: what `sd_<g>`, `corr_<g>` and `u_<g>` describe.

    Attributes
    ----------
    prefix
        What stands before the names of the variables: a predictor's, or "".
    factor
        The grouping factor with its levels.
    labels
        Names of the k effects of a level: "Intercept", "time", "zi:Intercept".
    blocks
        Which effects are correlated with each other, as positions.
    owners
        The prefix of the predictor that each effect enters.
    z
        The column (n,) with which each effect enters it.
    spreads
        The spread of each covariate, for the default prior of the effect's sd.
    codes, shares
        The level of every row (n,), by the predictor's prefix. Where rows have several, mm(g1, g2), their levels and the weights of
        these (n, members).
    to_zero
        Where the priors hold at the means of the slopes' columns, and z is less these: the matrix (k, k) that makes effects at
        zero of those there. Else None.
    taken
        Names of variables that the effects' dimension cannot have.
    structure
        How the effects of different levels depend on each other; None where they do not.
    student
        Whether the effects of a level are multivariate Student-t, not normal.
    series
        Of the values of a process, the series that the levels belong to; else None.
    """

    prefix: str
    factor: GroupingFactor
    labels: tuple[str, ...]
    blocks: tuple[tuple[int, ...], ...]
    owners: tuple[str, ...]
    z: tuple[np.ndarray, ...]
    spreads: tuple[float, ...]
    codes: Mapping[str, np.ndarray]
    to_zero: np.ndarray | None
    taken: tuple[str, ...] = ()
    structure: LevelStructure | None = None
    student: bool = False
    series: Series | None = None
    shares: Mapping[str, np.ndarray] = field(default_factory=dict)

    @property
    def dim(self) -> str:
        """The dimension of the levels."""
        return variable_name(self.factor.name)

    @property
    def by(self) -> Strata | None:
        """What gives the levels covariances of their own, where something does."""
        return self.factor.by

    @property
    def strata_dims(self) -> tuple[str, ...]:
        """The dimension of the covariances, where there are several."""
        return (self.by.dim,) if self.by else ()

    @property
    def strata(self) -> tuple[str, ...]:
        """The labels of the covariances; "" for an only one."""
        return self.by.levels if self.by else ("",)

    @property
    def stratum(self) -> np.ndarray:
        """Which of the covariances each level has (levels,)."""
        return self.by.codes if self.by else np.zeros(len(self.factor.levels), np.int64)

    def name(self, what: str) -> str:
        """The name of a variable of these effects: `name("sd")` is "sd_site"."""
        return prefixed(self.prefix, f"{what}_{self.dim}")

    def free(self, what: str) -> str:
        """The name of what has the prior: `free("sd")` is "sd_site_at_means" where it holds at the means of slopes' columns."""
        return self.name(what) if self.to_zero is None else f"{self.name(what)}_at_means"

    @property
    def in_design(self) -> bool:
        """Whether a row's effect is made of those of several levels, so that the approximation has them as coefficients of columns."""
        return isinstance(self.structure, KnownCovariance) or bool(self.shares)

    @property
    def random(self) -> str:
        """The name of the random variable that the effects are or are made of: "v_site" where their levels depend on each other."""
        return self.free("u" if self.structure is None else "v")

    @property
    def randoms(self) -> tuple[str, ...]:
        """Those of all variables that the effects are made of: "v_site" and "e_site" where neighbours share a part of the variance."""
        shared = self.structure is not None and self.structure.shared
        return (self.random, self.name("e")) if shared else (self.random,)

    @property
    def effect_variables(self) -> tuple[str, ...]:
        """The names of all variables that have effects by level, once."""
        return tuple(dict.fromkeys((self.name("u"), self.free("u"), *self.randoms)))

    @property
    def effect_dim(self) -> str:
        """The dimension of the effects of a level; one underscore more where a variable is called so."""
        name = prefixed(self.prefix, f"{self.dim}_effect")
        return f"{name}_" if name in self.taken else name

    @property
    def correlated(self) -> tuple[tuple[int, ...], ...]:
        """The blocks of more than one effect."""
        return tuple(block for block in self.blocks if len(block) > 1)


def plain_twin(group: Group, groups: Sequence[Group]) -> Group | None:
    """Of intercepts with a known covariance the independent ones of the same levels, `(1 | id)` beside `(1 | gr(id, cov=A))`, if there are
    such: only rows' sums of both are seen."""
    if not isinstance(group.structure, KnownCovariance) or group.labels != ("Intercept",):
        return None
    (owner,) = group.owners
    for other in groups:
        plain = not (other.in_design or other.structure or other.series or other.student or other.by)
        if plain and other.owners == group.owners and other.labels == group.labels and other.to_zero is None:
            pairs = np.unique(np.column_stack([group.codes[owner], other.codes[owner]]), axis=0)
            if all(len(np.unique(codes)) == len(pairs) for codes in pairs.T):
                return other
    return None


def groups_of(predictors: Sequence[PredictorDesign], center: bool = True) -> tuple[Group, ...]:
    """Group effects of all predictors; terms on one factor that share a label, `(1 |p| g)`, become one block.

    With `center` their priors hold at the means of the slopes' columns, where an intercept varies too; else at zero.
    """
    labelled: list[list[_Term]] = []  # terms that share a label, directly or by another term
    for predictor in predictors:
        for effects in predictor.effects:
            sharing = [terms for terms in labelled if any(_share_a_label(effects, other) for _, other in terms)]
            labelled = [terms for terms in labelled if terms not in sharing]
            labelled.append([term for terms in sharing for term in terms] + [(predictor, effects)])
    by_factor: dict[object, list[_Term]] = {}  # two labels on one factor are two blocks of its effects
    for i, terms in enumerate(labelled):
        by_factor.setdefault(terms[0][1].factor.name if len(terms) > 1 else i, []).extend(terms)
    factors_of_main = {terms[0][1].factor.name for terms in labelled if terms[0][0].prefix == ""}
    return tuple(_merge(terms, factors_of_main, center) for terms in by_factor.values())


def _share_a_label(a: GroupEffects, b: GroupEffects) -> bool:
    return a.factor.name == b.factor.name and bool(set(a.shared) & set(b.shared) - {None})


def _merge(terms: Sequence[_Term], factors_of_main: Collection[str], center: bool) -> Group:
    """The effects of these terms, which have one factor.

    They go without a prefix where several predictors have them, unless the factor has other effects in the main predictor.
    """
    labels: list[str] = []
    owners: list[str] = []
    z: list[np.ndarray] = []
    spreads: list[float] = []
    to_zero: list[np.ndarray] = []
    blocks: dict[object, list[int]] = {}
    for predictor, effects in terms:
        start = len(labels)
        with_prefix = len(terms) > 1 and predictor.prefix
        labels += [f"{predictor.prefix}:{label}" if with_prefix else label for label in effects.labels]
        owners += [predictor.prefix] * len(effects.labels)
        own = effects.to_zero if center else None
        to_zero.append(np.eye(len(effects.labels)) if own is None else own)
        z += list((effects.z if own is None else effects.z @ own).T)
        spreads += effects.spreads
        for i, (block, label) in enumerate(zip(effects.blocks, effects.shared, strict=True)):
            blocks.setdefault(label or (predictor.prefix, i), []).extend(start + k for k in block)
    if len({effects.structure for _, effects in terms}) > 1:
        raise InputError(
            f"terms of {terms[0][1].factor.name!r} that share a label, (1 |p| g), are of one distribution: give all of them the same cov="
        )
    first = terms[0][0].prefix
    prefix = first if len(terms) == 1 or terms[0][1].factor.name in factors_of_main else ""
    codes = {predictor.prefix: effects.factor.codes for predictor, effects in terms}
    return Group(
        prefix,
        terms[0][1].factor,
        tuple(labels),
        tuple(map(tuple, blocks.values())),
        tuple(owners),
        tuple(z),
        tuple(spreads),
        codes,
        _together(to_zero),
        tuple(name for _, effects in terms for name in effects.taken),
        structure=terms[0][1].structure,
        student=terms[0][1].student,
        series=terms[0][1].series,
        shares={p.prefix: e.factor.shares for p, e in terms if e.factor.shares is not None},
    )


def _together(to_zero: Sequence[np.ndarray]) -> np.ndarray | None:
    """What leads the effects of all terms to zero; None where it leaves them as they are."""
    if all(np.array_equal(T, np.eye(len(T))) for T in to_zero):
        return None
    from scipy.linalg import block_diag  # slow to import

    return block_diag(*to_zero)


def smooth_name(predictor: PredictorDesign, smooth: Smooth, what: str) -> str:
    """`s_x_sd`, or `zi_s_x_sd` for a predictor with the prefix "zi"."""
    return prefixed(predictor.prefix, f"s_{variable_name(smooth.name)}_{what}")

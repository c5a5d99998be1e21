"""How rows of a table become linear predictors with draws of their coefficients."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from glmm_zoo.errors import InputError, did_you_mean, listing
from glmm_zoo.estimands.linear_rows import EffectDraws, LinearRows, RandomTerm, UnknownTerm
from glmm_zoo.estimands.posterior import PosteriorDraws
from glmm_zoo.estimands.serial_rows import ProcessDraws, places_in_series
from glmm_zoo.formulas.group_effects import GroupEffects
from glmm_zoo.formulas.names import prefixed, variable_name
from glmm_zoo.formulas.new_rows import levels_in_rows, members_of_rows, predictor_in_rows, variables_in_rows
from glmm_zoo.formulas.predictor import PredictorDesign
from glmm_zoo.formulas.smooths.smooth import Smooth
from glmm_zoo.formulas.terms import Expression, Formula, SmoothTerm
from glmm_zoo.plans.groups import Group, groups_of, smooth_name
from glmm_zoo.plans.reading import log_exposure
from glmm_zoo.tables.columns import Table


@dataclass(frozen=True)
class Exposure:
    """What counts are for: so many units of exposure, or where `given` names columns, what the rows have."""

    units: float = 1.0
    given: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Course:
    """How the effect of a variable depends on how long it has lasted: the column that says how long, and its values, in order."""

    column: str
    values: tuple[int, ...]


CodeTable = Callable[[Table, Exposure], dict[str, LinearRows]]


@dataclass(frozen=True)
class RowCoding:
    """How rows become linear predictors.

    Attributes
    ----------
    columns
        The columns that every row needs.
    effects
        The effects of each grouping factor, by its name.
    levels
        Those of population factors by column, the reference first.
    exposure
        The columns of the exposure of counts.
    code
        `code(table, exposure)`: the linear predictor of each part in the rows of a table.
    optional
        Columns that rows may have; those that rows of the fit lack are numbers.
    courses
        Variables whose effect depends on how long it has lasted.
    remark
        What the sentence about an estimate says of rows where no optional column is set.
    """

    columns: tuple[str, ...]
    effects: Mapping[str, EffectDraws]
    levels: Mapping[str, tuple[str, ...]]
    exposure: tuple[str, ...]
    code: CodeTable
    optional: tuple[str, ...] = ()
    courses: Mapping[str, Course] = field(default_factory=dict)
    remark: str = ""

    @property
    def known(self) -> dict[str, None]:
        """All columns that mean something to the model, in order."""
        groups = (c for columns in self.factors.values() for c in columns)
        return dict.fromkeys([*self.columns, *groups, *self.exposure])

    @property
    def factors(self) -> dict[str, tuple[str, ...]]:
        """The columns that make each grouping factor; they are needed where a row has the effects of its level."""
        return {name: effects.columns for name, effects in self.effects.items()}


@dataclass(frozen=True)
class _Random:
    """Group effects of one part: whose they are, at which places, and the factor that multiplies them, if any."""

    effects: EffectDraws
    places: tuple[int, ...]
    loading: np.ndarray | None = None


@dataclass(frozen=True)
class _PartCoding:
    """One linear predictor with the draws of what it is made of. `random` has its group effects by factor."""

    design: PredictorDesign
    draws: PosteriorDraws
    random: Mapping[str, _Random]
    curves: Mapping[str, _Random] = field(default_factory=dict)  # bs="fs", by the smooth's label
    loaded: str = ""  # the factor of effects that this part has from another outcome
    exposure: str | None = None
    counts: bool = False

    def in_rows(self, table: Table, exposure: Exposure) -> LinearRows:
        design = predictor_in_rows(self.design, table)
        blocks: list[tuple[np.ndarray, np.ndarray]] = []
        X, prefix = design.population, design.prefix
        if X.intercept:
            blocks.append((np.ones((table.rows, 1)), self.draws[prefixed(prefix, "Intercept")][:, None]))
        if X.labels:
            blocks.append((X.values, self.draws[prefixed(prefix, "beta")]))
        for m in X.monotonic:
            of_columns = (
                self.draws[prefixed(prefix, "beta")][:, m.places, None] * self.draws[m.name(prefix)][:, None, :]
            )
            blocks.append((m.steps, of_columns.reshape(self.draws.size, -1)))
        random = [t for e in design.effects for t in self._terms(self.random[e.factor.name], e.z, table)]
        if self.loaded:
            random += self._terms(self.random[self.loaded], np.ones((table.rows, 1)), table)
        for term, smooth in zip(design.formula.smooths, design.smooths, strict=True):
            if term.bs == "fs":
                z = smooth.basis.columns(variables_in_rows(term, table)[:, 0])[1]  # pyright: ignore[reportArgumentType]
                random += self._terms(self.curves[smooth.label], z, table)
            else:
                blocks += self._curve(smooth)
        response = design.formula.response
        columns = {} if response is None else response.bound_columns
        bounds = {name: table[column].numbers("trunc()") for name, column in columns.items()}
        unknown = tuple(
            UnknownTerm(
                m.slopes,
                self.draws[prefixed(prefix, "beta")][:, m.places],
                m.gaps,
                self.draws[f"mi_{variable_name(m.column)}"] - m.fill,
            )
            for m in X.missing
            if m.slopes.any()
        )
        return LinearRows(tuple(blocks), self._offset(design, table, exposure), tuple(random), bounds, unknown)

    def _curve(self, smooth: Smooth) -> list[tuple[np.ndarray, np.ndarray]]:
        parts = (("linear", smooth.linear), ("weights", smooth.penalised))
        names = ((smooth_name(self.design, smooth, what), columns) for what, columns in parts if columns.shape[1])
        return [(columns, self.draws[name].reshape(self.draws.size, -1)) for name, columns in names]

    def _terms(self, random: _Random, z: np.ndarray, table: Table) -> list[RandomTerm]:
        """The effects of one factor; of mm(g1, g2) a term for each member."""
        effects = random.effects
        if effects.members:
            codes, labels, shares = members_of_rows(effects.levels, effects.columns, effects.weights, table)
            names = [None] * shares.shape[1] if labels is None else labels.T
            return [
                RandomTerm(effects, random.places, z * share[:, None], code, name, random.loading, member=m)
                for m, (code, name, share) in enumerate(zip(codes.T, names, shares.T, strict=True))
            ]
        if effects.process is not None:
            codes, labels, neighbours = places_in_series(effects.process, effects.columns, table)
            return [RandomTerm(effects, random.places, z, codes, labels, random.loading, neighbours=neighbours)]
        codes, labels = levels_in_rows(effects.levels, effects.columns, table)
        return [RandomTerm(effects, random.places, z, codes, labels, random.loading, _strata_of_rows(effects, table))]

    def _offset(self, design: PredictorDesign, table: Table, exposure: Exposure) -> np.ndarray:
        """The offset; of counts the logarithm of the units of exposure, unless the rows are to have their own."""
        columns = exposure_columns(self.design.formula, self.exposure) if self.counts else ()
        if self.counts and not exposure.given & set(columns):
            return np.full(table.rows, np.log(exposure.units))
        if self.exposure is not None:
            return log_exposure(table, self.exposure)
        return np.zeros(table.rows) if design.offset is None else design.offset


def _strata_of_rows(effects: EffectDraws, table: Table) -> np.ndarray | None:
    """Which of the effects' covariances each row has (m,), where there are several."""
    by = effects.strata
    if by is None:
        return None
    codes, labels = levels_in_rows(by.levels, (by.column,), table)
    unknown = codes < 0
    if unknown.any():
        of_row = "" if labels is None else str(labels[unknown][0])
        raise InputError(
            f"level {of_row!r} of {by.column!r} ({table.at(unknown)}) was not in the data of the fit{did_you_mean(of_row, by.levels) or ';'} "
            f"levels: {listing(by.levels)}"
        )
    return codes


def exposure_columns(formula: Formula, exposure: str | None) -> tuple[str, ...]:
    """The columns of the exposure of counts: the one that is named, or those of the offsets."""
    return (exposure,) if exposure is not None else tuple(c for o in formula.offsets for c in o.columns)


def standard_coding(
    parts: Mapping[str, PredictorDesign],
    draws: PosteriorDraws,
    *,
    counts: bool,
    exposure: str | None = None,
    all_predictors: Sequence[PredictorDesign] | None = None,
    loaded: tuple[GroupEffects, str] | None = None,
) -> RowCoding:
    """The coding of an outcome whose predictors are formulas.

    Parameters
    ----------
    parts
        Its linear predictors by what they are of, "" the main one.
    counts
        Whether offsets are logarithms of exposures.
    exposure
        The column whose logarithm is the offset of the main predictor.
    all_predictors
        Those of all outcomes, which may share group effects.
    loaded
        The term of the main predictor that has the effects of another outcome times a loading, and that outcome's prefix.
    """
    groups = groups_of(all_predictors or tuple(parts.values()), center=False)
    columns_of = {g.name: g.factor for design in parts.values() for g in design.formula.groups}
    weights = {g.name: g.weights for design in parts.values() for g in design.formula.groups if g.weights}
    effects = {
        g.name("u"): replace(effect_draws(g, columns_of, draws), weights=weights.get(g.factor.name))
        for g in groups
        if g.factor.name in columns_of
    }

    def of(prefix: str, factor: str, loading: np.ndarray | None = None) -> _Random:
        group = next(g for g in groups if g.factor.name == factor and prefix in g.owners)
        places = tuple(k for k, owner in enumerate(group.owners) if owner == prefix)
        return _Random(effects[group.name("u")], places, loading)

    codings = {}
    for part, design in parts.items():
        random = {e.factor.name: of(design.prefix, e.factor.name) for e in design.effects}
        factor = ""
        if part == "" and loaded is not None:
            factor = loaded[0].factor.name
            random[factor] = of(loaded[1], factor, draws[prefixed(design.prefix, "loading")])
        codings[part] = _PartCoding(
            design, draws, random, _random_curves(design, draws), factor, exposure if part == "" else None,
            counts and part == "",
        )  # fmt: skip
    used = [r.effects for c in codings.values() for r in (*c.random.values(), *c.curves.values())]
    main = next(iter(parts.values())).formula
    return RowCoding(
        _covariates(parts, counts),
        {effects.factor: effects for effects in reversed(used)},
        population_levels(parts),
        exposure_columns(main, exposure) if counts else (),
        lambda table, exposure: {part: coding.in_rows(table, exposure) for part, coding in codings.items()},
    )


def effect_draws(group: Group, columns: Mapping[str, tuple[str, ...]], draws: PosteriorDraws) -> EffectDraws:
    """Draws of the effects of a group, whose factor is made of these columns of the data."""
    name, levels = group.factor.name, group.factor.levels
    return EffectDraws(
        name, group.name("u"), columns[name], levels, draws.covariance(group), lambda: draws[group.name("u")],
        for_each_row=not (group.shares or group.structure or group.series) and len(levels) == len(group.factor.codes),
        table="" if group.structure is None else group.structure.table.name,
        strata=group.by,
        df=draws[group.name("df")] if group.student else None,
        process=None if group.series is None else ProcessDraws(group.series, draws[group.name(group.series.parameter)]),
        members=bool(group.shares),
    )  # fmt: skip


def _random_curves(design: PredictorDesign, draws: PosteriorDraws) -> dict[str, _Random]:
    """Curves of the levels of a factor, bs="fs": weights ~ Normal(0, sd^2) of each level."""
    curves = {}
    for term, smooth in zip(design.formula.smooths, design.smooths, strict=True):
        if term.bs == "fs" and term.by is not None:
            levels, weights = smooth.curves, smooth_name(design, smooth, "weights")
            q = len(smooth.sd_of) // len(levels)
            sd = draws[smooth_name(design, smooth, "sd")][:, smooth.sd_of[:q]]
            covariance = sd[:, :, None] ** 2 * np.eye(q)
            shape = (draws.size, len(levels), q)
            effects = EffectDraws(
                term.by, weights, (term.by,), levels, covariance, lambda n=weights, s=shape: draws[n].reshape(s)
            )
            curves[smooth.label] = _Random(effects, tuple(range(q)))
    return curves


def _covariates(parts: Mapping[str, PredictorDesign], counts: bool) -> tuple[str, ...]:
    """The columns that every row needs: not those of grouping factors, nor of exposures."""
    names: list[str] = []
    for part, design in parts.items():
        formula = design.formula
        symbols = [*formula.population, *(s for g in formula.groups for s in g.effects)]
        symbols += [] if counts and part == "" else formula.offsets
        names += [c for symbol in symbols if isinstance(symbol, Expression) for c in symbol.columns]
        names += [c for g in formula.groups for c in (*([g.by] if g.by else []), *(g.weights or ()))]
        names += [c for term in formula.smooths for c in _columns_of_curve(term)]
        names += formula.response.bound_columns.values() if formula.response else ()
    return tuple(dict.fromkeys(names))


def _columns_of_curve(term: SmoothTerm) -> tuple[str, ...]:
    return term.variables if term.bs == "fs" else term.columns


def population_levels(parts: Mapping[str, PredictorDesign]) -> dict[str, tuple[str, ...]]:
    """The levels of population factors by column, the reference first."""
    levels: dict[str, tuple[str, ...]] = {}
    for design in parts.values():
        for column, of_column in design.population.learnt.get("levels", {}).items():
            levels.setdefault(column, tuple(of_column))
        for term, smooth in zip(design.formula.smooths, design.smooths, strict=True):
            if term.by is not None and term.bs != "fs" and smooth.curves != ("",):
                levels.setdefault(term.by, smooth.curves)
    return levels

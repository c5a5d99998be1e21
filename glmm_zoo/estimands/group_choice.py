"""Whose group effects: integrated over the population of groups, of a typical group, of the fit's own, or of a new one."""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np

from glmm_zoo.errors import InputError, did_you_mean, listing, raise_all, shown
from glmm_zoo.estimands.linear_rows import EffectDraws, LinearRows, RandomTerm, covariance, own_effects
from glmm_zoo.estimands.normal_means import Normal
from glmm_zoo.estimands.student_mixture import drawn_mixture
from glmm_zoo.tables.columns import Table

CHOICES = ("population", "typical", "observed", "new")
UNSEEN = ("error", "population", "new")


@dataclass(frozen=True)
class GroupChoice:
    """Whose effects each factor has: one of `CHOICES` by factor; `unseen` says what is taken for a level that the fit lacks."""

    by_factor: Mapping[str, str]
    unseen: str = "error"
    seed: int = 0
    _new: dict[tuple[str, str, int], np.ndarray] = field(default_factory=dict, compare=False)

    def of(self, factor: str) -> str:
        return self.by_factor[factor]

    @property
    def by_level(self) -> list[str]:
        """The factors of which a row's own level matters."""
        return [factor for factor, choice in self.by_factor.items() if choice == "observed"]

    def add_new_level(self, shift: np.ndarray, term: RandomTerm, label: str, rows: np.ndarray) -> None:
        """Add to these rows of (S, m) the effects of a level that the fit does not have, one draw for each draw; the same for every row
        of that label and stratum."""
        of_rows = term.take(rows)
        for own, S in of_rows.covariances:
            stratum = 0 if of_rows.stratum is None else int(of_rows.stratum[own[0]])
            effects = self._new_level(term.effects, label, stratum, S)[:, None, :]
            shift[:, rows[own]] += own_effects(of_rows.take(own), effects, np.zeros(len(own), int))

    def _new_level(self, of: EffectDraws, label: str, stratum: int, S: np.ndarray) -> np.ndarray:
        """Effects (S, K) with these covariances."""
        key = (of.variable, label, stratum)
        if key not in self._new:
            rng = np.random.default_rng([self.seed, *(zlib.crc32(text.encode()) for text in (of.variable, label))])
            z = rng.standard_normal(S.shape[:2])
            w = 1.0 if of.df is None else drawn_mixture(of.df, 1, rng)
            self._new[key] = np.einsum("skl,sl->sk", covariance_root(S), np.sqrt(w) * z)
        return self._new[key]


def covariance_root(S: np.ndarray) -> np.ndarray:
    """R (..., K, K) with R R' = S, also where a standard deviation is 0."""
    values, vectors = np.linalg.eigh(S)
    return vectors * np.sqrt(np.maximum(values, 0.0))[..., None, :]


def read_group_choice(
    groups: str | Mapping[str, str], unseen: str, factors: Mapping[str, tuple[str, ...]], seed: int
) -> GroupChoice:
    """The choice for every factor; those that a mapping does not name are integrated over.

    Raises
    ------
    InputError
        Choices and factors that are not known.
    """
    if unseen not in UNSEEN:
        raise InputError(f"unseen must be one of {listing(UNSEEN)}, not {shown(unseen)}")
    given = dict.fromkeys(factors, groups) if isinstance(groups, str) else {}
    if not isinstance(groups, str):
        for name, choice in groups.items():
            given[factor_called(str(name), factors, "groups")] = choice
    wrong = [c for c in (given.values() if factors or not isinstance(groups, str) else [groups]) if c not in CHOICES]
    if wrong:
        raise InputError(
            f"groups must be one of {listing(CHOICES)}, or one of these for each factor, not {shown(wrong[0])}"
            f"{did_you_mean(str(wrong[0]), CHOICES)}"
        )
    return GroupChoice({factor: given.get(factor, "population") for factor in factors}, unseen, seed)


def factor_called(name: str, factors: Mapping[str, tuple[str, ...]], argument: str) -> str:
    """The factor of that name, or the only one whose last column has it: "ward" of (1 | site/ward)."""
    if name in factors:
        return name
    nested = [factor for factor, columns in factors.items() if columns[-1] == name]
    if len(nested) == 1:
        return nested[0]
    raise InputError(
        f"{argument}: no grouping factor {name!r}{did_you_mean(name, factors) or ';'} factors: {listing(factors) or 'none'}"
    )


# ------------------------------------------------------------------------------------------------------------ in rows


def student_effects(rows: Mapping[str, LinearRows], choice: GroupChoice) -> EffectDraws | None:
    """The Student-t effects, of which a model has those of one factor, where some are integrated over."""
    terms = [t for linear in rows.values() for t in linear.random if t.effects.df is not None]
    return next((t.effects for t in terms if known_part(t, choice)[1].any()), None)


def predictors_of_rows(
    rows: Mapping[str, LinearRows], choice: GroupChoice, size: int, mixing: np.ndarray | None = None
) -> tuple[dict[str, Normal], dict[frozenset[str], np.ndarray]]:
    """Each part's linear predictor as a normal variable (S, m), and the covariances of those that share effects.

    Of Student-t effects these are given `mixing` (S, 1) or (S, m), by which their covariance is multiplied.
    """
    m = len(next(iter(rows.values())).offset)
    variables, integrated = {}, {}
    for part, linear in rows.items():
        mean, terms = linear.fixed(size), []
        for term in linear.random:
            shift, open_rows = known_part(term, choice)
            if shift is not None:
                mean += shift
            if open_rows.any():
                terms.append((term, open_rows))
        variance = np.zeros((size, m) if terms else (1, 1))
        for t, is_open in terms:
            if t.effects.df is not None and mixing is None:
                raise AssertionError(
                    f"the effects of {t.effects.factor} are Student-t, and are integrated over as normal ones"
                )
            variance = variance + covariance(t, t) * is_open * (1.0 if t.effects.df is None else mixing)
        variables[part], integrated[part] = Normal(mean, np.maximum(variance, 0.0)), terms
    covariances = {}
    parts = list(rows)
    for a, b in ((a, b) for i, a in enumerate(parts) for b in parts[i + 1 :]):
        shared = [
            covariance(s, t) * np.minimum(open_s, open_t)
            for s, open_s in integrated[a]
            for t, open_t in integrated[b]
            if s.effects.variable == t.effects.variable and s.member == t.member
        ]
        total = sum(shared, start=np.zeros((1, 1)))
        if np.any(total):
            covariances[frozenset((a, b))] = total
    return variables, covariances


def check_levels(rows: Mapping[str, LinearRows], choice: GroupChoice, table: Table) -> None:
    """Refuse rows that are to have their own level's effects and do not say the level, or have one that the fit lacks."""
    problems = [p for linear in rows.values() for t in linear.random for p in _problems_of_process(t, choice, table)]
    for term in (t for linear in rows.values() for t in linear.random if choice.of(t.effects.factor) == "observed"):
        factor, columns = term.effects.factor, listing(map(repr, term.effects.columns))
        unseen = _unseen(term)
        if term.labels is None:
            problems.append(
                f"groups='observed' takes the effects of each row's own {factor}, and the data lack {columns}; add it, or ask for "
                "groups='population'"
            )
        elif unseen.any() and choice.unseen == "error" and term.effects.process is not None:
            called = term.effects.process.series.called
            problems.append(
                f"the fit has no series of {called} for {table.at(unseen)}; unseen='population' integrates over its values"
            )
        elif unseen.any() and (choice.unseen == "error" or term.effects.table):
            labels = list(dict.fromkeys(term.labels[unseen].tolist()))
            near = did_you_mean(labels[0], term.effects.levels) or ";"
            if term.effects.table:
                problems.append(
                    f"{factor} {listing(map(repr, labels), 4)} ({table.at(unseen)}) is not in table {term.effects.table!r} of the fit, which says how "
                    f"the effects of levels depend on each other{near} fit again with a table that has it, or ask for groups='population'"
                )
                continue
            problems.append(
                f"{factor} {listing(map(repr, labels), 4)} ({table.at(unseen)}) was not in the data of the fit{near} unseen='population' integrates "
                f"over levels, unseen='new' draws one; levels: {listing(term.effects.levels)}"
            )
        elif term.stratum is not None and term.effects.strata is not None:
            by, seen = term.effects.strata, np.flatnonzero(~unseen)
            moved = seen[by.codes[term.codes[seen]] != term.stratum[seen]]
            if len(moved):
                problems.append(
                    f"{factor} {str(term.labels[moved[0]])!r} had {by.column} {by.levels[by.codes[term.codes[moved[0]]]]!r} in the fit "
                    f"and has {by.levels[term.stratum[moved[0]]]!r} here, where its own effect is not known; ask for groups='population'"
                )
    raise_all(list(dict.fromkeys(problems)))


def _unseen(term: RandomTerm) -> np.ndarray:
    """Rows (m,) of whose level the fit says nothing: one that it lacks, or a series that it lacks."""
    return term.codes < 0 if term.neighbours is None else ~term.neighbours.known


def _problems_of_process(term: RandomTerm, choice: GroupChoice, table: Table) -> Iterator[str]:
    """What is not known of the values of a process: one for all times of a new series, times between the steps."""
    if term.effects.process is None:
        return
    series, how = term.effects.process.series, choice.of(term.effects.factor)
    called = series.called
    observed = how == "observed" and term.neighbours is not None
    if how == "new" or (observed and choice.unseen == "new" and _unseen(term).any()):
        yield (
            f"'new' draws one level, and a new {series.of} has a value of {called} for each {series.time}; integrate over them by "
            f"'population'"
        )
    if observed and term.neighbours is not None and term.neighbours.between_steps.any():
        between = term.neighbours.between_steps
        yield (
            f"{called} has values at steps of {series.step:g}, and rows are between them ({table.at(between)}); ask at whole steps, or "
            f"fit ou({series.time} | {series.of})"
        )


def known_part(term: RandomTerm, choice: GroupChoice) -> tuple[np.ndarray | None, np.ndarray]:
    """What a term adds to the predictor (S, m), None for nothing, and in which rows (m,) its effect is integrated over; of a process
    which share of its variance is (S, m)."""
    m, how = len(term.z), choice.of(term.effects.factor)
    if how == "typical":
        return None, np.zeros(m, bool)
    if how == "population":
        return None, np.ones(m, bool)
    shift = np.zeros((len(term.effects.covariance), m))
    if how == "new":
        choice.add_new_level(shift, term, str(term.member or ""), np.arange(m))
        return shift, np.zeros(m, bool)
    assert term.labels is not None  # see `check_levels`
    unseen = term.codes < 0
    if not unseen.all():
        seen = np.flatnonzero(~unseen)
        shift[:, seen] = own_effects(term.take(seen), term.effects.of_levels(), term.codes[seen])
    if term.neighbours is not None and term.effects.process is not None:
        given = np.flatnonzero(unseen & term.neighbours.known)
        mean, left = term.neighbours.take(given).conditional(term.effects.process, term.effects.of_levels()[:, :, 0])
        share = np.broadcast_to(unseen & ~term.neighbours.known, shift.shape).astype(float)
        shift[:, given], share[:, given] = own_effects(term.take(given), mean[:, :, None], np.arange(len(given))), left
        return shift, share
    if choice.unseen == "new":
        for label in dict.fromkeys(term.labels[unseen].tolist()):
            choice.add_new_level(shift, term, label, np.flatnonzero(unseen & (term.labels == label)))
    return shift, unseen & (choice.unseen == "population")

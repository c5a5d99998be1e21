"""Families of responses that are seen only between bounds, `y | trunc(lb, ub)`, or known only to be beyond a limit, `y | cens(c)`.

    truncated          f(y) / P(lb <= Y <= ub)
    left-censored      P(Y <= y)
    right-censored     P(Y > y)
    interval-censored  P(y < Y <= y2)

as brms has them. Moments and draws of a truncated response are those between the bounds; of a censored one those of the response itself.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from glmm_zoo.errors import InputError, plural
from glmm_zoo.families.family import Family, is_open
from glmm_zoo.families.law import Law
from glmm_zoo.families.links import LINKS
from glmm_zoo.families.moments import Own
from glmm_zoo.families.observation import observe_rows
from glmm_zoo.families.outcome import Outcome
from glmm_zoo.families.tensors import Array, Tensor, import_pytensor
from glmm_zoo.formulas.terms import Response
from glmm_zoo.tables.columns import Column, Table

CENSORING = {"none": 0, "left": -1, "right": 1, "interval": 2}  # brms's words and numbers
_TRIES = 20  # of a draw to fall between the bounds, before it is made to


def partly_observed(family: Family, response: Response) -> Family:
    """The family, which has a `law`, as the response is seen: between bounds, or known to be beyond limits."""
    if not response.seen_in_part or family.bounds is not None:
        return family
    assert family.law is not None
    seen = _Seen(family, *(response.bounds or (-np.inf, np.inf)), response.bound_columns)
    family = replace(
        family, bounds=(seen.lb, seen.ub), read=seen.read, observe=seen.observe, log_density=seen.log_density
    )
    if response.censoring:
        family = replace(family, findings=tuple(f for f in family.findings if f not in ("dispersion", "zeros")))
    if response.bounds is None:
        return family
    words = bounds_words(*response.bounds)
    return replace(
        family,
        moments=seen.moments,
        draw=seen.draw,
        called=f"truncated {family.called}",
        distribution=f"{family.distribution}, of which only values {words} are seen",
        findings=tuple(f for f in family.findings if f != "zeros" or (isinstance(seen.lb, float) and seen.lb <= 0)),
        counted=family.counted and f"{family.counted} before truncation",
        count_alone=family.count_alone and seen.count_alone,
    )


def bounds_words(lb: float | str, ub: float | str) -> str:
    """ "from 1 on", "up to 10", "from 0 to limit"."""
    low, high = (end if isinstance(end, str) else f"{end:g}" for end in (lb, ub))
    return f"up to {high}" if is_open(lb) else f"from {low} {'on' if is_open(ub) else f'to {high}'}"


def censoring_codes(column: Column) -> np.ndarray:
    """How each value is censored (n,), as `CENSORING` has it: in its words, its numbers, or a logical that is true of right-censored ones.

    Raises
    ------
    InputError
        Anything else, in one sentence with column and row.
    """
    if column.kind == "logical":
        return column.values.astype(int)
    if column.kind == "number":
        codes = column.values.astype(float)
        bad = ~np.isin(codes, list(CENSORING.values()))
        first = f"{codes[bad][0]:g}" if bad.any() else ""
    else:
        codes = np.array([CENSORING.get(text.strip().casefold(), -9) for text in column.text])
        bad = codes == -9
        first = repr(str(column.text[bad][0])) if bad.any() else ""
    if bad.any():
        raise InputError(
            f"column {column.name!r} says how values are censored: none, left, right or interval, or 0, -1, 1 or 2; "
            f"{'it holds dates' if column.kind == 'date' else f'{first} stands in {column.at(bad)}'}"
        )
    return codes.astype(int)


@dataclass(frozen=True)
class _Seen:
    """A family whose responses are seen from `lb` to `ub`, of which those that are `columns` differ between rows: they stand among the
    own parameters, `own["lb"]` (m,), where moments and draws are asked for."""

    family: Family
    lb: float | str
    ub: float | str
    columns: Mapping[str, str]

    @property
    def open(self) -> bool:
        """Whether all values can be seen."""
        return is_open(self.lb) and is_open(self.ub)

    @property
    def law(self) -> Law:
        assert self.family.law is not None
        return self.family.law

    def bounds(self, of_rows: Mapping[str, Any]) -> tuple[Any, Any]:
        """lb and ub: numbers, or (m,) `of_rows`."""
        lb, ub = (of_rows[name] if name in self.columns else end for name, end in (("lb", self.lb), ("ub", self.ub)))
        return lb, ub

    def ends(self, of_rows: Mapping[str, Any]) -> tuple[Any, Any]:
        """low and high with P(low < Y <= high) that of what is seen."""
        lb, ub = self.bounds(of_rows)
        return (np.ceil(lb) - 1 if self.family.responses == "count" else lb), ub

    def bounds_of(self, trials: np.ndarray | None) -> dict[str, np.ndarray]:
        """The bounds that differ between rows, from what is known of the rows."""
        return {} if trials is None else dict(zip(self.columns, trials.T[2:], strict=True))

    # ------------------------------------------------------------------------------------------------------- reading

    def read(self, table: Table, response: Response, choice: Any) -> Outcome:
        """The response with what is known of each value in `trials` (n, 2 + bounds in columns): its code, the upper end of its interval,
        and its bounds."""
        outcome = self.family.read(table, response, choice)
        of_rows = {name: table[column].numbers("trunc()") for name, column in self.columns.items()}
        self._check_bounds(table, outcome, of_rows)
        said = [] if response.bounds is None else [f"values {bounds_words(self.lb, self.ub)}"]
        trials = None
        if response.censoring or of_rows:
            status, upper = (
                self._limits(table, response, outcome) if response.censoring else (0 * outcome.values, outcome.values)
            )
            trials = np.column_stack([status, upper, *of_rows.values()])
            said += [
                f"{int((status == code).sum())} {word}-censored"
                for word, code in CENSORING.items()
                if code and (status == code).any()
            ]
        return replace(outcome, trials=trials, description=", ".join([outcome.description, *said]))

    def _check_bounds(self, table: Table, outcome: Outcome, of_rows: Mapping[str, np.ndarray]) -> None:
        """Refuse bounds that leave nothing between them, and values outside of theirs."""
        y, (lb, ub) = outcome.values, self.bounds(of_rows)
        empty = np.broadcast_to(lb >= ub, y.shape)
        if empty.any():
            low, high = (np.broadcast_to(end, y.shape)[empty][0] for end in (lb, ub))
            raise InputError(
                f"trunc() needs lb below ub ({bounds_words(self.lb, self.ub)}); {table.at(empty)} {'has' if empty.sum() == 1 else 'have'} {low:g} and "
                f"{high:g}"
            )
        bad = (y < lb) | (y > ub)
        if bad.any():
            low, high = (float(np.broadcast_to(end, y.shape)[bad][0]) for end in (lb, ub))
            where = f", where they go {bounds_words(low, high)}" if of_rows else ""
            raise InputError(
                f"response {outcome.name!r} is truncated to values {bounds_words(self.lb, self.ub)}; {plural(int(bad.sum()), 'value')} not "
                f"({y[bad][0]:g}, {table.at(bad)}{where}); correct the bounds of trunc(), or drop what cannot have been seen"
            )

    def _limits(self, table: Table, response: Response, outcome: Outcome) -> tuple[np.ndarray, np.ndarray]:
        """The code of each value (n,), and the upper end of its interval (n,), the value itself where there is none."""
        column, *of_ends = (table[name] for name in response.censoring)
        status, y = censoring_codes(column), outcome.values
        interval = status == CENSORING["interval"]
        if not of_ends:
            if interval.any():
                raise InputError(
                    f"column {column.name!r} says that values are censored in intervals ({column.at(interval)}), whose upper ends are a second "
                    f"column: cens({column.name}, y2)"
                )
            return status, y
        if not interval.any():
            return status, y
        (end,) = of_ends
        upper = np.where(interval, end.take(interval).numbers("cens()")[np.cumsum(interval) - 1], y)
        bad = interval & (end.missing | ~(upper > y))
        if bad.any():
            value = "missing" if end.missing[bad][0] else f"{upper[bad][0]:g}"
            raise InputError(
                f"column {end.name!r} has the upper ends of intervals that begin at {outcome.name!r}; {end.at(bad)} has {value} above {y[bad][0]:g}"
            )
        return status, upper

    # ------------------------------------------------------------------------------------------------------- density

    def log_density(self, y: np.ndarray, eta: np.ndarray, own: Own, link: str, trials: np.ndarray | None) -> np.ndarray:
        """As that of a family, `trials` (m, 2) those of `read`."""
        shape = np.broadcast_shapes(eta.shape, y.shape)

        def place(pieces: Sequence[tuple[np.ndarray, np.ndarray]]) -> np.ndarray:
            out = np.zeros(shape)
            for at, piece in pieces:
                out[..., at] = piece
            return out

        def take(x: np.ndarray, at: np.ndarray) -> np.ndarray:
            return x[..., at] if np.ndim(x) and x.shape[-1] > 1 else x

        return self._log_f(y, y, trials, eta, own, link, take, place)

    def observe(self, name: str, outcome: Outcome, eta: Tensor, link: str, own: Mapping[str, Tensor]) -> None:
        """As that of a family."""
        pt, names = import_pytensor(), list(own)

        def place(pieces: Sequence[tuple[np.ndarray, Tensor]]) -> Tensor:
            none = pt.zeros(len(outcome.values))
            return sum((none[at].inc(piece) for at, piece in pieces), start=none)

        def log_f(y: Tensor, eta: Tensor, *values: Tensor) -> Tensor:
            of_names = dict(zip(names, values, strict=True))
            return self._log_f(
                outcome.values, y, outcome.trials, eta, of_names, link, lambda x, at: x[at] if x.ndim else x, place
            )

        def draw(eta: Tensor, *rest: Any) -> Tensor:
            *values, size = rest
            return self._random(name, names, link, self.bounds_of(outcome.trials))(
                eta, *values, size=size, rng=pt.random.shared_rng(seed=None), return_next_rng=True
            )[1]

        called = "Censored" if self.open else "Truncated"
        observe_rows(name, f"{called}{self.family.name}", outcome, [eta, *own.values()], log_f, draw)

    def _log_f(
        self,
        values: np.ndarray,
        y: Array,
        trials: np.ndarray | None,
        eta: Array,
        own: Mapping[str, Array],
        link: str,
        take: Callable[[Array, np.ndarray], Array],
        place: Callable[[Sequence[tuple[np.ndarray, Array]]], Array],
    ) -> Array:
        """log f of rows whose `values` are data; `place` puts what is of some rows among all."""
        if trials is None or not trials[:, 0].any():
            log_f = self.family.log_density(y, eta, own, link, None)
        else:
            known, limited = (np.flatnonzero(rows) for rows in (trials[:, 0] == 0, trials[:, 0] != 0))
            alike = np.lexsort((values[limited], trials[limited, 0]))  # side by side, so that lanes take equally long
            limited = limited[alike]
            pieces = [
                (at, of(at, take(eta, at), {name: take(x, at) for name, x in own.items()}))
                for at, of in (
                    (known, lambda at, eta, own: self.family.log_density(take(y, at), eta, own, link, None)),
                    (limited, lambda at, eta, own: self.law.log_mass(*self._within(values[at], trials[at]), eta, own)),
                )
                if len(at)
            ]
            log_f = place(pieces)
        if self.open:
            return log_f
        return log_f - self.law.log_mass(*self.ends(self.bounds_of(trials)), eta, own)

    def _within(self, y: np.ndarray, trials: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """low and high (n,) of censored values, with P(low < Y <= high) that of what is known of them."""
        status, upper, *_ = trials.T
        low, high = (
            np.where(status == CENSORING["left"], -np.inf, y),
            np.where(status == CENSORING["right"], np.inf, upper),
        )
        lowest, highest = self.ends(self.bounds_of(trials))
        return np.maximum(low, lowest), np.minimum(high, highest)

    # ---------------------------------------------------------------------------------------------- moments and draws

    def moments(self, eta: np.ndarray, own: Own, link: str) -> tuple[np.ndarray, np.ndarray]:
        """Of what is seen."""
        return self.law.within(*self.ends(own), eta, self._on_their_scales(own))

    def count_alone(self, eta: np.ndarray, own: Own) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """E(y), E(y^2) and P(y > 0) of counts that are seen."""
        mean, variance = self.moments(eta, own, "log")
        (low, high), log_mass, own = self.ends(own), self.law.log_mass, self._on_their_scales(own)
        above = np.ones_like(mean)
        if np.any(low < 0):
            above = np.where(low < 0, np.exp(log_mass(0.0, high, eta, own) - log_mass(low, high, eta, own)), 1.0)
        return mean, variance + mean**2, above

    def draw(self, rng: np.random.Generator, eta: np.ndarray, own: Own, link: str) -> np.ndarray:
        """Responses between the bounds: drawn again where they are outside, and where that goes on by the inverse of the distribution
        function."""
        own = {name: np.broadcast_to(x, eta.shape) for name, x in own.items()}
        y = np.asarray(self._plain(rng, eta, own, link), float)
        lb, ub = self.bounds(own)
        for tries_left in reversed(range(_TRIES)):
            outside = (y < lb) | (y > ub)
            if not outside.any():
                break
            again = self._plain if tries_left else self._inverse
            y[outside] = again(rng, eta[outside], {name: x[outside] for name, x in own.items()}, link)
        return y

    def _plain(self, rng: np.random.Generator, eta: np.ndarray, own: Own, link: str) -> np.ndarray:
        own = {name: x for name, x in own.items() if name not in self.columns}
        if self.family.draw is not None:
            return self.family.draw(rng, eta, own, link)
        return self.law.frozen(eta, own).rvs(size=eta.shape, random_state=rng)

    def _inverse(self, rng: np.random.Generator, eta: np.ndarray, own: Own, link: str) -> np.ndarray:
        of, (low, high), (lb, ub), u = (
            self.law.frozen(eta, own),
            self.ends(own),
            self.bounds(own),
            rng.random(eta.shape),
        )
        from_below = of.ppf(of.cdf(low) + u * (of.cdf(high) - of.cdf(low)))
        from_above = of.isf(of.sf(high) + u * (of.sf(low) - of.sf(high)))
        y = np.where(of.sf(low) < 0.5, from_above, from_below)
        nearest = np.where(np.isfinite(lb), lb, ub)
        return np.clip(np.where(np.isfinite(y), y, nearest), lb, ub)

    def _on_their_scales(self, own: Own) -> dict[str, np.ndarray]:
        return {of.name: of.on_its_scale(own[of.name]) for of in self.family.own if of.name in own}

    def _random(self, name: str, names: Sequence[str], link: str, of_rows: Mapping[str, np.ndarray]) -> Any:
        """A random variable of eta and the own parameters on their scales, which `draw` draws between the bounds `of_rows`."""
        from pytensor.tensor.random.op import RandomVariable

        seen, scales = self, {of.name: of.scale for of in self.family.own}

        class SeenRV(RandomVariable):
            def rng_fn(self, rng: np.random.Generator, eta: np.ndarray, *rest: Any) -> np.ndarray:  # pyright: ignore[reportIncompatibleMethodOverride]
                *values, size = rest
                shape = np.broadcast_shapes(*(np.shape(x) for x in (eta, *values))) if size is None else tuple(size)
                own = {of: LINKS[scales[of]].inverse(x) for of, x in zip(names, values, strict=True)}
                return seen.draw(rng, np.broadcast_to(eta, shape), {**own, **of_rows}, link)

        return SeenRV(f"seen_{name}", signature=f"(){',()' * len(names)}->()", dtype="float64")

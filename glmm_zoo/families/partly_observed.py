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
from glmm_zoo.families.family import Family
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
    seen = _Seen(family, *(response.bounds or (-np.inf, np.inf)))
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
        findings=tuple(f for f in family.findings if f != "zeros" or seen.lb <= 0),
        counted=family.counted and f"{family.counted} before truncation",
        count_alone=family.count_alone and seen.count_alone,
    )


def bounds_words(lb: float, ub: float) -> str:
    """ "from 1 on", "up to 10", "from 0 to 10"."""
    return f"up to {ub:g}" if np.isinf(lb) else f"from {lb:g} {f'to {ub:g}' if np.isfinite(ub) else 'on'}"


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
    """A family whose responses are seen from `lb` to `ub`."""

    family: Family
    lb: float
    ub: float

    @property
    def law(self) -> Law:
        assert self.family.law is not None
        return self.family.law

    @property
    def ends(self) -> tuple[float, float]:
        """low and high with P(low < Y <= high) that of what is seen."""
        return (float(np.ceil(self.lb)) - 1 if self.family.responses == "count" else self.lb), self.ub

    # ------------------------------------------------------------------------------------------------------- reading

    def read(self, table: Table, response: Response, choice: Any) -> Outcome:
        """The response with what is known of each value in `trials` (n, 2): its code, and the upper end of its interval."""
        outcome = self.family.read(table, response, choice)
        y, name = outcome.values, outcome.name
        bad = (y < self.lb) | (y > self.ub)
        if bad.any():
            raise InputError(
                f"response {name!r} is truncated to values {bounds_words(self.lb, self.ub)}; {plural(int(bad.sum()), 'value')} not "
                f"({y[bad][0]:g}, {table.at(bad)}); correct the bounds of trunc(), or drop what cannot have been seen"
            )
        said = [] if response.bounds is None else [f"values {bounds_words(self.lb, self.ub)}"]
        trials = None
        if response.censoring:
            status, upper = self._limits(table, response, outcome)
            trials = np.column_stack([status, upper])
            said += [
                f"{int((status == code).sum())} {word}-censored"
                for word, code in CENSORING.items()
                if code and (status == code).any()
            ]
        return replace(outcome, trials=trials, description=", ".join([outcome.description, *said]))

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
            return self._random(name, names, link)(
                eta, *values, size=size, rng=pt.random.shared_rng(seed=None), return_next_rng=True
            )[1]

        called = "Truncated" if np.isfinite([self.lb, self.ub]).any() else "Censored"
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
            pieces = [
                (at, of(at, take(eta, at), {name: take(x, at) for name, x in own.items()}))
                for at, of in (
                    (known, lambda at, eta, own: self.family.log_density(take(y, at), eta, own, link, None)),
                    (limited, lambda at, eta, own: self.law.log_mass(*self._within(values[at], trials[at]), eta, own)),
                )
                if len(at)
            ]
            log_f = place(pieces)
        if np.isinf([self.lb, self.ub]).all():
            return log_f
        return log_f - self.law.log_mass(*self.ends, eta, own)

    def _within(self, y: np.ndarray, trials: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """low and high (n,) of censored values, with P(low < Y <= high) that of what is known of them."""
        status, upper = trials.T
        low, high = (
            np.where(status == CENSORING["left"], -np.inf, y),
            np.where(status == CENSORING["right"], np.inf, upper),
        )
        return np.maximum(low, self.ends[0]), np.minimum(high, self.ends[1])

    # ---------------------------------------------------------------------------------------------- moments and draws

    def moments(self, eta: np.ndarray, own: Own, link: str) -> tuple[np.ndarray, np.ndarray]:
        """Of what is seen."""
        return self.law.within(*self.ends, eta, self._on_their_scales(own))

    def count_alone(self, eta: np.ndarray, own: Own) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """E(y), E(y^2) and P(y > 0) of counts that are seen."""
        mean, variance = self.moments(eta, own, "log")
        above = np.ones_like(mean)
        if self.lb <= 0:
            own = self._on_their_scales(own)
            (low, high), log_mass = self.ends, self.law.log_mass
            above = np.exp(log_mass(0.0, high, eta, own) - log_mass(low, high, eta, own))
        return mean, variance + mean**2, above

    def draw(self, rng: np.random.Generator, eta: np.ndarray, own: Own, link: str) -> np.ndarray:
        """Responses between the bounds: drawn again where they are outside, and where that goes on by the inverse of the distribution
        function."""
        own = {name: np.broadcast_to(x, eta.shape) for name, x in own.items()}
        y = np.asarray(self._plain(rng, eta, own, link), float)
        for tries_left in reversed(range(_TRIES)):
            outside = (y < self.lb) | (y > self.ub)
            if not outside.any():
                break
            again = self._plain if tries_left else self._inverse
            y[outside] = again(rng, eta[outside], {name: x[outside] for name, x in own.items()}, link)
        return y

    def _plain(self, rng: np.random.Generator, eta: np.ndarray, own: Own, link: str) -> np.ndarray:
        if self.family.draw is not None:
            return self.family.draw(rng, eta, own, link)
        return self.law.frozen(eta, own).rvs(size=eta.shape, random_state=rng)

    def _inverse(self, rng: np.random.Generator, eta: np.ndarray, own: Own, link: str) -> np.ndarray:
        of, (low, high), u = self.law.frozen(eta, own), self.ends, rng.random(eta.shape)
        from_below = of.ppf(of.cdf(low) + u * (of.cdf(high) - of.cdf(low)))
        from_above = of.isf(of.sf(high) + u * (of.sf(low) - of.sf(high)))
        y = np.where(of.sf(low) < 0.5, from_above, from_below)
        nearest = np.where(np.isfinite(self.lb), self.lb, self.ub)
        return np.clip(np.where(np.isfinite(y), y, nearest), self.lb, self.ub)

    def _on_their_scales(self, own: Own) -> dict[str, np.ndarray]:
        return {of.name: of.on_its_scale(own[of.name]) for of in self.family.own if of.name in own}

    def _random(self, name: str, names: Sequence[str], link: str) -> Any:
        """A random variable of eta and the own parameters on their scales, which `draw` draws."""
        from pytensor.tensor.random.op import RandomVariable

        seen, scales = self, {of.name: of.scale for of in self.family.own}

        class SeenRV(RandomVariable):
            def rng_fn(self, rng: np.random.Generator, eta: np.ndarray, *rest: Any) -> np.ndarray:  # pyright: ignore[reportIncompatibleMethodOverride]
                *values, size = rest
                shape = np.broadcast_shapes(*(np.shape(x) for x in (eta, *values))) if size is None else tuple(size)
                own = {of: LINKS[scales[of]].inverse(x) for of, x in zip(names, values, strict=True)}
                return seen.draw(rng, np.broadcast_to(eta, shape), own, link)

        return SeenRV(f"seen_{name}", signature=f"(){',()' * len(names)}->()", dtype="float64")

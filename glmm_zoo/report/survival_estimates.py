"""What the figures of a joint survival model are drawn from: hazards, hazard ratios and risks by level of the marker, from the draws.

    log h(t | v) = log h(t) at the means + assoc (v - centre)                     the marker stays at v
    P(event in (L, L + w] | v) = 1 - mean_i exp(-int h_i(t | v) dt)                the marker is v at L and goes on as the average does

i goes over the subjects' covariates.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from glmm_zoo.estimands.event_rows import hazard_in_rows, subject_rows
from glmm_zoo.estimands.posterior import PosteriorDraws, posterior_draws
from glmm_zoo.joint.association import AssociationTerm
from glmm_zoo.joint.hazards import KRONROD, HazardModel
from glmm_zoo.joint.prediction.fitted import FittedJointModel, read_fitted_model
from glmm_zoo.plans.plan import PlannedOutcome
from glmm_zoo.results.about import About, about_of
from glmm_zoo.results.estimates import Estimates, summarised
from glmm_zoo.results.figures.marker_hazard import MarkerAxis, level_series
from glmm_zoo.results.figures.over_time import ROLES

_DRAWS, _RISK_DRAWS = 400, 200
_GRID = 40  # levels of the marker along which its hazard ratio is drawn
_MOST_LINES, _MOST_LEVELS = len(ROLES), 4
_LOG = r"log\(\s*(`[^`]+`|[\w.]+)\s*\)"


@dataclass(frozen=True)
class FollowedMarker:
    """The marker that the hazard follows by its value: its association term and the number of that, its outcome, and how it is shown."""

    number: int
    term: AssociationTerm
    part: PlannedOutcome
    axis: MarkerAxis

    def coded(self, shown: np.ndarray | float) -> np.ndarray:
        """Levels as they are shown, as the hazard has them."""
        return np.log(shown) if self.axis.log else np.asarray(shown, float)


class SurvivalEstimates:
    """A fit of `joint_survival`, read once, and what its figures need of it."""

    def __init__(self, tree: xr.DataTree):
        self.tree = tree
        self.about: About = about_of(tree)

    @cached_property
    def fit(self) -> FittedJointModel:
        return read_fitted_model(self.tree)

    @cached_property
    def draws(self) -> PosteriorDraws:
        return posterior_draws(self.tree, _DRAWS)

    @property
    def causes(self) -> list[str]:
        """The names of the causes, three at most; "" for an only one."""
        events = self.fit.hazard.events
        return list(events.causes[:_MOST_LINES]) if events.competing else [""]

    # ----------------------------------------------------------------------------------------------- times and markers

    @cached_property
    def landmark(self) -> float:
        """A round time by which half of the subjects are still followed: 1, 2, 5, 10, ..."""
        events = self.fit.hazard.events
        half = float(np.median(events.time))
        return max([t for t in level_series(half / 20, half) if t > events.origin], default=half)

    @cached_property
    def window(self) -> float:
        """A round while, at most an eighth of the longest follow-up."""
        horizon = self.fit.hazard.events.horizon
        return float(level_series(horizon / 80, horizon / 8)[-1])

    @cached_property
    def marker(self) -> FollowedMarker | None:
        """The first marker whose value the hazard follows, in all subjects alike, on a scale on which it is measured; else None."""
        terms = self.fit.hazard.terms
        for number, term in enumerate(terms):
            part = self.fit.joint.parts[term.outcome]
            alike = not any(t.by is not None and t.outcome == term.outcome for t in terms)
            if term.form == "value" and alike and part.link in ("identity", "log"):
                return FollowedMarker(number, term, part, self.marker_axis(term.outcome, mean_scale=term.mean_scale))
        return None

    def of_log(self, outcome: int) -> bool:
        """Whether a marker is the logarithm of a column, so that it is shown as the column on a log axis."""
        is_log = re.fullmatch(_LOG, self.fit.response_texts[outcome]) is not None
        return is_log and self.fit.joint.parts[outcome].link == "identity"

    def marker_axis(self, outcome: int, *, mean_scale: bool = False) -> MarkerAxis:
        """How a marker is shown: log(bili) as bili on a log axis, a count on a log axis where the hazard follows its logarithm."""
        part, text = self.fit.joint.parts[outcome], self.fit.response_texts[outcome]
        of_log = re.fullmatch(_LOG, text) if self.of_log(outcome) else None
        column = (of_log[1] if of_log else text.split("|")[0]).strip().strip("`")
        log = of_log is not None or (part.link == "log" and not mean_scale)
        measured = np.exp(part.outcome.values) if of_log else np.asarray(part.outcome.values, float)
        measured = measured[measured > 0] if log else measured
        middle = float(np.median(measured)) if len(measured) else 1.0
        nearest = level_series(middle / 3, middle * 3) if log else np.array([_rounded(middle)])
        reference = nearest[np.argmin(np.abs(np.log(nearest / middle)))] if log else nearest[0]
        said = self.about.outcome_of(part.name)
        name = said.outcome or self.about.name(column)
        name = f"expected {name}" if part.link == "log" else name
        return MarkerAxis(name, self.about.unit_of(column) or said.unit, log, measured, float(reference))

    def levels(self, marker: FollowedMarker) -> np.ndarray:
        """A few round levels of the marker, from low to high, on a log axis those where the hazard is high."""
        axis = marker.axis
        if not axis.log:
            return np.unique([_rounded(v) for v in np.quantile(axis.measured, [0.1, 0.5, 0.9])])
        series = level_series(*np.quantile(axis.measured, [0.05, 0.95]))
        rises = np.median(self._by_cause("assoc")[:, marker.number, 0]) > 0
        found = series[-_MOST_LEVELS:] if rises else series[:_MOST_LEVELS]
        return found if len(found) else np.array([axis.reference])

    # ------------------------------------------------------------------------------------------------------ estimates

    def ratios(self, marker: FollowedMarker) -> tuple[Estimates, Estimates]:
        """Hazard ratios along the marker, and that of a doubling, or of one standard deviation more, by cause."""
        axis, spread = marker.axis, float(np.std(marker.axis.measured))
        low, high = np.quantile(axis.measured, [0.01, 0.99])
        x = np.geomspace(low, high, _GRID) if axis.log else np.linspace(low, high, _GRID)
        step, size = (
            ("twice as high", np.log(2)) if axis.log else (f"{axis.level(_rounded(spread))} more", _rounded(spread))
        )
        shift = marker.coded(x) - marker.coded(axis.reference)
        assoc = self._by_cause("assoc")[:, marker.number]  # (S, causes)
        along = np.exp(assoc[:, :, None] * shift).reshape(self.draws.size, -1)
        of_line = [{"line": c, "marker": v, "measure": "ratio"} for c in self.causes for v in x]
        steps = [{"line": c, "step": step, "measure": "ratio"} for c in self.causes]
        return self._estimates(of_line, along), self._estimates(steps, np.exp(assoc * size))

    def hazards(self, marker: FollowedMarker | None) -> Estimates:
        """The hazard over time at the means of the covariates, for each cause, or with one cause for a few levels of the marker."""
        log_h = self._by_cause("surv_log_hazard")  # (S, times, causes)
        times = np.asarray(self.tree["posterior"]["surv_time"], float)
        if marker is None or len(self.causes) > 1:
            by_line, lines = log_h, self.causes
        else:
            levels = self.levels(marker)[:_MOST_LINES]
            shift = marker.coded(levels) - marker.term.centre
            by_line = log_h + self.draws["assoc"][:, marker.number, None, None] * shift
            lines = [marker.axis.level(v) for v in levels]
        of = [{"line": line, "time": t, "measure": "hazard"} for line in lines for t in times]
        return self._estimates(of, np.exp(by_line).transpose(0, 2, 1).reshape(len(by_line), -1))

    def risks(self, marker: FollowedMarker) -> Estimates | None:
        """The risk of the event in the window after the landmark by level of the marker then; None with several causes, where events come
        again, and where the hazard follows an area or shared effects of the marker, which its level does not tell."""
        fit = self.fit
        if (
            len(self.causes) > 1
            or fit.hazard.events.recurrent
            or any(t.form not in ("value", "slope") for t in fit.hazard.terms)
        ):
            return None
        draws = posterior_draws(self.tree, _RISK_DRAWS)
        hazard, weight = _in_distinct_rows(fit)
        m, levels = len(weight), self.levels(marker)
        L, w = self.landmark, self.window
        t = np.append(L, L + w * (1 + KRONROD[0]) / 2)
        subject = np.repeat(np.arange(m), len(t))
        points = hazard.points(subject, subject, np.tile(t, m))
        values = np.empty((draws.size, len(levels)))
        for s in range(draws.size):
            value_of = _at_zero_effects(fit, draws, s, m)
            log_h = np.broadcast_to(hazard.log_hazard(points, None, value_of, np), len(subject)).reshape(m, -1)[:, 1:]
            at_landmark = hazard.term_value(points, marker.number, value_of, np).reshape(m, -1)[:, :1]
            shift = marker.coded(levels)[:, None] - at_landmark[:, 0]  # (levels, m)
            H = (np.exp(log_h) @ (KRONROD[1] * w / 2)) * np.exp(draws["assoc"][s, marker.number] * shift)
            values[s] = -np.expm1(-H) @ weight
        of = pd.DataFrame({"marker": levels, "measure": "risk"})
        return summarised(of, draws.by_chain(values), "")

    def _by_cause(self, name: str) -> np.ndarray:
        """Draws (S, ..., causes) of a variable, also with one cause."""
        values = self.draws[name]
        return values[..., : len(self.causes)] if len(self.causes) > 1 else values[..., None]

    def _estimates(self, of: Iterable[dict[str, Any]], values: np.ndarray) -> Estimates:
        return summarised(pd.DataFrame(of), self.draws.by_chain(values), "")

    # ----------------------------------------------------------------------------------------------------- the patients

    def measurements(self, outcome: int = 0) -> pd.DataFrame:
        """The measurements of a marker as they are shown: id, time, value."""
        part, fit = self.fit.joint.parts[outcome], self.fit
        rows = fit.joint.table.take(np.searchsorted(fit.joint.table.row_numbers, part.rows))
        codes, labels = rows[fit.id].group_labels()
        values = np.asarray(part.outcome.values, float)
        if self.of_log(outcome):
            values = np.exp(values)
        return pd.DataFrame({"id": np.array(labels)[codes], "time": rows[fit.time].numbers("time"), "value": values})

    def three_patients(self) -> dict[str, str]:
        """Of those still followed at the landmark, the ids of those whose last measurement by then is low, in the middle and high, with the
        words for that: near the 10th, 50th and 90th of 100 the one that was measured most often."""
        events, L = self.fit.hazard.events, self.landmark
        followed = {i for i, a, b in zip(events.ids, events.entry, events.time, strict=True) if a <= L < b}
        seen = self.measurements()
        seen = seen[seen["id"].isin(followed) & (seen["time"] <= L)].sort_values("time", kind="stable")
        last = seen.groupby("id")["value"].agg(["last", "size"]).sort_values("last", kind="stable")
        found = {}
        for word, share in (("low", 0.1), ("middle", 0.5), ("high", 0.9)):
            near = last.iloc[round((share - 0.05) * (len(last) - 1)) : round((share + 0.05) * (len(last) - 1)) + 1]
            found[str(near["size"].idxmax())] = word
        return found


def _at_zero_effects(fit: FittedJointModel, draws: PosteriorDraws, s: int, rows: int) -> Any:
    """Looks up one draw of a variable, of group effects zeros for each of so many rows."""
    zeros = {g.name("u"): np.zeros((rows, len(g.labels))) for g in fit.hazard.groups}
    return lambda name: zeros[name] if name in zeros else draws[name][s]


def _in_distinct_rows(fit: FittedJointModel) -> tuple[HazardModel, np.ndarray]:
    """The hazards of the covariates that occur among the subjects, each once, and their shares (m,)."""
    rows = subject_rows(fit)
    needed = [c for name, c in rows.columns.items() if name not in (fit.id, fit.time)]
    codes = np.column_stack([np.unique(c.values, return_inverse=True)[1] for c in needed if len(c.values)])
    _, first, counts = np.unique(codes, axis=0, return_index=True, return_counts=True)
    return hazard_in_rows(fit, rows.take(first)), counts / counts.sum()


def _rounded(value: float) -> float:
    """Two significant digits."""
    return float(f"{value:.2g}")

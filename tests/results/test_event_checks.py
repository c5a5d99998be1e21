"""Events over time and along covariates: the verdict of true and of wrong models, and its limit."""

from __future__ import annotations

import numpy as np
import pytest

from glmm_zoo.families.event_times import RowsFollowed
from glmm_zoo.results.about import About
from glmm_zoo.results.fit_checks.events import checks_of_rows, expected_events, judged_events
from glmm_zoo.results.fit_checks.fit_check import PATTERN
from glmm_zoo.results.predicted_rows import PredictedRows

N, DRAWS = 300, 800


def simulated(seed: int, shape: float = 1.0, slope: float = 0.0) -> tuple[PredictedRows, RowsFollowed]:
    """Weibull times with a slope along x, censored, late in part, and what a model with a constant hazard, its posterior known, predicts."""
    rng = np.random.default_rng(seed)
    x, start = rng.standard_normal(N), np.where(rng.random(N) < 0.3, rng.uniform(0, 0.5, N), 0.0)
    scale = np.exp(-slope * x)
    t = scale * ((start / scale) ** shape + rng.exponential(size=N)) ** (1 / shape)
    last = start + rng.uniform(0.3, 3.0, N)
    stop, status = np.minimum(t, last), (t <= last).astype(float)
    rates = rng.gamma(status.sum(), 1 / (stop - start).sum(), DRAWS)
    drawn = start + rng.exponential(size=(DRAWS, N)) / rates[:, None]
    arm = np.where(rng.random(N) < 0.5, "a", "b")
    rows = PredictedRows(
        "t", "t", "time", stop, drawn, lambda: np.full((DRAWS, N), 1 / DRAWS), None, np.arange(N), {"x": x, "arm": arm}
    )
    return rows, RowsFollowed(start, stop, stop, status)


def states(seed: int, **wrong: float) -> dict[str, str]:
    checks = checks_of_rows(*simulated(seed, **wrong), About())
    return dict(zip(("time", "x", "arm"), (check.state for check in checks), strict=True))


def test_true_models_are_called_sound() -> None:
    """Nominally 3 % are called doubtful; fits have made their estimates of the same rows, so that it is less."""
    doubted = sum("caution" in states(seed).values() for seed in range(100))
    assert doubted <= 5


@pytest.mark.parametrize(
    ("wrong", "where"), [({"shape": 2.0}, "time"), ({"shape": 0.5}, "time"), ({"slope": 0.6}, "x")]
)
def test_wrong_models_are_found_where_they_are_wrong(wrong: dict, where: str) -> None:
    assert states(7, **wrong)[where] == "caution"


def test_expected_events_are_the_cumulative_hazard() -> None:
    rows, followed = simulated(3)
    rate = followed.status.sum() / (followed.stop - followed.start).sum()
    found = expected_events(rows, followed.stop)
    np.testing.assert_allclose(found.sum(), rate * (followed.stop - followed.start).sum(), rtol=0.02)


def test_the_verdict_changes_at_its_limit() -> None:
    """Of one part with 100 expected, P(|N - 100| >= k) of a Poisson count is 0.0314 at k = 22 and 0.0243 at k = 23."""
    limit = {k: judged_events("t", "x", np.array([100.0 + k]), np.array([100.0]), {0: "here"}, 1) for k in (22, 23)}
    assert limit[22].state == "sound" and limit[23].state == "caution"
    assert limit[23].p < PATTERN <= limit[22].p
    assert "here 123 came and 100.0 were expected" in limit[23].sentences[0]
    many = judged_events("t", "x", np.array([123.0]), np.array([100.0]), {0: "here"}, 2)
    assert many.state == "sound"

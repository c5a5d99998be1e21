"""The simulator of joint models: its event times, causes, markers and entries follow the model they are drawn from."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest
from joint_simulation import cumulative, simulate, until
from numpy.typing import ArrayLike
from scipy.integrate import quad
from scipy.special import expit
from scipy.stats import kstest, norm

FREE = {"visits": [0.0], "censoring": (1e6, 1e6)}
MODEL: dict[str, Any] = {
    "beta": (0.5, 0.3, -0.2),
    "sd": (0.8, 0.3),
    "corr": -0.7,
    "sigma": 0.0,
    "gamma": 0.4,
    "alpha": 0.6,
    "shape": 1.4,
    "scale": 6.0,
}
FIXED = MODEL | {"sd": (0.0, 0.0)}


def p_of_exponential(x: np.ndarray) -> float:
    return kstest(x, "expon").pvalue


@pytest.mark.parametrize("shape", [0.6, 1.4, 3.0])
@pytest.mark.parametrize("slope", [-3.0, -0.1, 0.0, 0.1, 2.0])
def test_cumulative_hazard_is_its_integral_and_is_inverted(shape, slope):
    t, one = np.array([0.01, 1.0, 5.0]), np.ones((1, 1))
    H = cumulative(t, 0.3 * one, slope * one, shape * one, 2.0 * one)[0]
    tail = {"weight": "alg", "wvar": (shape - 1, 0), "epsabs": 0, "epsrel": 1e-12}  # s^(shape - 1) outside
    for i in range(3):
        integral = quad(lambda s: np.exp(0.3 + slope * s) * shape / 2.0**shape, 0, t[i], **tail)[0]
        assert H[i] == pytest.approx(integral, rel=1e-9)
    found = until(H[:2], np.full(2, 50.0), 0.3 * one, slope * one, shape * one, 2.0 * one)
    np.testing.assert_allclose(found, t[:2], rtol=1e-9)


def test_without_association_times_are_weibull():
    _, d = simulate(4000, 1, **MODEL | FREE | {"alpha": 0.0})
    assert (d.death == 1).all()
    assert p_of_exponential(np.exp(0.4 * d.drug) * (d.years / 6.0) ** 1.4) > 0.01


def test_a_constant_marker_shifts_the_rate():
    _, d = simulate(4000, 2, **FIXED | FREE | {"beta": (0.5, 0.0, 0.0)})
    assert p_of_exponential(np.exp(0.4 * d.drug + 0.6 * 0.5) * (d.years / 6.0) ** 1.4) > 0.01


def effects(rows: pd.DataFrame, d: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
    """eta(0) and its slope of each subject (n,), from two visits without error."""
    first, last = rows.groupby("id").first(), rows.groupby("id").last()
    slope = (last.y - first.y) / (last.time - first.time)
    return (first.y - slope * first.time)[d.id].to_numpy(), slope[d.id].to_numpy()


def integral(years: ArrayLike, start: ArrayLike, shape: float, scale: float, log_rate: Callable) -> np.ndarray:
    """Of shape / scale (t / scale)^(shape - 1) exp(log_rate(t)), start to years (n,), trapezoids in the root of time."""
    v = np.linspace(np.sqrt(start), np.sqrt(years), 401)  # (401, n)
    return np.trapezoid(shape / scale * (v**2 / scale) ** (shape - 1) * np.exp(log_rate(v**2)) * 2 * v, v, axis=0)


def z(died: np.ndarray, H: np.ndarray, x: ArrayLike) -> float:
    """Events minus cumulative hazards are a martingale of variance H: the sum of x times it (n,), in its sd."""
    return abs(np.sum(x * (died - H))) / np.sqrt(np.sum(np.square(x) * H))


@pytest.mark.parametrize("association", ["value", "slope", "shared"])
def test_cumulative_hazards_at_events_are_exponential(association):
    alpha = (0.6, -1.0) if association == "shared" else 0.6
    change = {"association": association, "alpha": alpha, "visits": [0, 1e-4], "censoring": (20, 20)}
    rows, d = simulate(5000, 8, **MODEL | change)
    level, slope = effects(rows, d)
    drug, died = d.drug.to_numpy(), (d.death == 1).to_numpy()
    f = {
        "value": lambda t: 0.6 * (level + slope * t),
        "slope": lambda t: 0.6 * slope + 0 * t,
        "shared": lambda t: 0.6 * (level - 0.5) - (slope - 0.3 + 0.2 * drug) + 0 * t,
    }[association]
    H, most = (integral(t, 0 * t, 1.4, 6.0, lambda t: 0.4 * drug + f(t)) for t in (d.years, np.full(5000, 20.0)))
    seen = kstest((np.expm1(-H) / np.expm1(-most))[died], "uniform").pvalue  # given that the event is seen by then
    assert seen > 0.01 and max(z(died, H, x) for x in (1, drug, level, slope)) < 3
    assert z(died, 1.1 * H, 1) > 3 and z(died, H * np.exp(0.1 * level), level) > 3  # these would be seen


def test_entries_censoring_and_causes():
    two = {"causes": 2, "gamma": (0.4, -0.2), "alpha": (0.6, 0.2), "shape": (1.4, 1.0), "scale": (6.0, 9.0)}
    rows, d = simulate(6000, 4, **MODEL | two | {"entry": (0, 3), "censoring": (1, 8), "visits": [0, 1e-6, 1, 2]})
    assert 3000 < len(d) < 5500 and set(d.death) == {0, 1, 2} and (d.years > d.entry).all()
    d = d[d.id.isin(rows.id.value_counts().loc[lambda k: k > 1].index)].reset_index(drop=True)
    level, slope = effects(rows, d)
    drug = d.drug.to_numpy()
    causes = [
        (1.4, 6.0, lambda t: 0.4 * drug + 0.6 * (level + slope * t)),
        (1.0, 9.0, lambda t: -0.2 * drug + 0.2 * (level + slope * t)),
    ]
    for k, cause in enumerate(causes, start=1):
        H, died = integral(d.years, d.entry, *cause), (d.death == k).to_numpy()
        assert max(z(died, H, x) for x in (1, drug, level, slope)) < 3
        assert z(died, integral(d.years, 0 * d.entry, *cause), 1) > 5  # as if at risk from 0
    assert (d.years[d.death == 0] < 8).all()


def test_visits_are_made_before_the_event():
    rows, d = simulate(500, 5, **MODEL | {"visits": [0, 1, 2, 5], "censoring": (3, 9)})
    assert d.columns.tolist() == ["id", "years", "death", "drug"] and rows.columns.tolist() == [
        "id",
        "time",
        "drug",
        "y",
    ]
    assert d.id.tolist() == list(range(500)) and d.drug.mean() == 0.5
    years = d.set_index("id").years
    assert (rows.time < years[rows.id].to_numpy()).all()
    assert len(rows) == sum((years > t).sum() for t in (0, 1, 2, 5))
    assert (rows.drug == d.set_index("id").drug[rows.id].to_numpy()).all()
    rows, d = simulate(500, 5, **MODEL | {"visits": [0, 1], "censoring": (3, 9), "entry": (1, 2)})
    start = d.set_index("id").entry[rows.id].to_numpy()
    assert set(np.round(rows.time - start, 9)) == {0, 1} and set(rows.id) == set(d.id)


def test_markers_follow_their_family():
    many = {"visits": [0.0, 1e-3], "censoring": (50, 50), "beta": (-0.5, 2.0, -1.0), "alpha": 0.0}
    rows, d = simulate(4000, 6, **MODEL | many)
    level, slope = effects(rows, d)
    u = np.stack([level + 0.5, slope - 2 + d.drug])
    for x, s in zip(u, (0.8, 0.3), strict=True):
        assert kstest(x / s, norm.cdf).pvalue > 0.01
    assert abs(np.corrcoef(u)[0, 1] + 0.7) < 3 * (1 - 0.7**2) / np.sqrt(4000)
    many |= {"visits": [0.0, 0.5, 1.0], "scale": 1e4}
    mean = {"gaussian": lambda eta: eta, "bernoulli": expit, "poisson": np.exp}
    for family, inverse in mean.items():
        rows, _ = simulate(3000, 7, **FIXED | many | {"family": family, "sigma": 0.7})
        m = inverse(-0.5 + 2.0 * rows.time - rows.drug * rows.time).to_numpy()
        variance = {"gaussian": 0.49 + 0 * m, "bernoulli": m * (1 - m), "poisson": m}[family]
        for x in (1.0, rows.time, rows.drug):
            assert abs(np.sum(x * (rows.y - m))) / np.sqrt(np.sum(x * x * variance)) < 3
        assert np.mean((rows.y - m) ** 2 / variance) == pytest.approx(1, abs=0.06)


def test_a_seed_is_a_data_set():
    again = [simulate(40, seed, **MODEL | {"visits": [0, 1], "censoring": (3, 9)}) for seed in (1, 1, 2)]
    for one, other in zip(again[0], again[1], strict=True):
        pd.testing.assert_frame_equal(one, other)
    assert not again[0][1].equals(again[2][1])

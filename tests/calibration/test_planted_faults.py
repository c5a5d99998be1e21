"""What a calibration of 200 simulations finds: thirteen faults, planted one by one in draws that are otherwise of the exact posterior."""

from __future__ import annotations

import numpy as np
import pytest
from exact_model import FAULTS, ranks_of_one

from glmm_zoo.calibration.calibrate import SimulationBasedCalibration

KEPT = ("a dropped Jacobian", "group effects shrunk twice by 10 %", "a prior 20 % too narrow")  # in make test


def calibration(n: int, fault: str = "") -> SimulationBasedCalibration:
    rng = np.random.default_rng(0)
    return SimulationBasedCalibration(
        tuple(
            {"simulation": i, "refused": 0, "sound": True, "divergences": 0, "ranks": ranks_of_one(rng, fault)}
            for i in range(n)
        )
    )


@pytest.mark.promise("calibration")
def test_draws_of_the_posterior_are_calibrated() -> None:
    assert calibration(200).calibrated


@pytest.mark.promise("calibration")
@pytest.mark.parametrize("fault", [f if f in KEPT else pytest.param(f, marks=pytest.mark.slow) for f in FAULTS])
def test_a_planted_fault_is_found_by_200_simulations(fault: str) -> None:
    found = calibration(200, fault)
    assert not found.calibrated, found.sentence

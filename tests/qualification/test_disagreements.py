"""Numbers in which other programs are known to be off: what these gave, by `tests/references/laplace.R`, and what is exact, by quadrature."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.special import expit, log_expit, logsumexp

from glmm_zoo.qualification import cases
from glmm_zoo.qualification.cases import read_case

FOLDER = Path(cases.__file__).parent / cases.DISAGREEMENTS
REFERENCES = Path(__file__).parents[1] / "references"
NAMES = {"Intercept": "(Intercept)", "sd_id[Intercept]": "sd"}
_Z, _W = np.polynomial.hermite_e.hermegauss(80)


def marginal(d: pd.DataFrame, eta: np.ndarray, sd: float, density) -> float:
    """The log-likelihood, a person's effect integrated over; `density` of each row at linear predictors (n, points)."""
    by_row = density(eta[:, None] + sd * _Z)
    by_person = pd.DataFrame(by_row).groupby(d["id"].to_numpy()).sum().to_numpy()
    return float(logsumexp(by_person + np.log(_W / _W.sum()), axis=1).sum())


def of_ohio(d: pd.DataFrame, p: dict[str, float]) -> float:
    eta = p["(Intercept)"] + p["age"] * d["age"] + p["smoke"] * d["smoke"] + p["age:smoke"] * d["age"] * d["smoke"]
    sign = np.where(d["resp"] == 1, 1, -1)[:, None]
    return marginal(d, eta.to_numpy(), p["sd"], lambda eta: log_expit(sign * eta))


def of_wanting(d: pd.DataFrame, p: dict[str, float]) -> float:
    eta = (
        p["itemscold"] * (d["item"] == "scold")
        + p["itemshout"] * (d["item"] == "shout")
        + p["GenderM"] * (d["Gender"] == "M")
    )
    cut = np.array([-np.inf, p["no|perhaps"], p["perhaps|yes"], np.inf])
    k = d["resp"].map({"no": 0, "perhaps": 1, "yes": 2}).to_numpy()
    low, high = cut[k][:, None], cut[k + 1][:, None]
    return marginal(d, eta.to_numpy(), p["sd"], lambda eta: np.log(expit(high - eta) - expit(low - eta)))


@pytest.mark.parametrize(
    ("name", "file", "log_likelihood"),
    [("ohio_laplace", "ohio.csv", of_ohio), ("verbagg_wanting_laplace", "verbagg_wanting.csv", of_wanting)],
)
def test_what_is_registered_is_off_and_what_it_is_compared_with_is_exact(name: str, file: str, log_likelihood) -> None:
    """At the other program's estimates by quadrature the likelihood is at its top, at those by Laplace's approximation it is not; and the
    limits of the case tell the two apart."""
    d, found = pd.read_csv(FOLDER / file), json.loads((REFERENCES / f"{name}.json").read_text())["parameters"]
    laplace, exact = ({key: of[by] for key, of in found.items()} for by in ("estimate", "exact"))
    top = log_likelihood(d, exact)
    for key, value in exact.items():
        for step in (-0.01, 0.01):
            assert log_likelihood(d, {**exact, key: value + step}) < top
    assert log_likelihood(d, laplace) < top - 0.2
    for number in read_case(FOLDER / f"{name}.toml").file.numbers:
        theirs, right = (values[NAMES[number.parameter]] for values in (laplace, exact))
        if number.beyond is not None:
            assert number.value == pytest.approx(theirs, abs=1e-3) and number.beyond < 0.7 * abs(theirs - right)
        else:
            assert number.value == pytest.approx(right, abs=1e-3)


def test_the_data_are_those_of_the_tests() -> None:
    assert (FOLDER / "ohio.csv").read_bytes() == (REFERENCES.parent / "data" / "geepack_ohio.csv").read_bytes()

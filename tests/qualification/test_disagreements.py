"""Numbers in which other programs are known to be off: what these gave, by `tests/references/laplace.R` and `boundaries.R`, and what is exact, by
quadrature, or how flat the likelihood is about them."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.optimize import minimize
from scipy.special import expit, log_expit, logsumexp

from glmm_zoo.qualification import cases
from glmm_zoo.qualification.cases import read_case

FOLDER = Path(cases.__file__).parent / cases.DISAGREEMENTS
REFERENCES = Path(__file__).parents[1] / "references"
NAMES = {"Intercept": "(Intercept)", "sd_id[Intercept]": "sd"}
_Z, _W = np.polynomial.hermite_e.hermegauss(80)


def estimates(name: str) -> dict[str, float]:
    return {
        key: of["estimate"] for key, of in json.loads((REFERENCES / f"{name}.json").read_text())["parameters"].items()
    }


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
    top, others = log_likelihood(d, exact), [laplace]
    if name == "ohio_laplace":
        others.append(estimates("ohio_pql"))
        assert log_likelihood(d, others[1]) < top - 1
    for key, value in exact.items():
        for step in (-0.01, 0.01):
            assert log_likelihood(d, {**exact, key: value + step}) < top
    assert log_likelihood(d, laplace) < top - 0.2
    for number in read_case(FOLDER / f"{name}.toml").file.numbers:
        right = exact[NAMES[number.parameter]]
        theirs = min((of[NAMES[number.parameter]] for of in others), key=lambda value: abs(value - number.value))
        if number.beyond is not None:
            assert number.value == pytest.approx(theirs, abs=1e-3) and number.beyond < 0.7 * abs(theirs - right)
        else:
            assert number.value == pytest.approx(right, abs=1e-3)


def test_the_data_are_those_of_the_tests() -> None:
    assert (FOLDER / "ohio.csv").read_bytes() == (REFERENCES.parent / "data" / "geepack_ohio.csv").read_bytes()


def restricted(d: pd.DataFrame, sd: np.ndarray, corr: float, sigma: float) -> float:
    """The restricted log-likelihood of the bitterness of wine, but for a constant."""
    warm = (d["temp"] == "warm").to_numpy(float)
    contact = (d["contact"] == "yes").to_numpy(float)
    X = np.column_stack([np.ones(len(d)), warm, contact, warm * contact])
    Z = np.column_stack([np.ones(len(d)), warm]) * sd
    same = d["judge"].to_numpy()[:, None] == d["judge"].to_numpy()
    V = same * (Z @ np.array([[1, corr], [corr, 1]]) @ Z.T) + sigma**2 * np.eye(len(d))
    inverse = np.linalg.inv(V)
    of_beta = X.T @ inverse @ X
    r = d["response"] - X @ np.linalg.solve(of_beta, X.T @ inverse @ d["response"])
    return float(-0.5 * (np.linalg.slogdet(V)[1] + np.linalg.slogdet(of_beta)[1] + r @ inverse @ r))


def test_a_correlation_of_one_is_hardly_more_likely_than_others() -> None:
    """lmer's estimates are where the restricted likelihood is highest; 0 is more than half as likely."""
    d, at = pd.read_csv(FOLDER / "wine_singular.csv"), estimates("wine_singular")
    assert read_case(FOLDER / "wine_singular.toml").file.numbers[0].value == pytest.approx(at["corr"], abs=1e-3)
    start = np.log([at["sd_Intercept"], at["sd_warm"], at["sigma"]])
    top = restricted(d, np.exp(start[:2]), at["corr"], at["sigma"])

    def profile(corr: float) -> float:
        of = minimize(lambda v: -restricted(d, np.exp(v[:2]), corr, np.exp(v[2])), start, method="Nelder-Mead")
        return -of.fun

    found = [profile(corr) for corr in (0.0, 0.5, 0.9, 1.0 - 1e-8)]
    assert found == sorted(found) and found[-1] == pytest.approx(top, abs=1e-3)
    assert top - found[0] < np.log(2)


def test_a_spread_of_zero_is_hardly_more_likely_than_others() -> None:
    """The restricted likelihood of tau falls from 0 on, and slowly: 0.3 is more than half as likely; sds by inverse variances, with no metafor."""
    d, at = pd.read_csv(FOLDER / "diuretics_zero_tau.csv"), estimates("diuretics_zero_tau")
    cells = np.array([d["events2"], d["n2"] - d["events2"], d["events1"], d["n1"] - d["events1"]], float)
    cells += 0.5 * (cells == 0).any(axis=0)  # in trials with an empty cell, as escalc does
    y, v = np.log(cells[0] * cells[3] / cells[1] / cells[2]), (1 / cells).sum(axis=0)

    def likelihood(tau: float) -> float:
        w = 1 / (v + tau**2)
        mean = (w * y).sum() / w.sum()
        return float(0.5 * (np.log(w).sum() - np.log(w.sum()) - (w * (y - mean) ** 2).sum()))

    w = 1 / v
    assert (w * y).sum() / w.sum() == pytest.approx(at["effect"], abs=1e-6)
    assert w.sum() ** -0.5 == pytest.approx(at["se"], abs=1e-6)
    assert at["tau_REML"] == at["tau_ML"] == at["tau_DL"] == 0
    found = [likelihood(tau) for tau in np.linspace(0, 1, 11)]
    assert found == sorted(found, reverse=True) and found[0] - found[3] < np.log(2)
    tau, effect = read_case(FOLDER / "diuretics_zero_tau.toml").file.numbers
    assert tau.value == 0 and effect.value == pytest.approx(at["se"], abs=1e-3)

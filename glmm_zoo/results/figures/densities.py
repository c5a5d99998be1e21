"""Densities on a grid: of draws by a kernel, and of priors in closed form."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from glmm_zoo.priors import Prior

_MOST_DRAWS = 1000
_FARTHEST = 40.0  # sinh of it is beyond all numbers that a prior may have


def kernel_density(draws: np.ndarray, grid: np.ndarray, low: float = -np.inf, high: float = np.inf) -> np.ndarray:
    """The density of draws (n,) on a grid (m,), by a normal kernel with Silverman's bandwidth, reflected at the ends of the support."""
    draws = draws[:: -(-len(draws) // _MOST_DRAWS)]
    quartiles = np.quantile(draws, [0.25, 0.75])
    spread = min(draws.std(ddof=1), float(np.ptp(quartiles)) / 1.34) or draws.std(ddof=1)
    width = 0.9 * spread * len(draws) ** -0.2
    mirrored = [2 * end - draws for end in (low, high) if np.isfinite(end)]
    z = grid[:, None] - np.concatenate([draws, *mirrored])  # which is reused, as it may have 10^5 numbers
    z /= width
    z *= z
    z *= -0.5
    return np.exp(z, out=z).sum(axis=1) / (len(draws) * width * np.sqrt(2 * np.pi))


def prior_density(prior: Prior, x: np.ndarray, levels: int = 2) -> np.ndarray:
    """The density of a prior at x (m,); of a correlation of `levels` effects, and of one of `levels` shares, where it is of these."""
    a = dict(prior.arguments)
    if prior.distribution == "LKJ":
        shape = a["eta"] + levels / 2 - 1
        return 0.5 * _beta((x + 1) / 2, shape, shape)
    if prior.distribution == "Dirichlet":
        return _beta(x, a["a"], a["a"] * (levels - 1))
    with np.errstate(all="ignore"):  # at the ends of the support
        density = _DENSITIES[prior.distribution](x, usual_arguments(prior.distribution, a))
    low, high = prior.interval
    return np.where((x >= low) & (x <= high), np.nan_to_num(density, posinf=np.nan), 0.0)


def prior_quantiles(prior: Prior, probabilities: np.ndarray, levels: int = 2) -> np.ndarray:
    """Quantiles of a prior, by adding up its density on a grid that is finest at its location."""
    low, high = {"LKJ": (-1.0, 1.0), "Dirichlet": (0.0, 1.0)}.get(prior.distribution, prior.interval)
    if np.isfinite(high - low):
        grid = np.linspace(low, high, 20001)
    else:
        a = usual_arguments(prior.distribution, dict(prior.arguments))
        location = a.get("mu", a.get("alpha", 0.0)) if low == -np.inf else 0.0
        steps = np.sinh(np.linspace(-_FARTHEST, _FARTHEST, 40001))
        grid = np.clip(location + _scale(prior.distribution, a) * steps, low, high)
        grid = grid[np.diff(grid, prepend=-np.inf) > 0]
    middles = (grid[1:] + grid[:-1]) / 2
    mass = np.nan_to_num(prior_density(prior, middles, levels)) * np.diff(grid)
    share = np.concatenate([[0], np.cumsum(mass)]) / mass.sum()
    return np.interp(probabilities, share, grid)


def _scale(distribution: str, a: Mapping[str, float]) -> float:
    """About how wide a distribution is."""
    if distribution == "LogNormal":
        return float(np.exp(a["mu"]))
    rate = {"Exponential": "lam", "Gamma": "beta"}.get(distribution)
    return 1 / a[rate] if rate else next(a[name] for name in ("sigma", "b", "s", "beta") if name in a)


def usual_arguments(distribution: str, a: dict[str, float]) -> dict[str, float]:
    """The arguments that a density is written in, where others were given."""
    if distribution == "Normal" and "tau" in a:
        return {"mu": a["mu"], "sigma": a["tau"] ** -0.5}
    if distribution == "Exponential" and "scale" in a:
        return {"lam": 1 / a["scale"]}
    if "mu" in a and distribution in ("Gamma", "InverseGamma", "Beta"):
        mean, variance = a["mu"], a["sigma"] ** 2
        if distribution == "Gamma":
            return {"alpha": mean**2 / variance, "beta": mean / variance}
        if distribution == "InverseGamma":
            return {"alpha": mean**2 / variance + 2, "beta": mean * (mean**2 / variance + 1)}
        total = mean * (1 - mean) / variance - 1
        return {"alpha": mean * total, "beta": (1 - mean) * total}
    return a


def _beta(x: np.ndarray, alpha: float, beta: float) -> np.ndarray:
    from scipy.special import betaln, xlog1py, xlogy

    inside = (x >= 0) & (x <= 1)
    x = np.where(inside, x, 0.5)
    return np.where(inside, np.exp(xlogy(alpha - 1, x) + xlog1py(beta - 1, -x) - betaln(alpha, beta)), 0.0)


def _student(z: np.ndarray, nu: float) -> np.ndarray:
    from scipy.special import gammaln

    constant = gammaln((nu + 1) / 2) - gammaln(nu / 2) - 0.5 * np.log(nu * np.pi)
    return np.exp(constant - (nu + 1) / 2 * np.log1p(z**2 / nu))


def _normal(z: np.ndarray) -> np.ndarray:
    return np.exp(-0.5 * z**2) / np.sqrt(2 * np.pi)


def _gamma(x: np.ndarray, alpha: float, beta: float) -> np.ndarray:
    from scipy.special import gammaln, xlogy

    return np.exp(alpha * np.log(beta) - gammaln(alpha) + xlogy(alpha - 1, x) - beta * x)


def _skew_normal(x: np.ndarray, a: Mapping[str, float]) -> np.ndarray:
    from scipy.special import ndtr

    z = (x - a["mu"]) / a["sigma"]
    return 2 * _normal(z) * ndtr(a["alpha"] * z) / a["sigma"]


_DENSITIES: Mapping[str, Callable[[np.ndarray, Mapping[str, float]], np.ndarray]] = {
    "Normal": lambda x, a: _normal((x - a["mu"]) / a["sigma"]) / a["sigma"],
    "StudentT": lambda x, a: _student((x - a["mu"]) / a["sigma"], a["nu"]) / a["sigma"],
    "Cauchy": lambda x, a: _student((x - a["alpha"]) / a["beta"], 1.0) / a["beta"],
    "Laplace": lambda x, a: np.exp(-np.abs(x - a["mu"]) / a["b"]) / (2 * a["b"]),
    "Logistic": lambda x, a: 1 / (4 * a["s"] * np.cosh((x - a["mu"]) / (2 * a["s"])) ** 2),
    "SkewNormal": _skew_normal,
    "Uniform": lambda x, a: np.full(x.shape, 1 / (a["upper"] - a["lower"])),
    "Exponential": lambda x, a: a["lam"] * np.exp(-a["lam"] * x),
    "HalfNormal": lambda x, a: 2 * _normal(x / a["sigma"]) / a["sigma"],
    "HalfCauchy": lambda x, a: 2 * _student(x / a["beta"], 1.0) / a["beta"],
    "HalfStudentT": lambda x, a: 2 * _student(x / a["sigma"], a["nu"]) / a["sigma"],
    "Gamma": lambda x, a: _gamma(x, a["alpha"], a["beta"]),
    "InverseGamma": lambda x, a: _gamma(1 / x, a["alpha"], a["beta"]) / x**2,
    "LogNormal": lambda x, a: _normal((np.log(x) - a["mu"]) / a["sigma"]) / (a["sigma"] * x),
    "Weibull": lambda x, a: (
        a["alpha"] / a["beta"] * (x / a["beta"]) ** (a["alpha"] - 1) * np.exp(-((x / a["beta"]) ** a["alpha"]))
    ),
    "Beta": lambda x, a: _beta(x, a["alpha"], a["beta"]),
}

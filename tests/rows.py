"""The one table that feeds the contract tests: what each builder variant must build, and its likelihood in SciPy.

A row says everything by hand: the columns of the design, the group effects, the density. Nothing here imports glmm_zoo.
To add a model, add at least one row; `test_every_builder_has_a_row` fails until then.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr
from scipy import stats
from scipy.special import expit, log_expit, log_ndtr

Values = Mapping[str, xr.DataArray]  # posterior variables by name, with their dims and labels
Labels = Mapping[str, tuple[str, ...]]


@dataclass(frozen=True)
class Row:
    """One variant of a builder.

    `free` and `posterior` give the dims of every variable; `coords` the labels of those dims that are not the levels of
    a factor. `X` and `Z` are the design by hand: columns by label, and by factor the level of each row and the
    covariates by effect. `moments` are the mean and standard deviation of each response. `columns` says what each
    column of the data is: "number", "binary", "label", "count", "factor", "group".
    """

    name: str
    builder: str
    formula: str
    columns: Mapping[str, str]
    free: Labels
    posterior: Labels
    coords: Labels
    X: Callable[[pd.DataFrame], Mapping[str, Any]]
    Z: Callable[[pd.DataFrame], Mapping[str, tuple[Any, Mapping[str, Any]]]]
    density: Callable[[pd.DataFrame, Values, np.ndarray], np.ndarray]
    moments: Callable[[pd.DataFrame, Values, np.ndarray], tuple[np.ndarray, np.ndarray]]
    support: Callable[[pd.DataFrame, np.ndarray], Any]
    offset: Callable[[pd.DataFrame], Any] = lambda d: 0.0
    options: Mapping[str, Any] = field(default_factory=dict)
    data: Callable[[], pd.DataFrame] = lambda: visits()

    def eta(self, d: pd.DataFrame, p: Values) -> np.ndarray:
        """Linear predictor (n,), by labels only."""
        eta = np.zeros(len(d)) + self.offset(d)
        if "Intercept" in p:
            eta = eta + p["Intercept"].item()
        for label, x in self.X(d).items():
            eta = eta + p["beta"].sel(coef=label).item() * np.asarray(x, float)
        for g, (level, covariates) in self.Z(d).items():
            at = xr.DataArray(np.asarray(level).astype(str), dims="row")
            for effect, z in covariates.items():
                eta = eta + np.asarray(z, float) * p[f"u_{g}"].sel({g: at, f"{g}_effect": effect}).values
        return eta

    def log_likelihood(self, d: pd.DataFrame, p: Values) -> np.ndarray:
        """Independent of glmm_zoo: log density of each response (n,)."""
        return self.density(d, p, self.eta(d, p))


# ----------------------------------------------------------------------------------------------------------- the data


def visits() -> pd.DataFrame:
    """72 rows: g has 9 levels (text), h 7 (integers), a 6 with wards b 1-3 in each, arm 3, sex 2."""
    rng, n = np.random.default_rng(7), 72
    i = np.arange(n)
    trials = rng.integers(1, 12, n)
    return pd.DataFrame(
        {
            "y": rng.normal(3.0, 2.0, n),
            "ill": rng.integers(0, 2, n),
            "reply": rng.choice(["no", "yes"], n),
            "k": rng.binomial(trials, 0.4),
            "n": trials,
            "x": rng.normal(1.0, 1.0, n),
            "w": rng.normal(size=n),
            "v": rng.uniform(-1.0, 1.0, n),
            "days": rng.uniform(1.0, 30.0, n),
            "arm": rng.choice(["low", "mid", "zero"], n),
            "sex": rng.choice(["f", "m"], n),
            "g": np.array(list("ABCDEFGHI"))[rng.permutation(i % 9)],
            "h": rng.permutation(i % 7) * 5 + 2,
            "a": np.array([f"a{j}" for j in i // 12]),
            "b": np.array([f"{j}" for j in (i // 4) % 3]),
        }
    )


# ------------------------------------------------------------------------------------------- densities, by SciPy only


def _gaussian(d, p, eta):
    return stats.norm.logpdf(d.y, eta, p["sigma"].item())


def _gaussian_moments(d, p, eta):
    return eta, np.full(len(d), p["sigma"].item())


def _bernoulli(success, log_p, log_q):
    return lambda d, p, eta: np.where(success(d), log_p(eta), log_q(eta))


def _bernoulli_moments(inverse):
    return lambda d, p, eta: (inverse(eta), np.sqrt(inverse(eta) * (1 - inverse(eta))))


def _binomial(d, p, eta):
    return stats.binom.logpmf(d.k, d.n, expit(eta))


def _binomial_moments(d, p, eta):
    return d.n.values * expit(eta), np.sqrt(d.n.values * expit(eta) * expit(-eta))


def _cloglog(eta):
    return -np.expm1(-np.exp(eta))


LOGIT = {
    "density": _bernoulli(lambda d: d.ill == 1, log_expit, lambda eta: log_expit(-eta)),
    "moments": _bernoulli_moments(expit),
    "support": lambda d, y: np.isin(y, [0, 1]),
}
PROBIT = LOGIT | {
    "density": _bernoulli(lambda d: d.ill == 1, log_ndtr, lambda eta: log_ndtr(-eta)),
    "moments": _bernoulli_moments(stats.norm.cdf),
}
CLOGLOG = LOGIT | {
    "density": _bernoulli(lambda d: d.ill == 1, lambda eta: np.log(_cloglog(eta)), lambda eta: -np.exp(eta)),
    "moments": _bernoulli_moments(_cloglog),
}
LABELS = LOGIT | {"density": _bernoulli(lambda d: d.reply == "yes", log_expit, lambda eta: log_expit(-eta))}
FLIPPED = LOGIT | {"density": _bernoulli(lambda d: d.reply == "no", log_expit, lambda eta: log_expit(-eta))}
BINOMIAL = {
    "density": _binomial,
    "moments": _binomial_moments,
    "support": lambda d, y: (y == np.round(y)) & (y >= 0) & (y <= d.n.values),
}
GAUSSIAN = {"density": _gaussian, "moments": _gaussian_moments, "support": lambda d, y: np.isfinite(y)}

# -------------------------------------------------------------------------------------------------- pieces of a model

SCALAR: tuple[str, ...] = ()


def _group(g: str, corr: int = 0) -> tuple[dict, dict]:
    """Free and posterior variables of a factor's effects; `corr` counts its correlated blocks."""
    free = {f"sd_{g}": (f"{g}_effect",), f"u_{g}": (g, f"{g}_effect")}
    posterior = free | ({f"corr_{g}": (f"{g}_effect", f"{g}_effect_bis")} if corr else {})
    names = [f"pcorr_{g}"] if corr == 1 else [f"pcorr_{g}_{b}" for b in range(corr)]
    return free | {name: (f"{name}_pair",) for name in names}, posterior


def _variables(*groups: tuple[dict, dict], sigma: bool = False, intercept: str = "Intercept_at_means") -> dict:
    """`free` and `posterior` of a model with beta."""
    free: dict = {"beta": ("coef",)} | ({intercept: SCALAR} if intercept else {}) | ({"sigma": SCALAR} if sigma else {})
    posterior = (
        {"beta": ("coef",)} | ({"Intercept": SCALAR} if intercept else {}) | ({"sigma": SCALAR} if sigma else {})
    )
    for f, p in groups:
        free, posterior = free | f, posterior | p
    return {"free": free, "posterior": posterior}


def _x(d):
    return {"x": d.x}


def _g(d):
    return {"g": (d.g, {"Intercept": 1.0})}


def _g_slope(d):
    return {"g": (d.g, {"Intercept": 1.0, "x": d.x})}


ONE = ("Intercept",)
SLOPE = ("Intercept", "x")
PAIR = {"pcorr_g_pair": ("x|Intercept",)}
NUMBER = {"x": "number", "g": "group"}

ROWS = [
    Row(
        "linear", "hierarchical_linear", "y ~ x + (1 + x | g)", {"y": "number", **NUMBER},
        **_variables(_group("g", corr=1), sigma=True),
        coords={"coef": ("x",), "g_effect": SLOPE, "g_effect_bis": SLOPE, **PAIR}, X=_x, Z=_g_slope, **GAUSSIAN,
    ),
    Row(
        "linear uncentred", "hierarchical_linear", "y ~ x + (1 + x | g)", {"y": "number", **NUMBER},
        **_variables(_group("g", corr=1), sigma=True, intercept="Intercept"), options={"center": False},
        coords={"coef": ("x",), "g_effect": SLOPE, "g_effect_bis": SLOPE, **PAIR}, X=_x, Z=_g_slope, **GAUSSIAN,
    ),
    Row(
        "linear uncorrelated, offsets", "hierarchical_linear", "y ~ x + offset(log(days)) + offset(w) + (x || g)",
        {"y": "number", "days": "number", "w": "number", **NUMBER}, **_variables(_group("g"), sigma=True),
        coords={"coef": ("x",), "g_effect": SLOPE}, X=_x, Z=_g_slope, offset=lambda d: np.log(d.days) + d.w, **GAUSSIAN,
    ),
    Row(
        "linear, three effects", "hierarchical_linear", "y ~ x * sex + (1 + x + w | g)",
        {"y": "number", "w": "number", "sex": "factor", **NUMBER}, **_variables(_group("g", corr=1), sigma=True),
        coords={"coef": ("x", "sex[m]", "x:sex[m]"), "g_effect": (*SLOPE, "w"), "g_effect_bis": (*SLOPE, "w"),
                "pcorr_g_pair": ("x|Intercept", "w|Intercept", "w|x")},
        X=lambda d: {"x": d.x, "sex[m]": d.sex == "m", "x:sex[m]": d.x * (d.sex == "m")},
        Z=lambda d: {"g": (d.g, {"Intercept": 1.0, "x": d.x, "w": d.w})}, **GAUSSIAN,
    ),
    Row(
        "linear, two blocks", "hierarchical_linear", "y ~ x + (1 + x | g) + (0 + w + v | g)",
        {"y": "number", "w": "number", "v": "number", **NUMBER}, **_variables(_group("g", corr=2), sigma=True),
        coords={"coef": ("x",), "g_effect": (*SLOPE, "w", "v"), "g_effect_bis": (*SLOPE, "w", "v"),
                "pcorr_g_0_pair": ("x|Intercept",), "pcorr_g_1_pair": ("v|w",)},
        X=_x, Z=lambda d: {"g": (d.g, {"Intercept": 1.0, "x": d.x, "w": d.w, "v": d.v})}, **GAUSSIAN,
    ),
    Row(
        "linear nested", "hierarchical_linear", "y ~ x + (1 | a/b)",
        {"y": "number", "x": "number", "a": "group", "b": "group"},
        **_variables(_group("a"), _group("a:b"), sigma=True),
        coords={"coef": ("x",), "a_effect": ONE, "a:b_effect": ONE}, X=_x,
        Z=lambda d: {"a": (d.a, {"Intercept": 1.0}), "a:b": (d.a + ":" + d.b, {"Intercept": 1.0})}, **GAUSSIAN,
    ),
    Row(
        "linear, mixed priors", "hierarchical_linear", "y ~ x + w + v + (x || g)",
        {"y": "number", "w": "number", "v": "number", **NUMBER},
        options={
            "priors": {
                "Intercept": "Normal(1, 4)", "beta": "Normal(0, 2)", "beta[w]": "StudentT(4, 0.5, 1.5)",
                "sd": "HalfNormal(2)", "sd[g, x]": "Exponential(3)", "sigma": "Gamma(2, 1)",
            }
        },
        free={
            "beta_Normal": ("beta_Normal_coef",), "beta_StudentT": ("beta_StudentT_coef",), "Intercept_at_means": SCALAR,
            "sd_g_HalfNormal": ("sd_g_HalfNormal_g_effect",), "sd_g_Exponential": ("sd_g_Exponential_g_effect",),
            "u_g": ("g", "g_effect"), "sigma": SCALAR,
        },
        posterior=_variables(_group("g"), sigma=True)["posterior"],
        coords={
            "coef": ("x", "w", "v"), "g_effect": SLOPE, "beta_Normal_coef": ("x", "v"), "beta_StudentT_coef": ("w",),
            "sd_g_HalfNormal_g_effect": ONE, "sd_g_Exponential_g_effect": ("x",),
        },
        X=lambda d: {"x": d.x, "w": d.w, "v": d.v}, Z=_g_slope, **GAUSSIAN,
    ),
    Row(
        "logistic", "hierarchical_logistic", "ill ~ x + arm + (1 | g)", {"ill": "binary", "arm": "factor", **NUMBER},
        **_variables(_group("g")), coords={"coef": ("x", "arm[mid]", "arm[zero]"), "g_effect": ONE},
        X=lambda d: {"x": d.x, "arm[mid]": d.arm == "mid", "arm[zero]": d.arm == "zero"}, Z=_g, **LOGIT,
    ),
    Row(
        "logistic, two labels", "hierarchical_logistic", "reply ~ x + (1 + x | g)", {"reply": "label", **NUMBER},
        **_variables(_group("g", corr=1)), coords={"coef": ("x",), "g_effect": SLOPE, "g_effect_bis": SLOPE, **PAIR},
        X=_x, Z=_g_slope, **LABELS,
    ),
    Row(
        "logistic, success=", "hierarchical_logistic", "reply ~ x + (1 | h)",
        {"reply": "label", "x": "number", "h": "group"}, **_variables(_group("h")), options={"success": "no"},
        coords={"coef": ("x",), "h_effect": ONE}, X=_x, Z=lambda d: {"h": (d.h, {"Intercept": 1.0})}, **FLIPPED,
    ),
    Row(
        "binomial crossed", "hierarchical_logistic", "k | trials(n) ~ x + (1 | g) + (1 | h)",
        {"k": "count", "n": "count", "h": "group", **NUMBER}, **_variables(_group("g"), _group("h")),
        coords={"coef": ("x",), "g_effect": ONE, "h_effect": ONE}, X=_x,
        Z=lambda d: {"g": (d.g, {"Intercept": 1.0}), "h": (d.h, {"Intercept": 1.0})}, **BINOMIAL,
    ),
    Row(
        "binomial, offset, no intercept", "hierarchical_logistic", "k | trials(n) ~ 0 + arm + offset(w) + (1 | g)",
        {"k": "count", "n": "count", "arm": "factor", "w": "number", "g": "group"},
        **_variables(_group("g"), intercept=""), coords={"coef": ("arm[low]", "arm[mid]", "arm[zero]"), "g_effect": ONE},
        X=lambda d: {f"arm[{level}]": d.arm == level for level in ("low", "mid", "zero")}, Z=_g,
        offset=lambda d: d.w, **BINOMIAL,
    ),
    Row(
        "probit", "hierarchical_logistic", "ill ~ x + (1 | g)", {"ill": "binary", **NUMBER}, **_variables(_group("g")),
        options={"link": "probit"}, coords={"coef": ("x",), "g_effect": ONE}, X=_x, Z=_g, **PROBIT,
    ),
    Row(
        "cloglog", "hierarchical_logistic", "ill ~ x + (0 + x | g)", {"ill": "binary", **NUMBER},
        **_variables(_group("g")), options={"link": "cloglog"}, coords={"coef": ("x",), "g_effect": ("x",)}, X=_x,
        Z=lambda d: {"g": (d.g, {"x": d.x})}, **CLOGLOG,
    ),
]  # fmt: skip

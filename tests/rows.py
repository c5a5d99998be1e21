"""The one table that feeds the contract tests: what each builder variant must build, and its likelihood in SciPy.

A row says everything by hand: the columns of the design, the group effects, the density. Nothing here imports glmm_zoo.
To add a model, add at least one row; `test_every_builder_has_a_row` fails until then. The file is long because the table is one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr
from scipy import stats
from scipy.interpolate import BSpline
from scipy.optimize import brentq
from scipy.special import expit, gamma, gammaincc, gammaln, log_expit, log_ndtr, logit

Values = Mapping[str, xr.DataArray]  # posterior variables by name, with their dims and labels
Labels = Mapping[str, tuple[str, ...]]


@dataclass(frozen=True)
class Row:
    """One variant of a builder.

    `free` and `posterior` give the dims of every variable; `coords` the labels of those dims that are not the levels of
    a factor. `X` and `Z` are the design by hand: columns by label, and by factor the level of each row, or its levels (n, members),
    and the covariates by effect, times the weights of the levels. `moments` are the mean and standard deviation of each response. `columns` says what each
    column of the data is: "number", "binary", "label", "count", "rank", "exposure", "weight", "factor", "group". `also` gives X and Z of
    further predictors by prefix; density and moments get their values as keywords. Of several outcomes, `rows` gives the
    numbers of the rows of each by dimension, and density, moments and support are about all of them, one after the other.
    `tables` stand between the data and the formula in a call.
    """

    name: str
    builder: str
    formula: Any
    columns: Mapping[str, str]
    free: Labels
    posterior: Labels
    coords: Labels
    X: Callable[[pd.DataFrame], Mapping[str, Any]]
    Z: Callable[[pd.DataFrame], Mapping[str, tuple[Any, Mapping[str, Any]]]]
    density: Callable[..., np.ndarray]
    moments: Callable[..., tuple[np.ndarray, np.ndarray]]
    support: Callable[[pd.DataFrame, np.ndarray], Any]
    offset: Callable[[pd.DataFrame], Any] = lambda d: 0.0
    options: Mapping[str, Any] = field(default_factory=dict)
    data: Callable[[], pd.DataFrame] = lambda: visits()
    also: Mapping[str, tuple[Callable, Callable]] = field(default_factory=dict)
    curve: Callable[[pd.DataFrame, Values, str], Any] = lambda d, p, lead: 0.0  # the smooths of a predictor
    rows: Callable[[pd.DataFrame], Mapping[str, Any]] = lambda d: {"row": range(len(d))}
    tables: tuple[Any, ...] = ()
    mean: Callable[..., np.ndarray] | None = None  # of each response, where sums for its moments take long

    def eta(self, d: pd.DataFrame, p: Values, prefix: str = "") -> np.ndarray:
        """Linear predictor (n,), by labels only."""
        lead = f"{prefix}_" if prefix else ""
        X, Z = self.also[prefix] if prefix else (self.X, self.Z)
        eta = np.zeros(len(d)) + (0.0 if prefix else self.offset(d))
        if f"{lead}Intercept" in p:
            eta = eta + p[f"{lead}Intercept"].item()
        for label, x in X(d).items():
            eta = eta + p[f"{lead}beta"].sel({f"{lead}coef": label}).item() * np.asarray(x, float)
        for g, (level, covariates) in Z(d).items():
            own = lead if f"{lead}u_{g}" in p else ""  # else a block that the main predictor shares
            labels = np.asarray(level).astype(str)
            at = xr.DataArray(labels, dims=("row", "member")[: labels.ndim])
            for effect, z in covariates.items():
                u = p[f"{own}u_{g}"].sel({g: at, f"{own}{g}_effect": effect})
                of_row = np.asarray(z, float) * u.values
                eta = eta + (of_row if labels.ndim == 1 else of_row.sum(axis=1))
        return eta + self.curve(d, p, lead)

    def _etas(self, d: pd.DataFrame, p: Values) -> tuple[np.ndarray, dict[str, np.ndarray]]:
        return self.eta(d, p), {prefix: self.eta(d, p, prefix) for prefix in self.also}

    def log_likelihood(self, d: pd.DataFrame, p: Values) -> np.ndarray:
        """Independent of glmm_zoo: log density of each response (n,)."""
        eta, others = self._etas(d, p)
        return self.density(d, p, eta, **others)

    def mean_and_sd(self, d: pd.DataFrame, p: Values) -> tuple[np.ndarray, np.ndarray]:
        """Of each response (n,)."""
        eta, others = self._etas(d, p)
        return self.moments(d, p, eta, **others)

    def levels(self, d: pd.DataFrame) -> dict[str, tuple[str, ...]]:
        """Levels of every grouping factor, in order."""
        terms = [term for Z in (self.Z, *(Z for _, Z in self.also.values())) for term in Z(d).items()]
        return {g: tuple(str(v) for v in sorted(set(np.ravel(level).tolist()))) for g, (level, _) in terms}


# ----------------------------------------------------------------------------------------------------------- the data


def visits() -> pd.DataFrame:
    """72 rows: g has 9 levels (text), h 7 (integers), a 6 with wards b 1-3 in each, arm 3, sex 2; half of c is 0."""
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
            "c": rng.negative_binomial(2, 0.3, n) * (rng.random(n) < 0.6),
        }
    )


def two_schools() -> pd.DataFrame:
    """`visits`, whose rows belong to g and g2, which are the same in some of them, for w1 and w2 days."""
    return visits().assign(g2=lambda d: np.roll(d.g, 5), w1=lambda d: d.days, w2=lambda d: d.n + 0.5)


def relatives() -> pd.DataFrame:
    """A covariance between the levels of g in `visits`."""
    R, levels = np.random.default_rng(3).normal(size=(9, 20)), list("ABCDEFGHI")
    return pd.DataFrame(R @ R.T / 20, index=levels, columns=levels)


def within_limits() -> pd.DataFrame:
    """`visits` with y between the limits 1 and 5, how it is censored, and the top above which nothing is seen."""
    d = visits()
    how = np.select([d.y < 1, d.y > 5], ["left", "right"], "none")
    return d.assign(y=d.y.clip(1, 5), how=how, top=5 + d.days / 3)


def shares() -> pd.DataFrame:
    """`visits` with proportions: p strictly between 0 and 1, q with zeros, and pain from 0 to 10 with both ends."""
    rng, d = np.random.default_rng(17), visits()
    p = rng.beta(2.0, 3.0, len(d))
    end = rng.random(len(d))
    return d.assign(p=p, q=np.where(end < 0.3, 0.0, p), pain=10 * np.select([end < 0.2, end > 0.85], [0.0, 1.0], p))


def trial() -> pd.DataFrame:
    """A stepped-wedge cohort of 3 in each of 8 clusters and 4 periods, some not seen; `since` counts treated periods."""
    rng = np.random.default_rng(11)
    start = {f"c{c}": t for c, t in enumerate((1, 1, 2, 2, 3, 3, 3, 9), 1)}
    seen = [(c, t) for c in start for t in range(4) if (c, t) not in (("c3", 1), ("c6", 1), ("c6", 2))]
    d = pd.DataFrame([(c, t, f"{c}-{i}") for c, t in seen for i in range(3)], columns=["cluster", "period", "id"])
    n, trials = len(d), rng.integers(1, 12, len(d))
    first = d.cluster.map(start)
    return d.assign(
        treat=(d.period >= first).astype(int), since=np.maximum(d.period - first + 1, 0), first=first,
        x=rng.normal(1.0, 1.0, n), y=rng.normal(3.0, 2.0, n), ill=rng.integers(0, 2, n), k=rng.binomial(trials, 0.4),
        n=trials, c=rng.negative_binomial(2, 0.3, n), days=rng.uniform(1.0, 30.0, n),
    ).sample(frac=1.0, random_state=2, ignore_index=True)  # fmt: skip


def arms() -> pd.DataFrame:
    """17 arms of 8 trials, the last trial with two treated arms; T3 has no events in either arm. lat is the trial's."""
    rng = np.random.default_rng(5)
    trial = np.array([f"T{j}" for j in np.repeat(np.arange(1, 9), 2)] + ["T8"])
    drug = np.array([0, 1] * 8 + [1])
    size = rng.integers(20, 90, 17)
    return pd.DataFrame(
        {
            "trial": trial,
            "drug": drug,
            "arm": np.where(drug == 1, "active", "placebo"),
            "ev": np.where(trial == "T3", 0, rng.binomial(size, 0.3)),
            "size": size,
            "years": rng.uniform(10.0, 80.0, 17),
            "lat": np.array([44.0, 55, 42, 52, 13, 44, 19, 13])[[int(t[1]) - 1 for t in trial]],
        }
    )


def networked() -> pd.DataFrame:
    """20 arms of 8 trials of the drugs A to D in no order; two trials have three, N5 and N7 not A, N6 two rows of D, N8 no events."""
    rng = np.random.default_rng(8)
    designs = {"N1": "AB", "N2": "ABC", "N3": "BC", "N4": "AC", "N5": "BCD", "N6": "ADD", "N7": "BD", "N8": "AB"}
    d = pd.DataFrame([(trial, drug) for trial, drugs in designs.items() for drug in drugs], columns=["trial", "drug"])
    size = rng.integers(20, 90, len(d))
    return d.assign(
        ev=np.where(d.trial == "N8", 0, rng.binomial(size, 0.3)), size=size, years=rng.uniform(10.0, 80.0, len(d))
    ).sample(frac=1.0, random_state=4, ignore_index=True)  # fmt: skip


def networked_by_latitude() -> pd.DataFrame:
    """The same with the latitude of each trial."""
    d = networked()
    return d.assign(lat=d.trial.str[1:].astype(float) * 3.7 % 11)


def followed() -> pd.DataFrame:
    """70 visits of 12 subjects, 3 to 9 each and in no order; s01, s04, s06, s09 and s12 never have a count, w is the subject's."""
    rng = np.random.default_rng(21)
    i = rng.permutation(np.repeat(np.arange(12), [3, 4, 5, 6, 7, 8, 9, 8, 7, 6, 4, 3]))
    n, risk = len(i), ~np.isin(i, [0, 3, 5, 8, 11])
    c = rng.poisson(1.5, n) * risk
    return pd.DataFrame(
        {
            "c": c, "ill": (c > 0).astype(int), "x": rng.normal(1.0, 1.0, n), "w": rng.normal(size=12)[i],
            "days": rng.uniform(1.0, 30.0, n), "id": np.array([f"s{k + 1:02d}" for k in range(12)])[i], "h": i % 7,
        }
    )  # fmt: skip


def repeated() -> pd.DataFrame:
    """52 rows of 18 subjects at visits 1, 2, 4 and 7, every fifth missed, and in no order; h is the site of a subject, x of a row."""
    rng = np.random.default_rng(41)
    i, visit = np.repeat(np.arange(18), 4), np.tile([1, 2, 4, 7], 18)
    n = len(i)
    d = pd.DataFrame(
        {
            "y": 3.0 + rng.normal(0, 1.5, 18)[i] + 0.2 * visit + rng.normal(0, 1, n), "x": rng.normal(1.0, 1.0, n), "visit": visit,
            "id": np.array([f"s{k + 1:02d}" for k in range(18)])[i], "h": i % 7,
        }
    )  # fmt: skip
    seen = (np.arange(n) * 7) % 19 > 4
    return d[seen].sample(frac=1.0, random_state=4, ignore_index=True)


ALL_ZERO = ("s01", "s04", "s06", "s09", "s12")


def ratings() -> pd.DataFrame:
    """`visits` with ordered responses: rating 1 to 4, grade low to high as text."""
    d, rng = visits(), np.random.default_rng(13)
    return d.assign(rating=rng.integers(1, 5, len(d)), grade=rng.choice(["low", "mid", "high"], len(d)))


def doses() -> pd.DataFrame:
    """`visits` with a dose from 0 to 3."""
    d = visits()
    return d.assign(dose=np.random.default_rng(3).integers(0, 4, len(d)))


def choices() -> pd.DataFrame:
    """`visits` with unordered categories."""
    d = visits()
    return d.assign(mode=np.random.default_rng(19).choice(["bus", "car", "walk"], len(d)))


def gaps() -> pd.DataFrame:
    """`ratings` with outcomes that are missing separately, some in the same row."""
    d, rng = ratings(), np.random.default_rng(17)
    missing = {
        column: rng.random(len(d)) < share
        for column, share in (("ill", 0.2), ("c", 0.3), ("y", 0.2), ("k", 0.1), ("rating", 0.2))
    }
    missing = {column: np.where(np.arange(len(d)) == 3, False, gone) for column, gone in missing.items()}
    d = d.assign(**{column: d[column].astype(float).mask(gone) for column, gone in missing.items()})
    return d.assign(t=np.where(rng.random(len(d)) < 0.2, np.nan, rng.normal(1.0, 3.0, len(d)) + d.x))


def patients() -> pd.DataFrame:
    """120 visits of 60 subjects in no order; the fourth row is its subject's only one. Beside y and ill at `time`, of the subject:
    drug, age, years, death; of the visit: (start, stop], w and cause, for subjects seen from their first visit on."""
    rng, n = np.random.default_rng(31), 60
    many = 1 + (np.arange(n) + 2) % 3
    i, visit = np.repeat(np.arange(n), many), np.concatenate([np.arange(m) for m in many])
    years, death, cause = rng.uniform(0.5, 6.0, n), np.arange(n) % 5 > 0, np.where(np.arange(n) % 2, "moved", "dead")
    late = np.where(np.arange(n) % 3 == 0, 0.4, 0.0)
    start = late[i] + (years - late)[i] * visit / many[i]
    last = visit == many[i] - 1
    b, drug = rng.normal(0, 1, n), rng.choice(["active", "placebo"], n)
    d = pd.DataFrame(
        {
            "y": 2.0 + b[i] + 0.3 * start + rng.normal(0, 0.5, len(i)), "ill": (b[i] + rng.normal(0, 1, len(i)) > 0).astype(int),
            "time": start, "id": np.array([f"p{k + 1:02d}" for k in range(n)])[i], "drug": drug[i],
            "age": rng.normal(50, 8, n)[i], "years": years[i], "death": death[i].astype(int), "start": start,
            "stop": np.where(last, years[i], np.append(start[1:], 0.0)), "cause": np.where(last & death[i], cause[i], "alive"),
            "w": rng.normal(size=len(i)),
        }
    )  # fmt: skip
    order = rng.permutation(len(d))
    alone = int(np.flatnonzero(many[i[order]] == 1)[0])
    order[[3, alone]] = order[[alone, 3]]
    return d.iloc[order].reset_index(drop=True)


def lives() -> pd.DataFrame:
    """`visits` with times to an event: t with dead, from `entry` on; and the same only known to lie in (low, high], with gaps."""
    d, rng = visits(), np.random.default_rng(41)
    n = len(d)
    t, last = 4.0 * rng.weibull(1.3, n), rng.uniform(1.0, 9.0, n)
    end = np.round(np.minimum(t, last), 3) + 0.05
    low = np.where(rng.random(n) < 0.2, np.nan, 0.7 * end)
    high = np.where(t > last, np.nan, np.where(rng.random(n) < 0.2, low, 1.2 * end))
    low = np.where(np.isnan(low) & np.isnan(high), end, low)
    return d.assign(
        t=end, dead=(t <= last).astype(int), entry=np.where(rng.random(n) < 0.4, rng.uniform(0.0, 0.8, n) * end, 0.0), low=low,
        high=np.where(np.isnan(high) & ~np.isnan(low) & (t <= last), 1.2 * end, high),
    )  # fmt: skip


# ------------------------------------------------------------------------------------------- densities, by SciPy only


def _sd(p, sigma=None):
    return p["sigma"].item() if sigma is None else np.exp(sigma)


def _gaussian(d, p, eta, **others):
    return stats.norm.logpdf(d.y, eta, _sd(p, **others))


def _gaussian_moments(d, p, eta, **others):
    return eta, np.zeros(len(d)) + _sd(p, **others)


def _own(p, name, log):
    """A positive parameter of a family: a number, or exp of its own predictor."""
    return p[name].item() if log is None else np.exp(log)


def _gamma(d, p, eta, shape=None):
    a = _own(p, "shape", shape)
    return stats.gamma.logpdf(d.days, a, scale=np.exp(eta) / a)


def _weibull(p, eta, shape=None):
    k = _own(p, "shape", shape)
    return stats.weibull_min(k, scale=np.exp(eta) / gamma(1 + 1 / k))


def _weibull_variation(k):
    return np.sqrt(gamma(1 + 2 / k) / gamma(1 + 1 / k) ** 2 - 1)


def _lognormal_sd(p, eta, sigma=None):
    return np.exp(eta + _own(p, "sigma", sigma) ** 2 / 2) * np.sqrt(np.expm1(_own(p, "sigma", sigma) ** 2))


def _student_sd(p, sigma=None):
    nu = p["nu"].item()
    return _own(p, "sigma", sigma) * np.sqrt(nu / (nu - 2) if nu > 2 else np.inf)


def _repeated(correlation: Callable) -> dict:
    """Residuals of a subject correlate by `correlation(p, visits)`, with the sd of their visit; one log density for each subject."""

    def sds(d, p):
        return (
            p["sigma"].sel(visit=d.visit.astype(str).to_numpy()).values
            if p["sigma"].dims
            else np.full(len(d), p["sigma"].item())
        )

    def density(d, p, eta):
        found = []
        for _, rows in d.assign(eta=eta, sd=sds(d, p)).groupby("id"):
            R = correlation(p, rows.visit.to_numpy())
            law = stats.multivariate_normal(rows.eta.to_numpy(), np.outer(rows.sd, rows.sd) * R)
            found.append(float(law.logpdf(rows.y.to_numpy())))
        return np.array(found)

    return {
        "density": density, "moments": lambda d, p, eta: (eta, sds(d, p)), "support": lambda d, y: np.isfinite(y), "data": repeated,
    }  # fmt: skip


def _of_pairs(p, visits):
    labels = [str(visit) for visit in visits]
    return p["corr_residual"].sel(visit=labels, visit_bis=labels).values


def _bernoulli(success, log_p, log_q):
    return lambda d, p, eta: np.where(success(d), log_p(eta), log_q(eta))


def _bernoulli_moments(inverse):
    return lambda d, p, eta: (inverse(eta), np.sqrt(inverse(eta) * (1 - inverse(eta))))


def _binomial(d, p, eta):
    return stats.binom.logpmf(d.k, d.n, expit(eta))


def _binomial_moments(d, p, eta):
    return d.n.values * expit(eta), np.sqrt(d.n.values * expit(eta) * expit(-eta))


def _phi(p, phi=None):
    return p["phi"].item() if phi is None else np.exp(phi)


def _beta_binomial(d, p, eta, phi=None):
    mu, phi = stats.norm.cdf(eta), _phi(p, phi)
    return stats.betabinom(d.n.values, mu * phi, (1 - mu) * phi)


def _beta_binomial_moments(n, mu, phi):
    return n * mu, np.sqrt(n * mu * (1 - mu) * (1 + (n - 1) / (1 + phi)))


BETA_BINOMIAL = {
    "density": lambda d, p, eta, **others: _beta_binomial(d, p, eta, **others).logpmf(d.k),
    "moments": lambda d, p, eta, **others: _beta_binomial_moments(d.n.values, stats.norm.cdf(eta), _phi(p, **others)),
    "support": lambda d, y: (y == np.round(y)) & (y >= 0) & (y <= d.n.values),
}


def _shares(y: str, ends: Callable, scale: float = 1.0) -> dict:
    """Beta between 0 and 1, beside them `ends(p, eta, **others)`: the probabilities of 0 and of 1, each (n,)."""

    def parts(p, eta, phi=None, **others):
        return *ends(p, eta, **others), expit(eta), _phi(p, phi)

    def density(d, p, eta, **others):
        zero, one, mu, phi = parts(p, eta, **others)
        x, inside = d[y] / scale, stats.beta(mu * phi, (1 - mu) * phi)
        with np.errstate(divide="ignore"):
            return np.select([x == 0, x == 1], [np.log(zero), np.log(one)], np.log(1 - zero - one) + inside.logpdf(x))

    def moments(d, p, eta, **others):
        zero, one, mu, phi = parts(p, eta, **others)
        of_beta = mu, mu * (1 - mu) / (1 + phi) + mu**2
        mean, square = ((1 - zero - one) * moment + one for moment in of_beta)
        return mean, np.sqrt(square - mean**2)

    def support(d, values):
        return (values >= 0) & (values <= 1) & ((y != "p") | ((values > 0) & (values < 1)))

    return {"density": density, "moments": moments, "support": support, "data": shares}


def _zoi(p, eta, zoi=None, coi=None):
    share, ones = expit(zoi), p["coi"].item() if coi is None else expit(coi)
    return share * (1 - ones), share * ones


def _ordered_ends(p, eta):
    low, high = p["cutpoints"].values
    return expit(low - eta), expit(eta - high)


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


def _between(d, p, eta):
    """A normal response that is seen between 0 and the column top."""
    sigma = p["sigma"].item()
    return stats.truncnorm(-eta / sigma, (d.top.to_numpy() - eta) / sigma, eta, sigma)


def _seen_in_part(d, p, eta):
    law = _between(d, p, eta)
    return np.select([d.how == "left", d.how == "right"], [law.logcdf(d.y), law.logsf(d.y)], law.logpdf(d.y))


GAUSSIAN = {"density": _gaussian, "moments": _gaussian_moments, "support": lambda d, y: np.isfinite(y)}
GAMMA = {
    "density": _gamma,
    "moments": lambda d, p, eta, shape=None: (np.exp(eta), np.exp(eta) / np.sqrt(_own(p, "shape", shape))),
    "support": lambda d, y: y >= 0,  # the prior of the shape has draws so near 0 that the smallest outcomes round to 0
}
LOGNORMAL = {
    "density": lambda d, p, eta: stats.lognorm.logpdf(d.days, p["sigma"].item(), scale=np.exp(eta)),
    "moments": lambda d, p, eta: (np.exp(eta + p["sigma"].item() ** 2 / 2), _lognormal_sd(p, eta)),
    "support": lambda d, y: y > 0,
}
WEIBULL = {
    "density": lambda d, p, eta, shape=None: _weibull(p, eta, shape).logpdf(d.days),
    "moments": lambda d, p, eta, shape=None: (np.exp(eta), np.exp(eta) * _weibull_variation(_own(p, "shape", shape))),
    "support": lambda d, y: y > 0,
}
STUDENT = {
    "density": lambda d, p, eta, sigma=None: stats.t.logpdf(d.y, p["nu"].item(), eta, _own(p, "sigma", sigma)),
    "moments": lambda d, p, eta, sigma=None: (eta, np.full(len(d), 1.0) * _student_sd(p, sigma)),
    "support": lambda d, y: np.isfinite(y),
}


def _counts(y: str, size: str = "", zeros: str = "") -> dict:
    """`size`: "" for Poisson, "nb2", "nb1"; `zeros`: "", "inflated", "hurdle"."""

    def parts(p, eta, alpha=None, zi=None):
        mu = np.exp(eta)
        count = stats.poisson(mu)
        if size:
            a = (p["alpha"].item() if alpha is None else np.exp(alpha)) * (mu if size == "nb1" else 1.0)
            count = stats.nbinom(a, a / (a + mu))
        share = (p["zi"].item() if zi is None else expit(zi)) if zeros else 0.0
        return count, share, 1 - count.pmf(0) if zeros == "hurdle" else 1.0

    def density(d, p, eta, **others):
        count, share, above = parts(p, eta, **others)
        none = share + (0.0 if zeros == "hurdle" else (1 - share) * count.pmf(0))
        return np.where(d[y] == 0, np.log(none), np.log(1 - share) + count.logpmf(d[y]) - np.log(above))

    def moments(d, p, eta, **others):
        count, share, above = parts(p, eta, **others)
        mean, square = count.mean() * (1 - share) / above, (count.var() + count.mean() ** 2) * (1 - share) / above
        return mean, np.sqrt(square - mean**2)

    return {"density": density, "moments": moments, "support": lambda d, y: (y == np.round(y)) & (y >= 0)}


def _com_poisson(y: str) -> dict:
    """Conway-Maxwell-Poisson with mean exp(eta): lambda by a root finder, sums over all counts of any weight."""

    def law(eta, nu):
        mu = np.exp(eta)
        j = np.arange(200.0 + mu + min(40 * np.sqrt(mu / nu), 40 * mu))
        f = nu * gammaln(j + 1)

        def weights(log_rate):
            w = np.exp(log_rate * j - f - np.max(log_rate * j - f))
            return w / w.sum()

        def excess(log_rate):
            return np.log(weights(log_rate) @ j + 1e-300) - eta

        ends = (
            eta - np.log1p(mu),
            nu * np.log(mu + 2) + 1,
        )  # the rate of a geometric distribution, and one of a mode above the mean
        return weights(brentq(excess, *ends, xtol=1e-13, rtol=1e-13)), j

    def laws(p, eta, nu, zi):
        share = 0.0 if zi is None else expit(zi)
        each = [law(e, n) for e, n in np.broadcast(eta, p["nu"].item() if nu is None else np.exp(nu))]
        return [s * (j == 0) + (1 - s) * f for s, (f, j) in zip(np.broadcast_to(share, len(each)), each, strict=True)]

    def density(d, p, eta, nu=None, zi=None):
        return np.log([f[k] for f, k in zip(laws(p, eta, nu, zi), d[y].astype(int), strict=True)])

    def moments(d, p, eta, nu=None, zi=None):
        found = laws(p, eta, nu, zi)
        mean, square = (np.array([f @ np.arange(len(f)) ** k for f in found]) for k in (1, 2))
        return mean, np.sqrt(square - mean**2)

    def mean(d, p, eta, nu=None, zi=None):
        return np.exp(eta) * (1.0 if zi is None else expit(-zi))

    return {"density": density, "moments": moments, "mean": mean, "support": lambda d, y: (y == np.round(y)) & (y >= 0)}


def _never(y: str, at_risk: Callable) -> dict:
    """Subjects who are never at risk, the others with rows `at_risk(p, eta)`; one log density for each subject."""

    def shares(d, p, never):
        return np.full(len(d), p["never"].item()) if never is None else expit(never)

    def density(d, p, eta, never=None):
        rows = pd.DataFrame({"f": at_risk(p, eta).logpmf(d[y]), "y": d[y], "pi": shares(d, p, never), "id": d["id"]})
        subjects = rows.groupby("id").agg(S=("f", "sum"), most=("y", "max"), pi=("pi", "first"))
        return np.log(np.where(subjects["most"] > 0, 0, subjects["pi"]) + (1 - subjects["pi"]) * np.exp(subjects["S"]))

    def moments(d, p, eta, never=None):
        pi, count = shares(d, p, never), at_risk(p, eta)
        mean, square = (1 - pi) * count.mean(), (1 - pi) * (count.var() + count.mean() ** 2)
        return mean, np.sqrt(square - mean**2)

    def support(d, values):  # a subject at a time, not a row
        return (values == np.round(values)) & (values >= 0) & ((values <= 1) | (y == "c"))

    return {"density": density, "moments": moments, "support": support, "data": followed}


def _nb(p, eta):
    a, mu = p["alpha"].item(), np.exp(eta)
    return stats.nbinom(a, a / (a + mu))


def _treated(family: dict, by: str = "treat") -> dict:
    """The family with the effect of treatment on its predictor: one effect, or `by="since"` one for each exposure time."""

    def change(d, p):
        if by == "treat":
            return p["effect"].item() * d.treat.values
        return np.append(0.0, p["effect"].sel(exposure_time=["1", "2", "3"]).values)[d.since]

    return family | {
        "density": lambda d, p, eta, **others: family["density"](d, p, eta + change(d, p), **others),
        "moments": lambda d, p, eta, **others: family["moments"](d, p, eta + change(d, p), **others),
    }


def _meta(control: float = 0.0, slope: str = "", rate: bool = False) -> dict:
    """Arms of trials: to eta, which has baselines that vary at random, add fixed ones and the treatment's effect.

    `control` is the code of a control arm in the random effect, that of a treated one is one more. With a correlation,
    the random effects of both arms are in eta already.
    """

    def full(d, p, eta):
        at = xr.DataArray(d["trial"].to_numpy().astype(str), dims="row")
        if "study_Intercept" in p:
            eta = eta + p["study_Intercept"].sel(trial=at).values
        mean = np.full(len(d), p["effect"].item())
        if slope:
            mean += p["beta"].sel(coef=slope).item() * (d[slope] - d.groupby("trial")[slope].first().mean())
        if "corr_trial" not in p:
            eta = eta + (control + d["drug"]) * (p["study_effect"].sel(trial=at).values - mean)
        return eta + d["drug"] * mean

    def law(d, p, eta):
        eta = full(d, p, eta)
        return stats.poisson(np.exp(eta)) if rate else stats.binom(d["size"].to_numpy(), expit(eta))

    return {
        "density": lambda d, p, eta: law(d, p, eta).logpmf(d["ev"]),
        "moments": lambda d, p, eta: (law(d, p, eta).mean(), law(d, p, eta).std()),
        "support": lambda d, y: (y == np.round(y)) & (y >= 0) & (rate | (y <= d["size"].to_numpy())),
    }


def _network(rate: bool = False) -> dict:
    """Arms of a network: to eta, which has levels that vary at random, add fixed ones and what each drug adds to its trial's first."""

    def full(d, p, eta):
        at = xr.DataArray(d["trial"].to_numpy(), dims="row")
        first = d.groupby("trial").drug.transform("min")  # A is the reference, the others follow in their order
        effect = {"A": 0.0, **{drug: p["effect"].sel(contrast=f"{drug} vs A").item() for drug in "BCD"}}
        eta = eta + first.map(effect).to_numpy()
        if "study_Intercept" in p:
            eta = eta + p["study_Intercept"].sel(trial=at).values - first.map(effect).to_numpy()
        if "study_effect" not in p:
            return eta + (d.drug.map(effect) - first.map(effect)).to_numpy()
        added = [
            0.0 if drug == base else p["study_effect"].sel({"trial:drug": f"{trial}:{drug}"}).item()
            for trial, drug, base in zip(d.trial, d.drug, first, strict=True)
        ]
        return eta + np.array(added)

    def law(d, p, eta):
        eta = full(d, p, eta)
        return stats.poisson(np.exp(eta)) if rate else stats.binom(d["size"].to_numpy(), expit(eta))

    return {
        "density": lambda d, p, eta: law(d, p, eta).logpmf(d["ev"]),
        "moments": lambda d, p, eta: (law(d, p, eta).mean(), law(d, p, eta).std()),
        "support": lambda d, y: (y == np.round(y)) & (y >= 0) & (rate | (y <= d["size"].to_numpy())),
    }


def _sloped_network() -> dict:
    """Arms of a network with fixed effects, each drug's with slopes of its own over latitude and the log odds under A."""

    def full(d, p, eta):
        at = xr.DataArray(d["trial"].to_numpy(), dims="row")
        of_a = networked()[lambda d: d.drug == "A"].groupby("trial")[["ev", "size"]].sum()
        lat = networked_by_latitude().groupby("trial").lat.first().mean()
        mu, m = p["study_Intercept"].sel(trial=at).values, logit((of_a.ev + 0.5) / (of_a["size"] + 1)).mean()
        own = np.array([drug != "A" for drug in d.drug], float)
        for k, (drug, x) in enumerate(zip(d.drug, d.lat, strict=True)):
            if drug != "A":
                slope, over_level = (p["beta"].sel(coef=f"{of}:drug[{drug}]").item() for of in ("lat", "baseline"))
                own[k] = p["effect"].sel(contrast=f"{drug} vs A").item() + slope * (x - lat) + over_level * (mu[k] - m)
        return eta + mu + own

    def law(d, p, eta):
        return stats.binom(d["size"].to_numpy(), expit(full(d, p, eta)))

    return {
        "density": lambda d, p, eta: law(d, p, eta).logpmf(d["ev"]),
        "moments": lambda d, p, eta: (law(d, p, eta).mean(), law(d, p, eta).std()),
        "support": lambda d, y: (y == np.round(y)) & (y >= 0) & (y <= d["size"].to_numpy()),
    }


def _ordered(position, law=stats.logistic, family: str = "cumulative", nominal: tuple[str, ...] = ()) -> dict:
    """Categories by their probabilities (n, K); `position(d)` is 0, ..., K - 1, `law` has F as its distribution function."""

    def probabilities(d, p, eta, disc=0.0):
        c = np.tile(p["cutpoints"].values, (len(d), 1))
        if nominal:
            upper = p["cutpoints"].cutpoint.values[1:]
            gamma = {v: [p["nominal_beta"].sel(nominal_coef=f"{v}: {name}").item() for name in upper] for v in nominal}
            factor = np.exp(sum(np.outer(d[v] - d[v].mean(), gamma[v]) for v in nominal))
            c = np.cumsum(np.column_stack([c[:, 0], np.diff(c) * factor]), axis=1)
        x, edge = (
            np.exp(disc + np.zeros(len(d)))[:, None] * (c - np.asarray(eta)[:, None]),
            np.full((len(d), 1), np.inf),
        )
        if family == "acat":
            weight = np.exp(np.cumsum(np.column_stack([np.zeros(len(d)), -x]), axis=1))
            return weight / weight.sum(axis=1, keepdims=True)
        if family == "sratio":
            reached = np.cumprod(np.column_stack([np.ones(len(d)), law.sf(x)]), axis=1)
            return reached * law.cdf(np.column_stack([x, edge]))
        a, b = np.column_stack([-edge, x]), np.column_stack([x, edge])
        return np.where(a > 0, law.sf(a) - law.sf(b), law.cdf(b) - law.cdf(a))

    def moments(d, p, eta, **others):
        P = probabilities(d, p, eta, **others)
        k = np.arange(P.shape[1])
        return P @ k, np.sqrt(P @ k**2 - (P @ k) ** 2)

    def density(d, p, eta, **others):
        return np.log(probabilities(d, p, eta, **others)[np.arange(len(d)), position(d)])

    return {"density": density, "moments": moments, "support": lambda d, y: np.isin(y, np.unique(position(d)))}


def _unordered(y: str, *levels: str) -> dict:
    """Categories by their probabilities (n, K), the reference first; the etas of the others come as keywords."""

    def probabilities(d, etas):
        odds = np.exp(np.column_stack([np.zeros(len(d)), *(etas[level] for level in levels[1:])]))
        return odds / odds.sum(axis=1, keepdims=True)

    def density(d, p, eta, **etas):
        position = d[y].map({level: k for k, level in enumerate(levels)})
        return np.log(probabilities(d, etas)[np.arange(len(d)), position])

    def moments(d, p, eta, **etas):
        P, k = probabilities(d, etas), np.arange(len(levels))
        return P @ k, np.sqrt(P @ k**2 - (P @ k) ** 2)

    return {"density": density, "moments": moments, "support": lambda d, y: np.isin(y, np.arange(len(levels)))}


def _rating(d):
    return (d.rating - 1).astype(int)


def _grade(d):
    return d.grade.map({"low": 0, "mid": 1, "high": 2})


def _lives(law: Callable, entry: str = "") -> dict:
    """Times to an event, `law(d, p, eta)` a frozen distribution of SciPy, given that they come after `entry`."""

    def density(d, p, eta):
        T = law(d, p, eta)
        before = T.logsf(d[entry]) if entry else 0.0
        return np.where(d.dead == 1, T.logpdf(d.t), T.logsf(d.t)) - before

    def moments(d, p, eta):
        T, start = law(d, p, eta), d[entry].to_numpy() if entry else 0.0
        if not entry:
            return T.mean(), T.std()
        c, scale = T.kwds["c"], T.kwds["scale"]  # of a Weibull distribution
        x = (start / scale) ** c
        first, second = (scale**m * gamma(1 + m / c) * gammaincc(1 + m / c, x) * np.exp(x) for m in (1, 2))
        return first, np.sqrt(second - first**2)

    return {
        "density": density,
        "moments": moments,
        "support": lambda d, y: y > (d[entry].to_numpy() if entry else 0.0),
        "data": lives,
    }


def _weibull_hazard(d, p, eta):
    """h = e^eta k (t / unit)^(k - 1), the unit the median time of events with one digit."""
    k, unit = p["shape"].item(), float(f"{d.t[d.dead == 1].median():.1g}")
    return stats.weibull_min(c=k, scale=unit * (unit * np.exp(eta)) ** (-1 / k))


def _compete(*causes: str) -> dict:
    """Times to the first of several causes, each with a Weibull hazard of its own; those of the others are censored."""

    def of(d, p, eta, cause):
        return _weibull_hazard(d.assign(dead=(d.how == cause).astype(int)), {"shape": p[f"{cause}_shape"]}, eta)

    def density(d, p, eta, **etas):
        laws = {k: of(d, p, etas[k], k) for k in causes}
        return sum(np.where(d.how == k, T.logpdf(d.t), T.logsf(d.t)) for k, T in laws.items())

    def moments(d, p, eta, **etas):
        t = np.linspace(0, 12, 6001)[1:, None] ** 2  # up to 144
        t, dt = t - np.diff(t, axis=0, prepend=0.0) / 2, np.diff(t, axis=0, prepend=0.0)
        S = np.exp(sum(of(d, p, np.asarray(etas[k]), k).logsf(t) for k in causes))
        mean = (S * dt).sum(axis=0)
        return mean, np.sqrt(2 * (t * S * dt).sum(axis=0) - mean**2)

    data = lambda: lives().assign(how=lambda d: np.select([d.dead == 0, d.index % 3 == 0], ["alive", "moved"], "died"))  # noqa: E731
    return {"density": density, "moments": moments, "support": lambda d, y: y > 0, "data": data}


def _hazards(log_h0: Callable, ends: Callable, low: str, high: str) -> dict:
    """Times from a hazard e^eta h0(t), smooth between `ends(d)` and constant after the last: events in (low, high] or at both."""

    def cumulative(d, p, t):
        a = np.minimum(t[:, None], ends(d)[:-1])
        b = np.minimum(t[:, None], np.append(ends(d)[1:-1], np.inf))
        x, w = np.polynomial.legendre.leggauss(40)
        at = a[..., None] + (b - a)[..., None] * (1 + x) / 2
        return (np.exp(log_h0(d, p, at.ravel()).reshape(at.shape)) @ w * (b - a) / 2).sum(axis=1)

    def density(d, p, eta):
        a, b = d[low].fillna(0.0).to_numpy(), d[high].to_numpy()
        H = np.exp(eta) * cumulative(d, p, a)
        known = np.where(a > 0, a, 1.0)
        at = eta + log_h0(d, p, known) - H
        between = np.exp(eta) * cumulative(d, p, np.where(np.isnan(b), 2 * a, b)) - H
        with np.errstate(divide="ignore"):
            return np.where(np.isnan(b), -H, np.where(a == b, at, np.log(-np.expm1(-between)) - H))

    def moments(d, p, eta):
        end = ends(d)[-1]
        t, width = np.linspace(0, end, 4001)[1:] - end / 8000, end / 4000
        S = np.exp(-np.exp(np.asarray(eta))[:, None] * cumulative(d, p, t))
        rate = np.exp(eta + log_h0(d, p, np.array([end])))
        last = np.exp(-np.exp(eta) * cumulative(d, p, np.array([end])))
        first = S.sum(axis=1) * width + last / rate
        second = 2 * ((S * t).sum(axis=1) * width + last * (end / rate + 1 / rate**2))
        return first, np.sqrt(second - first**2)

    return {"density": density, "moments": moments, "support": lambda d, y: y > 0, "data": lives}


def _right_censored(family: dict) -> dict:
    """The family of intervals with the event at t, or not until then."""
    return family | {
        "density": lambda d, p, eta: family["density"](d.assign(low=d.t, high=d.t.where(d.dead == 1)), p, eta)
    }


def _spline_ends(d):
    return np.linspace(0.0, np.nanmax([d.low, d.high]), 10)


def _spline_log_h0(d, p, t):
    """Quadratic on nine segments; its coefficients a line and a random walk with these second differences; 0 on average over events."""
    ends = _spline_ends(d)
    knots = ends[1] * np.arange(-2, 12)
    walk = np.linalg.pinv(np.diff(np.eye(11), 2, axis=0)) @ p["h0_steps"].values / np.sqrt(p["h0_precision"].item())
    curve = BSpline(knots, p["h0_trend"].item() * np.linspace(-1, 1, 11) + walk, 2)
    return curve(np.minimum(t, ends[-1] * (1 - 1e-12))) - curve(d.high[d.high.notna()]).mean()


def _piece_ends(d):
    return np.array([0.0, 1.5, 3.0, d.t.max()])


def _piece_log_h0(d, p, t):
    ratio = np.append(0.0, p["log_h0_ratio"].values)
    piece = lambda t: ratio[(np.asarray(t)[:, None] > np.array([1.5, 3.0])).sum(axis=1)]  # noqa: E731
    return piece(t) - piece(d.t[d.dead == 1]).mean()


def _joint(**families: dict) -> dict:
    """Outcomes of one table, each in the rows that have it and with its own parameters."""

    def each(d, p, etas, what):
        for name, family in families.items():
            observed = d[name].notna()
            own = {key.removeprefix(f"{name}_"): value for key, value in p.items() if key.startswith(f"{name}_")}
            parts = {
                key.removeprefix(f"{name}_"): eta[observed] for key, eta in etas.items() if key.startswith(f"{name}_")
            }
            yield family[what](d[observed], own, etas[name][observed], **parts)

    def support(d, y):
        ends = np.cumsum([d[name].notna().sum() for name in families])[:-1]
        parts = zip(families, np.split(y, ends, axis=-1), strict=True)
        return np.concatenate([families[n]["support"](d[d[n].notna()], part) for n, part in parts], axis=-1)

    return {
        "density": lambda d, p, _, **etas: np.concatenate(list(each(d, p, etas, "density"))),
        "moments": lambda d, p, _, **etas: tuple(
            map(np.concatenate, zip(*each(d, p, etas, "moments"), strict=True))
        ),
        "support": support, "X": _nothing, "Z": _nothing, "data": gaps,
        "rows": lambda d: {f"{name}_row": np.flatnonzero(d[name].notna()) for name in families},
    }  # fmt: skip


def _correlated(first: str, second: str) -> dict:
    """Two Gaussian outcomes; where a row has both, their residuals are bivariate normal."""
    alone = _joint(**{name: _measured(name) for name in (first, second)})

    def density(d, p, _, **etas):
        rho = p["corr_residual"].sel(residual=first, residual_bis=second).item()
        s = np.array([p[f"{name}_sigma"].item() for name in (first, second)])
        joint = stats.multivariate_normal(cov=np.outer(s, s) * [[1, rho], [rho, 1]])
        r = np.column_stack([d[first] - etas[first], d[second] - etas[second]])
        first_alone, second_alone = (stats.norm.logpdf(r[:, k], 0, s[k]) for k in (0, 1))
        second_given_first = np.where(
            np.isfinite(r).all(axis=1), joint.logpdf(np.nan_to_num(r)) - first_alone, second_alone
        )
        return np.concatenate([first_alone[d[first].notna()], second_given_first[d[second].notna()]])

    return alone | {"density": density}


def _loaded() -> dict:
    """ill, and c with the subject effect of ill times a loading."""
    alone = _joint(ill=LOGIT, c=_counts("c"))

    def with_effect(d, p, etas):
        u = p["ill_u_g"].sel(g=xr.DataArray(d["g"].to_numpy(), dims="row"), ill_g_effect="Intercept").values
        return etas | {"c": etas["c"] + p["c_loading"].item() * u}

    return alone | {
        what: lambda d, p, _, _what=what, **etas: alone[_what](d, p, _, **with_effect(d, p, etas))
        for what in ("density", "moments")
    }


def _measured(y: str) -> dict:
    return GAUSSIAN | {"density": lambda d, p, eta, **others: stats.norm.logpdf(d[y], eta, _sd(p, **others))}


CUTS = (0.0, 1.5, 3.0, np.inf)


def _subjects(d):
    """A row for each subject, the last of its follow-up, by id."""
    return d.sort_values(["id", "time"]).groupby("id").tail(1).set_index("id", drop=False)


def _followed_up(family: dict, law: Callable, causes: int = 1) -> dict:
    """A marker and the event; `law(d, s, p)` gives log density and, by cause, the probability of the event until its time."""

    def density(d, p, eta):
        return np.concatenate([family["density"](d, p, eta), law(d, _subjects(d), p)[0]])

    def moments(d, p, eta):
        share, k = law(d, _subjects(d), p)[1], np.arange(1, causes + 1)
        mean = k @ share
        of_event = mean, np.sqrt(k**2 @ share - mean**2)
        return tuple(map(np.concatenate, zip(family["moments"](d, p, eta), of_event, strict=True)))

    def support(d, values):
        y, event = np.split(values, [len(d)], axis=-1)
        return np.concatenate([family["support"](d, y), np.isin(event, range(causes + 1))], axis=-1)

    return {
        "density": density, "moments": moments, "support": support, "data": patients, "tables": (None,),
        "rows": lambda d: {"row": range(len(d)), "id": sorted(set(d.id))},
    }  # fmt: skip


def _pieces(d, s, p):
    """A constant hazard in each piece, times exp(alpha eta), eta linear in time: integrals of exponentials."""
    b, beta, gamma = (p[name].to_pandas() for name in ("u_id", "beta", "surv_beta"))
    placebo = s.drug == "placebo"
    at_0 = p["Intercept"].item() + b["Intercept"]
    slope = b["time"] + beta["time"] + beta["time:drug[placebo]"] * placebo
    alpha = p["assoc"].sel(association="value").item()
    fixed = gamma["drug[placebo]"] * placebo + gamma["age"] * s.age + alpha * at_0
    H, log_h = 0.0, 0.0
    for low, high, log_h0 in zip(CUTS, CUTS[1:], p["log_h0"].values, strict=False):
        end = np.minimum(s.years, high)
        rise = alpha * slope * (end - low)
        part = np.exp(log_h0 + fixed + alpha * slope * low) * (end - low) * np.expm1(rise) / rise
        H += np.where(s.years > low, part, 0.0)
        log_h += np.where((s.years > low) & (s.years <= high), log_h0 + fixed + alpha * slope * s.years, 0.0)
    return s.death * log_h - H, -np.expm1(-np.array([H]))


def _two_causes(d, s, p):
    """Constant hazards of two causes by the subject's effect and w of (start, stop]; who entered late survived until then."""
    d = d.sort_values(["id", "time"])
    first = d.groupby("id").head(1).set_index("id")
    u, x = p["u_id"].to_pandas()["Intercept"], np.polynomial.hermite_e.hermegauss(60)
    log_p, hazards, before = 0.0, [], 0.0
    for k in ("dead", "moved"):
        gamma = p["surv_beta"].sel(surv_coef="w", cause=k).item()
        alpha = p["assoc"].sel(association="shared_effects", cause=k).item()
        level = p["surv_Intercept"].sel(cause=k).item()
        rate = np.exp(level + gamma * d.w)
        H = (rate * (d.stop - d.start)).groupby(d.id).sum() * np.exp(alpha * u)
        H_0 = first.start * np.exp(level + gamma * first.w)
        log_p += (s.cause == k) * (level + gamma * s.w + alpha * u) - H - H_0 * np.exp(alpha * u)
        before += np.outer(H_0, np.exp(alpha * p["sd_id"].item() * x[0]))
        hazards.append(rate * np.exp(alpha * d.id.map(u)))
    log_p = log_p - np.log(np.exp(-before) @ x[1] / x[1].sum())
    total = sum(hazards)
    in_row = total * (d.stop - d.start)
    alive = np.exp(in_row - in_row.groupby(d.id).cumsum())
    event = alive * -np.expm1(-in_row)
    return log_p.to_numpy(), np.array([(event * h / total).groupby(d.id).sum() for h in hazards])


def _comes_again() -> dict:
    """A marker, and events that come again with a constant hazard times exp(alpha eta + v), eta linear in time: their number, Poisson."""

    def numbers(d, p):
        u, v = (p[name].to_pandas()["Intercept"] for name in ("u_id", "frailty"))
        alpha, slope = p["assoc"].item(), p["assoc"].item() * p["beta"].item()
        level = (
            p["surv_Intercept"].item()
            + p["surv_beta"].item() * d.w
            + alpha * (p["Intercept"].item() + d.id.map(u))
            + d.id.map(v)
        )
        H = np.exp(level) * (np.exp(slope * d.stop) - np.exp(slope * d.start)) / slope
        return (d.again * (level + slope * d.stop)).groupby(d.id).sum().to_numpy(), H.groupby(d.id).sum().to_numpy()

    def density(d, p, eta):
        log_h, H = numbers(d, p)
        return np.concatenate([GAUSSIAN["density"](d, p, eta), log_h - H])

    def moments(d, p, eta):
        H = numbers(d, p)[1]
        return tuple(map(np.concatenate, zip(GAUSSIAN["moments"](d, p, eta), (H, np.sqrt(H)), strict=True)))

    def support(d, values):
        y, event = np.split(values, [len(d)], axis=-1)
        return np.concatenate([GAUSSIAN["support"](d, y), (event >= 0) & (event == np.round(event))], axis=-1)

    return {
        "density": density, "moments": moments, "support": support, "tables": (None,),
        "data": lambda: patients().assign(again=lambda d: (np.arange(len(d)) % 3 > 0).astype(int)),
        "rows": lambda d: {"row": range(len(d)), "id": sorted(set(d.id))},
    }  # fmt: skip


def _cutpoints(center: bool = True, nominal: bool = False) -> tuple[dict, dict]:
    gamma = {"nominal_beta": ("nominal_coef",)} if nominal else {}
    return {f"cutpoints{'_at_means' * center}": ("cutpoint",)} | gamma, {"cutpoints": ("cutpoint",)} | gamma


# -------------------------------------------------------------------------------------------------- pieces of a model

SCALAR: tuple[str, ...] = ()


def _group(g: str, corr: int = 0, lead: str = "", slopes: bool = False) -> tuple[dict, dict]:
    """Free and posterior variables of a factor's effects; `corr` counts its correlated blocks, `lead` is "zi_". With `slopes`
    beside an intercept the priors hold at the means of their covariates."""
    posterior = {f"{lead}sd_{g}": (f"{lead}{g}_effect",), f"{lead}u_{g}": (g, f"{lead}{g}_effect")}
    free = {f"{name}_at_means" if slopes else name: dims for name, dims in posterior.items()}
    if corr or slopes:
        posterior[f"{lead}corr_{g}"] = (f"{lead}{g}_effect", f"{lead}{g}_effect_bis")
    names = [f"{lead}pcorr_{g}"] if corr == 1 else [f"{lead}pcorr_{g}_{b}" for b in range(corr)]
    return free | {name: (f"{name}_pair",) for name in names}, posterior


def _scalar(name: str) -> tuple[dict, dict]:
    return {name: SCALAR}, {name: SCALAR}


def _regression(prefix: str) -> tuple[dict, dict]:
    """Free and posterior variables of another predictor's intercept and coefficients."""
    beta = {f"{prefix}_beta": (f"{prefix}_coef",)}
    return {f"{prefix}_Intercept_at_means": SCALAR, **beta}, {f"{prefix}_Intercept": SCALAR, **beta}


def _variables(*groups: tuple[dict, dict], sigma: bool = False, intercept: str = "Intercept_at_means") -> dict:
    """`free` and `posterior` of a model with beta."""
    free: dict = {"beta": ("coef",)} | ({intercept: SCALAR} if intercept else {}) | ({"sigma": SCALAR} if sigma else {})
    posterior = (
        {"beta": ("coef",)} | ({"Intercept": SCALAR} if intercept else {}) | ({"sigma": SCALAR} if sigma else {})
    )
    for f, p in groups:
        free, posterior = free | f, posterior | p
    return {"free": free, "posterior": posterior}


def _products(*groups: tuple[dict, dict], sigma: bool = False) -> dict:
    """`_variables` of a model whose beta has its prior at the means of covariates that are multiplied."""
    found = _variables(*groups, sigma=sigma)
    return found | {"free": {"beta_at_means" if k == "beta" else k: v for k, v in found["free"].items()}}


def _x(d):
    return {"x": d.x}


def _w(d):
    return {"w": d.w}


def _nothing(d):
    return {}


def _cubic(x, k: int) -> tuple[np.ndarray, np.ndarray]:
    """Xf (n,) and Zs (n, k - 2) of s(x, bs="cr", k=k) by the matrices of Wood (2017), section 5.3.1."""
    at = np.unique(x)
    knots = np.quantile(at, np.linspace(0, 1, k))
    h = np.diff(knots)
    D, B = np.zeros((k - 2, k)), np.zeros((k - 2, k - 2))
    for i in range(k - 2):
        D[i, i : i + 3] = 1 / h[i], -1 / h[i] - 1 / h[i + 1], 1 / h[i + 1]
        B[i, i] = (h[i] + h[i + 1]) / 3
        if i:
            B[i, i - 1] = B[i - 1, i] = h[i] / 6
    F = np.vstack([np.zeros(k), np.linalg.solve(B, D), np.zeros(k)])

    def values(x):
        j = np.clip(np.searchsorted(knots, x) - 1, 0, k - 2)
        left, right = knots[j + 1] - x, x - knots[j]
        rows, width = np.eye(k), h[j][:, None]
        a, b = left[:, None] / width, right[:, None] / width
        return a * rows[j] + b * rows[j + 1] + ((a**3 - a) * F[j] + (b**3 - b) * F[j + 1]) * width**2 / 6

    X, S = values(np.asarray(x)), D.T @ np.linalg.solve(B, D)
    S *= np.abs(X).sum(axis=1).max() ** 2 / np.abs(S).sum(axis=0).max()
    Q = np.linalg.svd(X.mean(axis=0)[None])[2][1:].T
    size, U = np.linalg.eigh(Q.T @ S @ Q)
    M = (Q @ U[:, 1:] / np.sqrt(size[1:]))[:, ::-1]
    M = M * np.sign(np.exp(np.linspace(0, 1, len(at))) @ values(at) @ M)
    Zs, Xf = X @ M, x - np.mean(x)
    return Xf * np.sqrt(np.sum(Zs**2) / (k - 2) / np.sum(Xf**2)), Zs


def _surv(baseline: str, dim: str = "", cause: bool = False) -> tuple[dict, dict]:
    """Free and posterior variables of an event: `baseline` over `dim`."""
    by = ("cause",) if cause else ()
    variables = {
        "surv_beta": ("surv_coef", *by), "assoc": ("association", *by), baseline: (*([dim] if dim else []), *by)
    }  # fmt: skip
    return variables, variables


_FRAILTY = {"frailty": ("id", "frailty_effect"), "frailty_sd": SCALAR}


def _surv_times() -> dict:
    return {"surv_time": tuple(patients().years.max() * np.arange(1, 41) / 40)}


def _curve(variables: Mapping[str, str]):
    """The curve s(x, bs="cr", k=6) by predictor; `variables` names the column x of each predictor that has a curve."""

    def curve(d, p, lead):
        if lead not in variables:
            return 0.0
        Xf, Zs = _cubic(d[variables[lead]].to_numpy(), 6)
        name = f"{lead}s_{variables[lead]}"
        return Xf * p[f"{name}_linear"].item() + Zs @ p[f"{name}_weights"].values

    return {"curve": curve}


def _uneven(d, p, lead):
    """What uneven steps of mo(dose) change: b (3 (zeta_1 + ... + zeta_dose) - dose), b as w has it."""
    reached = 3 * np.append(0, np.cumsum(p["simplex_dose"].values))[d.dose]
    b = p["beta"].sel(coef="mo(dose)").item() + p["beta"].sel(coef="mo(dose):w").item() * d.w
    return b * (reached - d.dose)


def _smooth(name: str) -> tuple[dict, dict]:
    """Free and posterior variables of a smooth."""
    variables = {f"{name}_sd": SCALAR, f"{name}_linear": SCALAR, f"{name}_weights": (f"{name}_weight",)}
    return variables, variables


def _g(d):
    return {"g": (d.g, {"Intercept": 1.0})}


def _parts(d):
    """Weights of the two memberships (n, 2)."""
    return d[["w1", "w2"]].div(d.w1 + d.w2, axis=0).to_numpy()


def _g_slope(d):
    return {"g": (d.g, {"Intercept": 1.0, "x": d.x})}


def _in(**factors: Any) -> Callable:
    """Z of varying effects by factor: an intercept called as given, or covariates by effect."""
    return lambda d: {
        g: (d[g], {name: 1.0 if column is None else d[column] for name, column in effects.items()})
        for g, effects in factors.items()
    }


def _pairs_of(labels: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(f"{b}|{a}" for i, b in enumerate(labels) for a in labels[:i])


def _shared(g: str, *labels: str) -> dict:
    return {f"{g}_effect": labels, f"{g}_effect_bis": labels, f"pcorr_{g}_pair": _pairs_of(labels)}


def _all(*groups: tuple[dict, dict]) -> dict:
    """`free` and `posterior` of a model of several outcomes."""
    return {
        "free": {k: v for f, _ in groups for k, v in f.items()},
        "posterior": {k: v for _, p in groups for k, v in p.items()},
    }


ONE = ("Intercept",)
FOUR = ("1", "2", "3", "4")
SLOPE = ("Intercept", "x")
RATINGS = ("1|2", "2|3", "3|4")
BOTH = ("Intercept", "zi:Intercept")
PAIR = {"pcorr_g_pair": ("x|Intercept",)}
NUMBER = {"x": "number", "g": "group"}
VISITS, SUBJECTS = ("1", "2", "4", "7"), tuple(f"s{k:02d}" for k in range(1, 19))
TRIALS = tuple(f"T{j}" for j in range(1, 9))
TWO_ARMS = ("control", "treatment")
FIXED_TRIALS = {"effect": SCALAR, "tau": SCALAR, "study_effect": ("trial",), "study_Intercept": ("trial",)}
AGAINST_A = ("B vs A", "C vs A", "D vs A")
IN_TRIALS = ("N1:B", "N2:B", "N2:C", "N3:C", "N4:C", "N5:C", "N5:D", "N6:D", "N7:D", "N8:B")
NETWORK = {"effect": ("contrast",), "tau": SCALAR, "study_effect": ("trial:drug",), "study_Intercept": ("trial",)}
SLOPED_NETWORK = {"effect": ("contrast",), "beta": ("coef",), "study_Intercept": ("trial",)}
RANDOM_TRIALS = _group("trial")[0] | {"Intercept": SCALAR, "effect": SCALAR, "tau": SCALAR, "study_effect": ("trial",)}


def _periods(d):
    return {f"period[{t}]": d.period == t for t in (1, 2, 3)}


def _in_cells(d):
    return {"cluster:period": (d.cluster + ":" + d.period.astype(str), {"Intercept": 1.0})}


def _in_clusters(d):
    return {"cluster": (d.cluster, {"Intercept": 1.0})}


TIMES = ("period[1]", "period[2]", "period[3]")
TRIAL = {"cluster": "group", "period": "factor", "treat": "binary"}
OF_TRIAL = {"data": trial, "X": _periods, "Z": _in_clusters}
EFFECTS = {"coef": TIMES, "cluster_effect": ONE}

ROWS = [
    Row(
        "linear", "hierarchical_linear", "y ~ x + (1 + x | g)", {"y": "number", **NUMBER},
        **_variables(_group("g", corr=1, slopes=True), sigma=True),
        coords={"coef": ("x",), "g_effect": SLOPE, "g_effect_bis": SLOPE, **PAIR}, X=_x, Z=_g_slope, **GAUSSIAN,
    ),
    Row(
        "linear uncentred", "hierarchical_linear", "y ~ x + (1 + x | g)", {"y": "number", **NUMBER},
        **_variables(_group("g", corr=1), sigma=True, intercept="Intercept"), options={"center": False},
        coords={"coef": ("x",), "g_effect": SLOPE, "g_effect_bis": SLOPE, **PAIR}, X=_x, Z=_g_slope, **GAUSSIAN,
    ),
    Row(
        "linear uncorrelated, offsets", "hierarchical_linear", "y ~ x + offset(log(days)) + offset(w) + (x || g)",
        {"y": "number", "days": "number", "w": "number", **NUMBER}, **_variables(_group("g", slopes=True), sigma=True),
        coords={"coef": ("x",), "g_effect": SLOPE, "g_effect_bis": SLOPE}, X=_x, Z=_g_slope, offset=lambda d: np.log(d.days) + d.w, **GAUSSIAN,
    ),
    Row(
        "linear, three effects", "hierarchical_linear", "y ~ x * sex + (1 + x + w | g)",
        {"y": "number", "w": "number", "sex": "factor", **NUMBER}, **_products(_group("g", corr=1, slopes=True), sigma=True),
        coords={"coef": ("x", "sex[m]", "x:sex[m]"), "g_effect": (*SLOPE, "w"), "g_effect_bis": (*SLOPE, "w"),
                "pcorr_g_pair": ("x|Intercept", "w|Intercept", "w|x")},
        X=lambda d: {"x": d.x, "sex[m]": d.sex == "m", "x:sex[m]": d.x * (d.sex == "m")},
        Z=lambda d: {"g": (d.g, {"Intercept": 1.0, "x": d.x, "w": d.w})}, **GAUSSIAN,
    ),
    Row(
        "linear, two blocks", "hierarchical_linear", "y ~ x + (1 + x | g) + (0 + w + v | g)",
        {"y": "number", "w": "number", "v": "number", **NUMBER}, **_variables(_group("g", corr=2, slopes=True), sigma=True),
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
        "linear, t effects by column", "hierarchical_linear", 'y ~ x + (1 | gr(a:b, by=a, dist="student"))',
        {"y": "number", "x": "number", "a": "group", "b": "group"},
        **_variables(({"sd_a:b": ("a", "a:b_effect"), "u_a:b": ("a:b", "a:b_effect"), "df_a:b": SCALAR},) * 2, sigma=True),
        coords={"coef": ("x",), "a": tuple(f"a{j}" for j in range(6)), "a:b_effect": ONE}, X=_x,
        Z=lambda d: {"a:b": (d.a + ":" + d.b, {"Intercept": 1.0})}, **GAUSSIAN,
    ),
    Row(
        "linear, two memberships", "hierarchical_linear", "y ~ x + (1 + x | mm(g, g2, weights=cbind(w1, w2)))",
        {"y": "number", "x": "number", "g": "group", "g2": "group", "w1": "weight", "w2": "weight"},
        **_variables(_group("g+g2", corr=1, slopes=True), sigma=True),
        coords={"coef": ("x",), "g+g2_effect": SLOPE, "g+g2_effect_bis": SLOPE, "pcorr_g+g2_pair": ("x|Intercept",)},
        data=two_schools, X=_x,
        Z=lambda d: {"g+g2": (d[["g", "g2"]], {"Intercept": _parts(d), "x": _parts(d) * d[["x"]].to_numpy()})}, **GAUSSIAN,
    ),
    Row(
        "linear, unstructured residuals", "hierarchical_linear", "y ~ x + (1 | h)",
        {"y": "number", "x": "number", "h": "group", "id": "group", "visit": "factor"},
        options={"residual": "unstructured", "time": "visit", "within": "id"},
        free=_variables(_group("h"))["free"] | {"sigma": ("visit",), "pcorr_residual": ("pcorr_residual_pair",)},
        posterior=_variables(_group("h"))["posterior"] | {"sigma": ("visit",), "corr_residual": ("visit", "visit_bis")},
        coords={"coef": ("x",), "h_effect": ONE, "visit": VISITS, "visit_bis": VISITS, "id": SUBJECTS,
                "pcorr_residual_pair": ("2|1", "4|1", "4|2", "7|1", "7|2", "7|4")},
        X=_x, Z=lambda d: {"h": (d.h, {"Intercept": 1.0})}, **_repeated(_of_pairs),
    ),
    Row(
        "linear, residuals by time", "hierarchical_linear", "y ~ x + (1 | id)",
        {"y": "number", "x": "number", "id": "group", "visit": "number"},
        options={"residual": "car1", "time": "visit", "within": "id"},
        **_variables(_group("id"), ({"rho_at_gap": SCALAR}, {"rho": SCALAR}), sigma=True), coords={"coef": ("x",), "id_effect": ONE}, X=_x,
        Z=lambda d: {"id": (d.id, {"Intercept": 1.0})},
        **_repeated(lambda p, visits: p["rho"].item() ** np.abs(np.subtract.outer(visits, visits))),
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
            "sd_g_at_means_HalfNormal": ("sd_g_at_means_HalfNormal_g_effect",),
            "sd_g_at_means_Exponential": ("sd_g_at_means_Exponential_g_effect",),
            "u_g_at_means": ("g", "g_effect"), "sigma": SCALAR,
        },
        posterior=_variables(_group("g", slopes=True), sigma=True)["posterior"],
        coords={
            "coef": ("x", "w", "v"), "g_effect": SLOPE, "g_effect_bis": SLOPE, "beta_Normal_coef": ("x", "v"), "beta_StudentT_coef": ("w",),
            "sd_g_at_means_HalfNormal_g_effect": ONE, "sd_g_at_means_Exponential_g_effect": ("x",),
        },
        X=lambda d: {"x": d.x, "w": d.w, "v": d.v}, Z=_g_slope, **GAUSSIAN,
    ),
    Row(
        "linear, truncated and censored", "hierarchical_linear", "y | trunc(lb = 0, ub = top) + cens(how) ~ x + (1 | g)",
        {"y": "number", "how": "label", "top": "exposure", **NUMBER}, **_variables(_group("g"), sigma=True),
        coords={"coef": ("x",), "g_effect": ONE}, X=_x, Z=_g, data=within_limits, density=_seen_in_part,
        moments=lambda d, p, eta: (_between(d, p, eta).mean(), _between(d, p, eta).std()),
        support=lambda d, y: (y >= 0) & (y <= d.top.to_numpy()),
    ),
    Row(
        "student, scale", "student_t", "y ~ x + (1 |p| g)", {"y": "number", "w": "number", **NUMBER},
        **_variables(_group("g", corr=1), _regression("sigma"), _scalar("nu")), options={"dispersion": "~ w + (1 |p| g)"},
        coords={"coef": ("x",), "sigma_coef": ("w",), "g_effect": ("Intercept", "sigma:Intercept"),
                "g_effect_bis": ("Intercept", "sigma:Intercept"), "pcorr_g_pair": ("sigma:Intercept|Intercept",)},
        X=_x, Z=_g, also={"sigma": (_w, lambda d: {"g": (d.g, {"sigma:Intercept": 1.0})})}, **STUDENT,
    ),
    Row(
        "gamma", "gamma", "days ~ x + (1 | g)", {"days": "exposure", "w": "number", **NUMBER},
        **_variables(_group("g"), _regression("shape")), options={"dispersion": "~ w"},
        coords={"coef": ("x",), "shape_coef": ("w",), "g_effect": ONE}, X=_x, Z=_g, also={"shape": (_w, _nothing)}, **GAMMA,
    ),
    Row(
        "weibull, shape", "weibull", "days ~ x + (1 |p| g)", {"days": "exposure", "w": "number", **NUMBER},
        **_variables(_group("g", corr=1), _regression("shape")), options={"dispersion": "~ w + (1 |p| g)"},
        coords={"coef": ("x",), "shape_coef": ("w",), **_shared("g", "Intercept", "shape:Intercept")},
        X=_x, Z=_g, also={"shape": (_w, lambda d: {"g": (d.g, {"shape:Intercept": 1.0})})}, **WEIBULL,
    ),
    Row(
        "lognormal", "lognormal", "days ~ x + (1 + x | g)", {"days": "exposure", **NUMBER},
        **_variables(_group("g", corr=1, slopes=True), sigma=True),
        coords={"coef": ("x",), "g_effect": SLOPE, "g_effect_bis": SLOPE, **PAIR}, X=_x, Z=_g_slope, **LOGNORMAL,
    ),
    Row(
        "linear, known covariance", "hierarchical_linear", "y ~ x + (1 | gr(g, cov=A))", {"y": "number", **NUMBER},
        free=_variables(sigma=True)["free"] | {"sd_g": ("g_effect",), "v_g": ("v_g_coordinate", "g_effect")},
        posterior=_variables(_group("g"), sigma=True)["posterior"], coords={"coef": ("x",), "g_effect": ONE, "v_g_coordinate": tuple(range(9))},
        options={"tables": {"A": relatives()}}, X=_x, Z=_g, **GAUSSIAN,
    ),
    Row(
        "linear, dispersion", "hierarchical_linear", "y ~ x + (1 |p| g)", {"y": "number", "w": "number", **NUMBER},
        **_variables(_group("g", corr=1), _regression("sigma")), options={"dispersion": "~ w + (1 |p| g)"},
        coords={"coef": ("x",), "sigma_coef": ("w",), **_shared("g", "Intercept", "sigma:Intercept")},
        X=_x, Z=_g, also={"sigma": (_w, lambda d: {"g": (d.g, {"sigma:Intercept": 1.0})})}, **GAUSSIAN,
    ),
    Row(
        "logistic", "hierarchical_logistic", "ill ~ x + arm + (1 | g)", {"ill": "binary", "arm": "factor", **NUMBER},
        **_variables(_group("g")), coords={"coef": ("x", "arm[mid]", "arm[zero]"), "g_effect": ONE},
        X=lambda d: {"x": d.x, "arm[mid]": d.arm == "mid", "arm[zero]": d.arm == "zero"}, Z=_g, **LOGIT,
    ),
    Row(
        "logistic, two labels", "hierarchical_logistic", "reply ~ x + (1 + x | g)", {"reply": "label", **NUMBER},
        **_variables(_group("g", corr=1, slopes=True)), coords={"coef": ("x",), "g_effect": SLOPE, "g_effect_bis": SLOPE, **PAIR},
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
        "binomial, monotonic", "hierarchical_logistic", "k | trials(n) ~ mo(dose) * w + (1 | g)",
        {"k": "count", "n": "count", "dose": "rank", "w": "number", "g": "group"}, data=doses,
        **_products(_group("g"), ({"simplex_dose": ("dose_step",)}, {"simplex_dose": ("dose_step",)})),
        coords={"coef": ("mo(dose)", "w", "mo(dose):w"), "g_effect": ONE, "dose_step": ("0|1", "1|2", "2|3")},
        X=lambda d: {"mo(dose)": d.dose, "w": d.w, "mo(dose):w": d.dose * d.w}, Z=_g, curve=_uneven, **BINOMIAL,
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
    Row(
        "beta-binomial", "beta_binomial", "k | trials(n) ~ x + (1 | g) + (1 | h)",
        {"k": "count", "n": "count", "w": "number", "h": "group", **NUMBER}, options={"link": "probit", "dispersion": "~ w + (1 | g)"},
        **_variables(_group("g"), _group("h"), _regression("phi"), _group("g", lead="phi_")), X=_x,
        Z=lambda d: {"g": (d.g, {"Intercept": 1.0}), "h": (d.h, {"Intercept": 1.0})}, also={"phi": (_w, _g)},
        coords={"coef": ("x",), "phi_coef": ("w",), "g_effect": ONE, "h_effect": ONE, "phi_g_effect": ONE}, **BETA_BINOMIAL,
    ),
    Row(
        "beta", "beta", "p ~ x + (1 | g)", {"p": "share", **NUMBER}, **_variables(_group("g"), _scalar("phi")),
        coords={"coef": ("x",), "g_effect": ONE}, X=_x, Z=_g, **_shares("p", lambda p, eta: (0 * eta, 0 * eta)),
    ),
    Row(
        "beta, zeros", "beta", "q ~ x + (1 |p| g)", {"q": "share", "w": "number", **NUMBER}, options={"zi": "~ w + (1 |p| g)"},
        **_variables(_group("g", corr=1), _regression("zi"), _scalar("phi")), X=_x, Z=_g,
        coords={"coef": ("x",), "zi_coef": ("w",), "g_effect": BOTH, "g_effect_bis": BOTH, "pcorr_g_pair": ("zi:Intercept|Intercept",)},
        also={"zi": (_w, _in(g={"zi:Intercept": None}))},
        **_shares("q", lambda p, eta, zi: (expit(zi), 0 * eta)),
    ),
    Row(
        "beta, zeros and ones", "beta", "pain ~ x + (1 | g)", {"pain": "share", "w": "number", "v": "number", **NUMBER},
        options={"zoi": "~ w + (1 | g)", "coi": "~ v", "bounds": "0,10"},
        **_variables(_group("g"), _regression("zoi"), _group("g", lead="zoi_"), _regression("coi"), _scalar("phi")), X=_x, Z=_g,
        coords={"coef": ("x",), "zoi_coef": ("w",), "coi_coef": ("v",), "g_effect": ONE, "zoi_g_effect": ONE},
        also={"zoi": (_w, _g), "coi": (lambda d: {"v": d.v}, _nothing)}, **_shares("pain", _zoi, 10.0),
    ),
    Row(
        "ordered beta", "ordered_beta", "pain ~ x + (1 | g)", {"pain": "share", "w": "number", **NUMBER},
        options={"bounds": [0, 10], "dispersion": "~ w"},
        **_variables(_group("g"), _regression("phi"), ({"cutpoints": ("cutpoint",)}, {"cutpoints": ("cutpoint",)})), X=_x, Z=_g,
        coords={"coef": ("x",), "phi_coef": ("w",), "g_effect": ONE, "cutpoint": ("0|between", "between|1")}, also={"phi": (_w, _nothing)},
        **_shares("pain", _ordered_ends, 10.0),
    ),
    Row(
        "poisson", "poisson", "k ~ x + (1 | g)", {"k": "count", "days": "exposure", **NUMBER}, **_variables(_group("g")),
        options={"exposure": "days"}, coords={"coef": ("x",), "g_effect": ONE}, X=_x, Z=_g,
        offset=lambda d: np.log(d.days), **_counts("k"),
    ),
    Row(
        "poisson, ar1", "poisson", "c ~ x + ar1(visit | id) + (1 | h)",
        {"c": "count", "x": "number", "visit": "number", "id": "group", "h": "group"},
        **_variables(_group("id:visit"), _scalar("ar1_id:visit"), _group("h")), X=_x, data=lambda: repeated().assign(c=lambda d: d.y.abs().round()),
        Z=lambda d: {"id:visit": (d.id + ":" + d.visit.astype(str), {"Intercept": 1.0}), "h": (d.h, {"Intercept": 1.0})},
        coords={"coef": ("x",), "id:visit_effect": ONE, "h_effect": ONE}, **_counts("c"),
    ),
    Row(
        "poisson, offset", "poisson", "k ~ x + arm + offset(log(days)) + (1 + x | g) + (1 | h)",
        {"k": "count", "days": "number", "arm": "factor", "h": "group", **NUMBER},
        **_variables(_group("g", corr=1, slopes=True), _group("h")), X=lambda d: {"x": d.x, "arm[mid]": d.arm == "mid", "arm[zero]": d.arm == "zero"},
        Z=lambda d: {**_g_slope(d), "h": (d.h, {"Intercept": 1.0})}, offset=lambda d: np.log(d.days),
        coords={"coef": ("x", "arm[mid]", "arm[zero]"), "g_effect": SLOPE, "g_effect_bis": SLOPE, "h_effect": ONE, **PAIR},
        **_counts("k"),
    ),
    Row(
        "negative binomial", "negative_binomial", "c ~ x + (1 | g)", {"c": "count", **NUMBER},
        **_variables(_group("g"), _scalar("alpha")), coords={"coef": ("x",), "g_effect": ONE}, X=_x, Z=_g,
        **_counts("c", "nb2"),
    ),
    Row(
        "negative binomial, dispersion", "negative_binomial", "c ~ x + (1 | g)",
        {"c": "count", "days": "exposure", "w": "number", **NUMBER}, **_variables(_group("g"), _regression("alpha")),
        options={"dispersion": "~ w", "exposure": "days"}, coords={"coef": ("x",), "g_effect": ONE, "alpha_coef": ("w",)},
        X=_x, Z=_g, also={"alpha": (_w, _nothing)}, offset=lambda d: np.log(d.days), **_counts("c", "nb2"),
    ),
    Row(
        "negative binomial, nb1", "negative_binomial", "c ~ x + (1 | g)", {"c": "count", "days": "exposure", **NUMBER},
        **_variables(_group("g"), _scalar("alpha")), options={"parameterization": "nb1", "exposure": "days"},
        coords={"coef": ("x",), "g_effect": ONE}, X=_x, Z=_g, offset=lambda d: np.log(d.days), **_counts("c", "nb1"),
    ),
    Row(
        "com-poisson", "com_poisson", "c ~ x + (1 | g)", {"c": "count", "w": "number", **NUMBER},
        **_variables(_group("g"), _regression("nu"), _regression("zi")), options={"dispersion": "~ w", "zi": "~ w"},
        coords={"coef": ("x",), "g_effect": ONE, "nu_coef": ("w",), "zi_coef": ("w",)},
        X=_x, Z=_g, also={"nu": (_w, _nothing), "zi": (_w, _nothing)}, **_com_poisson("c"),
    ),
    Row(
        "zip", "zero_inflated_poisson", "c ~ x + (1 | g)", {"c": "count", "days": "exposure", **NUMBER},
        **_variables(_group("g"), _scalar("zi")), options={"exposure": "days"}, coords={"coef": ("x",), "g_effect": ONE},
        X=_x, Z=_g, offset=lambda d: np.log(d.days), **_counts("c", zeros="inflated"),
    ),
    Row(
        "zip, zi", "zero_inflated_poisson", "c ~ x + (1 | h)",
        {"c": "count", "w": "number", "h": "group", **NUMBER}, options={"zi": "~ w + (1 | g) + (1 | h)"},
        **_variables(_group("h"), _regression("zi"), _group("g", lead="zi_"), _group("h", lead="zi_")),
        coords={"coef": ("x",), "zi_coef": ("w",), "h_effect": ONE, "zi_g_effect": ONE, "zi_h_effect": ONE},
        X=_x, Z=lambda d: {"h": (d.h, {"Intercept": 1.0})},
        also={"zi": (_w, lambda d: {"g": (d.g, {"Intercept": 1.0}), "h": (d.h, {"Intercept": 1.0})})},
        **_counts("c", zeros="inflated"),
    ),
    Row(
        "zinb, shared", "zero_inflated_negative_binomial", "c ~ x + (1 |p| g)",
        {"c": "count", "w": "number", "days": "exposure", **NUMBER},
        options={"zi": "~ w + (1 |p| g)", "exposure": "days"},
        **_variables(_group("g", corr=1), _regression("zi"), _scalar("alpha")),
        coords={"coef": ("x",), "zi_coef": ("w",), "g_effect": BOTH, "g_effect_bis": BOTH,
                "pcorr_g_pair": ("zi:Intercept|Intercept",)},
        X=_x, Z=_g, also={"zi": (_w, lambda d: {"g": (d.g, {"zi:Intercept": 1.0})})},
        offset=lambda d: np.log(d.days), **_counts("c", "nb2", "inflated"),
    ),
    Row(
        "hurdle poisson", "hurdle_poisson", "c ~ x + (1 | g)",
        {"c": "count", "w": "number", "days": "exposure", **NUMBER}, options={"zi": "~ w", "exposure": "days"},
        **_variables(_group("g"), _regression("zi")), coords={"coef": ("x",), "zi_coef": ("w",), "g_effect": ONE},
        X=_x, Z=_g, also={"zi": (_w, _nothing)}, offset=lambda d: np.log(d.days), **_counts("c", zeros="hurdle"),
    ),
    Row(
        "hurdle negative binomial", "hurdle_negative_binomial", "c ~ x + (1 | g)",
        {"c": "count", "w": "number", "days": "exposure", **NUMBER},
        options={"dispersion": "~ w", "parameterization": "nb1", "exposure": "days"},
        **_variables(_group("g"), _scalar("zi"), _regression("alpha")),
        coords={"coef": ("x",), "alpha_coef": ("w",), "g_effect": ONE},
        X=_x, Z=_g, also={"alpha": (_w, _nothing)}, offset=lambda d: np.log(d.days), **_counts("c", "nb1", "hurdle"),
    ),
    Row(
        "wedge", "stepped_wedge", "k | trials(n) ~ x", {"k": "count", "n": "count", "x": "number", **TRIAL},
        **_variables(_group("cluster"), _scalar("effect")), coords={"coef": (*TIMES, "x"), "cluster_effect": ONE},
        **OF_TRIAL | {"X": lambda d: {**_periods(d), "x": d.x}}, **_treated(BINOMIAL),
    ),
    Row(
        "wedge, nested, crossover", "stepped_wedge", "ill ~ 1", {"ill": "binary", "cluster": "group", "period": "factor"},
        **_variables(_group("cluster"), _group("cluster:period"), _scalar("effect")),
        options={"correlation": "nested_exchangeable", "crossover": "first", "family": "bernoulli"},
        coords={**EFFECTS, "cluster:period_effect": ONE},
        **OF_TRIAL | {"Z": lambda d: {**_in_clusters(d), **_in_cells(d)}}, **_treated(LOGIT),
    ),
    Row(
        "wedge, decay", "stepped_wedge", "k | trials(n) ~ 1", {"k": "count", "n": "count", **TRIAL},
        **_variables(_group("cluster:period"), _scalar("effect"), _scalar("rho")), options={"correlation": "decay"},
        coords={"coef": TIMES, "cluster:period_effect": ONE}, **OF_TRIAL | {"Z": _in_cells}, **_treated(BINOMIAL),
    ),
    Row(
        "wedge, cohort", "stepped_wedge", "y ~ 1", {"y": "number", "id": "group", **TRIAL},
        **_variables(_group("cluster", corr=1), _group("id"), _scalar("effect"), _regression("sigma")),
        options={"family": "gaussian", "subject": "id", "dispersion": "~ treat + (1 |p| cluster)"},
        coords={"coef": TIMES, "sigma_coef": ("treat",), "id_effect": ONE, **_shared("cluster", "Intercept", "sigma:Intercept")},
        **OF_TRIAL | {"Z": lambda d: {**_in_clusters(d), "id": (d.id, {"Intercept": 1.0})}}, **_treated(GAUSSIAN),
        also={"sigma": (lambda d: {"treat": d.treat}, lambda d: {"cluster": (d.cluster, {"sigma:Intercept": 1.0})})},
    ),
    Row(
        "wedge, exposure time", "stepped_wedge", "c ~ 1", {"c": "count", **TRIAL},
        **_variables(_group("cluster"), ({"effect": ("exposure_time",)},) * 2, _scalar("alpha")),
        options={"family": "negative_binomial", "exposure_time": "categorical"},
        coords={**EFFECTS, "exposure_time": ("1", "2", "3")}, **OF_TRIAL, **_treated(_counts("c", "nb2"), "since"),
    ),
    Row(
        "wedge, monotone", "stepped_wedge", "k | trials(n) ~ 1", {"k": "count", "n": "count", **TRIAL},
        **_variables(
            _group("cluster"), _scalar("long_term_effect"), ({"exposure_shares": ("exposure_time",)},) * 2,
            ({}, {"effect": ("exposure_time",)}),
        ),
        options={"exposure_time": "monotone"}, coords={**EFFECTS, "exposure_time": ("1", "2", "3")},
        **OF_TRIAL, **_treated(BINOMIAL, "since"),
    ),
    Row(
        "wedge, random effect", "stepped_wedge", "c ~ 1", {"c": "count", "days": "exposure", **TRIAL},
        **_variables(_group("cluster", corr=1), _scalar("effect")),
        options={"family": "poisson", "exposure": "days", "treatment_effect": "random"},
        coords={"coef": TIMES, "cluster_effect": ("Intercept", "treatment"), "cluster_effect_bis": ("Intercept", "treatment"),
                "pcorr_cluster_pair": ("treatment|Intercept",)},
        **OF_TRIAL | {"Z": lambda d: {"cluster": (d.cluster, {"Intercept": 1.0, "treatment": d.treat})}},
        offset=lambda d: np.log(d.days), **_treated(_counts("c")),
    ),
    Row(
        "meta, fixed", "meta_analysis", "ev | trials(size) ~ drug + lat",
        {"ev": "count", "size": "count", "drug": "factor", "lat": "number", "trial": "group"},
        free=FIXED_TRIALS | {"beta": ("coef",)}, posterior=FIXED_TRIALS | {"beta": ("coef",)},
        options={"study": "trial", "treatment": "drug"}, data=arms, X=_nothing, Z=_nothing,
        coords={"coef": ("lat",), "trial": TRIALS}, **_meta(slope="lat"),
    ),
    Row(
        "meta, random, half", "meta_analysis", "ev | trials(size) ~ 1",
        {"ev": "count", "size": "count", "arm": "factor", "trial": "group"},
        free=RANDOM_TRIALS, posterior=RANDOM_TRIALS, coords={"trial_effect": ONE}, data=arms, X=_nothing,
        options={"study": "trial", "treatment": "arm", "baseline": "random", "coding": "half", "control": "placebo"},
        Z=lambda d: {"trial": (d.trial, {"Intercept": 1.0})}, **_meta(control=-0.5),
    ),
    Row(
        "meta, bivariate", "meta_analysis", "ev | trials(size) ~ drug + lat",
        {"ev": "count", "size": "count", "drug": "factor", "lat": "number", "trial": "group"},
        free=_group("trial", corr=1)[0] | {"Intercept": SCALAR, "effect": SCALAR, "beta": ("coef",)},
        posterior=_group("trial", corr=1)[1] | {"Intercept": SCALAR, "effect": SCALAR, "beta": ("coef",), "tau": SCALAR, "study_effect": ("trial",)},
        options={"study": "trial", "treatment": "drug", "baseline": "bivariate"}, data=arms, X=_nothing,
        Z=lambda d: {"trial": (d.trial, {"control": d.drug == 0, "treatment": d.drug == 1})},
        coords={"coef": ("lat",), "trial_effect": TWO_ARMS, "trial_effect_bis": TWO_ARMS, "pcorr_trial_pair": ("treatment|control",)},
        **_meta(slope="lat"),
    ),
    Row(
        "meta, rates", "meta_analysis", "ev ~ drug",
        {"ev": "count", "years": "exposure", "drug": "factor", "trial": "group"}, free=FIXED_TRIALS, posterior=FIXED_TRIALS,
        options={"study": "trial", "treatment": "drug", "exposure": "years"}, data=arms, X=_nothing, Z=_nothing,
        coords={"trial": TRIALS}, offset=lambda d: np.log(d.years), **_meta(rate=True),
    ),
    Row(
        "network", "network_meta_analysis", "ev | trials(size) ~ drug",
        {"ev": "count", "size": "count", "drug": "factor", "trial": "group"}, free=NETWORK, posterior=NETWORK,
        options={"study": "trial", "treatment": "drug", "reference": "A"}, data=networked, X=_nothing, Z=_nothing,
        coords={"trial": tuple(f"N{j}" for j in range(1, 9)), "contrast": AGAINST_A, "trial:drug": IN_TRIALS}, **_network(),
    ),
    Row(
        "network, slopes", "network_meta_analysis", "ev | trials(size) ~ drug + lat",
        {"ev": "count", "size": "count", "drug": "factor", "lat": "number", "trial": "group"}, data=networked_by_latitude,
        free=SLOPED_NETWORK, posterior=SLOPED_NETWORK, X=_nothing, Z=_nothing,
        options={"study": "trial", "treatment": "drug", "reference": "A", "trt_effects": "fixed", "interactions": "independent",
                 "baseline_regression": True},
        coords={"trial": tuple(f"N{j}" for j in range(1, 9)), "contrast": AGAINST_A,
                "coef": tuple(f"{x}:drug[{drug}]" for x in ("lat", "baseline") for drug in "BCD")}, **_sloped_network(),
    ),
    Row(
        "network, fixed, rates", "network_meta_analysis", "ev ~ 1",
        {"ev": "count", "years": "exposure", "drug": "factor", "trial": "group"},
        free=_group("trial")[0] | {"Intercept": SCALAR, "effect": ("contrast",)},
        posterior=_group("trial")[1] | {"Intercept": SCALAR, "effect": ("contrast",)},
        options={"study": "trial", "treatment": "drug", "reference": "A", "trt_effects": "fixed", "baseline": "random", "exposure": "years"},
        data=networked, X=_nothing, Z=lambda d: {"trial": (d.trial, {"Intercept": 1.0})},
        coords={"trial_effect": ONE, "contrast": AGAINST_A}, offset=lambda d: np.log(d.years), **_network(rate=True),
    ),
    Row(
        "ordinal", "ordinal", "rating ~ x + arm + (1 + x | g)", {"rating": "rank", "arm": "factor", **NUMBER},
        **_variables(_group("g", corr=1, slopes=True), _cutpoints(), intercept=""), data=ratings,
        coords={"coef": ("x", "arm[mid]", "arm[zero]"), "g_effect": SLOPE, "g_effect_bis": SLOPE, "cutpoint": RATINGS, **PAIR},
        X=lambda d: {"x": d.x, "arm[mid]": d.arm == "mid", "arm[zero]": d.arm == "zero"}, Z=_g_slope, **_ordered(_rating),
    ),
    Row(
        "ordinal probit, labels", "ordinal", "grade ~ 0 + arm + (1 | g) + (1 | h)",
        {"grade": "label", "arm": "factor", "g": "group", "h": "group"}, data=ratings,
        **_variables(_group("g"), _group("h"), _cutpoints(), intercept=""),
        options={"link": "probit", "levels": "low, mid, high"},
        coords={"coef": ("arm[mid]", "arm[zero]"), "g_effect": ONE, "h_effect": ONE, "cutpoint": ("low|mid", "mid|high")},
        X=lambda d: {"arm[mid]": d.arm == "mid", "arm[zero]": d.arm == "zero"},
        Z=lambda d: {**_g(d), "h": (d.h, {"Intercept": 1.0})}, **_ordered(_grade, stats.norm),
    ),
    Row(
        "ordinal cloglog", "ordinal", "rating ~ x + offset(w) + (1 | g)",
        {"rating": "rank", "w": "number", **NUMBER}, data=ratings,
        **_variables(_group("g"), _cutpoints(center=False), intercept=""), options={"link": "cloglog", "center": False},
        coords={"coef": ("x",), "g_effect": ONE, "cutpoint": RATINGS}, X=_x, Z=_g, offset=lambda d: d.w,
        **_ordered(_rating, stats.gumbel_l),
    ),
    Row(
        "ordinal, nominal", "ordinal", "rating ~ x + w + v + (1 | g)",
        {"rating": "rank", "w": "number", "v": "number", **NUMBER}, data=ratings, options={"nominal": "~ x + v"},
        **_variables(_group("g"), _cutpoints(nominal=True), intercept=""), Z=_g,
        coords={"coef": ("x", "w", "v"), "g_effect": ONE, "cutpoint": RATINGS,
                "nominal_coef": ("x: 2|3", "x: 3|4", "v: 2|3", "v: 3|4")},
        X=lambda d: {"x": d.x, "w": d.w, "v": d.v}, **_ordered(_rating, nominal=("x", "v")),
    ),
    Row(
        "ordinal, disc", "ordinal", "rating ~ x + v + (1 |p| g)",
        {"rating": "rank", "w": "number", "v": "number", **NUMBER}, data=ratings,
        options={"disc": "~ w + (1 |p| g)", "nominal": "~ v", "priors": {"disc_beta": "Normal(0, 0.5)", "sd": "Exponential(3)"}},
        **_variables(_group("g", corr=1), _cutpoints(nominal=True), ({"disc_beta": ("disc_coef",)},) * 2, intercept=""),
        coords={"coef": ("x", "v"), "cutpoint": RATINGS, "nominal_coef": ("v: 2|3", "v: 3|4"), "disc_coef": ("w",),
                **_shared("g", "Intercept", "disc:Intercept")},
        X=lambda d: {"x": d.x, "v": d.v}, Z=_g, also={"disc": (_w, lambda d: {"g": (d.g, {"disc:Intercept": 1.0})})},
        **_ordered(_rating, nominal=("v",)),
    ),
    Row(
        "ordinal sratio", "ordinal", "rating ~ x + (1 | g)", {"rating": "rank", **NUMBER}, data=ratings,
        **_variables(_group("g"), _cutpoints(), intercept=""), options={"family": "sratio", "link": "probit"},
        coords={"coef": ("x",), "g_effect": ONE, "cutpoint": RATINGS}, X=_x, Z=_g,
        **_ordered(_rating, stats.norm, "sratio"),
    ),
    Row(
        "ordinal acat", "ordinal", "rating ~ x + (1 | g)", {"rating": "rank", "w": "number", **NUMBER}, data=ratings,
        options={"family": "acat", "disc": "~ I(w / 4)", "priors": {"disc_beta": "Normal(0, 0.5)"}},
        **_variables(_group("g"), _cutpoints(), ({"disc_beta": ("disc_coef",)},) * 2, intercept=""),
        coords={"coef": ("x",), "g_effect": ONE, "cutpoint": RATINGS, "disc_coef": ("I(w/4)",)},
        X=_x, Z=_g, also={"disc": (lambda d: {"I(w/4)": d.w / 4}, _nothing)}, **_ordered(_rating, family="acat"),
    ),
    Row(
        "categorical", "categorical", "mode ~ x + arm + (1 |p| g) + (1 + x | h)",
        {"mode": "factor", "arm": "factor", "h": "group", **NUMBER}, data=choices, options={"reference": "walk"},
        **_all(
            *map(_regression, ("bus", "car")), _group("g", corr=1),
            *(_group("h", corr=1, slopes=True, lead=lead) for lead in ("bus_", "car_")),
        ),
        coords={
            **{f"{k}_coef": ("x", "arm[mid]", "arm[zero]") for k in ("bus", "car")}, **_shared("g", "bus:Intercept", "car:Intercept"),
            **{f"{k}_h_effect{end}": SLOPE for k in ("bus", "car") for end in ("", "_bis")},
            **{f"{k}_pcorr_h_pair": ("x|Intercept",) for k in ("bus", "car")},
        },
        also={
            k: (
                lambda d: {"x": d.x, "arm[mid]": d.arm == "mid", "arm[zero]": d.arm == "zero"},
                _in(g={f"{k}:Intercept": None}, h={"Intercept": None, "x": "x"}),
            )
            for k in ("bus", "car")
        },
        X=_nothing, Z=_nothing, **_unordered("mode", "walk", "bus", "car"),
    ),
    Row(
        "never at risk", "never_at_risk", "c ~ x + (1 | id)",
        {"c": "count", "x": "number", "w": "number", "days": "exposure", "id": "group"},
        options={"never": "~ w", "exposure": "days"},
        free=_variables(_group("id"))["free"] | {"never_Intercept_at_means": SCALAR, "never_beta": ("never_coef",)},
        posterior=_variables(_group("id"))["posterior"] | {"never_Intercept": SCALAR, "never_beta": ("never_coef",)},
        coords={"coef": ("x",), "id_effect": ONE, "never_coef": ("w",), "never_subject": ALL_ZERO}, X=_x,
        Z=lambda d: {"id": (d.id, {"Intercept": 1.0})}, also={"never": (lambda d: {"w": d.w}, lambda d: {})},
        offset=lambda d: np.log(d.days), **_never("c", lambda p, eta: stats.poisson(np.exp(eta))),
    ),
    Row(
        "never at risk, negative binomial", "never_at_risk", "c ~ x + (1 | h)", {"c": "count", "x": "number", "h": "group"},
        options={"family": "negative_binomial"},
        free=_variables(_group("h"))["free"] | {"never": SCALAR, "alpha": SCALAR},
        posterior=_variables(_group("h"))["posterior"] | {"never": SCALAR, "alpha": SCALAR},
        coords={"coef": ("x",), "h_effect": ONE, "id": tuple(f"s{k:02d}" for k in range(1, 13)), "never_subject": ALL_ZERO},
        X=_x, Z=lambda d: {"h": (d.h, {"Intercept": 1.0})}, **_never("c", _nb),
    ),
    Row(
        "never at risk, occupancy", "never_at_risk", "ill ~ x + (1 | id)", {"ill": "binary", "w": "number", "id": "group"},
        options={"never": "~ w", "family": "bernoulli", "center": False},
        free=_variables(_group("id"), intercept="Intercept")["free"]
        | {"never_Intercept": SCALAR, "never_beta": ("never_coef",)},
        posterior=_variables(_group("id"))["posterior"] | {"never_Intercept": SCALAR, "never_beta": ("never_coef",)},
        coords={"coef": ("x",), "id_effect": ONE, "never_coef": ("w",), "never_subject": ALL_ZERO}, X=_x,
        Z=lambda d: {"id": (d.id, {"Intercept": 1.0})}, also={"never": (lambda d: {"w": d.w}, lambda d: {})},
        **_never("ill", lambda p, eta: stats.bernoulli(expit(eta))),
    ),
    Row(
        "survival, late entry", "survival", "Surv(entry, t, dead) ~ x + (1 | a/b)",
        {"entry": "number", "t": "exposure", "dead": "binary", "x": "number", "a": "group", "b": "group"},
        options={"baseline": "weibull"}, **_variables(_group("a"), _group("a:b"), _scalar("shape")),
        coords={"coef": ("x",), "a_effect": ONE, "a:b_effect": ONE}, X=_x,
        Z=lambda d: {"a": (d.a, {"Intercept": 1.0}), "a:b": (d.a + ":" + d.b, {"Intercept": 1.0})}, **_lives(_weibull_hazard, "entry"),
    ),
    Row(
        "survival, intervals", "survival", 'Surv(low, high, type="interval2") ~ x + (1 | g)',
        {"low": "number?", "high": "number?", **NUMBER}, **_variables(_group("g"), _scalar("h0_trend"), _scalar("h0_precision"), ({"h0_steps": ("h0_step",)}, {})),
        coords={"coef": ("x",), "g_effect": ONE, "h0_step": tuple("123456789")}, X=_x, Z=_g, **_hazards(_spline_log_h0, _spline_ends, "low", "high"),
    ),
    Row(
        "survival, pieces", "survival", "Surv(t, dead) ~ x + (1 | g)", {"t": "exposure", "dead": "binary", **NUMBER},
        options={"baseline": "piecewise", "cuts": [1.5, 3.0]}, **_variables(_group("g"), ({"log_h0_ratio": ("piece",)},) * 2),
        coords={"coef": ("x",), "g_effect": ONE, "piece": ("1.5-3", f"3-{lives().t.max():g}")}, X=_x, Z=_g,
        **_right_censored(_hazards(_piece_log_h0, _piece_ends, "low", "high")),
    ),
    Row(
        "survival, causes", "survival", "Surv(t, how) ~ x + (1 |p| g)", {"t": "exposure", "how": "label", **NUMBER},
        options={"baseline": "weibull", "causes": ["died", "moved"], "censored": "alive"},
        **_all(_regression("died"), _regression("moved"), _group("g", corr=1), _scalar("died_shape"), _scalar("moved_shape")),
        coords={"died_coef": ("x",), "moved_coef": ("x",), **_shared("g", "died:Intercept", "moved:Intercept")},
        also={k: (_x, _in(g={f"{k}:Intercept": None})) for k in ("died", "moved")}, X=_nothing, Z=_nothing, **_compete("died", "moved"),
    ),
    Row(
        "survival, lognormal", "survival", "Surv(t, dead) ~ x + (1 + x | g)", {"t": "exposure", "dead": "binary", **NUMBER},
        options={"distribution": "lognormal"}, **_variables(_group("g", corr=1, slopes=True), sigma=True), X=_x,
        Z=_in(g={"Intercept": None, "x": "x"}), coords={"coef": ("x",), **_shared("g", "Intercept", "x")},
        **_lives(lambda d, p, eta: stats.lognorm(s=p["sigma"].item(), scale=np.exp(eta))),
    ),
    Row(
        "gamm", "gamm", 'y ~ w + s(x, bs="cr", k=6) + (1 | g)', {"y": "number", "w": "number", **NUMBER},
        **_variables(_group("g"), _smooth("s_x"), sigma=True), X=_w, Z=_g,
        coords={"coef": ("w",), "g_effect": ONE, "s_x_weight": FOUR}, **_curve({"": "x"}), **GAUSSIAN,
    ),
    Row(
        "gamm, zero part", "gamm", 'c ~ x + s(v, bs="cr", k=6) + (1 | g)',
        {"c": "count", "v": "number", "w": "number", "days": "exposure", **NUMBER},
        options={"family": "zero_inflated_poisson", "zi": '~ s(w, bs="cr", k=6)', "exposure": "days"},
        free=_variables(_group("g"), _smooth("s_v"), _smooth("zi_s_w"), _scalar("zi_Intercept"))["free"],
        posterior=_variables(_group("g"), _smooth("s_v"), _smooth("zi_s_w"), _scalar("zi_Intercept"))["posterior"],
        coords={"coef": ("x",), "g_effect": ONE, "s_v_weight": FOUR, "zi_s_w_weight": FOUR}, X=_x, Z=_g,
        also={"zi": (_nothing, _nothing)}, offset=lambda d: np.log(d.days), **_curve({"": "v", "zi_": "w"}),
        **_counts("c", zeros="inflated"),
    ),
    Row(
        "joint", "joint_outcomes",
        {"ill ~ x + (1 |p| g)": "bernoulli", "c ~ x + w + (1 + x |p| g) + (1 | h)": "negative_binomial"},
        {"ill": "binary?", "c": "count?", "w": "number", "h": "group", **NUMBER},
        **_all(_regression("ill"), _regression("c"), _scalar("c_alpha"), _group("g", corr=1, slopes=True), _group("h", lead="c_")),
        coords={"ill_coef": ("x",), "c_coef": ("x", "w"), **_shared("g", "ill:Intercept", "c:Intercept", "c:x"), "c_h_effect": ONE},
        also={
            "ill": (_x, _in(g={"ill:Intercept": None})),
            "c": (lambda d: {"x": d.x, "w": d.w}, _in(g={"c:Intercept": None, "c:x": "x"}, h={"Intercept": None})),
        },
        **_joint(ill=LOGIT, c=_counts("c", "nb2")),
    ),
    Row(
        "joint, Weibull", "joint_outcomes", {"y ~ x + (1 |p| g)": "gaussian", "days ~ w + (1 |p| g)": "weibull"},
        {"y": "number?", "days": "exposure?", "w": "number", **NUMBER},
        **_all(_regression("y"), _regression("days"), *map(_scalar, ("y_sigma", "days_shape")), _group("g", corr=1)),
        coords={"y_coef": ("x",), "days_coef": ("w",), **_shared("g", "y:Intercept", "days:Intercept")},
        also={"y": (_x, _in(g={"y:Intercept": None})), "days": (_w, _in(g={"days:Intercept": None}))},
        **_joint(y=GAUSSIAN, days=WEIBULL),
    ),
    Row(
        "joint, residuals", "joint_outcomes", [("y ~ x + (1 |p| g)", "gaussian"), ("t ~ w + (1 |q| g)", "gaussian")],
        {"y": "number?", "t": "number?", "w": "number", **NUMBER}, options={"residual_correlation": True},
        free=_all(_regression("y"), _regression("t"), *map(_scalar, ("y_sigma", "t_sigma")), _group("g", lead="y_"), _group("g", lead="t_"))["free"]
        | {"pcorr_residual": ("pcorr_residual_pair",)},
        posterior=_all(_regression("y"), _regression("t"), *map(_scalar, ("y_sigma", "t_sigma")), _group("g", lead="y_"), _group("g", lead="t_"))["posterior"]
        | {"corr_residual": ("residual", "residual_bis")},
        coords={"y_coef": ("x",), "t_coef": ("w",), "y_g_effect": ONE, "t_g_effect": ONE, "residual": ("y", "t"),
                "residual_bis": ("y", "t"), "pcorr_residual_pair": ("t|y",)},
        also={"y": (_x, _in(g={"Intercept": None})), "t": (_w, _in(g={"Intercept": None}))}, **_correlated("y", "t"),
    ),
    Row(
        "joint, four families", "joint_outcomes",
        ["k | trials(n) ~ x + (1 |p| g)", "rating ~ x + (1 |q| g)", "c ~ x + (1 |p| g)", "y ~ x + (1 |q| g)"],
        {"k": "count?", "n": "count", "rating": "rank?", "c": "count?", "y": "number?", **NUMBER},
        options={"families": "binomial, ordinal(probit), zip, gaussian", "zi": {"c": "~ w + (1 |p| g)"}},
        free=_all(*map(_regression, ("k", "c", "c_zi", "y")), _scalar("y_sigma"), _group("g", corr=2))["free"]
        | {"rating_beta": ("rating_coef",), "rating_cutpoints_at_means": ("rating_cutpoint",)},
        posterior=_all(*map(_regression, ("k", "c", "c_zi", "y")), _scalar("y_sigma"), _group("g", corr=2))["posterior"]
        | {"rating_beta": ("rating_coef",), "rating_cutpoints": ("rating_cutpoint",)},
        coords={"k_coef": ("x",), "rating_coef": ("x",), "c_coef": ("x",), "c_zi_coef": ("w",), "y_coef": ("x",), "rating_cutpoint": RATINGS,
                "g_effect": ("k:Intercept", "c:Intercept", "c_zi:Intercept", "rating:Intercept", "y:Intercept"),
                "g_effect_bis": ("k:Intercept", "c:Intercept", "c_zi:Intercept", "rating:Intercept", "y:Intercept"),
                "pcorr_g_0_pair": _pairs_of(("k:Intercept", "c:Intercept", "c_zi:Intercept")), "pcorr_g_1_pair": ("y:Intercept|rating:Intercept",)},
        also={prefix: (_w if prefix == "c_zi" else _x, _in(g={f"{prefix}:Intercept": None})) for prefix in ("k", "rating", "c", "c_zi", "y")},
        **_joint(k=BINOMIAL, rating=_ordered(_rating, stats.norm), c=_counts("c", zeros="inflated"), y=GAUSSIAN),
    ),
    Row(
        "joint, loading", "joint_outcomes", [("ill ~ x + (1 |p| g)", "bernoulli"), ("c ~ x + (1 |p| g)", "poisson")],
        {"ill": "binary?", "c": "count?", **NUMBER}, options={"shared": "loading", "center": False},
        free={"ill_Intercept": SCALAR, "ill_beta": ("ill_coef",), "c_Intercept": SCALAR, "c_beta": ("c_coef",), "c_loading": SCALAR}
        | _group("g", lead="ill_")[0],
        posterior={"ill_Intercept": SCALAR, "ill_beta": ("ill_coef",), "c_Intercept": SCALAR, "c_beta": ("c_coef",), "c_loading": SCALAR}
        | _group("g", lead="ill_")[1],
        coords={"ill_coef": ("x",), "c_coef": ("x",), "ill_g_effect": ONE},
        also={"ill": (_x, _in(g={"Intercept": None})), "c": (_x, _nothing)}, **_loaded(),
    ),
    Row(
        "joint survival", "joint_survival", "y ~ time + time:drug + (1 + time | id)",
        {"y": "number?", "time": "number", "drug": "factor", "age": "number", "years": "exposure", "death": "binary", "id": "group"},
        options={"event": "Surv(years, death) ~ drug + age", "baseline": "piecewise", "cuts": [1.5, 3.0]},
        free=_variables(_group("id", corr=1, slopes=True), _surv("log_h0_at_means", "piece"), sigma=True)["free"],
        posterior=_variables(_group("id", corr=1, slopes=True), _surv("log_h0", "piece"), sigma=True)["posterior"],
        coords={"coef": ("time", "time:drug[placebo]"), **_shared("id", "Intercept", "time"), "association": ("value",),
                "surv_coef": ("drug[placebo]", "age"), "piece": ("0-1.5", "1.5-3", "3-5.96925"), **_surv_times()},
        X=lambda d: {"time": d.time, "time:drug[placebo]": d.time * (d.drug == "placebo")},
        Z=_in(id={"Intercept": None, "time": "time"}), **_followed_up(GAUSSIAN, _pieces),
    ),
    Row(
        "joint survival, causes", "joint_survival", "ill ~ time + (1 | id)",
        {"ill": "binary?", "time": "number", "w": "number", "start": "number", "stop": "number", "cause": "label", "id": "group"},
        options={"event": "Surv(start, stop, cause) ~ w", "baseline": "exponential", "families": "bernoulli",
                 "association": "shared_effects", "causes": ["dead", "moved"], "censored": "alive"},
        free=_variables(_group("id"), _surv("surv_Intercept_at_means", cause=True))["free"],
        posterior=_variables(_group("id"), _surv("surv_Intercept", cause=True))["posterior"],
        coords={"coef": ("time",), "id_effect": ONE, "association": ("shared_effects",), "surv_coef": ("w",), "cause": ("dead", "moved"), **_surv_times()},
        X=lambda d: {"time": d.time}, Z=_in(id={"Intercept": None}), **_followed_up(LOGIT, _two_causes, 2),
    ),
    Row(
        "joint survival, recurrent", "joint_survival", "y ~ time + (1 | id)",
        {"y": "number?", "time": "number", "w": "number", "start": "number", "stop": "number", "again": "binary", "id": "group"},
        options={"event": "Surv(start, stop, again) ~ w + (1 | id)", "baseline": "exponential", "recurrent": True},
        free=_variables(_group("id"), _surv("surv_Intercept_at_means"), sigma=True)["free"] | _FRAILTY,
        posterior=_variables(_group("id"), _surv("surv_Intercept"), sigma=True)["posterior"] | _FRAILTY,
        coords={"coef": ("time",), "id_effect": ONE, "frailty_effect": ONE, "association": ("value",), "surv_coef": ("w",), **_surv_times()},
        X=lambda d: {"time": d.time}, Z=_in(id={"Intercept": None}), **_comes_again(),
    ),
]  # fmt: skip

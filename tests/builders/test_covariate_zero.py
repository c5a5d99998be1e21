"""Nothing depends on where a covariate's zero lies, nor on its unit, but the unit of its own coefficients.

With x' = a (x + c) the model is the same at coefficients, sds and effects of x divided by a: every prior and the likelihood have
the density that they had before, up to the Jacobian of the units.
"""

from __future__ import annotations

import re
from io import StringIO

import numpy as np
import pandas as pd
import pytest
import row_models
from rows import ROWS, Row, arms, ratings, visits

import glmm_zoo as zoo

SHIFT, SCALE = 2000.0, 0.001
# responses, times, offsets and exposures are no covariates
OTHERS = {"y", "t", "days", "time", "start", "stop", "years"}


def moved_columns(row: Row) -> list[str]:
    """The covariates of numbers that the row's model has."""
    text = f"{row.formula} {row.options}"
    fixed = [c for c in row.columns if f"offset({c})" in text or re.search(rf"(Surv|ar1)\([^)]*\b{c}\b", text)]
    return [c for c, kind in row.columns.items() if kind == "number" and c not in (*OTHERS, *fixed)]


def keeps_its_meaning(row: Row) -> bool:
    """Not without centring, nor where numbers are given in units of x, nor with slopes through zero, (0 + x | g)."""
    return row.options.get("center", True) is True and "priors" not in row.options and "(0 + x" not in str(row.formula)


followed = next(row.data for row in ROWS if row.name == "joint survival")


def standardized():
    """Age in standard deviations from its mean, so that hazards are finite at random points."""
    return followed().assign(age=lambda d: (d.age - d.age.mean()) / d.age.std())


STUDIES = {"study": "trial", "treatment": "drug"}


def trials_with_doses():
    """The arms of the rows, and a second covariate of the trials."""
    return arms().assign(dose=lambda d: d.trial.map({f"T{j}": x for j, x in enumerate((3, 1, 4, 1, 5, 9, 2, 6), 1)}))


# builder, formula, options, covariates moved: what the rows have not
MORE = {
    "products that vary": ("hierarchical_linear", "y ~ x * w * v + (1 + x * w | g)", {}, ["x", "w", "v"]),
    "products that vary, apart": ("poisson", "k ~ arm / x + (1 | g) + (0 + w | g) + (sex * v || h)", {}, ["x", "w", "v"]),
    "a square": ("hierarchical_logistic", "ill ~ x + I(x**2) + w:x + w + (x + I(x**2) | g)", {}, ["x", "w"]),
    "dispersion": ("negative_binomial", "c ~ x + (x | g)", {"dispersion": "~ w * sex + (w || g)"}, ["x", "w"]),
    "zi, one block": (
        "zero_inflated_negative_binomial", "c ~ x + (x |p| g)", {"zi": "~ w + (w |p| g)", "dispersion": "~ v + (v | h)"},
        ["x", "w", "v"],
    ),
    "outcomes": (
        "joint_outcomes", ["y ~ x * w + (1 + x |p| g)", "k ~ w + (1 + w + v |p| g) + (v | h)"],
        {"families": "gaussian, poisson"}, ["x", "w", "v"],
    ),
}  # fmt: skip
INVARIANT = {
    **{row.name: (row.builder, row.formula, row.options, moved_columns(row), row.data, row.tables)
       for row in ROWS if keeps_its_meaning(row) and moved_columns(row)},
    **{name: (*case, visits, ()) for name, case in MORE.items()},
    **{f"products of trials, {baseline}": ("meta_analysis", "ev | trials(size) ~ lat * dose", {"baseline": baseline, **STUDIES},
       ["lat", "dose"], trials_with_doses, ()) for baseline in ("fixed", "random", "bivariate")},
    **{f"{curve}": ("gamm", f"y ~ {curve} + v * days + (1 | g)", {}, ["x", "w", "v", "days"], visits, ())
       for curve in ("s(x, by=arm, k=6)", "s(x, g, bs='fs', k=5)", "t2(x, w, k=4)")},
    **{f"a curve times numbers, {bs}": ("gamm", f"y ~ s(x, by=w, bs='{bs}', k=6) + v * days + (1 | g)", {}, ["x", "v", "days"], visits, ())
       for bs in ("tp", "cr", "ps", "cc")},
    "nominal products": (
        "ordinal", "rating ~ x * w * arm + (1 | g)", {"nominal": "~ x * w + arm"}, ["x", "w"], ratings, (),
    ),
    "event": (
        "joint_survival", "y ~ time * age + (1 + time + age | id)",
        {"event": "Surv(years, death) ~ drug * age", "baseline": "piecewise", "cuts": [1.5, 3.0]}, ["age"],
        followed, (None,),
    ),
    "shared effects": (
        "joint_survival", "y ~ time * age + (1 + time * age | id)",
        {"event": "Surv(years, death) ~ drug", "association": "shared_effects*age", "baseline": "exponential"}, ["age"],
        standardized, (None,),
    ),
    "association by a covariate": (
        "joint_survival", "y ~ time + (1 + time | id)",
        {"event": "Surv(years, death) ~ age", "association": "value*age + slope*age + value:drug + area*drug", "baseline": "weibull"}, ["age"],
        standardized, (None,),
    ),
    "late entry, shared effects": (
        "joint_survival", "y ~ time + age + (1 + age | id)",
        {"event": "Surv(entry, years, death) ~ drug", "association": "shared_effects", "baseline": "exponential"}, ["age"],
        standardized, (standardized().drop_duplicates("id").drop(columns="age").assign(entry=0.01),),
    ),
    "late entry": (
        "joint_survival", "y ~ time + age + (1 + age | id)",
        {"event": "Surv(entry, years, death) ~ drug", "baseline": "exponential"}, ["age"],
        standardized, (standardized().drop_duplicates("id").drop(columns="age").assign(entry=0.01),),
    ),
}  # fmt: skip


def density(model):
    """From values of the free variables to the log density of each variable, without Jacobians."""
    free = model.with_transforms({rv.name: None for rv in model.free_RVs})
    run = row_models.function(free, free.logp(jacobian=False, sum=False))
    names = [rv.name for rv in free.basic_RVs]
    return lambda point: {name: float(np.sum(v)) for name, v in zip(names, run(point), strict=True)}


def power_of(label: str, columns: list[str]) -> int:
    of_effect = re.fullmatch(r"shared_effects\[(.*)\](.*)", str(label))  # multiplies an effect, which has the power
    if of_effect:
        return power_of(of_effect[2], columns) - power_of(of_effect[1], columns)
    term = re.sub(r"I\((\w+)\*\*2\)", r"\1:\1", str(label)).split(": ")[0]  # "x:w: 2|3" is that of a threshold
    return sum(part in columns for part in term.split(":"))


def mapped(model, name: str, value: np.ndarray, columns: list[str]) -> tuple[np.ndarray, float]:
    """The variable after the change of units, and the logarithm of how much smaller its elements became together."""
    powers = np.zeros(np.shape(value))
    for axis, dim in enumerate(model.named_vars_to_dims.get(name, ())):
        if dim.endswith(("coef", "effect", "association")) and not dim.startswith("s_"):  # curves have no unit of x
            of_labels = np.array([power_of(label, columns) for label in model.coords[dim]], float)
            powers = powers + of_labels.reshape([-1 if a == axis else 1 for a in range(np.ndim(value))])
    return value * SCALE**-powers, float(powers.sum() * np.log(SCALE))


@pytest.mark.parametrize(
    ("builder", "formula", "options", "columns", "data", "tables"), INVARIANT.values(), ids=INVARIANT
)
def test_priors_and_likelihood_stay_when_covariates_are_shifted_and_rescaled(
    builder, formula, options, columns, data, tables
):
    def move(table):
        return table.assign(**{c: (table[c] + SHIFT) * SCALE for c in columns if c in table})

    before = row_models.builder(builder)(data(), *tables, formula, **options)
    after = row_models.builder(builder)(
        move(data()), *(t if t is None else move(t) for t in tables), formula, **options
    )
    density_before, density_after = density(before), density(after)
    point = row_models.random_point(before, 5)
    names = [rv.name for rv in before.free_RVs]
    values = row_models.function(before, before.replace_rvs_by_values(before.free_RVs))(point)
    there = {name: mapped(before, name, value, columns) for name, value in zip(names, values, strict=True)}
    found = density_after({name: value for name, (value, _) in there.items()})
    for name, expected in density_before(dict(zip(names, values, strict=True))).items():
        assert abs(expected) < 1e6, f"{name} says nothing there"
        jacobian = there[name][1] if name in there else 0.0
        assert found[name] == pytest.approx(expected + jacobian, rel=1e-6, abs=1e-6), name


CALENDAR = [
    ("piecewise", "value + slope"), ("piecewise", "shared_effects"), ("bspline", "area"), ("weibull", "value*drug"),
    ("exponential", "shared_effects*drug"), ("bspline", "area(1)"),
]  # fmt: skip


@pytest.mark.parametrize(("baseline", "association"), CALENDAR)
def test_time_may_be_counted_from_any_origin(baseline, association):
    """Times of visits, entry, event and cut points, all later by 2000: the model is the same."""

    def model(origin):
        visits = standardized().assign(time=lambda d: d.time + origin)
        people = standardized().drop_duplicates("id").assign(entry=origin, years=lambda d: d.years + origin)
        cuts = {"cuts": [origin + 1.5, origin + 3.0]} if baseline == "piecewise" else {}
        return zoo.joint_survival(
            visits[["id", "time", "y"]], people.drop(columns=["time", "y"]), "y ~ time + (1 + time | id)",
            event="Surv(entry, years, death) ~ drug", baseline=baseline, association=association, **cuts,
        )  # fmt: skip

    before, after = model(0.0), model(2000.0)
    run = row_models.function(before, before.replace_rvs_by_values(before.free_RVs))
    point = dict(zip([rv.name for rv in before.free_RVs], run(row_models.random_point(before, 5, 0.3)), strict=True))
    expected, found = density(before)(point), density(after)(point)
    assert all(abs(x) < 1e6 for x in expected.values())
    assert found == pytest.approx(expected, rel=1e-6, abs=1e-6)


@pytest.mark.parametrize("name", ["event", "shared effects", "association by a covariate"])
def test_hazard_ratios_per_standard_deviation_stay_when_covariates_are_shifted_and_rescaled(name):
    builder, formula, options, columns, data, tables = INVARIANT[name]
    before, after = (
        row_models.builder(builder)(d, *tables, formula, **options)
        for d in (data(), data().assign(**{c: (data()[c] + SHIFT) * SCALE for c in columns}))
    )
    point = row_models.function(before, before.replace_rvs_by_values(before.free_RVs))(
        row_models.random_point(before, 5)
    )
    names = [rv.name for rv in before.free_RVs]
    per_sd = []
    for model, at in (
        (before, dict(zip(names, point, strict=True))),
        (after, {n: mapped(before, n, value, columns)[0] for n, value in zip(names, point, strict=True)}),
    ):
        free = model.with_transforms(dict.fromkeys(names))
        assoc = free["assoc_at_means" if "assoc_at_means" in names else "assoc"]
        run = row_models.function(free, free.replace_rvs_by_values([assoc * free["assoc_sd"]]))
        per_sd.append(run(at)[0])
    np.testing.assert_allclose(per_sd[1], per_sd[0], rtol=1e-6)


@pytest.mark.parametrize("bs", ["tp", "cr", "ps", "cc"])
def test_a_curve_times_numbers_has_the_unit_of_these(bs):
    formula = f"y ~ s(x, by=w, bs='{bs}', k=6) + (1 | g)"
    before, after = (zoo.gamm(visits().assign(w=visits().w * unit), formula) for unit in (1.0, SCALE))
    density_before, density_after = density(before), density(after)
    run = row_models.function(before, before.replace_rvs_by_values(before.free_RVs))
    point = dict(zip([rv.name for rv in before.free_RVs], run(row_models.random_point(before, 5)), strict=True))
    of_curve = {name for name in point if name.startswith("s_x")}
    found = density_after({name: value / SCALE if name in of_curve else value for name, value in point.items()})
    for name, expected in density_before(point).items():
        jacobian = np.size(point[name]) * np.log(SCALE) if name in of_curve else 0.0
        assert found[name] == pytest.approx(expected + jacobian, rel=1e-6, abs=1e-6), name


PREVIEWS = {  # names of the coefficients of x, w and x:w, in place of {}
    "products of trials, bivariate": ("beta[{}]", "lat", "dose", 1e-4),
    "nominal products": ("nominal_beta[{}: 3|4]", "x", "w", 1e-2),
    "event": ("surv_beta[{}]", "drug[placebo]", "age", 1e-4),
}


@pytest.mark.filterwarnings("ignore:this preview:glmm_zoo.ZooWarning")
@pytest.mark.parametrize(("name", "variable", "x", "w", "near"), [(k, *v) for k, v in PREVIEWS.items()], ids=PREVIEWS)
def test_previews_are_at_zero_of_covariates_that_are_multiplied(name, variable, x, w, near):
    """With w + 3 in place of w the slope over x at w = 0 is lower by 3 times the coefficient of x:w, and that of w stays."""
    builder, formula, options, _, data, tables = INVARIANT[name]
    before, after = (
        zoo.quick(row_models.builder(builder)(data().assign(**{w: data()[w] + c}), *tables, formula, **options))["mean"]
        for c in (0.0, 3.0)
    )
    of_x, of_w, of_product = (variable.format(column) for column in (x, w, f"{x}:{w}"))
    assert after[of_product] == pytest.approx(before[of_product], rel=near, abs=1e-6)
    assert after[of_w] == pytest.approx(before[of_w], rel=near, abs=1e-6)
    assert after[of_x] == pytest.approx(before[of_x] - 3.0 * before[of_product], rel=near, abs=1e-6)


BY_HAND = {
    **{name: INVARIANT[name] for name in INVARIANT if name.startswith("products of trials")},
    "nominal": ("ordinal", "rating ~ x * w + (1 | g)", {"nominal": "~ x * w"}, ["x", "w"], ratings, ()),
}


@pytest.mark.parametrize(("builder", "formula", "options", "columns", "data", "tables"), BY_HAND.values(), ids=BY_HAND)
def test_coefficients_at_zero_are_those_of_a_product_that_is_a_column_of_its_own(
    builder, formula, options, columns, data, tables
):
    """A product that is a column of the data is not centred, so that its model has coefficients at zero only."""
    x, w = columns
    by_hand = {key: text.replace("*", "+ both +") for key, text in {**options, "formula": formula}.items()}
    model = row_models.builder(builder)(data(), *tables, formula, **options)
    other = row_models.builder(builder)(data().assign(both=data()[x] * data()[w]), *tables, **by_hand)
    variables = [*model.free_RVs, *model.deterministics]
    run = row_models.function(model, model.replace_rvs_by_values(variables))
    values = dict(zip([v.name for v in variables], run(row_models.random_point(model, 2, 0.1)), strict=True))
    for name in ("beta", "nominal_beta"):
        if name in values:  # x, w, x:w are x, both, w there
            by_column = values[name].reshape(3, -1)
            values[f"{name} of columns"] = by_column[[0, 2, 1]].reshape(values[name].shape)
    expected = density(model)({rv.name: values[rv.name] for rv in model.free_RVs})
    found = density(other)({rv.name: values.get(f"{rv.name} of columns", values.get(rv.name)) for rv in other.free_RVs})
    for name in {rv.name for rv in model.observed_RVs} | ({"study_effect"} & {rv.name for rv in model.free_RVs}):
        assert found[name] == pytest.approx(expected[name], rel=1e-9)


@pytest.mark.parametrize("name", ["linear, three effects", "linear uncorrelated, offsets", "poisson, offset", "joint"])
def test_effects_at_zero_are_those_at_the_means_of_the_columns_less_what_the_slopes_make_there(name):
    """u_Intercept = u_Intercept_at_means - sum of m u_slope, and the covariance of these."""
    frame = next(row for row in ROWS if row.name == name).data()
    _, p, _ = row_models.evaluator(name)(3)
    effects = [str(e) for e in p["u_g"]["g_effect"].values]
    T = np.eye(len(effects))
    for i, at_zero in enumerate(effects):
        own = at_zero.removesuffix("Intercept")
        for j, slope in enumerate(effects):
            if at_zero.endswith("Intercept") and slope.startswith(own) and not slope.endswith("Intercept"):
                column = slope.removeprefix(own)
                measured = frame[frame.c.notna()] if own == "c:" else frame
                T[i, j] = -measured[column].mean() if ":" not in column else 0.0
    np.testing.assert_allclose(p["u_g"].values, p["u_g_at_means"].values @ T.T, rtol=1e-10)
    sd, R = p["sd_g_at_means"].values, p["corr_g_at_means"].values if "corr_g_at_means" in p else np.eye(len(effects))
    S = T @ (np.outer(sd, sd) * R) @ T.T
    np.testing.assert_allclose(p["sd_g"].values, np.sqrt(np.diag(S)), rtol=1e-10)
    np.testing.assert_allclose(p["corr_g"].values, S / np.outer(p["sd_g"], p["sd_g"]), rtol=1e-9, atol=1e-12)


# HbA1c (%) of 24 clinics in 8 years, made with a sd of slopes of 0.12 and sigma 0.30; a row for each clinic
HBA1C = """
clinic 2012 2013 2014 2015 2016 2017 2018 2019
K0 7.847 8.281 7.949 7.885 7.853 7.744 7.914 7.237
K1 7.247 6.983 7.29 7.239 6.877 7.04 6.989 8.039
K10 6.884 7.409 7.328 7.484 7.486 6.936 7.426 7.576
K11 8.866 8.572 8.366 8.597 8.905 8.555 7.958 8.594
K12 8.093 7.926 7.638 7.615 7.474 6.856 7.367 6.88
K13 7.873 7.822 8.393 8.301 8.463 7.957 7.664 8.016
K14 6.498 6.593 6.013 6.705 5.951 6.403 6.521 6.989
K15 7.088 6.943 6.43 6.554 5.98 6.439 5.707 5.584
K16 8.409 8.005 7.767 8.166 8.266 8.509 8.001 8.374
K17 7.287 7.202 7.043 7.364 7.28 6.524 6.724 6.849
K18 8.153 7.845 7.897 7.438 7.2 7.277 7.483 6.743
K19 8.623 8.287 8.231 8.316 7.785 7.491 7.191 6.706
K2 9.369 9.766 9.384 9.105 9.125 8.98 8.734 8.538
K20 6.379 5.516 6.351 6.013 6.253 6.015 5.901 5.575
K21 7.226 7.155 6.446 6.81 7.176 6.715 6.32 5.983
K22 8.155 7.249 6.953 7.769 7.533 7.28 7.285 7.045
K23 7.365 7.044 6.889 6.641 6.604 6.041 6.103 5.334
K3 6.685 6.6 6.717 6.516 6.758 6.8 6.288 6.132
K4 8.426 7.963 8.003 7.779 7.89 8.193 8.028 7.387
K5 6.75 6.993 7.134 7.545 6.805 7.94 7.318 8.084
K6 6.396 6.852 7.313 7.203 7.683 8.225 7.455 7.458
K7 8.105 7.907 8.179 7.684 7.271 7.774 8.354 7.853
K8 6.519 6.492 6.849 6.519 6.184 6.495 6.099 5.743
K9 6.683 6.834 7.181 6.53 6.87 6.88 6.423 6.879
"""


@pytest.mark.slow
def test_slopes_over_calendar_years_are_those_of_reml():
    """REML, by its own marginal likelihood with centred years: sd of slopes 0.101, of levels at the mean year 0.766, sigma 0.284,
    beta -0.0617 (standard error 0.023). With priors at year 0 the sd of slopes was 0.0003 and sigma 0.376."""
    wide = pd.read_csv(StringIO(HBA1C), sep=" ").melt("clinic", var_name="year", value_name="hba1c")
    data = wide.assign(year=wide.year.astype(int))
    tree = zoo.fit(zoo.lmm(data, "hba1c ~ year + (1 + year | clinic)"), seed=1, progress=False)
    assert zoo.check(tree).sound
    found = zoo.summary(tree)
    for name, reml in {
        "sd_clinic[year]": 0.101,
        "sd_clinic_at_means[year]": 0.101,
        "sd_clinic_at_means[Intercept]": 0.766,
        "sigma": 0.284,
    }.items():
        assert found.loc[name, "lower"] < reml < found.loc[name, "upper"]
        assert found.loc[name, "median"] == pytest.approx(reml, rel=0.1)
    assert found.loc["beta[year]", "mean"] == pytest.approx(-0.0617, abs=0.005)
    assert found.loc["beta[year]", "sd"] == pytest.approx(0.023, rel=0.15)
    sd, sigma = (tree["posterior"][name].values for name in ("sd_clinic_at_means", "sigma"))
    share = sd[..., 0] ** 2 / (sd[..., 0] ** 2 + sigma**2)
    assert found.loc["icc[clinic]", "mean"] == pytest.approx(share.mean())
    preview = zoo.quick(zoo.lmm(data, "hba1c ~ year + (1 + year | clinic)"))
    assert preview.loc["sd_clinic[year]", "mean"] == pytest.approx(0.101, rel=0.15)
    assert preview.loc["sd_clinic_at_means[Intercept]", "mean"] == pytest.approx(0.766, rel=0.15)
    u, at_means = (tree["posterior"][name].sel(clinic_effect="Intercept") for name in ("u_clinic", "u_clinic_at_means"))
    slope = tree["posterior"]["u_clinic"].sel(clinic_effect="year")
    np.testing.assert_allclose(u + slope * data.year.mean(), at_means, atol=1e-8)

"""Unordered categories: responses and their reference, limit cases, several outcomes, what is expected of rows."""

from __future__ import annotations

import re

import numpy as np
import pandas as pd
import pytest
import row_models
from hand_made_trees import tree_of_prior
from rows import choices, ratings
from scipy import special, stats

import glmm_zoo as zoo
from glmm_zoo.errors import InputError
from glmm_zoo.estimands.normal_means import Normal, mean_of_several
from glmm_zoo.families.registry import FAMILIES
from glmm_zoo.inference.parameterization import parameterize
from glmm_zoo.results.summary import derived_quantities

DATA = choices()
FORMULA = "mode ~ x + (1 |p| g)"


def pointwise(model, point):
    terms = model.logp(vars=model.observed_RVs, sum=False)
    return row_models.function(model, terms)(point)


# ------------------------------------------------------------------------------------------------------------ responses


def test_the_reference_is_the_first_level_or_the_one_that_is_named():
    declared = DATA.assign(mode=pd.Categorical(DATA["mode"], ["walk", "bus", "tram", "car"]))
    for frame, options, names, first in (
        (DATA, {}, ["car", "walk"], "bus"), (declared, {}, ["bus", "car"], "walk"), (DATA, {"reference": "car"}, ["bus", "walk"], "car"),
        (DATA.assign(mode=DATA["mode"].map({"bus": 3, "car": 1, "walk": 2})), {"reference": 2}, ["1", "3"], "2"),
        (DATA.assign(mode=DATA["mode"] == "car"), {}, ["True"], "False"),
    ):  # fmt: skip
        model = zoo.categorical(frame, FORMULA, **options)
        assert [p.prefix for p in model.predictors] == names and model.spec["levels"][0] == first
        told = f"{first!r} is the reference, the first of its levels; reference= takes another"
        assert any(told in note for note in model.spec["notes"]) == (not options)
    assert (
        "response 'mode': 'tram' never occurs, and the model is without"
        in zoo.categorical(declared, FORMULA).spec["notes"]
    )


MANY = [f"m{i}" for i in range(len(DATA))]
BAD = {
    "one category": (DATA.assign(mode="bus"), FORMULA, {}, "response 'mode' has a single value (bus) in every row; there is nothing to model"),
    "no such level": (DATA, FORMULA, {"reference": "cra"}, "response 'mode' has no level 'cra' to be the reference; did you mean 'car'? levels: bus, car, walk"),
    "trials": (DATA, "mode | trials(n) ~ x", {}, "trials() belongs to a binomial response; one of unordered categories is y ~ ..."),
    "expression": (DATA, "log(y) ~ x", {}, "the response of a categorical model is a column, not 'log(y)'; make the column first"),
    "fractions": (DATA, "v ~ x", {}, "response 'v' needs categories, named or whole numbers; 72 values not whole"),
    "many": (DATA.assign(mode=MANY), FORMULA, {}, "response 'mode' has 72 levels, each of which but one would need a linear predictor; join levels until there are at most 20"),
    "one name": (DATA.assign(mode=np.where(DATA["mode"] == "bus", "a/b", np.where(DATA["mode"] == "car", "a_b", "walk"))), FORMULA, {},
                 "levels 'a/b' and 'a_b' of 'mode' would share the name 'a_b'; rename one"),
    "prior of the reference": (DATA, FORMULA, {"priors": {"bus_beta": "Normal(0, 1)"}}, "bus_beta"),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD)
def test_what_is_wrong_is_told(case):
    frame, formula, options, words = BAD[case]
    with pytest.raises(InputError, match=re.escape(words)):
        zoo.categorical(frame, formula, **options)


def test_a_separated_category_is_told():
    def warned(frame, formula):
        with pytest.warns(zoo.ZooWarning) as caught:
            zoo.categorical(frame, formula)
        return " ".join(str(w.message) for w in caught)

    high = DATA[~((DATA["arm"] == "mid") & (DATA["mode"] == "walk"))]
    rows = int((high["arm"] == "mid").sum())
    assert warned(high, "mode ~ arm") == (
        f"arm separates the categories of 'mode': no 'walk' in the {rows} rows where arm is 'mid'; its coefficient for 'walk' rests on its prior"
    )
    high = DATA[~((DATA["arm"] == "mid") & (DATA["mode"] == "bus"))]
    assert "no 'bus' in" in (told := warned(high, "mode ~ arm")) and "its coefficients rest on their priors" in told
    apart = DATA.assign(
        x=np.where(DATA["mode"] == "walk", 3 + DATA["v"], np.where(DATA["mode"] == "bus", DATA["v"], 2 * DATA["v"]))
    )
    told = warned(apart, "mode ~ x")
    assert (
        "column 'x' separates the categories of 'mode': all 'walk' lie on one side of all 'bus' along it" in told
        and "'car'" not in told
    )


# ---------------------------------------------------------------------------------------------------------- limit cases


def test_two_categories_are_the_logistic_model():
    frame = DATA.assign(reply=DATA["reply"])
    two, logistic = (
        build(frame, "reply ~ x + offset(w) + (1 + x | g)") for build in (zoo.categorical, zoo.hierarchical_logistic)
    )
    point = row_models.random_point(two, 3)
    same = {name.replace("yes_", ""): value for name, value in point.items()}
    np.testing.assert_allclose(pointwise(two, point), pointwise(logistic, same), rtol=1e-12)
    of_both = [row_models.function(m, [m.logp()])(p) for m, p in ((two, point), (logistic, same))]
    np.testing.assert_allclose(*of_both, rtol=1e-12)


def test_another_reference_is_the_same_likelihood():
    """The log odds against another category are differences of those against the first."""
    one = zoo.categorical(DATA, "mode ~ x + (1 | g)", reference="bus", center=False)
    other = zoo.categorical(DATA, "mode ~ x + (1 | g)", reference="car", center=False)
    with_effects = [m.with_transforms(dict.fromkeys(m.group_effect_names)) for m in (one, other)]
    point = row_models.random_point(with_effects[0], 4)
    moved = {}
    for name, value in point.items():
        rest = name.partition("_")[2]
        if name.startswith("walk") and not rest.startswith("sd"):
            moved[name], moved[f"bus_{rest}"] = value - point[f"car_{rest}"], -point[f"car_{rest}"]
    moved |= {name.replace("car_", "bus_"): value for name, value in point.items() if "sd" in name}
    np.testing.assert_allclose(pointwise(with_effects[0], point), pointwise(with_effects[1], moved), rtol=1e-10)


def test_likelihood_in_the_tails_is_scipys():
    rng = np.random.default_rng(0)
    eta, y = rng.normal(0, 1, (50, 3)) * np.geomspace(0.1, 900, 50)[:, None], rng.integers(0, 4, 50).astype(float)
    scores = np.column_stack([np.zeros(50), eta])
    expected = scores[np.arange(50), y.astype(int)] - special.logsumexp(scores, axis=1)
    found = FAMILIES["categorical"].log_density(y, eta, {}, "logit", None)
    np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-12)


def test_priors_hold_for_one_category_or_for_all():
    given = {
        "car_beta": "Normal(0, 1)",
        "beta": "Normal(0, 2)",
        "walk_Intercept": "Normal(0, 3)",
        "sd": "Exponential(5)",
    }
    priors = zoo.categorical(DATA, "mode ~ x + (1 | g)", priors=given).spec["priors"]
    assert priors["car_beta"] == "Normal(0, 1)" and priors["walk_beta"] == "Normal(0, 2)"
    assert priors["walk_Intercept"] == "Normal(0, 3)" and priors["car_Intercept"].startswith("StudentT")
    assert priors["car_sd_g"] == priors["walk_sd_g"] == "Exponential(5)"


# ----------------------------------------------------------------------------------------------------- other builders


def test_a_categorical_outcome_beside_another():
    """Names are prefixed by outcome and category; effects with a label are correlated over all; densities are those alone."""
    joint = zoo.joint_outcomes(
        DATA, {"mode ~ x + (1 |p| g)": "categorical", "c ~ x + (1 |p| g)": "poisson"}, reference={"mode": "walk"}
    )
    assert list(joint.coords["g_effect"]) == ["mode_bus:Intercept", "mode_car:Intercept", "c:Intercept"]
    assert {"mode_bus_beta", "mode_car_beta", "c_beta"} <= {v.name for v in joint.free_RVs}
    model = joint.with_transforms({"u_g": None})
    point = row_models.random_point(model, 5)
    found = dict(zip([rv.name for rv in model.observed_RVs], pointwise(model, point), strict=True))
    alone = zoo.categorical(DATA, "mode ~ x + (1 |p| g)", reference="walk").with_transforms({"u_g": None})
    own = {name.removeprefix("mode_"): value for name, value in point.items() if name.startswith("mode_")}
    (expected,) = pointwise(alone, {**alone.initial_point(), **own, "u_g": point["u_g"][:, :2]})
    np.testing.assert_allclose(found["mode"], expected, rtol=1e-12)
    (counts,) = (found[name] for name in found if name == "c")
    assert np.isfinite(counts).all()


def test_gamm_has_the_family_and_every_category_its_curve():
    model = zoo.gamm(DATA, 'mode ~ s(x, bs="cr", k=5) + (1 | g)', family="categorical")
    assert model.spec["builder"] == "categorical"
    assert {"car_s_x_weights", "walk_s_x_weights", "car_u_g", "walk_u_g"} <= {v.name for v in model.free_RVs}


def test_a_loading_is_refused():
    with pytest.raises(InputError, match=r"shared='loading' has one subject effect"):
        zoo.joint_outcomes(DATA, {FORMULA: "categorical", "y ~ x + (1 |p| g)": "gaussian"}, shared="loading")


# ----------------------------------------------------------------------------------------------------------- estimands


@pytest.mark.parametrize(
    ("size", "sd", "error"),
    [(2, 1.0, 1e-5), (2, 3.0, 1e-4), (3, 1.0, 1e-5), (3, 2.0, 1e-4), (5, 1.0, 1e-3), (7, 1.0, 2e-3)],
)
def test_means_over_several_predictors(size, sd, error):
    """Against a finer grid, or a large quasi-random sample, of softmax probabilities."""
    rng = np.random.default_rng(size)
    A = rng.normal(size=(size, size + 2))
    S = A @ A.T
    S *= sd**2 / np.sqrt(np.outer(np.diag(S), np.diag(S)))
    mean = rng.normal(size=size)

    def probabilities(eta):
        return special.softmax(np.column_stack([np.zeros(len(eta)), eta]), axis=1)

    if size <= 3:
        x = np.arange(-8.0, 8.01, 0.25)  # the trapezoid rule
        w = np.exp(-0.5 * x * x)
        z = np.stack(np.meshgrid(*[x] * size, indexing="ij"), -1).reshape(-1, size)
        weight = np.prod(np.stack(np.meshgrid(*[w / w.sum()] * size, indexing="ij"), -1), axis=-1).ravel()
    else:
        z = stats.norm.ppf(stats.qmc.Sobol(size, seed=1).random_base2(17))
        weight = np.full(len(z), 1 / len(z))
    expected = weight @ probabilities(mean + z @ np.linalg.cholesky(S).T)
    names = [f"k{i}" for i in range(size)]
    variables = {
        n: Normal(np.full((1, 1), m), np.full((1, 1), v)) for n, m, v in zip(names, mean, np.diag(S), strict=True)
    }
    covariances = {frozenset((names[i], names[j])): np.full((1, 1), S[i, j]) for i in range(size) for j in range(i)}
    found = mean_of_several(
        lambda etas: np.moveaxis(special.softmax(np.stack([np.zeros((1, 1)), *etas.values()], axis=-1), axis=-1), -1, 0),
        variables, covariances,
    )  # fmt: skip
    np.testing.assert_allclose(found[:, 0, 0], expected, atol=error)


def test_comparisons_are_of_each_category_and_odds_ratios_are_against_the_reference():
    tree = tree_of_prior(zoo.categorical(DATA, "mode ~ x + sex"), 3)
    posterior = tree["posterior"].dataset
    found = zoo.comparisons(tree, "sex", measures=["difference", "ratio"])
    assert found.table["category"].tolist() == ["bus", "car", "walk"] * 2 and found.sentence.startswith(
        "Probability difference"
    )

    def probability(male):
        etas = [
            posterior[f"{k}_Intercept"].values.ravel()[:, None]
            + posterior[f"{k}_beta"].sel({f"{k}_coef": "x"}).values.ravel()[:, None] * DATA["x"].to_numpy()
            + male * posterior[f"{k}_beta"].sel({f"{k}_coef": "sex[m]"}).values.ravel()[:, None]
            for k in ("car", "walk")
        ]
        return special.softmax(np.stack([np.zeros_like(etas[0]), *etas]), axis=0).mean(axis=2).T

    expected = np.column_stack([probability(1) - probability(0), probability(1) / probability(0)])
    np.testing.assert_allclose(found.draws["value"].values.reshape(-1, 6), expected, rtol=1e-9)
    ratio = derived_quantities(tree)["car_odds_ratio[sex[m]]"]
    np.testing.assert_allclose(ratio, np.exp(posterior["car_beta"].sel(car_coef="sex[m]").values))


def test_what_is_not_there_is_told():
    tree = tree_of_prior(zoo.categorical(DATA, "mode ~ x"), 2)
    with pytest.raises(
        InputError, match="r2 is not there for unordered categories, such as 'mode': they have no variance"
    ):
        zoo.r2(tree)
    with pytest.raises(
        InputError,
        match=r"scale='response' is none of 'mode' \(categorical, logit link\); scales: linear, mean, probability",
    ):
        zoo.predictions(tree, scale="response")
    assert zoo.predictions(tree, scale="linear").table["category"].unique().tolist() == ["car", "walk"]


def test_ordered_rows_are_not_mixed_up_with_unordered_ones():
    model = zoo.categorical(ratings(), "grade ~ x")
    assert model.spec["levels"] == ["high", "low", "mid"]  # the alphabet's


def test_the_sampler_knows_what_a_row_says_of_two_categories_together():
    """The information of a level about its effects is that of a multinomial: sum of p_k (1 - p_k), and of - p_k p_l for two categories."""
    rng = np.random.default_rng(3)
    g, x = np.repeat(np.arange(20), 60), rng.normal(size=1200)
    eta = np.column_stack([np.zeros(1200), 0.5 + 0.5 * x, -0.5 * x]) + rng.normal(0, 0.7, (20, 3))[g]
    frame = pd.DataFrame({"y": np.argmax(eta + rng.gumbel(size=eta.shape), axis=1), "x": x, "g": g})
    model = zoo.categorical(frame, "y ~ x + (1 |p| g)")
    information = parameterize(model, "auto")[0].rvs_to_transforms[model["u_g"]].information
    P = special.softmax(eta, axis=1)
    for i, j in ((0, 0), (1, 1), (0, 1), (1, 0)):
        of_rows = P[:, i + 1] * ((i == j) - P[:, j + 1])
        np.testing.assert_allclose(information.A[:, i, j].sum(), of_rows.sum(), rtol=0.1)  # at estimated effects
        np.testing.assert_allclose(information.B[:, i, 2 * j], information.A[:, i, j], rtol=1e-6)  # of the intercept

"""Priors as text: read, written, refused, and which of several holds."""

import numpy as np
import pymc as pm
import pytest

from glmm_zoo import priors
from glmm_zoo.errors import InputError
from glmm_zoo.priors import DISTRIBUTIONS, Parameter, Prior, choose, coefficients, parameter, parse


@pytest.mark.parametrize(
    ("text", "canonical", "interval"),
    [
        ("Normal(0, 2.5)", "Normal(0, 2.5)", (-float("inf"), float("inf"))),
        (" Normal( mu = 0,sigma=2.5 )\n", "Normal(0, 2.5)", (-float("inf"), float("inf"))),
        ("Normal(sigma=2)", "Normal(0, 2)", (-float("inf"), float("inf"))),
        ("Normal(-1, tau=4)", "Normal(mu=-1, tau=4)", (-float("inf"), float("inf"))),
        ("StudentT(nu=3, mu=0, sigma=2.5)", "StudentT(3, 0, 2.5)", (-float("inf"), float("inf"))),
        ("StudentT(3)", "StudentT(3, 0, 1)", (-float("inf"), float("inf"))),
        ("Cauchy(0, 2.5)", "Cauchy(0, 2.5)", (-float("inf"), float("inf"))),
        ("Laplace(b=1, mu=0)", "Laplace(0, 1)", (-float("inf"), float("inf"))),
        ("Uniform(-1, 1)", "Uniform(-1, 1)", (-1, 1)),
        ("Exponential(1)", "Exponential(1)", (0, float("inf"))),
        ("Exponential(scale=2)", "Exponential(scale=2)", (0, float("inf"))),
        ("HalfNormal()", "HalfNormal(1)", (0, float("inf"))),
        ("HalfStudentT(3, 2.5)", "HalfStudentT(3, 2.5)", (0, float("inf"))),
        ("Gamma(2, 0.1)", "Gamma(2, 0.1)", (0, float("inf"))),
        ("Gamma(sigma=1, mu=2)", "Gamma(mu=2, sigma=1)", (0, float("inf"))),
        ("InverseGamma(3)", "InverseGamma(3, 1)", (0, float("inf"))),
        ("LogNormal()", "LogNormal(0, 1)", (0, float("inf"))),
        ("Beta(1, +3)", "Beta(1, 3)", (0, 1)),
        ("Beta(mu=.5, sigma=.1)", "Beta(mu=0.5, sigma=0.1)", (0, 1)),
        ("LKJ(eta=2)", "LKJ(2)", (-float("inf"), float("inf"))),
        ("Normal(0.1234567, 1)", "Normal(0.1234567, 1)", (-float("inf"), float("inf"))),
        ("Normal(100000, 12345.678)", "Normal(100000, 12345.678)", (-float("inf"), float("inf"))),
        ("Exponential(1e-12)", "Exponential(1e-12)", (0, float("inf"))),
    ],
)
def test_reading_and_writing(text, canonical, interval):
    prior = parse(text)
    assert str(prior) == canonical
    assert parse(canonical) == prior  # the spec's text is the prior in force
    assert parse(prior) is prior
    assert prior.interval == interval


@pytest.mark.parametrize("name", DISTRIBUTIONS)
def test_every_distribution_reads_its_own_arguments(name):
    known = DISTRIBUTIONS[name]
    for names in known.alternatives or (tuple(known.arguments),):
        given = {a: 0.3 + i / 10 for i, a in enumerate(names)}
        prior = parse(f"{name}({', '.join(f'{a}={v}' for a, v in given.items())})")
        assert prior == Prior(name, given)
        assert parse(str(prior)) == prior


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (3, "a prior is text such as 'Normal\\(0, 2.5\\)', not int"),
        (None, "not NoneType"),
        ("", "is not a distribution"),
        ("Normal", "is not a distribution; write for example Normal"),
        ("Normal(0, 1", "is not a distribution"),
        ("Normal(0, 1); x", "is not a distribution"),
        ("Normal(0, 1)(2)", "is not a distribution"),
        ("pm.Normal(0, 1)", "is not a distribution"),
        ("__import__('os').system('touch x')", "is not a distribution"),
        ("Normal(0, " + "1" * 300 + ")", "is not a distribution"),
        ("[Normal(0, 1)]", "is not a distribution"),
        ("Norml(0, 1)", "unknown distribution 'Norml'; did you mean 'Normal'\\? known: Normal, StudentT, .*LKJ"),
        ("student_t(3, 0, 1)", "did you mean 'StudentT'"),
        ("half_normal(1)", "did you mean 'HalfNormal'"),
        ("open('x')", "unknown distribution 'open'"),
        ("Normal(0, 1, 2, 3)", "Normal takes mu, sigma, tau"),
        ("Normal(0, 1, 2)", "Normal takes mu, sigma or mu, tau"),
        ("Normal(0, sd=1)", "Normal has no argument 'sd'; it takes mu, sigma, tau"),
        ("Normal(0, mu=1)", "mu is given twice"),
        ("Gamma(2)", "Gamma takes alpha, beta or mu, sigma"),
        ("Gamma(2, sigma=1)", "Gamma takes alpha, beta or mu, sigma"),
        ("Exponential()", "Exponential takes lam or scale"),
        ("StudentT()", "StudentT takes nu, mu, sigma"),
        ("Normal(0, 0)", "sigma must be > 0, not 0"),
        ("Exponential(-1)", "lam must be > 0, not -1"),
        ("LKJ(0)", "eta must be > 0"),
        ("Uniform(1, 1)", "lower must be below upper"),
        ("Beta(mu=2, sigma=0.1)", "mu must be"),
        ("Beta(mu=0.5, sigma=0.9)", "sigma must be"),
        ("Normal(0, inf)", "arguments are numbers"),
        ("Normal(0, 1e400)", "arguments are numbers"),
        ("Normal(0, 1.001e150)", "arguments are numbers, 0 or of a size between 1e-150 and 1e\\+150"),
        ("Normal(-1.001e150, 1)", "arguments are numbers, 0 or of a size"),
        (
            "Normal(0, 1e-400)",
            r"of a size between 1e-150 and 1e\+150, so that their squares are numbers too; 1e-400 would be 0$",
        ),
        (" Normal(-0.1e-400, 1)", "; 0.1e-400 would be 0$"),
        ("Normal(0, 0e400)", "sigma must be > 0, not 0$"),
        ("Normal(0, 0.999e-150)", "arguments are numbers, 0 or of a size"),
        (f"Normal(0, 1{'0' * 180})", "arguments are numbers, 0 or of a size"),
        ("Normal(0, x)", "arguments are numbers"),
        ("Normal(0, '1')", "arguments are numbers"),
        ("Normal(0, True)", "arguments are numbers"),
        ("Normal(0, 1 + 1)", "arguments are numbers"),
        ("Normal(0, 9**9**9)", "arguments are numbers"),
        ("Normal(*[0, 1])", "arguments are numbers"),
        ("Normal(0, exec('x'))", "arguments are numbers"),
    ],
)
def test_what_is_refused(text, words):
    with pytest.raises(InputError, match=words):
        parse(text)


# -------------------------------------------------------------------------------------------------- which one holds

MODEL = [
    parameter("Intercept", "real", priors.intercept_default(0, 1)),
    coefficients("beta", ["x", "my x", "myx", "a[q]"], priors.beta_defaults([1, 2, 0.5, 1], 1)),
    Parameter("sd_g", "positive", (("sd[g, Intercept]", "sd[g]", "sd"), ("sd[g, x]", "sd[g]", "sd")), (priors.sd_default(1, 1),) * 2),
    Parameter("sd_h", "positive", (("sd[h, Intercept]", "sd[h]", "sd"),), (priors.sd_default(1, 1),)),
    Parameter("corr_g", "corr", (("corr[g]", "corr"),), (priors.CORR_DEFAULT,)),
    parameter("zi", "unit", parse("Beta(1, 1)")),
]  # fmt: skip


def chosen(given):
    return {name: [str(p) for p in elements] for name, elements in choose(MODEL, given).items()}


@pytest.mark.parametrize("given", [None, {}])
def test_defaults_are_stated_in_numbers(given):
    assert chosen(given) == {
        "Intercept": ["StudentT(3, 0, 2.5)"],
        "beta": ["Normal(0, 2.5)", "Normal(0, 1.25)", "Normal(0, 5)", "Normal(0, 2.5)"],
        "sd_g": ["Exponential(1)", "Exponential(1)"],
        "sd_h": ["Exponential(1)"],
        "corr_g": ["LKJ(2)"],
        "zi": ["Beta(1, 1)"],
    }


def test_defaults_follow_the_units():
    """Response times 10: locations and scales times 10, rates a tenth. A column times 4: its coefficient a quarter."""
    assert str(priors.intercept_default(30, 10)) == "StudentT(3, 30, 25)"
    assert [str(p) for p in priors.beta_defaults([1, 4], 10)] == ["Normal(0, 25)", "Normal(0, 6.25)"]
    assert str(priors.sd_default(4, 10)) == "Exponential(0.4)"


@pytest.mark.parametrize(
    ("given", "name", "expected"),
    [
        ({"beta": "Normal(0, 9)"}, "beta", ["Normal(0, 9)"] * 4),
        ({"beta[a[q]]": "Normal(0, 9)", "beta": "Normal(0, 8)"}, "beta", ["Normal(0, 8)"] * 3 + ["Normal(0, 9)"]),
        ({"beta[x]": "Normal(0, 9)"}, "beta", ["Normal(0, 9)", "Normal(0, 1.25)", "Normal(0, 5)", "Normal(0, 2.5)"]),
        ({"beta[my x]": "Normal(0, 9)"}, "beta", ["Normal(0, 2.5)", "Normal(0, 9)", "Normal(0, 5)", "Normal(0, 2.5)"]),
        ({"beta[myx]": "Normal(0, 9)"}, "beta", ["Normal(0, 2.5)", "Normal(0, 1.25)", "Normal(0, 9)", "Normal(0, 2.5)"]),
        ({" beta [ x ]": "Normal(0, 9)"}, "beta", ["Normal(0, 9)", "Normal(0, 1.25)", "Normal(0, 5)", "Normal(0, 2.5)"]),
        ({"sd": "HalfNormal(1)", "sd[g]": "HalfNormal(2)", "sd[g,x]": "HalfNormal(3)"}, "sd_g", ["HalfNormal(2)", "HalfNormal(3)"]),
        ({"sd": "HalfNormal(1)", "sd[g]": "HalfNormal(2)"}, "sd_h", ["HalfNormal(1)"]),
        ({"sd[g, Intercept]": "Uniform(0, 3)"}, "sd_g", ["Uniform(0, 3)", "Exponential(1)"]),
        ({"corr": "LKJ(1)"}, "corr_g", ["LKJ(1)"]),
        ({"corr": "LKJ(1)", "corr[g]": "LKJ(4)"}, "corr_g", ["LKJ(4)"]),
        ({"Intercept": parse("Normal(0, 9)")}, "Intercept", ["Normal(0, 9)"]),
        ({"beta": "HalfNormal(1)"}, "beta", ["HalfNormal(1)"] * 4),
        ({"zi": "Uniform(0.1, 0.9)"}, "zi", ["Uniform(0.1, 0.9)"]),
    ],
)  # fmt: skip
def test_the_narrowest_key_holds(given, name, expected):
    for order in (given, dict(reversed(given.items()))):
        after = chosen(order)
        assert after.pop(name) == expected
        untouched = {k: v for k, v in chosen(None).items() if k in after and not k.startswith("sd")}
        assert untouched.items() <= after.items()


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ("beta", "priors is a dict such as"),
        (["Normal(0, 1)"], "priors is a dict such as"),
        (
            {"bta": "Normal(0, 1)"},
            r"unknown parameter 'bta'; did you mean 'beta'\? this model has: Intercept, beta\[x\], beta",
        ),
        ({"sd_g": "HalfNormal(1)"}, r"did you mean 'sd\[g\]'"),
        ({"beta[y]": "Normal(0, 1)"}, "unknown parameter 'beta\\[y\\]'"),
        ({"sigma": "HalfNormal(1)"}, "unknown parameter 'sigma'"),
        ({"beta": "Nrmal(0, 1)"}, "did you mean 'Normal'"),
        ({"beta": 3}, "a prior is text"),
        ({"sd": "Normal(0, 1)"}, "sd is a positive number and this prior is not; known for it: .*HalfNormal"),
        ({"sd[g]": "Uniform(-1, 1)"}, "sd\\[g\\] is a positive number"),
        ({"zi": "HalfNormal(1)"}, "zi is a number between 0 and 1 and this prior is not; known for it: Uniform, Beta"),
        ({"corr": "Normal(0, 1)"}, r"a correlation matrix takes LKJ\(eta\)"),
        ({"beta": "LKJ(2)"}, "beta is any real number"),
        ({"beta": "Normal(0, 1)", " beta": "Normal(0, 2)"}, "twice"),
    ],
)
def test_what_is_said(given, words):
    with pytest.raises(InputError, match=words):
        choose(MODEL, given)


def test_all_problems_are_told_at_once():
    with pytest.raises(InputError) as err:
        choose(MODEL, {"bta": "Normal(0, 1)", "beta": "Foo(1)", "sd": "Normal(0, 1)", "corr": "LKJ(0)"})
    assert len(err.value.problems) == 4


def test_the_largest_and_smallest_arguments_are_taken():
    assert parse("Normal(-1e150, 1e-150)").arguments == {"mu": -1e150, "sigma": 1e-150}


@pytest.mark.parametrize("name", DISTRIBUTIONS)
def test_a_scaled_prior_is_that_of_a_multiple(name):
    """p(x) of k times a variable is p(x / k) / k, about the location where there is one."""
    known = DISTRIBUTIONS[name]
    for names in known.alternatives or (tuple(known.arguments),):
        prior = Prior(name, {a: 0.3 + i / 10 for i, a in enumerate(names)})
        wider = prior.scaled(2.0)
        if not known.scale:
            assert wider == prior
            continue
        density, of_wider = (getattr(pm, name).dist(**p.arguments) for p in (prior, wider))
        location = prior.arguments.get("alpha" if name == "Cauchy" else "mu", 0.0) if known.lower < 0 else 0.0
        for x in (0.1, 0.7, 2.0):
            expected = pm.logp(density, location + x).eval() - np.log(2)
            assert pm.logp(of_wider, location + 2 * x).eval() == pytest.approx(expected, rel=1e-9)

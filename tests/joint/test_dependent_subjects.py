"""Subjects whose effects depend on each other, as relatives' do, in a joint model: densities by SciPy and by hand, limits, refusals."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import row_models
from scipy import stats

import glmm_zoo as zoo
from glmm_zoo.inference.approximation import approximate

EVENT = "Surv(years, death) ~ drug"
NEVER_MEASURED = pytest.mark.filterwarnings("ignore:.*has no measurement:glmm_zoo.errors.ZooWarning")


def families(n: int, seed: int = 1) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    """Visits at 0, 1, ... until the event, and subjects in families of four; sd 0.9 of effects with correlation 1/2 within a family,
    association 0.7 with the value 1 + 0.3 t + u, residual sd 0.5."""
    rng = np.random.default_rng(seed)
    family, drug = np.arange(n) // 4, np.arange(n) % 2
    A = 0.5 * (family[:, None] == family) + 0.5 * np.eye(n)
    ids = np.array([f"p{i:03d}" for i in range(n)])
    level = 1.0 + 0.9 * np.linalg.cholesky(A) @ rng.normal(size=n)
    q = 0.7 * 0.3  # the log hazard is -2.5 + drug / 2 + 0.7 level + q t
    T = np.log1p(rng.exponential(size=n) * q / np.exp(-2.5 + 0.5 * drug + 0.7 * level)) / q
    end = rng.uniform(3, 8, n)
    years = np.minimum(T, end)
    i, t = (x.ravel() for x in np.meshgrid(np.arange(n), np.arange(8.0), indexing="ij"))
    i, t = i[t < years[i]], t[t < years[i]]
    visits = pd.DataFrame(
        {"id": ids[i], "time": t, "y": level[i] + 0.3 * t + rng.normal(0, 0.5, len(i)), "area": family[i]}
    )
    subjects = pd.DataFrame({"id": ids, "years": years, "death": (end > T).astype(int), "drug": drug, "area": family})
    return visits, subjects, pd.DataFrame(A, ids, ids)


def build(formula: Any, *, event: str = EVENT, tables: Any = None, **options: Any) -> Any:
    """A joint model of 24 subjects, of whom p003 was never measured."""
    visits, subjects, A = families(24)
    visits, subjects = (
        visits[visits.id != "p003"].assign(z=visits.y**2),
        subjects.assign(entry=0.01 * (A.index > "p009")),
    )
    tables = {"A": A} if tables is None else tables
    return zoo.joint_survival(visits, subjects, formula, event=event, baseline="exponential", tables=tables, **options)


def chain(n: int) -> pd.DataFrame:
    """Areas 0, 1, ... n - 1, each the neighbour of the next."""
    return pd.DataFrame({"from": range(n - 1), "to": range(1, n)})


RELATIVES = {  # effects, the factor with the table, tables
    "slopes": ("(1 + time | gr(id, cov=A))", "id", None),
    "beside subjects' own": ("(1 + time | id) + (1 | gr(id, cov=A))", "id_A", None),
    "areas": ('(1 + time | id) + car(W, gr=area, type="bym2")', "area", {"W": chain(6)}),
}


@NEVER_MEASURED
@pytest.mark.parametrize("of", RELATIVES)
def test_effects_marker_and_event_have_the_densities_of_scipy_and_by_hand(of: str) -> None:
    visits, s, A = families(24)
    visits = visits[visits.id != "p003"]
    effects, factor, tables = RELATIVES[of]
    model = build(f"y ~ time + {effects}", center=False, tables=tables)
    names = [
        "Intercept",
        "beta",
        "u_id",
        "sigma",
        "assoc",
        "surv_beta",
        "surv_Intercept",
        f"u_{factor}",
        f"sd_{factor}",
    ]
    names += ["corr_id"] if factor == "id" else []
    of_v = model.logp(vars=[model[f"v_{factor}"]], jacobian=False)
    terms = model.logp(vars=[model["y"], model["event"]], sum=False)
    run = row_models.function(model, [*model.replace_rvs_by_values([model[n] for n in names]), of_v, *terms])
    *values, of_v, of_y, of_event = run(row_models.random_point(model, 3, 0.4))
    p = dict(zip(names, values, strict=True))
    if factor != "area":  # of which tests/graph/test_neighbour_effects.py has the density
        sd = p[f"sd_{factor}"]
        covariance = np.kron(A, np.outer(sd, sd) * p.get("corr_id", 1.0))
        of_u = stats.multivariate_normal(cov=covariance).logpdf(p[f"u_{factor}"].ravel())
        assert of_v - 0.5 * len(sd) * np.linalg.slogdet(A)[1] == pytest.approx(of_u, rel=1e-9)

    u = {f: pd.DataFrame(p[f"u_{f}"], list(map(str, model.coords[f]))) for f in ("id", factor)}
    own = u["id"].loc[s.id].to_numpy()
    level, slope = p["Intercept"] + own[:, 0], p["beta"][0] + own[:, 1]
    if factor != "id":
        level = level + u[factor].loc[s.area.astype(str) if factor == "area" else s.id, 0].to_numpy()
    row = s.index.get_indexer_for([list(s.id).index(i) for i in visits.id])
    marker = stats.norm.logpdf(visits.y, level[row] + slope[row] * visits.time, p["sigma"])
    np.testing.assert_allclose(of_y, marker, rtol=1e-9)
    # log h = a + q t, whose integral is closed
    a, q = p["surv_Intercept"] + p["surv_beta"][0] * s.drug + p["assoc"][0] * level, p["assoc"][0] * slope
    expected = s.death * (a + q * s.years) - np.exp(a) * np.expm1(q * s.years) / q
    measured_first = [*dict.fromkeys(visits.id), "p003"]
    np.testing.assert_allclose(of_event, expected.set_axis(s.id)[measured_first], rtol=1e-9)


@NEVER_MEASURED
def test_with_the_identity_subjects_do_not_depend_on_each_other() -> None:
    """Of two markers, whose effects of a subject are correlated."""
    ids = families(24)[2].index
    plain = build(["y ~ time + (1 + time | id)", "z ~ time + (1 | id)"], tables={})
    of_both = ["y ~ time + (1 + time | gr(id, cov=A))", "z ~ time + (1 | gr(id, cov=A))"]
    same = build(of_both, tables={"A": pd.DataFrame(np.eye(24), ids, ids)})
    places = [list(same.coords["id"]).index(i) for i in plain.coords["id"]]
    point = row_models.random_point(plain, 3)
    renamed = {name.replace("u_id", "v_id"): value for name, value in point.items()}
    (moved,) = (name for name in renamed if name.startswith("v_id"))
    renamed[moved] = renamed[moved][np.argsort(places)]
    here, there = (row_models.function(m, [m.logp()])(p)[0] for m, p in ((plain, point), (same, renamed)))
    assert there == pytest.approx(here, rel=1e-12)


@NEVER_MEASURED
def test_the_event_begins_at_the_effects_and_not_at_their_coordinates() -> None:
    """A table four times the identity, with sds half as large, is subjects who do not depend on each other."""
    ids = families(24)[2].index
    plain = build("y ~ time + (1 | id)", tables={}, priors={"sd": "Exponential(1)"})
    A = pd.DataFrame(4 * np.eye(24), ids, ids)
    same = build("y ~ time + (1 | gr(id, cov=A))", tables={"A": A}, priors={"sd": "Exponential(2)"})
    found = [approximate(m) for m in (plain, same)]
    assert all(found)
    (elements, mean, covariance), (others, again, spread) = (
        m.event.approximate(*q.estimates()) for m, q in zip((plain, same), found, strict=True)
    )
    assert elements == others
    np.testing.assert_allclose(again, mean, atol=0.02 * np.sqrt(np.diag(covariance)).min())
    np.testing.assert_allclose(np.diag(spread), np.diag(covariance), rtol=0.02)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"event": "Surv(entry, years, death) ~ drug"}, r"\(1 \| gr\(id, cov=A\)\): .*not available where subjects enter late"),
        ({"tables": {"A": families(24)[2].drop("p003").drop(columns="p003")}}, "1 level of 'id' is not in table 'A': 'p003'"),
    ],
)  # fmt: skip
def test_refusals(options: dict[str, Any], says: str) -> None:
    with pytest.raises(zoo.InputError, match=says):
        build("y ~ time + (1 | gr(id, cov=A))", **options)


@pytest.mark.slow
def test_a_simulated_fit_finds_what_it_was_simulated_from(tmp_path: Path) -> None:
    visits, s, A = families(400, seed=3)
    model = zoo.joint_survival(
        visits, s, "y ~ time + (1 | gr(id, cov=A))", event=EVENT, baseline="exponential", tables={"A": A}
    )
    tree = zoo.fit(model, seed=1, progress=False)
    assert zoo.check(tree).sound, str(zoo.check(tree))
    found = zoo.summary(tree)
    truth = {
        "Intercept": 1.0,
        "beta[time]": 0.3,
        "sd_id[Intercept]": 0.9,
        "sigma": 0.5,
        "assoc[value]": 0.7,
        "surv_beta[drug]": 0.5,
    }
    for name, value in truth.items():
        assert abs(found.loc[name, "mean"] - value) < 3.5 * found.loc[name, "sd"], name
    zoo.save(tree, tmp_path / "fit.nc")
    again = zoo.load(tmp_path / "fit.nc")
    # over a new subject of variance sd^2, whose H is closed
    p = again["posterior"].to_dataset().stack(s=("chain", "draw")).isel(s=slice(None, None, 4))
    x, w = np.polynomial.hermite_e.hermegauss(40)
    u = p["sd_id"].values.reshape(1, -1) * x[:, None]
    a = p["surv_Intercept"].values + p["assoc"].values[0] * (p["Intercept"].values + u)
    q = p["assoc"].values[0] * p["beta"].values[0]
    of_placebo = np.median((w / w.sum()) @ np.exp(-np.exp(a) * np.expm1(4 * q) / q))
    asked = zoo.predictions(again, scale="survival", times=[4.0], by="drug")
    assert np.median(asked.draws["value"].values[..., 0]) == pytest.approx(of_placebo, abs=0.005)
    with pytest.raises(zoo.InputError, match="effects do not depend on those of others"):
        zoo.dynamic_prediction(again, landmark=2.0, times=[3.0])
    zoo.write_report(again, tmp_path / "fit.html")
    assert "known covariance between ids" in (tmp_path / "fit.html").read_text()

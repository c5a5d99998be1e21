"""What the figures of a joint survival model are drawn from, held against closed forms and SciPy's integral."""

from __future__ import annotations

import warnings

import numpy as np
import pandas as pd
import pytest
import row_models
import xarray as xr
from hand_made_trees import tree_of
from scipy.integrate import quad

import glmm_zoo as zoo
from glmm_zoo.errors import ZooWarning
from glmm_zoo.report.answer import Answer
from glmm_zoo.report.survival_estimates import SurvivalEstimates
from glmm_zoo.report.survival_figures import survival_figures
from glmm_zoo.results.figures.picture import NARROW, WIDE
from glmm_zoo.results.storage import metadata, write_metadata

N = 60
ABOUT = {"event": "death", "time_unit": "years", "individual": "patient", "control": "placebo", "of": "drug"}


def tables() -> tuple[pd.DataFrame, pd.DataFrame]:
    """Visits once a year of patients whose follow-up is 1 to 12 years, and the ends of it."""
    rng = np.random.default_rng(4)
    end = rng.uniform(1, 12, N)
    drug = np.where(np.arange(N) % 3, "placebo", "active")
    level, rise = rng.normal(0, 0.7, N), rng.normal(0.1, 0.05, N)
    rows = [
        (f"p{i}", float(t), np.exp(level[i] + rise[i] * t + rng.normal(0, 0.1)))
        for i in range(N)
        for t in range(int(end[i]) + 1)
    ]
    survival = pd.DataFrame(
        {"id": [f"p{i}" for i in range(N)], "years": end, "death": rng.random(N) < 0.6, "drug": drug}
    )
    return pd.DataFrame(rows, columns=["id", "year", "bili"]), survival.astype({"death": int})


@pytest.fixture(scope="module")
def tree() -> xr.DataTree:
    """Four points of the unconstrained space, as a fit."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ZooWarning)
        model = zoo.joint_survival(
            *tables(),
            "log(bili) ~ year + (1 | id)",
            event="Surv(years, death) ~ drug",
            time="year",
            baseline="exponential",
        )
    variables = [*model.free_RVs, *model.deterministics]
    run = row_models.function(model, model.replace_rvs_by_values(variables))
    points = [run(row_models.random_point(model, seed, 0.3)) for seed in range(4)]
    made = tree_of(
        model, {v.name: np.stack(of).reshape(2, 2, *of[0].shape) for v, *of in zip(variables, *points, strict=True)}
    )
    write_metadata(made, {**metadata(made), "about": ABOUT})
    return made


def draws(tree: xr.DataTree, name: str) -> np.ndarray:
    values = tree["posterior"][name].transpose("chain", "draw", ...).values
    return values.reshape(4, *values.shape[2:])


def value(estimates) -> np.ndarray:
    """Draws (4, estimates)."""
    return estimates.draws["value"].values.reshape(4, -1)


def test_hazards_and_ratios_are_those_of_the_formula(tree: xr.DataTree) -> None:
    of = SurvivalEstimates(tree)
    marker = of.marker
    assert marker is not None and marker.axis.log and marker.axis.name == "bili"
    a, gamma, alpha = draws(tree, "surv_Intercept"), draws(tree, "surv_beta")[:, 0], draws(tree, "assoc")[:, 0]
    share = (tables()[1]["drug"] == "placebo").mean()
    found = of.hazards(marker)
    levels = of.levels(marker)[:3]
    assert list(dict.fromkeys(found.table["line"])) == [f"{v:g}" for v in levels]
    expected = np.exp((a + gamma * share)[:, None] + alpha[:, None] * np.log(levels))
    np.testing.assert_allclose(value(found).reshape(4, len(levels), -1)[:, :, 7], expected, rtol=1e-9)
    ratios, step = of.ratios(marker)
    x = ratios.table["marker"].to_numpy(float) / marker.axis.reference
    np.testing.assert_allclose(value(ratios), x[None, :] ** alpha[:, None])
    np.testing.assert_allclose(value(step)[:, 0], 2**alpha)
    assert step.table["step"].tolist() == ["twice as high"]


def test_risks_are_integrals_of_the_hazard_averaged_over_patients(tree: xr.DataTree) -> None:
    of = SurvivalEstimates(tree)
    assert (of.landmark, of.window) == (5.0, 1.0)
    assert of.marker is not None
    found = of.risks(of.marker)
    assert found is not None
    a, gamma, alpha = draws(tree, "surv_Intercept"), draws(tree, "surv_beta")[:, 0], draws(tree, "assoc")[:, 0]
    rise = draws(tree, "beta")[:, 0]
    placebo = (tables()[1]["drug"] == "placebo").mean()
    for s in range(4):
        for v, ours in zip(found.table["marker"], value(found)[s], strict=True):
            alive = [
                np.exp(
                    -quad(
                        lambda t, w=w, v=v, s=s: np.exp(
                            a[s] + gamma[s] * w + alpha[s] * (np.log(v) + rise[s] * (t - 5))
                        ),
                        5,
                        6,
                    )[0]
                )
                for w in (0, 1)
            ]
            np.testing.assert_allclose(ours, 1 - (1 - placebo) * alive[0] - placebo * alive[1], rtol=1e-8)


def test_three_patients_are_low_middle_and_high(tree: xr.DataTree) -> None:
    of, (visits, survival) = SurvivalEstimates(tree), tables()
    last = visits[visits.year <= 5].groupby("id").last()["bili"]
    last = last[survival.set_index("id")["years"] > 5].sort_values()
    chosen = of.three_patients()
    places = [last.index.get_loc(i) / (len(last) - 1) for i in chosen]
    assert list(chosen.values()) == ["low", "middle", "high"]
    np.testing.assert_allclose(places, [0.1, 0.5, 0.9], atol=0.07)
    np.testing.assert_allclose(of.measurements()["value"], visits["bili"])


def test_every_figure_of_a_joint_survival_model_is_drawn(tree: xr.DataTree) -> None:
    entries = dict(survival_figures(tree, Answer("drug")))
    assert list(entries) == ["marker_hazard", "patients", "hazard", "survival_curves", "landmark"]
    assert [e.section for e in entries.values()] == ["key", "estimates", "estimates", "checks", "asked"]
    pictures = {name: entry.make() for name, entry in entries.items()}
    for picture in pictures.values():
        for width in (WIDE, NARROW):
            picture.figure(width).draw_without_rendering()
    assert "placebo at" in pictures["survival_curves"].alt.split(";")[0]
    assert "Death within a year, from 5 years" in pictures["marker_hazard"].figure().axes[1].texts[0].get_text()

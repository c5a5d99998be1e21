"""Fits of cards whose pages are looked at: four at full length, and one of every builder that is too short to be sound."""

from __future__ import annotations

import functools

import pytest
import xarray as xr

import glmm_zoo as zoo
from glmm_zoo import registry

LOOKED_AT = ("multicenter", "bcg", "wedge_trial", "pbc")
LIKE_OTHERS = {
    "beta_binomial", "com_poisson", "gamma", "hurdle_negative_binomial", "hurdle_poisson", "lognormal", "negative_binomial",
    "ordered_beta", "student_t", "weibull", "zero_inflated_negative_binomial",
}  # fmt: skip
EXAMPLES = [
    pytest.param(registry.example_card(builder).name, marks=[pytest.mark.slow] if builder.name in LIKE_OTHERS else [])
    for builder in registry.builders().values()
]


@functools.cache
def fit_of(card: str) -> xr.DataTree:
    """The fit of a card with its own settings and seed 1."""
    chosen = zoo.card(card)
    settings = chosen.settings
    return zoo.fit(chosen.model(), draws=settings.draws, thin=settings.thin, seed=1, progress=False)


@functools.cache
def short_fit_of(card: str) -> xr.DataTree:
    """A fit of a card that is too short to be sound."""
    return zoo.fit(zoo.card(card).model(), draws=120, tune=200, chains=2, thin=1, seed=1, progress=False)


@pytest.fixture(scope="session", params=LOOKED_AT)
def card_fit(request: pytest.FixtureRequest) -> tuple[str, xr.DataTree]:
    """A card's name and its fit."""
    return request.param, fit_of(request.param)


@pytest.fixture(scope="session", params=EXAMPLES)
def page_of_an_example(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The page of a short fit of the example of a builder."""
    path = tmp_path_factory.mktemp("example") / f"{request.param}.html"
    return zoo.write_report(short_fit_of(request.param), path).read_text(encoding="utf-8")

"""What a report says of subjects who may never be at risk."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from scipy import stats

from glmm_zoo.results.design_limits import design_limits
from glmm_zoo.results.findings import susceptibility
from glmm_zoo.results.storage import ATTRIBUTE

UNIFORM = np.linspace(0.0005, 0.9995, 1000)


def _tree(share: np.ndarray, expected: float, zeros: int, others: int, prior: np.ndarray = UNIFORM) -> xr.DataTree:
    """As much of a fit as the aspect reads."""
    shape = (2, len(share) // 2)
    dims = ("chain", "draw")
    each = np.full((*shape, zeros), 0.7)
    posterior = xr.Dataset(
        {
            "never_share": (dims, share.reshape(shape)),
            "never_all_zero": (dims, np.full(shape, expected)),
            "never_probability": ((*dims, "never_subject"), each),
            "sd_id": ((*dims, "id_effect"), np.full((*shape, 1), 1.0)),
        },
        {"never_subject": [f"p{i}" for i in range(zeros)], "id_effect": ["Intercept"]},
    )
    facts = {
        "subject": "id",
        "all_zero": {"rows": [4] * zeros, "exposure": [2.5] * zeros},
        "others": {"subjects": others, "rows": 4 * others, "exposure": 3.0 * others},
        "never_prior": prior.tolist(),
    }
    spec = {
        "builder": "never_at_risk",
        "data": {"rows": 4 * (zeros + others), "dropped": 0},
        "link": "log",
        "family": "poisson",
        "options": {"family": "poisson"},
        "facts": facts,
        "aspects": ["susceptibility"],
    }
    spec["groups"] = {
        "id": {"levels": zeros + others, "sd": "sd_id", "effects": ["Intercept"], "effect_dim": "id_effect"}
    }
    tree = xr.DataTree.from_dict({"posterior": posterior, "observed_data": xr.Dataset()})
    tree.attrs[ATTRIBUTE] = json.dumps({"spec": spec})
    return tree


@pytest.mark.parametrize(
    ("share", "words"),
    [
        (np.random.default_rng(1).beta(92, 158, 4000), "The data show a group that is never at risk: 3"),
        (np.random.default_rng(2).beta(1, 30, 4000), "The data do not show a group that is never at risk and cannot tell"),
        (np.random.default_rng(3).beta(1.2, 8, 4000), "The data do not show a group that is never at risk and cannot tell"),
        (np.random.default_rng(4).beta(2, 2, 4000), "cannot tell never at risk from a low rate: .* little better than before"),
        (np.random.default_rng(5).uniform(0, 1, 4000), "cannot tell never at risk from a low rate: .* little better than before"),
    ],
)  # fmt: skip
def test_a_group_is_claimed_only_when_its_absence_is_excluded(share, words):
    said = susceptibility.find(_tree(share, 5.0, 95, 155), 0.95)
    assert pd.Series([" ".join(said.sentences)]).str.contains(words).all(), said.sentences
    assert "95 have" in said.sentences[1] and "sd_id" in said.sentences[2]


def test_a_prior_that_excludes_zero_is_not_taken_for_evidence():
    """A share near zero is improbable after the data, but it was so before."""
    rng = np.random.default_rng(6)
    prior = np.append(rng.uniform(0.02, 1, 997), [0.01, 0.01, 0.01])
    share = np.append(rng.uniform(0.05, 0.3, 3988), np.full(12, 0.01))
    said = susceptibility.find(_tree(share, 35.0, 58, 103, prior), 0.95).sentences[0]
    assert (
        said.startswith("The data do not show a group")
        and "< 0.01 it is below 2.7\u00a0% (0.01 before the data)" in said
    )
    exact = susceptibility.find(_tree(np.maximum(share, 0.05), 35.0, 58, 103, prior), 0.95).sentences[0]
    assert exact.startswith("The data show a group")


def test_tables_have_follow_up_and_prior_beside_posterior():
    found = susceptibility.find(_tree(np.random.default_rng(1).beta(9, 16, 4000), 0.4, 3, 7), 0.9)
    assert found.tables["followed"].loc["zeros only"].to_list() == [3, 4.0, 2.5]
    assert found.tables["followed"].loc["others"].to_list() == [7, 4.0, 3.0]
    shares = found.tables["share"]
    np.testing.assert_allclose(
        shares.loc["prior", ["mean", "lower", "upper"]].astype(float), [0.5, 0.05, 0.95], atol=1e-3
    )
    np.testing.assert_allclose(shares.loc["posterior", "mean"], 9 / 25, atol=0.01)
    assert found.tables["subjects"].loc["p1"].to_list() == [4, 2.5, pytest.approx(0.7)]


def _share(low: float, part: float, spread: float = 0.3) -> np.ndarray:
    """4000 draws around 0.5 with this spread (1: as wide as a uniform prior), a part of them at `low`."""
    share = 0.5 + spread * (np.tile(UNIFORM, 4) - 0.5)
    share[np.linspace(0, 3999, round(4000 * part)).astype(int)] = low
    return share


NEAR_ZERO = np.append(np.linspace(0.001, 0.019, 400), np.linspace(0.1, 1.0, 600))  # 40 % below 0.02
FAR = np.linspace(0.2, 1.0, 1000)
NARROW = 0.5 * (UNIFORM.std() / np.tile(UNIFORM, 4).std())


@pytest.mark.parametrize(
    ("share", "prior", "shown"),
    [
        (_share(0.5, 0, 0.99 * NARROW), UNIFORM, True), (_share(0.5, 0, 1.01 * NARROW), UNIFORM, False),  # half the prior's sd
        (_share(0.015, 0.0095), NEAR_ZERO, True), (_share(0.015, 0.0105), NEAR_ZERO, False),  # probability 1 %
        (_share(0.015, 0.0018), UNIFORM, True), (_share(0.015, 0.0023), UNIFORM, False),  # a tenth of the prior's 2 %
        (_share(0.021, 0.05), UNIFORM, True), (_share(0.019, 0.05), UNIFORM, False),  # at least 2 % is few
        (_share(0.051, 0.02), FAR, True), (_share(0.049, 0.02), FAR, False),  # at most 5 % is few
    ],
)  # fmt: skip
def test_each_limit_is_where_it_is_said_to_be(share, prior, shown):
    tree = _tree(share, 5.0, 95, 155, prior)
    said = susceptibility.find(tree, 0.95).sentences
    assert said[0].startswith("The data show a group") == shown, said
    low, high = np.quantile(share, [0.025, 0.975])
    assert f"{100 * low:.1f} to {100 * high:.1f}\u00a0% of the subjects (95\u00a0%)" in said[0]
    assert ("is the same model without this part" in said[-1]) != shown
    told = [limit for limit in design_limits(tree) if limit.entry == "susceptibility"]
    assert [limit.grave for limit in told] == [not shown] and (told[0].sentence == said[0]) != shown


@pytest.mark.parametrize(("link", "words"), [("log", "rate of one in 40 is"), ("logit", "odds of one in 40 are")])
def test_probabilities_and_rates_are_those_of_all_draws(link, words):
    rng = np.random.default_rng(8)
    tree = _tree(rng.beta(92, 158, 4000), 5.0, 3, 155)
    each = rng.beta([0.15, 0.4, 0.25], [1, 1, 1], (2, 2000, 3))
    sd = rng.lognormal(0, 1, (2, 2000, 1))
    posterior = tree["posterior"].to_dataset()
    posterior["never_probability"] = (posterior["never_probability"].dims, each)
    posterior["sd_id"] = (posterior["sd_id"].dims, sd)
    posterior["never_all_zero"] = (("chain", "draw"), rng.poisson(9.0, (2, 2000)).astype(float))
    tree["posterior"] = xr.DataTree(posterior)
    content = json.loads(tree.attrs[ATTRIBUTE])
    content["spec"]["link"] = link
    tree.attrs[ATTRIBUTE] = json.dumps(content)
    found = susceptibility.find(tree, 0.9)
    table = found.tables["subjects"]
    assert table.index.tolist() == ["p1", "p2", "p0"]
    np.testing.assert_allclose(table["probability"], each.mean((0, 1))[[1, 2, 0]])
    assert (
        f"Of the 3 with zeros only, {each.mean((0, 1)).sum():.0f} are expected to be never at risk." in found.sentences
    )
    low, middle, high = np.quantile(posterior["never_all_zero"], [0.05, 0.5, 0.95])
    assert found.sentences[1].startswith(f"Were all 158 subjects at risk, {middle:.1f} ({low:.1f} to {high:.1f}) would")
    s = np.median(sd)
    assert f"standard deviation of {s:.2f} (sd_id)" in found.sentences[2]
    assert f"the {words} below {np.exp(stats.norm.ppf(0.025) * s):.3g} times" in found.sentences[2]

"""What a report says of subjects who may never be at risk."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest
import xarray as xr

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
    spec = {"link": "log", "options": {"family": "poisson"}, "facts": facts, "aspects": ["susceptibility"]}
    spec["groups"] = {"id": {"sd": "sd_id", "effects": ["Intercept"], "effect_dim": "id_effect"}}
    tree = xr.DataTree.from_dict({"posterior": posterior})
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
    assert said.startswith("The data do not show a group") and "0.003 it is below 2.7 % (0.01 before the data)" in said
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

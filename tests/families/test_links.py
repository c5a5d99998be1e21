"""Inverse links are the distribution functions they are named after, and every link that families use is known."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from glmm_zoo.families.links import LINKS, PROBABILITY_LINKS

LAWS = {"logit": stats.logistic, "probit": stats.norm, "cloglog": stats.gumbel_l}


@pytest.mark.parametrize("name", LAWS)
def test_inverse_links_are_distribution_functions(name):
    eta = np.linspace(-8, 3, 45).reshape(5, 9)
    np.testing.assert_allclose(LINKS[name].inverse(eta), LAWS[name].cdf(eta), rtol=1e-12)


def test_every_link_has_a_scale():
    assert set(LINKS) == {"identity", "log", "log_hazard", "log_time", *PROBABILITY_LINKS}
    eta = np.array([-2.0, 0.5])
    assert LINKS["identity"].inverse(eta) is eta
    np.testing.assert_array_equal(LINKS["log"].inverse(eta), np.exp(eta))

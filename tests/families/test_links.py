"""Inverse links are the distribution functions they are named after, and every link that families use is known."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from glmm_zoo.families.families import LINKS
from glmm_zoo.families.links import SCALES

LAWS = {"logit": stats.logistic, "probit": stats.norm, "cloglog": stats.gumbel_l}


@pytest.mark.parametrize("name", LAWS)
def test_inverse_links_are_distribution_functions(name):
    eta = np.linspace(-8, 3, 45).reshape(5, 9)
    np.testing.assert_allclose(SCALES[name].inverse(eta), LAWS[name].cdf(eta), rtol=1e-12)


def test_every_link_has_a_scale():
    assert set(SCALES) == {"identity", "log", *LINKS}
    eta = np.array([-2.0, 0.5])
    assert SCALES["identity"].inverse(eta) is eta
    np.testing.assert_array_equal(SCALES["log"].inverse(eta), np.exp(eta))

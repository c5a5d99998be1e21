"""What is told of a model before it is sampled."""

from __future__ import annotations

import numpy as np
import pytest
from rows import visits

import glmm_zoo as zoo
from glmm_zoo.inference.compile import check_density, compile_model


def test_bad_index_and_bad_density_are_told_before_sampling() -> None:
    model = zoo.hierarchical_logistic(visits(), "ill ~ x + (1 + x | g)")
    with model:
        codes = model["_level_of_g"].get_value()
        model.set_data("_level_of_g", np.full_like(codes, codes.max() + 1))
        try:
            for check in (check_density, compile_model):
                with pytest.raises(zoo.FitError, match="past the levels"):
                    check(model)
        finally:
            model.set_data("_level_of_g", codes)
    check_density(model)

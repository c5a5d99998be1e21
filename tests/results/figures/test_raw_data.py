"""The data behind pictures, by what estimates are of."""

from __future__ import annotations

import numpy as np
import pandas as pd

from glmm_zoo.results.figures.raw_data import RawData


def test_levels_of_a_number_find_their_rows():
    """Levels are text: "0.0" beside 0.5, "0" beside 2."""
    for numbers, levels in (([0.0, 0.5, 0.0], ["0.0", "0.5"]), ([0, 2, 0], ["0", "2"])):
        rows = pd.DataFrame({"dose": numbers, "arm": ["1.0", "1", "1.0"]})
        raw = RawData(rows, np.ones(3), np.ones(3), False, [])
        of = pd.DataFrame({"dose": levels, "arm": ["1.0", "1"]})
        assert raw.where(of, ["dose"]).tolist() == [0, 1, 0]
        assert raw.where(of, ["dose", "arm"]).tolist() == [0, 1, 0]
        assert raw.where(of.assign(arm="1"), ["dose", "arm"]).tolist() == [-1, 1, -1]

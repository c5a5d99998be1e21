"""What is told of a computation while it runs."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hand_made_trees import tree_of

import glmm_zoo as zoo
from glmm_zoo.cli.terminal import progress_bar
from glmm_zoo.estimands.progress import block_by_block, told_to


def test_each_computation_is_told_to_its_end() -> None:
    data = pd.DataFrame({"y": np.tile([0, 1], 300), "x": np.linspace(-1, 1, 600)})
    draws = np.zeros((2, 500))
    tree = tree_of(zoo.hierarchical_logistic(data, "y ~ x"), {"Intercept": draws, "beta": draws[..., None]})
    shares: list[float] = []
    with told_to(shares.append):
        estimates = zoo.comparisons(tree, "x", measures="difference")
    assert shares == pytest.approx([1 / 3, 2 / 3, 1] * 2)  # 600 rows x 1000 draws, 200,000 at a time, for both sides
    assert estimates.table["mean"].item() == zoo.comparisons(tree, "x", measures="difference").table["mean"].item()
    assert len(shares) == 6 and list(block_by_block([1, 2])) == [1, 2]


def test_nothing_is_shown_where_there_is_no_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    with progress_bar() as listener:
        listener(0.5)
    assert capsys.readouterr() == ("", "")

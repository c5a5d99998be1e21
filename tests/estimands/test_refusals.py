"""What predictions, comparisons and slopes refuse: one sentence for each wrong argument and each wrong row."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from hand_made_trees import tree_of_prior
from row_models import builder
from rows import visits

import glmm_zoo as zoo

ODD = {
    "None": None, "True": True, "one": 1, "minus one": -1, "a fraction": 1.5, "nan": float("nan"), "inf": float("inf"), "empty text": "",
    "text": "xx", "list": [], "mapping": {}, "tuple": (1, 2, 3), "object": object(), "bytes": b"x", "huge": 10**400, "nested": [[1, 2], [3]],
    "array": np.array([1.0, 2.0]), "series": pd.Series([1, 2]), "level": "mid", "column": "arm", "columns": ["arm", 1], "text pairs": {"x": "y"},
    "mapping of none": {"x": None}, "missing": {"x": [np.nan]}, "set": {"arm"}, "generator": (x for x in ("x", "arm")), "function": len,
}  # fmt: skip
SHARED = (
    "data", "at", "by", "over", "weights", "groups", "unseen", "scale", "outcome", "times", "per", "prob", "draws", "seed",
)  # fmt: skip
ASKED: dict[str, tuple[Callable[..., zoo.Estimates], tuple[str, ...]]] = {
    "predictions": (zoo.predictions, SHARED),
    "comparisons": (zoo.comparisons, (*SHARED, "variables", "contrast", "measures", "rope")),
    "slopes": (zoo.slopes, (*SHARED, "variables", "rope")),
}
EACH = [(name, argument) for name, (_, arguments) in ASKED.items() for argument in arguments]


@pytest.fixture(scope="module")
def logistic() -> xr.DataTree:
    return tree_of_prior(builder("hierarchical_logistic")(visits(), "ill ~ x + arm + (1 | g)"), 3)


@pytest.fixture(scope="module")
def counts() -> xr.DataTree:
    return tree_of_prior(builder("poisson")(visits(), "c ~ x + arm + (1 | g)", exposure="days"), 3)


@pytest.mark.parametrize(("name", "argument"), EACH, ids=[f"{n} {a}" for n, a in EACH])
@pytest.mark.parametrize("model", ["logistic", "counts"])
def test_an_odd_argument_works_or_is_refused_in_one_sentence(
    name: str, argument: str, model: str, request: pytest.FixtureRequest
) -> None:
    tree = request.getfixturevalue(model)
    ask, _ = ASKED[name]
    for kind, value in ODD.items():
        of = {} if name == "predictions" else {"variables": "x"}
        try:
            ask(tree, **{**of, argument: value})
        except zoo.InputError as err:
            for sentence in err.problems:
                assert "not as glmm_zoo wrote it" not in sentence, (kind, err.__cause__)
                assert "\n" not in sentence and 10 < len(sentence) < 500, (kind, sentence)
                assert " at 0x" not in sentence, sentence
        except Exception as err:
            raise AssertionError(f"{argument}={kind}: {type(err).__name__}: {err}") from err

"""What predictions, comparisons and slopes refuse: one sentence for each wrong argument and each wrong row."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from hand_made_trees import tree_of_prior
from row_models import builder
from rows import visits

import glmm_zoo as zoo
from glmm_zoo import cli

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


# ------------------------------------------------------------------------------------------------------------- other rows


def _fifth(column: str, value: object) -> Callable[[pd.DataFrame], pd.DataFrame]:
    """A fault in the fifth row."""
    return lambda d: d.assign(**{column: d[column].astype(object).where(d.index != 4, value)})


WRONG_ROWS = {
    "no column": (lambda d: d.rename(columns={"arm": "arms"}), {}, "lack column 'arm'; did you mean 'arms'"),
    "unseen level": (_fifth("arm", "mix"), {}, r"level 'mix' of 'arm' \(row 5\) was not in the data of the fit; did you mean 'mid'"),
    "levels of another type": (lambda d: d.assign(arm=1), {}, r"level '1' of 'arm' \(rows 1, 2, 3, ...\)"),
    "unseen group": (_fifth("g", "ZZ"), {"groups": "observed"}, r"g 'ZZ' \(row 5\) was not in the data of the fit; unseen='population'"),
    "no group": (lambda d: d.drop(columns="g"), {"groups": "observed"}, "lack.* 'g'"),
    "text": (lambda d: d.assign(x="abc"), {}, r"column 'x' is text \(abc\)"),
    "missing": (lambda d: d.assign(x=d["x"].where(d.index != 4)), {}, r"'x' has 1 missing value \(row 5\); .* or leave these rows out"),
    "missing level": (_fifth("arm", None), {}, r"'arm' has 1 missing value \(row 5\)"),
    "infinite": (lambda d: d.assign(x=d["x"].where(d.index != 4, np.inf)), {}, r"'x' has 1 infinite value \(row 5\)"),
    "huge": (lambda d: d.assign(x=1e300), {}, "up to 1e[+]300 in size"),
    "no rows": (lambda d: d.head(0), {}, "has no rows"),
    "a column twice": (lambda d: pd.concat([d, d[["x"]]], axis=1), {}, "'x' appears twice"),
    "dates": (lambda d: d.assign(x=pd.Timestamp("2020-01-01")), {}, "'x' holds dates"),
    "lists": (lambda d: d.assign(x=[[1]] * len(d)), {}, "'x' holds list"),
    "negative weights": (lambda d: d.assign(s=-1.0), {"weights": "s", "by": True}, r"'s' must be >= 0 \(weights\); it is -1 in rows 1, 2"),
    "no weight": (lambda d: d.assign(s=0.0), {"weights": "s", "by": True}, "'s' is 0 in all rows of an average"),
    "text as weights": (lambda d: d, {"weights": "arm", "by": True}, "'arm' is text"),
    "missing weight": (lambda d: d.assign(s=d["x"].where(d.index != 4)), {"weights": "s", "by": True}, "'s' has 1 missing value"),
    "no column by": (lambda d: d, {"by": "amr"}, "lack column 'amr'; did you mean 'arm'"),
    "no column over": (lambda d: d, {"by": True, "over": "herd"}, "lack column 'herd'"),
    "at of no column": (lambda d: d, {"at": {"amr": 1}}, "no column 'amr'; did you mean 'arm'"),
    "at of no level": (lambda d: d, {"at": {"arm": "mde"}}, "level 'mde' of 'arm' was not in the data of the fit; did you mean 'mid'"),
}  # fmt: skip


@pytest.mark.parametrize("kind", WRONG_ROWS)
def test_wrong_rows_are_refused(kind: str, logistic: xr.DataTree) -> None:
    change, asked, expected = WRONG_ROWS[kind]
    with pytest.raises(zoo.InputError, match=expected) as refused:
        zoo.predictions(logistic, change(visits()), **asked)
    assert "\n" not in str(refused.value)


def test_all_that_is_wrong_is_told_at_once(logistic: xr.DataTree) -> None:
    with pytest.raises(zoo.InputError, match="2 problems"):
        zoo.predictions(logistic, visits()[["g"]])


def test_the_range_of_splines_and_smooths() -> None:
    d = visits()
    spline = tree_of_prior(builder("hierarchical_linear")(d, "y ~ bs(x, df=4) + (1 | g)"), 2)
    beyond = d.assign(x=d["x"].where(d.index != 4, 99.0))
    with pytest.raises(zoo.InputError, match=r"'x' is 99 in row 5, outside the range -2.25144 to 2.72197 of the fit"):
        zoo.predictions(spline, beyond)
    assert np.isfinite(zoo.slopes(spline, "x").table["mean"]).all()  # at the ends too
    smooth = tree_of_prior(builder("gamm")(d, "y ~ s(x) + (1 | g)"), 2)
    with pytest.warns(
        zoo.ZooWarning,
        match=r"x = 99 .row 5. goes beyond the data of the fit, -2.25144 to 2.72197: s.x. is an extrapolation",
    ):
        zoo.predictions(smooth, beyond)


def test_what_is_not_needed_may_be_absent(counts: xr.DataTree) -> None:
    """The response, the exposure of counts, trials, and groups that are integrated over."""
    few = visits()[["x", "arm"]]
    assert len(zoo.predictions(counts, few).table) == len(few)
    binomial = tree_of_prior(builder("hierarchical_logistic")(visits(), "k | trials(n) ~ x + arm + (1 | a/b)"), 2)
    assert len(zoo.predictions(binomial, few, scale="response").table) == len(few)


# --------------------------------------------------------------------------------------------------------- the command line

COMMANDS = {
    "no fit": ("predictions none.nc", "file 'none.nc' does not exist"),
    "no data": ("predictions fit.nc none.csv", "file 'none.csv' does not exist"),
    "not a fit": ("predictions wrong.csv", "wrong.csv"),
    "wrong level": ("predictions fit.nc wrong.csv", r"level 'mix' of 'arm' \(rows 1, 2, 3, ...\)"),
    "groups": ("predictions fit.nc --groups popultion", "did you mean 'population'"),
    "factor": ("predictions fit.nc --groups site=new", "no grouping factor 'site'; factors: g"),
    "scale": ("predictions fit.nc --scale risk", "--scale risk is none of 'ill'.*scales: mean"),
    "at": ("predictions fit.nc --at arm=mde", "level 'mde' of 'arm'"),
    "at without a value": ("predictions fit.nc --at arm", "--at"),
    "by": ("predictions fit.nc --by amr", "'amr'"),
    "prob": ("predictions fit.nc --prob 95", "prob must be between 0 and 1"),
    "draws": ("predictions fit.nc --draws 0", "draws"),
    "option": ("predictions fit.nc --group new", "--group"),
    "ending": ("predictions fit.nc --out table.xls", "table.xls"),
    "variable": ("comparisons fit.nc amr", "no variable 'amr' in the model; did you mean 'arm'"),
    "measure": ("comparisons fit.nc arm --measures risk_ratio", "'risk_ratio' is none of 'ill'"),
    "contrast": ("comparisons fit.nc arm --contrast 'md vs low'", "level 'md' of 'arm'"),
    "rope": ("comparisons fit.nc arm --rope wide", "--rope"),
    "slope of a factor": ("slopes fit.nc arm", "'arm' is a factor, which has no slope"),
}  # fmt: skip


@pytest.mark.parametrize("kind", COMMANDS)
def test_the_command_line_refuses_in_one_sentence(
    kind: str,
    logistic: xr.DataTree,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    command, expected = COMMANDS[kind]
    monkeypatch.chdir(tmp_path)
    zoo.save(logistic, "fit.nc")
    visits().assign(arm="mix").to_csv("wrong.csv", index=False)
    before = {path.name for path in Path().iterdir()}
    code = cli.run([*shlex.split(command), *(["--out", "out.csv"] if "--out" not in command else [])])
    out, err = capsys.readouterr()
    assert code == 2 and out == "" and err.startswith("error: ") and err.count("\n") == 1, (code, out, err)
    assert re.search(expected, err), err
    assert {path.name for path in Path().iterdir()} == before

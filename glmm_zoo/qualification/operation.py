"""Whether the program does here what it does elsewhere: densities of all cards, certificates, contracts, numbers of other programs and publications."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from glmm_zoo.calibration.certify import designs
from glmm_zoo.errors import InputError
from glmm_zoo.families.tensors import as_it_stands
from glmm_zoo.inference.fit import fit
from glmm_zoo.qualification.cases import DISAGREEMENTS, PUBLISHED, read_case
from glmm_zoo.qualification.results import Result, judged
from glmm_zoo.registry import Card, card, cards
from glmm_zoo.report.certificate import certificate_words, certificates, changed_since
from glmm_zoo.results.storage import load, save

Step = Callable[[], Iterator[Result]]
_CALIBRATION = "certificate of calibration"
_EXAMPLE = "multicenter"
_RELATIVE = 1e-10  # of a log density
_SMALL: Any = {"draws": 50, "tune": 100, "chains": 2, "progress": False}


def operation_steps() -> Sequence[Step]:
    """The steps of the operational qualification, each of which takes seconds."""
    densities = [partial(_density, c) for c in cards().values()]
    folders = [Path(__file__).parent / name for name in (PUBLISHED, DISAGREEMENTS)]
    return [
        *densities,
        _calibrations,
        _contracts,
        *(partial(_case, path) for folder in folders for path in sorted(folder.glob("*.toml"))),
    ]


def _case(path: Path) -> Iterator[Result]:
    yield from read_case(path).results()


def _calibrations() -> Iterator[Result]:
    """What the certificates of calibration say, of sources as they were then or, noted, as they have changed since."""
    there = certificates()
    for name in designs():
        if name not in there:
            yield Result(_CALIBRATION, name, "", "no certificate", "noted")
            continue
        changed = changed_since(there[name])
        text = f"{certificate_words(there[name])}. {changed}".strip()
        state = "failed" if not there[name].calibrated else "noted" if changed else "passed"
        yield Result(_CALIBRATION, name, "uniform ranks of the truth", text, state)


def _density(of: Card) -> Iterator[Result]:
    """The log density of a card's model at a fixed point, against the one that was stored with the card."""
    stored = json.loads((of.folder / "reference.json").read_text())["log_density"]
    found = log_densities(of.model())
    off = max(abs(found.get(name, np.nan) - value) / max(abs(value), 1.0) for name, value in stored.items())
    same = stored.keys() == found.keys() and off <= _RELATIVE
    yield judged("density of each card", of.name, f"as stored, to {_RELATIVE:g}", f"{off:.1g} off", bool(same))


def log_densities(model: Any) -> dict[str, float]:
    """Log density of each variable of a model at a fixed point in natural space, so that no transform enters it.

    Positive values at 0.8, values in (0, 1) at 0.6, all others 0.4 sin(1), 0.4 sin(2), ..., sorted where they are in order.
    """
    from pymc.logprob.basic import conditional_logp
    from pytensor.compile.maker import function

    shapes = model.eval_rv_shapes()
    point = {}
    for rv in model.free_RVs:
        kind = type(model.rvs_to_transforms[rv]).__name__
        size = int(np.prod(shapes[rv.name]))
        fixed = {"LogTransform": 0.8, "LogOddsTransform": 0.6}.get(kind)
        value = 0.4 * np.sin(np.arange(1, size + 1)) if fixed is None else np.full(size, fixed)
        point[rv] = np.sort(value) if kind == "Ordered" else value.reshape(shapes[rv.name])
    values = {rv: rv.type(f"{rv.name}_value") for rv in point}
    observed = {rv: model.rvs_to_values[rv] for rv in model.observed_RVs}
    terms = conditional_logp({**values, **observed})
    names = {v: rv.name for rv, v in {**values, **observed}.items()}
    run: Any = function(list(values.values()), [t.sum() for t in terms.values()], mode=as_it_stands())
    return {names[v]: float(t) for v, t in zip(terms, run(*point.values()), strict=True)}


def _contracts() -> Iterator[Result]:
    """The same seed gives the same bits, a saved fit is read back with the same bits, a wrong formula is refused in words."""
    of = "contracts"
    model = card(_EXAMPLE).model()
    tree = fit(model, seed=1, **_SMALL)
    again = fit(model, seed=1, **_SMALL)
    yield judged(of, "the same seed", "the same bits", *_same_bits(tree, again))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "fit.nc"
        save(tree, path)
        yield judged(of, "a file", "the same bits when it is read", *_same_bits(tree, load(path)))
    try:
        build = card(_EXAMPLE).builder.function()
        build(*card(_EXAMPLE).tables(), "incidence | trials(size) ~ perod + (1 | herd)")
        said = "no error"
    except InputError as err:
        said = str(err)
    yield judged(of, "a misspelt column", "an error that names the nearest", said, "'period'" in said)


def _same_bits(one: Any, other: Any) -> tuple[str, bool]:
    """Whether the posteriors of two fits are the same to the last bit, in words and as such."""
    a, b = one["posterior"].dataset, other["posterior"].dataset
    differing = [str(n) for n in a.data_vars if n not in b or a[n].values.tobytes() != b[n].values.tobytes()]
    return ("other bits in " + ", ".join(differing) if differing else "the same bits"), not differing

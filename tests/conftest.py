"""PyTensor evaluates graphs node by node as they stand: those of the tests are small and are evaluated a few times, while
rewriting or compiling one takes up to seconds. Nor does it keep the lines of code that made each node."""

import gc
import os
import sys
import types
from pathlib import Path

import promises
import pytest

from glmm_zoo import registry

_flags = os.environ.get("PYTENSOR_FLAGS", "")
if "mode=" not in _flags:
    _as_it_stands = "mode=Mode,linker=py,cxx=,optimizer=None,optimizer_including=minimum_compile,traceback__limit=0"
    os.environ["PYTENSOR_FLAGS"] = f"{_flags},{_as_it_stands}".strip(",")

gc.set_threshold(
    100_000, 20, 20
)  # graphs are many small objects: looking for circles at each 700 took a seventh of the time

PAIRED = '''"""A builder that takes two tables and only says what it was given."""

from glmm_zoo.errors import InputError

ALIASES = ("two",)


def paired(longitudinal, survival, formula, *, event, time="time", families=None, missing="error", priors=None):
    """The arguments, as an error.

    Parameters
    ----------
    longitudinal, survival
        Tables.
    """
    columns = [table and table.arrow.to_pydict() for table in (longitudinal, survival)]
    raise InputError(f"given {columns}, {formula!r}, {event!r}, {time!r}, {families!r}, {missing!r}, {priors!r}")
'''


@pytest.fixture
def paired(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> registry.Builder:
    """A further builder in the zoo, of two tables."""
    path = tmp_path / "paired.py"
    path.write_text(PAIRED)
    builder = registry.read_builder(path)
    known = {**registry.builders(), builder.name: builder}
    monkeypatch.setattr(registry, "builders", lambda: known)
    module = types.ModuleType(builder.name)
    exec(PAIRED, module.__dict__)
    monkeypatch.setitem(sys.modules, f"glmm_zoo.builders.{builder.name}", module)
    return builder


_said: dict[str, dict[str, str]] = {}  # what tests said, by the promises that they hold


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        item.user_properties += [("promise", name) for mark in item.iter_markers("promise") for name in mark.args]


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    if report.when == "call" or report.outcome != "passed":
        for key, name in report.user_properties:
            if key == "promise":
                _said.setdefault(str(name), {})[report.nodeid] = report.outcome


def pytest_sessionfinish(session: pytest.Session) -> None:
    if _said and not hasattr(session.config, "workerinput"):  # a worker of xdist tells its controller
        promises.keep(_said)

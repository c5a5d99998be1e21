"""PyTensor without C or Numba compilation: the graphs of the tests are small and are evaluated a few times."""

import os
import sys
import types
from pathlib import Path

import pytest

from glmm_zoo import registry

_flags = os.environ.get("PYTENSOR_FLAGS", "")
if "mode=" not in _flags:
    os.environ["PYTENSOR_FLAGS"] = f"{_flags},mode=FAST_COMPILE".strip(",")

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

"""Settings are checked before any work: what would not fit in memory is refused by an estimate."""

from __future__ import annotations

import pytest

import glmm_zoo as zoo
from glmm_zoo import cli
from glmm_zoo.cli.arguments import option_name
from glmm_zoo.inference import settings as settings_module
from glmm_zoo.inference.settings import Settings
from glmm_zoo.tables import memory

HUGE = [{name: 10**power} for name in ("draws", "tune", "chains", "thin") for power in (12, 25, 400)]


@pytest.mark.parametrize("values", HUGE)
def test_what_no_machine_holds_is_refused(values: dict[str, int]) -> None:
    (told,) = Settings(**values).problems(spell=option_name)
    (name,) = values
    assert f"--{name} {values[name]}" in told and "of memory for 1 unknown, and" in told


def test_the_limit_is_what_is_free(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = Settings(draws=300, thin=4)
    needed = settings.memory_needed(20)
    assert needed > 8 * 4 * 300 * 4 * 20
    monkeypatch.setattr(settings_module, "available_memory", lambda: needed)
    assert not settings.memory_problems(20)
    monkeypatch.setattr(settings_module, "available_memory", lambda: needed - 1)
    assert settings.memory_problems(20) and not settings.memory_problems(19)


def test_the_command_line_refuses_before_it_reads(
    tmp_path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    tokens = ["fit", "logistic", "none.csv", "--formula", "y ~ x", "--draws", "1000000000000", "--thin", "1000"]
    assert cli.run(tokens) == 2
    message = (
        "error: --draws 1000000000000, --tune 500, --chains 4, --thin 1000 need 576000000.0 GB of memory for 1 unknown"
    )
    assert message.replace("576000000.0 GB", "10^9 GB") in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_the_number_of_unknowns_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    import pandas as pd

    data = pd.DataFrame({"y": [i * 7 % 5 / 2 for i in range(40)], "g": [f"g{i % 10}" for i in range(40)]})
    model = zoo.hierarchical_linear(data, "y ~ 1 + (1 | g)")
    settings = Settings(draws=10, tune=10, chains=1)
    monkeypatch.setattr(settings_module, "available_memory", lambda: settings.memory_needed(13) - 1)
    with pytest.raises(zoo.InputError, match=r"for 13 unknowns, and 0\.0 GB are free; ask for less"):
        zoo.fit(model, draws=10, tune=10, chains=1)


def test_memory_is_what_the_machine_or_a_limit_leaves(monkeypatch: pytest.MonkeyPatch) -> None:
    import resource

    assert 1e6 < memory.available_memory() < 1e15
    monkeypatch.setattr(resource, "getrlimit", lambda which: (10**9, 10**9))
    assert memory.available_memory() < 10**9
    monkeypatch.setattr(resource, "getrlimit", lambda which: (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    monkeypatch.setattr(memory, "_left_in_container", lambda: 10.0**5)
    assert memory.available_memory() == 10**5
    assert (memory.in_gigabytes(1.5e9), memory.in_gigabytes(1e15)) == ("1.5 GB", "10^6 GB")

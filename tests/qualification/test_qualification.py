"""The checks of an installation: each is planted a fault, and limits are tried just within and just beyond."""

from __future__ import annotations

import base64
import hashlib
import importlib.metadata
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from reference_posteriors import PRIORS, REFERENCES, reference
from rows import visits

import glmm_zoo as zoo
from glmm_zoo.cli.commands import app_of
from glmm_zoo.cli.exit_codes import ExitCode
from glmm_zoo.errors import InputError
from glmm_zoo.qualification import cases, installation, operation, qualify
from glmm_zoo.qualification.cases import Case, CaseFile, KnownNumber, read_case
from glmm_zoo.qualification.results import Result, judged
from glmm_zoo.registry import cards

CASE = """schema = 1
title = "Visits <b>of</b> ours"
source = "by hand"
model = "poisson"
data = "visits.csv"
formula = "k ~ x + (1 | g)"
sampling = {{ draws = 500, tune = 500 }}

[priors]
beta = "Normal(0, 1)"

[[numbers]]
{number}
"""


def case_file(folder: Path, number: str, old: str = "", new: str = "") -> Path:
    visits().to_csv(folder / "visits.csv", index=False)
    path = folder / "study.toml"
    text = CASE.format(number=number)
    path.write_text(text.replace(old, new) if old else text)
    return path


# ------------------------------------------------------------------------------------------------------- installation


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A package with one module, as an installer leaves it, in place of all that are needed."""
    module = tmp_path / "planted.py"
    module.write_text("x = 1\n")
    info = tmp_path / "planted-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: planted\nVersion: 1.0\n")
    digest = base64.urlsafe_b64encode(hashlib.sha256(module.read_bytes()).digest()).rstrip(b"=").decode()
    (info / "RECORD").write_text(f"planted.py,sha256={digest},6\nplanted-1.0.dist-info/RECORD,,\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(installation, "needed", lambda: ["glmm-zoo", "planted"])
    return module


def files_of() -> Result:
    return next(r for r in installation.installation() if r.of == "files" and "files" in r.what)


@pytest.mark.promise("installation")
def test_a_changed_and_a_missing_file_are_found(package: Path) -> None:
    assert files_of().state == "passed"
    package.write_text("x = 2\n")
    found = files_of()
    assert found.state == "failed" and "planted.py" in found.found
    package.unlink()
    assert files_of().state == "failed"


def test_versions_other_than_those_tested_are_noted(package: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def versions(tried: dict[str, str]) -> Result:
        monkeypatch.setattr(installation, "constraints", lambda: tried)
        return next(r for r in installation.installation() if r.of == "versions")

    assert versions({"planted": "1.0"}).state == "passed"
    other = versions({"planted": "1.1"})
    assert other.state == "noted" and "planted 1.0 for 1.1" in other.found


def test_what_is_needed_is_what_the_package_asks_for_and_all_below() -> None:
    found = set(installation.needed())
    assert {"glmm-zoo", "pymc", "pytensor", "nutpie", "arviz-stats", "numpy", "h5py"} <= found
    assert not {"pytest", "ruff", "graphviz"} & found
    assert installation.constraints()["pymc"] == importlib.metadata.version("pymc")


# -------------------------------------------------------------------------------------------------------------- cases


@pytest.mark.parametrize(
    ("bound", "value", "passed"),
    [("within", 0.4999, True), ("within", 0.5001, False), ("beyond", 0.4999, False), ("beyond", 0.5001, True)],
)
@pytest.mark.parametrize("sign", [1, -1])
def test_a_number_is_within_or_beyond(bound: str, value: float, passed: bool, sign: int) -> None:
    number = KnownNumber(2.0, parameter="a", **{bound: 0.5})
    case = Case(CaseFile(schema=1, title="t", source="s", model="poisson", numbers=[number]), None)
    table = pd.DataFrame({"mean": [2.0 + sign * value]}, index=["a"])
    assert case._result(number, None, table).state == ("passed" if passed else "failed")  # pyright: ignore


@pytest.mark.parametrize(
    ("number", "said"),
    [
        ('parameter = "beta[x]"\nvalue = 1', "neither within nor beyond"),
        ('parameter = "beta[x]"\nvalue = 1\nwithin = 1\nbeyond = 1', "both within and beyond"),
        ("value = 1\nwithin = 1", "neither parameter nor comparison"),
        ('parameter = "beta[x]"\ncomparison = "x"\nvalue = 1\nwithin = 1', "both parameter and comparison"),
        ('parameter = "beta[x]"\nvalue = 1\nwithn = 1', "unknown key 'withn'; did you mean 'within'?"),
        ('parameter = "beta[x]"\nwithin = 1', "missing required field `value`"),
    ],
)
def test_what_is_no_number_is_refused(tmp_path: Path, number: str, said: str) -> None:
    with pytest.raises(InputError) as refused:
        read_case(case_file(tmp_path, number))
    assert said in str(refused.value) and "study.toml" in str(refused.value)


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('"poisson"', '"poison"', "did you mean 'poisson'"),
        ('data = "visits.csv"\n', "", "needs data and formula"),
        ("x + (1", "xx + (1", "no column 'xx'"),
        ("schema = 1", "schema = 2", "schema must be 1, the version of case files"),
        ('"visits.csv"', '"nowhere.csv"', "does not exist"),
    ],
)
def test_what_is_no_case_is_refused_before_anything_is_run(tmp_path: Path, old: str, new: str, said: str) -> None:
    path = case_file(tmp_path, 'parameter = "beta[x]"\nvalue = 1\nwithin = 1', old, new)
    with pytest.raises(InputError) as refused:
        zoo.qualify(tmp_path / "dossier", [path])
    assert said in str(refused.value) and str(path) in str(refused.value)
    assert not list((tmp_path / "dossier").iterdir())


def test_a_case_of_a_card_has_its_data_and_what_it_does_not_say(tmp_path: Path) -> None:
    path = tmp_path / "own.toml"
    path.write_text(
        'schema = 1\ntitle = "t"\nsource = "s"\nmodel = "kidney"\n[[numbers]]\nparameter = "shape"\nvalue = 1\nwithin = 1\n'
    )
    assert read_case(path).model.spec["options"]["baseline"] == "weibull"
    path.write_text(path.read_text() + '\n[options]\ndistribution = "lognormal"\n')
    options = read_case(path).model.spec["options"]
    assert options["distribution"] == "lognormal" and options["baseline"] != "weibull"


BY_FILE = {row.file: row for row in REFERENCES}


@pytest.mark.parametrize(
    "name", sorted(p.stem for p in (Path(cases.__file__).parent / "published").glob("*.toml") if p.stem in BY_FILE)
)
def test_published_numbers_are_those_on_record(name: str) -> None:
    """The model, priors and numbers of a case are those of the peer's record, with limits of 0.15 sd."""
    case, row, peer = (
        read_case(Path(cases.__file__).parent / "published" / f"{name}.toml"),
        BY_FILE[name],
        reference(name),
    )
    assert case.file.formula == row.formula and case.file.options == {"center": False, **row.options}
    assert case.file.priors == {k: v for k, v in {**PRIORS, **row.priors}.items() if v is not None}
    assert case.model.spec["builder"] == row.builder and case.file.source == peer["peer"]
    numbers = {n.parameter: n for n in case.file.numbers}
    assert numbers.keys() == set(row.names.values())
    for theirs, ours in row.names.items():
        record, number = peer["parameters"][theirs], numbers[ours]
        assert number.value == pytest.approx(record["mean"], rel=1e-3)
        assert number.within == pytest.approx(0.15 * record["sd"], rel=0.06)


# ---------------------------------------------------------------------------------------------------------- operation


@pytest.mark.promise("installation")
def test_another_density_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    card = cards()["kidney"]
    densities = operation.log_densities(card.model())
    for off, state in ((0.9e-10, "passed"), (1.1e-10, "failed")):
        changed = {**densities, "u_id": densities["u_id"] * (1 + off)}
        monkeypatch.setattr(operation, "log_densities", lambda model, changed=changed: changed)
        (density,) = operation._density(card)  # pyright: ignore
        assert density.state == state
    monkeypatch.setattr(operation, "log_densities", lambda model: {**densities, "more": 0.0})
    assert next(operation._density(card)).state == "failed"  # pyright: ignore


@pytest.mark.promise("installation")
def test_contracts_hold_and_broken_ones_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    assert [r.state for r in operation._contracts()] == ["passed"] * 3  # pyright: ignore
    fits = iter((1, 2))
    fit = operation.fit
    monkeypatch.setattr(operation, "fit", lambda model, seed, **more: fit(model, seed=next(fits), **more))
    assert [r.state for r in operation._contracts()] == ["failed", "passed", "passed"]  # pyright: ignore


# -------------------------------------------------------------------------------------------------------- the dossier


def planted(*states: str) -> Any:
    def step() -> Iterator[Result]:
        yield from (judged("planted", f"<i>{i}</i>", "a & b", "c", s == "passed") for i, s in enumerate(states))

    return lambda: [step]


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(qualify, "operation_steps", planted("passed"))
    monkeypatch.setattr(qualify, "installation", lambda: iter([Result("machine", "x", "", "y", "noted")]))


@pytest.mark.usefixtures("quick")
def test_a_users_case_and_its_wrong_number(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The number is the mean of log k, near enough; the exit code and both files say whether it was found."""
    right = 'comparison = "x"\nmeasure = "difference"\nvalue = 0\nwithin = 1000'
    path, out = case_file(tmp_path, right), tmp_path / "dossier"
    code = app_of()(["qualify", "--out", str(out), "--case", str(path)], result_action="return_value")
    said = capsys.readouterr().out
    assert code == ExitCode.DONE and "passed" in said
    record = json.loads((out / "qualification.json").read_text())
    assert record["passed"] and [r["state"] for r in record["performance"]] == ["noted", "passed", "passed"]
    page = (out / "qualification.html").read_text()
    assert "&lt;b&gt;of&lt;/b&gt;" in page and "<i>" not in page and "a &amp; b" in page and "http" not in page
    case_file(
        tmp_path, 'parameter = "beta[x]"\nvalue = 50\nwithin = 1\n[[numbers]]\nparameter = "bta"\nvalue = 0\nwithin = 9'
    )
    with pytest.raises(InputError, match="exists; use --overwrite"):
        zoo.qualify(out, [path])
    code = app_of()(["qualify", "--out", str(out), "--case", str(path), "--overwrite"], result_action="return_value")
    assert code == ExitCode.UNSOUND
    said = capsys.readouterr().out
    assert "2 of 4 checks failed" in said and "no parameter 'bta'" in said
    assert not json.loads((out / "qualification.json").read_text())["passed"]


@pytest.mark.usefixtures("quick")
def test_one_failure_fails_the_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert zoo.qualify(tmp_path / "a").passed
    monkeypatch.setattr(qualify, "operation_steps", planted("passed", "failed", "passed"))
    found = zoo.qualify(tmp_path / "b")
    assert not found.passed and "1 of 3 checks failed" in found.sentence and len(found.table) == 4


def test_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="cannot be made"):
        zoo.qualify(tmp_path / "file" / "dossier")


@pytest.mark.slow
@pytest.mark.promise("installation")
def test_this_installation_is_qualified(tmp_path: Path) -> None:
    """Every density, contract, published number and known disagreement."""
    found = zoo.qualify(tmp_path / "dossier")
    assert found.passed, found.table[found.table["state"] == "failed"].to_string()

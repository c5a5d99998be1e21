"""The command line: its contract, and one clear sentence for every wrong input."""

from __future__ import annotations

import gzip
import io
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import xarray as xr

import glmm_zoo as zoo
from glmm_zoo import cli, registry
from glmm_zoo.cli.arguments import SamplerArguments
from glmm_zoo.cli.commands import COMMANDS
from glmm_zoo.cli.spelling import as_typed
from glmm_zoo.inference.locks import locked
from glmm_zoo.inference.settings import Settings
from glmm_zoo.results import storage


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Every command runs in an empty folder with one good file."""
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(
        {
            "y": rng.integers(0, 2, 60),
            "x": rng.normal(size=60).round(3),
            "g": np.repeat([f"g{i}" for i in range(10)], 6),
            "n": 5,
            "k": rng.integers(0, 6, 60),
            "trt": np.tile(["a", "b", "c"], 20),
            "z": rng.normal(10, 2, 60).round(3),
        }
    )
    frame.to_csv("good.csv", index=False)
    return tmp_path


def fails(capsys: pytest.CaptureFixture[str], *tokens: str) -> str:
    """The message of a command that must end with exit code 2 and leave nothing behind."""
    before = {path.name for path in Path().rglob("*")}
    code = cli.run(list(tokens))
    out, err = capsys.readouterr()
    assert code == 2, (code, out, err)
    assert "Traceback" not in err and out == "" and err.startswith("error: ")
    made = {path.name for path in Path().rglob("*")} - before
    assert not made, made
    return err


def broken(name: str, content: str | bytes) -> str:
    Path(name).write_bytes(content.encode() if isinstance(content, str) else content)
    return name


HEAD = "y,x,g\n"
ROWS = "".join(f"{i % 2},{i}.5,g{i % 7}\n" for i in range(40))
FILES = {
    "missing path": (None, "file 'none.csv' does not exist"),
    "empty": ("", "is empty"),
    "header only": (HEAD, "has a header but no rows"),
    "latin-1": ((HEAD + ROWS + "1,2,gü\n").encode("latin-1"), r"not UTF-8 \(line 42, byte 0xfc\).*--encoding latin-1"),
    "utf-16": ((HEAD + ROWS).encode("utf-16"), "UTF-16; use --encoding utf-16"),
    "semicolons": ((HEAD + ROWS).replace(",", ";"), "only one column found.*--sep ';'"),
    "ragged": (HEAD + ROWS + "1,2,g1,9\n", "line 42 has 4 fields, the header has 3"),
    "open quote": (HEAD + '1,2,"g1\n' + ROWS, "unclosed quote starting at line 2"),
    "twice": ("y,x,x,g\n1,2,3,a\n", "column 'x' appears twice"),
    "no name": ("y,,x,g\n1,2,3,a\n", "column 2 has no name"),
    "spaces": (" y ,x,g\n" + ROWS, r"did you mean ' y '\? \(use --strip\)"),
    "comment": ("# made by R\n" + HEAD + ROWS, "first line starts with '#'; use --comment"),
    "dot": (HEAD + ROWS + "1,.,g1\n", r"'x' should be numeric; 1 value is not \('\.', row 41\).*--na '\.'"),
    "thousands": (HEAD + ROWS + '1,"1,234",g1\n', "'x' should be numeric"),
    "percent": (HEAD + ROWS + "1,5%,g1\n", "'x' should be numeric"),
    "NUL": (HEAD + ROWS + "1,2,g\x00\n", "NUL character"),
    "control": (HEAD + ROWS + "1,2,g\x01\n", "column 'g' row 41 has a control character"),
    "missing values": (
        HEAD + ROWS + "NA,2,g1\n1,,g1\n",
        r"(?s)'y' has 1 missing value \(row 41: 'NA'\).*'x' has 1 missing",
    ),
    "missing group": (HEAD + ROWS + "1,2,\n", r"'g' has 1 missing value \(row 41\)"),
    "infinite": (HEAD + ROWS + "1,inf,g1\n", r"'x' has 1 infinite value \(row 41\)"),
    "coded 1/2": (HEAD + ROWS.replace("\n1,", "\n2,").replace("\n0,", "\n1,"), "found"),
    "fractions": (HEAD + ROWS + "0.5,2,g1\n", "needs 0/1"),
    "constant": (HEAD + ROWS.replace("\n0,", "\n1,")[2:].join(["1,", ""]), "single value"),
    "one group": (HEAD + "".join(f"{i % 2},{i},only\n" for i in range(30)), "'g' has one level"),
    "group per row": (HEAD + "".join(f"{i % 2},{i % 5},g{i}\n" for i in range(30)), "'g' has 30 levels for 30 rows"),
    "two at once": (HEAD + ROWS + "0.5,2,g1\n1,inf,g1\n", r"(?s)2 problems.*1 infinite value.*needs 0/1"),
}


@pytest.mark.parametrize("case", FILES)
def test_a_bad_file_is_told_in_one_sentence(capsys: pytest.CaptureFixture[str], case: str) -> None:
    content, message = FILES[case]
    name = "none.csv" if content is None else broken("bad.csv", content)
    err = fails(capsys, "fit", "logistic", name, "--formula", "y ~ x + (1 | g)", "--out", "f.nc")
    assert re.search(message, err), err


FORMULAS = {
    "y ~ x +": "the formula ends after '+'",
    "y ~ x + (1 | g))": "unmatched ')'",
    "y ~ x | g": "write group terms in parentheses",
    "y ~ x %in% g": "not supported; use a:x",
    "y ~ x + I(__import__('os').getcwd())": "'__import__' is not allowed",
    "y ~ foo(x)": "unknown function 'foo'",
    "y ~ x^2": "means interaction; for a square write I(x**2)",
    "y ~ (1 | g) + (x | g)": "two intercept terms",
    "y ~ y + x": "also used as a predictor",
    "y ~ X": "no column 'X'; did you mean 'x'?",
    "y ~ x + I(2 * x)": "'I(2*x)' is a linear combination of 'x'",
    "k ~ x": "give trials: k | trials(n)",
    "k | trials(y) ~ x": "trials(y) must be >= 1",
    "z ~ x": "needs 0/1",
    "g ~ x": "has 10 levels",
    "y ~ x + scale(trt)": "'trt' is text",
    "y ~ log(x)": "is not finite in row",
    'y ~ C(trt, ref="d")': "no level 'd'",
}


@pytest.mark.parametrize("formula", FORMULAS)
def test_a_bad_formula_is_told(capsys: pytest.CaptureFixture[str], formula: str) -> None:
    assert FORMULAS[formula] in fails(capsys, "fit", "logistic", "good.csv", "--formula", formula)


ARGUMENTS = {
    "unknown model": (["zoo"], "unknown model 'zoo'"),
    "near model": (["multicentre"], "did you mean 'multicenter'?"),
    "draws": (["--draws", "50"], "--draws must be a whole number of at least 100, not 50"),
    "seed": (["--seed", "-1"], "--seed must be a whole number of at least 0, not -1"),
    "target": (["--target-accept", "1.2"], "--target-accept must be between 0 and 1, not 1.2"),
    "chains": (["--chains", "0"], "--chains must be a whole number of at least 1, not 0"),
    "not a number": (["--draws", "many"], "many"),
    "unknown flag": (["--drawz", "200"], "drawz"),
    "folder": (["--out", "none/f.nc"], "folder 'none' does not exist"),
    "is a folder": (["--out", "."], "out"),
    "option": (["--option", "centre=false"], "did you mean 'center'?"),
    "option form": (["--option", "center"], "is not NAME=VALUE"),
    "link": (["--option", "link=log"], "unknown link 'log'"),
    "prior key": (["--prior", "betta=Normal(0, 1)"], "did you mean 'beta'?"),
    "prior distribution": (["--prior", "beta=normal(0, 1)"], "did you mean 'Normal'?"),
    "prior range": (["--prior", "beta=Normal(0, -1)"], "sigma must be > 0"),
    "prior support": (["--prior", "sd=Normal(0, 1)"], "is a positive number and this prior is not"),
    "fractional seed": (["--seed", "1.5"], "a whole number is expected, not '1.5'"),
    "fractional chains": (["--chains", "1.0"], "a whole number is expected, not '1.0'"),
    "large seed": (["--seed", str(2**64)], "--seed must be at most 2**64 - 1 = 18446744073709551615, not "),
    "long seed": (["--seed", "9" * 5000], "a whole number is expected, not '9999"),
    "quote": (["--sep", '"'], "--sep must be one character such as ';' or tab, and no letter"),
    "end of line": (["--sep", "\n"], "--sep must be one character such as"),
    "no separator": (["--sep", ""], "--sep must be one character such as"),
    "letter": (["--sep", "x"], "--sep must be one character such as"),
    "not ASCII": (["--sep", "é"], "--sep must be one character such as"),
    "decimal": (["--decimal", ""], "--decimal must be one character such as"),
    "decimal digit": (["--decimal", "1"], "--decimal must be one character such as"),
    "comment": (["--comment", ""], "--comment must be the characters that such lines start with, not ''"),
    "encoding": (["--encoding", "rot13"], "unknown encoding 'rot13'; try utf-8"),
    "undefined encoding": (["--encoding", "undefined"], "unknown encoding 'undefined'; try utf-8"),
    "boolean": (["--option", "center=maybe"], "center must be true, false, yes or no, not 'maybe'"),
    "boolean number": (["--option", "center=0"], "center must be true, false, yes or no, not '0'"),
    "list for text": (["--option", "link=[1, 2]"], "unknown link '[1, 2]'"),
    "prior size": (
        ["--prior", "beta=Normal(0, 1e200)"],
        "arguments are numbers, 0 or of a size between 1e-150 and 1e+150",
    ),
    "two problems": (["--draws", "5", "--seed", "-1"], "2 problems"),
}


@pytest.mark.parametrize("case", ARGUMENTS)
def test_bad_arguments_are_told(capsys: pytest.CaptureFixture[str], case: str) -> None:
    tokens, message = ARGUMENTS[case]
    if "model" not in case:
        tokens = ["logistic", "good.csv", "--formula", "y ~ x + (1 | g)", *tokens]
    assert message in fails(capsys, "fit", *tokens)


def test_options_are_read_as_their_declared_type(capsys: pytest.CaptureFixture[str]) -> None:
    fit = (
        "fit",
        "jm",
        "good.csv",
        "--formula",
        "y ~ x + (1 | g)",
        "--event",
        "Surv(t, d) ~ 1",
        "--option",
        "time=2019",
    )
    message = fails(
        capsys, *fit, "--option", "causes=1,2", "--option", "baseline_risk=.2", "--option", "carry_forward=17"
    )
    assert "joint_survival has no option 'baseline_risk'" in message and "causes" not in message.splitlines()[2]
    assert "carry_forward must be true, false, yes or no, not '17'" in message
    fit = ("fit", "meta_analysis", "good.csv", "--formula", "k | trials(n) ~ trt", "--option", "baseline_risk=.2")
    assert "no column '2019'" in fails(capsys, *fit, "--option", "study=2019")
    assert "no column 'True'" in fails(capsys, *fit, "--option", "study=True")
    assert "no column 'none'" in fails(capsys, *fit, "--option", "study=none")


def test_the_largest_seed_is_taken_and_numpys_numbers_too() -> None:
    assert not Settings(seed=2**64 - 1).problems() and len(Settings(seed=2**64).problems()) == 1
    assert type(Settings(draws=np.int64(10)).draws) is int  # type: ignore[arg-type]
    for wrong in ("a", [0.9], np.nan, 0, 1, True):
        assert len(Settings(target_accept=wrong).problems()) == 1  # type: ignore[arg-type]
    assert len(Settings(seed=10**5000, draws=1.5).problems()) == 2  # type: ignore[arg-type]


def test_a_card_is_fitted_into_the_folder_of_fits_only(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    text = (registry.card("multicenter").folder / "card.toml").read_text()
    Path("card.toml").write_text(text.replace('name = "multicenter"', f'name = "{tmp_path}/out"'))
    assert "name must be a plain word" in fails(capsys, "fit", "card.toml")


def test_a_setting_is_that_given_else_the_cards_else_the_usual_one() -> None:
    card = registry.card("wedge_trial")
    assert card.settings == Settings(draws=2000) and registry.card("multicenter").settings == Settings()
    assert SamplerArguments().settings(card.settings) == card.settings
    given = SamplerArguments(draws=300, chains=2, parameterization="centered").settings(card.settings)
    assert given == Settings(draws=300, chains=2, parameterization="centered")


@pytest.fixture
def two_tables(paired: registry.Builder) -> tuple[str, ...]:
    """The start of a command that fits two files with a builder of two tables."""
    Path("visits.csv").write_text("id;y\n1;0,5\n1;.\n")
    Path("events.csv").write_text("id;years\n1;2,5\n")
    return "fit", *paired.aliases, "visits.csv", "--formula", "y ~ 1", "--sep", ";", "--decimal", ",", "--na", "."


VISITS, EVENTS = {"id": [1, 1], "y": [0.5, None]}, {"id": [1], "years": [2.5]}
EVENT = "Surv(day/365.25, status == 2) ~ drug"


def test_a_second_table_and_the_event_reach_the_builder(
    capsys: pytest.CaptureFixture[str], two_tables: tuple[str, ...]
) -> None:
    message = fails(capsys, *two_tables, "--survival", "events.csv", "--event", EVENT, "--missing", "drop")
    assert message == f"error: given {[VISITS, EVENTS]}, ['y ~ 1'], {EVENT!r}, 'time', None, 'drop', {{}}\n"
    message = fails(
        capsys,
        *two_tables,
        "--option",
        f"event = {EVENT}",
        "--formula",
        "z ~ 1",
        "--option",
        "family=a",
        "--option",
        "family=b",
    )
    assert message == f"error: given {[VISITS, None]}, ['y ~ 1', 'z ~ 1'], {EVENT!r}, 'time', 'a,b', 'error', {{}}\n"


TABLES = {
    "one table": (["logistic", "good.csv", "--formula", "y ~ x", "--survival", "e.csv"], "takes no survival table"),
    "no data": (["two", "--survival", "e.csv"], "no card"),
    "a card's": (["multicenter", "--survival", "e.csv"], "--survival 'e.csv' goes with a data file"),
    "no event": (["two", "good.csv", "--formula", "y ~ x"], "paired needs event: --option event=VALUE"),
    "no option": (["logistic", "good.csv", "--formula", "y ~ x", "--event", "Surv(t, d) ~ 1"], "has no option 'event'"),
    "twice": (["two", "good.csv", "--event", "a", "--option", "event=b"], "--event and --option event= say the same"),
    "missing twice": (
        ["logistic", "good.csv", "--missing", "drop", "--option", "missing=error"],
        "--missing and --option missing= say the same",
    ),
    "no file": (
        ["two", "good.csv", "--formula", "y ~ x", "--event", "a", "--survival", "event.csv"],
        "file 'event.csv' does not exist; did you mean 'events.csv'?",
    ),
    "together": (["logistic", "good.csv", "--survival", "e.csv"], "2 problems"),
}


@pytest.mark.usefixtures("two_tables")
@pytest.mark.parametrize("case", TABLES)
def test_tables_and_events_that_do_not_belong_are_told(capsys: pytest.CaptureFixture[str], case: str) -> None:
    tokens, message = TABLES[case]
    assert message in fails(capsys, "fit", *tokens)


def test_out_is_not_the_second_table_either(capsys: pytest.CaptureFixture[str], two_tables: tuple[str, ...]) -> None:
    Path("events.nc").write_bytes(Path("events.csv").read_bytes())
    tokens = (*two_tables, "--event", "a", "--survival", "events.nc", "--out", "events.nc", "--overwrite")
    assert "is the data file" in fails(capsys, *tokens)


def test_out_that_exists_or_is_the_data(capsys: pytest.CaptureFixture[str]) -> None:
    fit = ("fit", "logistic", "good.csv", "--formula", "y ~ x", "--out")
    Path("f.nc").write_text("old")
    assert "exists; use --overwrite" in fails(capsys, *fit, "f.nc")
    Path("good.nc").write_bytes(Path("good.csv").read_bytes())
    tokens = ("fit", "logistic", "good.nc", "--formula", "y ~ x", "--out", "good.nc", "--overwrite")
    assert "is the data file" in fails(capsys, *tokens)
    assert Path("f.nc").read_text() == "old"


def test_a_second_fit_on_the_same_file_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with locked(Path("f.nc")):
        assert cli.run(["fit", "logistic", "good.csv", "--formula", "y ~ x", "--out", "f.nc"]) == 2
    assert f"another fit (pid {os.getpid()}) is writing f.nc" in capsys.readouterr().err
    assert sorted(p.name for p in Path().iterdir()) == ["good.csv"]


@pytest.mark.parametrize("command", ["check", "summary", "report", "loo", "hypotheses"])
def test_reading_commands_refuse_what_is_no_fit(capsys: pytest.CaptureFixture[str], command: str) -> None:
    assert "does not exist" in fails(capsys, command, "none.nc")
    assert "damaged or not a NetCDF file" in fails(capsys, command, broken("f.nc", "hello"))


@pytest.fixture
def beta() -> np.ndarray:
    """The draws (chain, draw, coef) of a and b in f.nc, which is as little of a fit as can be asked."""
    draws = np.random.default_rng(1).normal(size=(2, 20, 2))
    posterior = xr.Dataset({"beta": (("chain", "draw", "coef"), draws)}, {"coef": ["a", "b"]})
    tree = xr.DataTree.from_dict({"posterior": posterior})
    nothing = {"links": {}, "groups": {}, "aspects": [], "auxiliary": [], "smooths": []}
    spec = {"link": "identity", "family": "gaussian", "latent_variance": None, **nothing}
    sampling = {"draws": 20, "chains": 2, "finished": [20, 20]}
    storage.write_metadata(tree, {"spec": spec, "sampling": sampling})
    zoo.save(tree, "f.nc")
    return draws


def test_hypotheses(capsys: pytest.CaptureFixture[str], beta: np.ndarray) -> None:
    a, b = beta[..., 0], beta[..., 1]
    texts = ["-beta[a] > beta[b]", "-1 < beta[a] < 1", "beta[a] = beta[b]"]
    assert cli.run(["hypotheses", "f.nc", *texts, "--rope", "-0.5,0.5", "--format", "csv"]) == 0
    found = pd.read_csv(io.StringIO(capsys.readouterr().out))
    assert list(found["hypothesis"]) == texts
    np.testing.assert_allclose(found["p"], [(-a > b).mean(), (np.abs(a) < 1).mean(), (np.abs(a - b) <= 0.5).mean()])
    assert cli.run(["hypotheses", "f.nc", "--prob", "0.8", "beta[a]"]) == 0
    out = capsys.readouterr().out
    assert out.startswith(f"beta[a] is {np.median(a):.1f} (") and "Medians of 40 draws, 80\u00a0% intervals." in out


@pytest.mark.parametrize(
    ("tokens", "told"),
    [
        ([], "no hypothesis was given"),
        (["beta[a] = 0"], "--rope -0.1,0.1"),
        (["beta[a] = 0", "--rope", "0.1"], "--rope is two numbers LOW,HIGH such as -0.1,0.1, not '0.1'"),
        (["beta[a] = 0", "--rope", "a,b"], "--rope is two numbers"),
        (["beta[a] > 0", "--ropes", "1,2"], "unknown option '--ropes'"),
        (["beta[ab] > 0"], "no parameter is called 'beta[ab]'; did you mean 'beta["),
    ],
)
def test_wrong_hypotheses(capsys: pytest.CaptureFixture[str], beta: np.ndarray, tokens: list[str], told: str) -> None:
    assert told in fails(capsys, "hypotheses", "f.nc", *tokens)


def test_fit_check_summary_report(capsys: pytest.CaptureFixture[str]) -> None:
    with gzip.open("d.tsv.gz", "wt") as file:
        pd.read_csv("good.csv").to_csv(file, sep="\t", index=False)
    short = ["--draws", "150", "--tune", "150", "--chains", "2", "--seed", "1", "--out", "f.nc"]
    tokens = ["fit", "logistic", "d.tsv.gz", "--formula", "k | trials(n) ~ x + (1 | g)", *short]
    code = cli.run(
        [*tokens, "--prior", "beta=Normal(0, 1)", "--prior", "sd=Exponential(2)", "--option", "center=false"]
    )
    out, err = capsys.readouterr()
    assert code in (0, 3), err
    assert "beta[x]" in out and "odds_ratio[x]" in out and "saved f.nc" in out
    spec = zoo.load("f.nc").attrs["glmm_zoo"]
    assert '"beta": "Normal(0, 1)"' in spec and '"sd_g": "Exponential(2)"' in spec and '"center": false' in spec
    assert cli.run(["check", "f.nc"]) == code
    said = capsys.readouterr().out.splitlines()
    assert said == as_typed(str(zoo.verdicts(zoo.load("f.nc")))).splitlines() and len(said) == 3
    assert cli.run(["summary", "f.nc", "--format", "csv", "--prob", "0.9"]) == 0
    Path("about.toml").write_text('question = "Does it?"\n')
    assert cli.run(["report", "f.nc", "--about", "about.toml"]) == 0
    assert "<h1>Does it?</h1>" in Path("f.html").read_text(encoding="utf-8")
    assert "parameter,mean,median,sd,lower,upper" in capsys.readouterr().out
    assert cli.run(["loo", "f.nc", "--level", "g"]) == 0
    out = capsys.readouterr().out
    assert "elpd of a new g" in out and "pareto_k" in out and "g9" in out
    assert cli.run(["loo", "f.nc", "--format", "csv"]) == 0
    assert capsys.readouterr().out.startswith("row,elpd,pareto_k\n1,")
    Path("other.nc").write_bytes(Path("f.nc").read_bytes())
    assert cli.run(["loo", "f.nc", "other.nc", "--level", "g", "--format", "json"]) == 0
    assert '"other":{"elpd":' in capsys.readouterr().out
    assert "no grouping factor 'h'" in fails(capsys, "loo", "f.nc", "--level", "h")
    assert "one file is given twice" in fails(capsys, "loo", "f.nc", "f.nc")
    assert "--refit is for one file" in fails(capsys, "loo", "f.nc", "other.nc", "--refit")


def test_dropped_rows_are_said_and_recorded(capsys: pytest.CaptureFixture[str]) -> None:
    frame = pd.read_csv("good.csv")
    frame.loc[3, "x"] = np.nan
    frame.to_csv("d.csv", index=False)
    tokens = ["fit", "logistic", "d.csv", "--formula", "y ~ x", "--missing", "drop", "--out", "f.nc"]
    assert cli.run([*tokens, "--draws", "100", "--tune", "100", "--chains", "2"]) in (0, 3)
    assert "dropped 1 of 60 rows with a missing value (x 1)" in capsys.readouterr().out
    assert zoo.load("f.nc")["constant_data"]["row"].values.tolist() == [i for i in range(60) if i != 3]


@pytest.mark.parametrize("tokens", [["--help"], ["list"], ["show", "multicenter"], ["show", "logistic"], ["--version"]])
def test_looking_imports_no_pymc(tokens: list[str]) -> None:
    code = (
        f"import sys; from glmm_zoo import cli; c = cli.run({tokens!r}); assert 'pymc' not in sys.modules; sys.exit(c)"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert run.returncode == 0 and run.stdout, run.stderr


@pytest.mark.parametrize("option", ["--help", "--version"])
def test_help_imports_no_numpy(option: str) -> None:
    code = f"import sys; from glmm_zoo import cli; cli.run([{option!r}]); assert 'numpy' not in sys.modules"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert run.returncode == 0, run.stderr


def test_a_command_imports_no_other() -> None:
    code = "import sys; from glmm_zoo import cli; cli.run(['show', 'multicenter']); print(*sys.modules)"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert {f"glmm_zoo.cli.{name}" for name in COMMANDS.values()} & set(run.stdout.split()) == {"glmm_zoo.cli.show"}


def test_wrong_input_imports_no_pymc() -> None:
    bad = ["fit", "logistic", "good.csv", "--formula", "z ~ x"]
    code = f"import sys; from glmm_zoo import cli; c = cli.run({bad!r}); assert 'pymc' not in sys.modules; sys.exit(c)"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert run.returncode == 2 and "needs 0/1" in run.stderr


LARGE = {
    *("arviz", "arviz_base", "arviz_stats", "matplotlib", "h5netcdf", "numba", "jax", "jinja2", "sklearn"),
    *("numpy.f2py", "scipy.sparse.linalg", "scipy.stats"),
}
SAMPLING = {"pymc", "pytensor", "nutpie", "llvmlite"}


def test_commands_import_only_what_they_need() -> None:
    """What these import more, every start of theirs would pay for."""
    fit = ["fit", "hierarchical_logistic", "good.csv", "--formula", "y ~ x + (1 | g)", "--out", "a.nc", "--seed", "1"]
    commands = [
        ([*fit, "--draws", "1000", "--tune", "300", "--chains", "4", "--thin", "1"], LARGE),
        (["check", "a.nc"], LARGE | SAMPLING | {"formulaic", "scipy", "asyncio"}),
        (["summary", "a.nc"], LARGE | SAMPLING),
        (["plot", "a.nc", "caterpillar"], SAMPLING),
        (["report", "a.nc"], SAMPLING),
    ]
    for tokens, unwanted in commands:
        code = (
            "import sys; from glmm_zoo import cli; from glmm_zoo.cli.late import load_late; load_late(); "
            f"c = cli.run({tokens!r}); assert c in (0, 3); "
            "print('', *(name for name, module in sys.modules.items() if type(module).__name__ != '_LazyModule'))"
        )
        run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
        loaded = run.stdout.splitlines()[-1].split() if run.returncode == 0 else []
        assert "xarray" in loaded and not unwanted & set(loaded), (tokens, unwanted & set(loaded), run.stderr)


def test_python_m_is_the_same_command() -> None:
    run = subprocess.run([sys.executable, "-m", "glmm_zoo", "fit", "nope"], capture_output=True, text=True)
    assert run.returncode == 2 and run.stderr.startswith("error: unknown model 'nope'") and run.stdout == ""


def test_a_pipe_is_no_fit(capsys: pytest.CaptureFixture[str]) -> None:
    os.mkfifo("pipe.nc")
    for command in ("check", "summary", "report"):
        assert cli.run([command, "pipe.nc"]) == 2
        assert capsys.readouterr().err == "error: 'pipe.nc' is a device or a pipe; give the name of a file\n"


@pytest.mark.parametrize("flags", ["floatX=float32", "banana=1,mode=banana", "mode=NO_SUCH_MODE"])
def test_flags_of_pytensor_that_cannot_be_are_told(flags: str) -> None:
    found = subprocess.run(
        [sys.executable, "-m", "glmm_zoo", "fit", "hierarchical_logistic", "good.csv", "--formula", "y ~ x + (1 | g)"],
        env={**os.environ, "PYTENSOR_FLAGS": flags}, capture_output=True, text=True, timeout=100,
    )  # fmt: skip
    assert found.returncode == 2
    assert found.stderr.startswith("error: ") and "PYTENSOR_FLAGS" in found.stderr and found.stderr.count("\n") == 1
    assert not Path("fits").exists()

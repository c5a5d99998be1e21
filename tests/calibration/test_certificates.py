"""Designs, the certificates that are made of them, and where these are shown."""

from __future__ import annotations

import copy
import shlex
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
import xarray as xr
from scipy import stats

import glmm_zoo as zoo
from glmm_zoo import registry
from glmm_zoo.calibration import certify as module
from glmm_zoo.calibration.calibrate import SimulationBasedCalibration
from glmm_zoo.calibration.certify import certificate_from, certify, design_model, designs, repeat
from glmm_zoo.cli.commands import app_of
from glmm_zoo.cli.exit_codes import ExitCode
from glmm_zoo.errors import InputError
from glmm_zoo.qualification import operation
from glmm_zoo.report import certificate
from glmm_zoo.report.certificate import (
    Certificate,
    certificate_texts,
    certificate_words,
    certificates,
    changed_since,
)
from glmm_zoo.results.storage import metadata, write_metadata


def found_by_hand(n: int, *, scale: float = 1.0) -> SimulationBasedCalibration:
    """n simulations, of which the last failed, and of two effects of a group, too narrow by `scale`, and a log-likelihood."""
    rng = np.random.default_rng(3)
    names = ["u_id[P1, Intercept]", "u_id[P2, Intercept]", "log-likelihood"]
    records: list[dict[str, Any]] = [
        {
            "simulation": i, "refused": i % 2, "sound": i != 0, "divergences": 3, "seconds": 0.5,
            "ranks": {name: float(stats.norm.cdf(rng.normal(), scale=scale)) for name in names},
        }
        for i in range(n - 1)
    ]  # fmt: skip
    return SimulationBasedCalibration((*records, {"simulation": n - 1, "refused": 0, "failed": "why", "seconds": 0.5}))


@pytest.fixture
def planted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of certificates in place of that of the package; calibrations are made by hand."""
    monkeypatch.setattr(certificate, "CERTIFICATES", tmp_path)
    monkeypatch.setattr(module, "calibrate", lambda model, n, **more: found_by_hand(n))
    return tmp_path


def test_every_builder_has_a_design_that_it_takes_and_can_be_certified() -> None:
    assert {design.builder for design in designs().values()} == set(registry.builders())
    settings = {"draws": 1000, "tune": 500, "chains": 4, "seed": 1}
    for name, design in designs().items():
        model = design_model(name)
        made = certificate_from(name, found_by_hand(30), model, settings, "glmm-zoo certify")
        assert made.builder == (name if name != "gamm" else "hierarchical_linear") and made.rows <= 120
        told = design.formula if isinstance(design.formula, str) else "; ".join(design.formula)
        assert made.formula == design.formula and f"of `{told}` (" in certificate_words(made)


def test_an_unknown_design_is_told() -> None:
    with pytest.raises(InputError, match="no design 'dirichlet' to certify"):
        certify("dirichlet", folder=".")
    with pytest.raises(InputError, match="did you mean 'poisson'"):
        certify("poison", folder=".")


def test_a_certificate_says_what_came_of_the_calibration(planted: Path) -> None:
    found = certify("poisson", 200, folder=planted)
    assert (
        found
        == msgspec.json.decode((planted / "poisson.json").read_bytes(), type=Certificate)
        == certificates()["poisson"]
    )
    by_hand = found_by_hand(200)
    ranks = by_hand.ranks.to_numpy()
    spread = stats.ttest_1samp(12 * ((ranks[:, :2] - 0.5) ** 2).mean(axis=1), 1.0).pvalue
    assert found.spread_p == pytest.approx(spread) and found.tests == 4
    assert found.p_adjusted == by_hand.table["p_adjusted"].min() and found.quantity == by_hand.table.index[0]
    assert (found.simulations, found.failed, found.refused, found.divergences) == (200, 1, 99, 597)
    assert found.sound == pytest.approx(198 / 199) and found.seconds == 100.0
    assert found.calibrated and found.rows == 48 and found.groups == {"id": 8}
    assert (found.draws, found.tune, found.chains) == (1000, 500, 4)
    assert found.command == "glmm-zoo certify poisson --n 200 --out calibration"
    certify("poisson", 1000, folder=planted)
    assert certificates()["poisson"].command == "glmm-zoo certify poisson --out calibration"


def test_too_few_simulations_make_no_certificate(planted: Path) -> None:
    with pytest.raises(InputError, match=r"too few to judge.* A certificate needs more"):
        certify("poisson", 20, folder=planted)
    assert not list(planted.glob("*.json"))


def test_the_command_line_certifies_and_says_what_departs(
    planted: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["certify", "poisson", "gamma", "--out", str(planted)]
    assert app_of()(words, result_action="return_value") == ExitCode.DONE
    said = " ".join(capsys.readouterr().out.split())
    assert said.count("Calibrated: 1,000 simulated data sets of") == 2 and (planted / "gamma.json").exists()
    monkeypatch.setattr(module, "calibrate", lambda model, n, **more: found_by_hand(n, scale=0.7))
    assert app_of()(["certify", "lognormal", "--out", str(planted)], result_action="return_value") == ExitCode.UNSOUND
    said = " ".join(capsys.readouterr().out.split())
    assert "Found not to be calibrated" in said and "smallest p 0.000, of 'u_id[P1, Intercept]'" in said
    monkeypatch.setattr(module, "designs", lambda: {name: designs()[name] for name in ("poisson", "gamma", "beta")})
    assert app_of()(["certify", "--out", str(planted)], result_action="return_value") == ExitCode.UNSOUND
    assert (planted / "beta.json").exists()  # of which there was none


def fit_made_with(tree: xr.DataTree, version: str) -> xr.DataTree:
    content = copy.deepcopy(metadata(tree))
    content["versions"]["glmm-zoo"] = version
    other = tree.copy()
    write_metadata(other, content)
    return other


def test_a_page_shows_the_certificate_and_what_is_other_now(planted: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tree = zoo.fit(design_model("poisson"), draws=60, tune=100, chains=2, seed=1, progress=False)

    def page(of: xr.DataTree) -> str:
        return zoo.write_report(of, planted / "page.html", overwrite=True).read_text(encoding="utf-8")

    assert "No certificate of calibration of poisson comes with this version" in page(tree)
    found = certify("poisson", folder=planted)
    shown = page(tree)
    assert (
        f"Calibrated: 1,000 simulated data sets of <code>{found.formula}</code> (48 rows, 8 levels of id) on {found.date}"
        in shown
    )
    assert f"with version {found.version}; smallest p " in shown and "changed since" not in shown
    assert "<code>glmm-zoo certify poisson --out calibration</code>" in shown
    assert "This is version 9.9, which was not calibrated." in page(fit_made_with(tree, "9.9"))
    monkeypatch.setattr(certificate, "code_of_draws", lambda: "other")
    assert "Sources on which draws depend have changed since." in page(tree)
    monkeypatch.setattr(module, "calibrate", lambda model, n, **more: found_by_hand(n, scale=0.7))
    certify("poisson", folder=planted)
    assert "Found not to be calibrated: " in certificate_texts("poisson", found.version)[0]


def test_a_release_of_calibrated_sources_is_no_other_version(monkeypatch: pytest.MonkeyPatch) -> None:
    """A certificate is made before the tag that names the release which it comes with."""
    monkeypatch.setattr(certificate, "version", lambda name: "7.1.0")
    made = msgspec.structs.replace(
        certificates()["poisson"], version="7.0.1.dev0", code=certificate.code_of_draws(), repeated=None
    )
    assert {changed_since(made), changed_since(made, "7.1.0"), changed_since(made, "7.0.1.dev0")} == {""}
    assert changed_since(made, "6.0.0") == "This is version 6.0.0, which was not calibrated. "
    other = msgspec.structs.replace(made, code="other")
    assert changed_since(other, "7.1.0") == "This is version 7.1.0, which was not calibrated. "
    assert changed_since(msgspec.structs.replace(other, version="7.1.0")).startswith("Sources on which draws depend")


def test_sources_that_draw_the_same_keep_a_certificate(planted: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "calibrate", lambda model, n, **more: found_by_hand(200))
    made = certify("poisson", 200, folder=planted)
    again = repeat("poisson", folder=planted / "again")
    assert (
        again == made and (planted / "again" / "poisson.json").read_bytes() == (planted / "poisson.json").read_bytes()
    )
    monkeypatch.setattr(certificate, "code_of_draws", lambda: "other")
    monkeypatch.setattr(module, "code_of_draws", lambda: "other")
    assert changed_since(made).startswith("Sources on which draws depend have changed")
    again = repeat("poisson", folder=planted)
    assert again is not None and again == certificates()["poisson"]
    assert msgspec.structs.replace(again, repeated=None) == made
    assert again.repeated is not None and again.repeated.code == "other"
    assert (
        changed_since(again) == ""
        and "Sources have changed since, but not the draws" in certificate_texts("poisson", made.version)[0]
    )
    assert {r.what: r.state for r in operation._calibrations()}["poisson"] == "passed"  # pyright: ignore
    monkeypatch.setattr(certificate, "code_of_draws", lambda: "a third")
    assert changed_since(again).startswith("Sources on which draws depend have changed")
    assert "but not the draws" not in certificate_texts("poisson", made.version)[0]


def test_one_rank_that_is_other_is_told(
    planted: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    certify("poisson", 200, folder=planted)

    def one_is_other(place: int) -> SimulationBasedCalibration:
        records = copy.deepcopy(list(found_by_hand(200).simulations))
        records[place]["ranks"]["log-likelihood"] = np.nextafter(records[place]["ranks"]["log-likelihood"], 1.0)  # pyright: ignore
        return SimulationBasedCalibration(tuple(records))

    out = planted / "again"
    for place, same in ((4, False), (5, True)):
        monkeypatch.setattr(module, "calibrate", lambda model, n, place=place, **more: one_is_other(place))
        assert (repeat("poisson", folder=out) is not None) is same and (out / "poisson.json").exists() is same
    monkeypatch.setattr(module, "calibrate", lambda model, n, **more: one_is_other(0))
    assert app_of()(["certify", "--repeat", "--out", str(out)], result_action="return_value") == ExitCode.UNSOUND
    said = " ".join(capsys.readouterr().out.split())
    assert "poisson: the first 5 simulations have other ranks than those of the certificate" in said
    with pytest.raises(InputError, match="no certificate of 'gamma' whose simulations"):
        repeat("gamma", folder=out)
    with pytest.raises(InputError, match="--n 5 is of new certificates"):
        app_of()(["certify", "--repeat", "--n", "5"], result_action="return_value")


def test_the_hash_is_of_the_sources_that_draws_depend_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files = {"families/a.py": "1", "priors.py": "2", "report/b.py": "3"}
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    monkeypatch.setattr(certificate, "SOURCES", tmp_path)
    before = certificate.code_of_draws.__wrapped__()
    for name, same in (("report/b.py", True), ("families/a.py", False), ("priors.py", False)):
        (tmp_path / name).write_text("other")
        assert (certificate.code_of_draws.__wrapped__() == before) is same
        (tmp_path / name).write_text(files[name])


def test_qualification_lists_certificates(planted: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    certify("poisson", folder=planted)

    def states() -> dict[str, str]:
        return {r.what: r.state for r in operation._calibrations()}  # pyright: ignore

    assert states() == dict.fromkeys(designs(), "noted") | {"poisson": "passed"}
    monkeypatch.setattr(certificate, "code_of_draws", lambda: "other")
    assert states()["poisson"] == "noted"
    monkeypatch.setattr(module, "calibrate", lambda model, n, **more: found_by_hand(n, scale=0.7))
    certify("poisson", folder=planted)
    assert states()["poisson"] == "failed"


@pytest.mark.parametrize("found", certificates().values(), ids=lambda found: found.design)
def test_a_certificate_of_the_package_is_of_its_design_and_whole(found: Certificate) -> None:
    spec, design = design_model(found.design).spec, designs()[found.design]
    assert (found.schema, found.formula) == (certificate.CERTIFICATE_SCHEMA, design.formula)
    assert 300 <= found.simulations <= design.simulations
    assert found.priors == spec["priors"] and found.data_sha256 == spec["data"]["sha256"]
    command, bound, _ = app_of().parse_args(shlex.split(found.command)[1:], exit_on_error=False)
    assert command.__name__ == "certify" and bound.args == (found.design,)
    assert bound.arguments.get("n") in ({None} if found.simulations == design.simulations else {found.simulations})
    assert found.calibrated is (found.p_adjusted >= 0.01) and found.commit and found.seconds > found.simulations / 100

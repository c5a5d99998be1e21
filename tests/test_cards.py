"""Model cards: complete, buildable, and the same density as ever ("same name, same density")."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytensor
import pytest
from pymc.logprob.basic import conditional_logp

from glmm_zoo.errors import InputError
from glmm_zoo.registry import Builder, builders, cards, read_card


def fingerprint(model: Any) -> dict[str, Any]:
    """Log density of each variable at a fixed point in natural space, so that no transform enters it.

    Positive values at 0.8, values in (0, 1) at 0.6, all others 0.4 sin(1), 0.4 sin(2), ..., sorted where they are in order.
    """
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
    function = pytensor.function(list(values.values()), [t.sum() for t in terms.values()], mode="FAST_COMPILE")
    return {names[v]: float(t) for v, t in zip(terms, function(*point.values()), strict=True)}


@pytest.mark.parametrize("name", sorted(cards()))
def test_density_is_the_stored_one(name: str) -> None:
    path = cards()[name].folder / "reference.json"
    log_density = fingerprint(cards()[name].model())
    if os.environ.get("UPDATE_REFERENCE"):
        path.write_text(json.dumps({"log_density": log_density}, indent=1) + "\n")
    stored = json.loads(path.read_text())["log_density"]
    assert log_density.keys() == stored.keys()
    for variable, value in stored.items():
        assert log_density[variable] == pytest.approx(value, rel=1e-10), variable


@pytest.mark.parametrize("name", sorted(cards()))
def test_card_says_what_a_reader_needs(name: str) -> None:
    card = cards()[name]
    assert card.name == name == card.folder.name and card.file.schema == 1
    for text in (*(getattr(card.file.card, f) for f in card.file.card.__struct_fields__), card.file.source.licence):
        assert len(text.strip()) > 3
    assert card.data_path.exists()


def test_unknown_key_in_a_card_is_refused_with_the_nearest(tmp_path: Path) -> None:
    text = (cards()["multicenter"].folder / "card.toml").read_text().replace("[priors]", "[pirors]")
    (tmp_path / "card.toml").write_text(text)
    with pytest.raises(InputError, match=r"unknown key 'pirors'; did you mean 'priors'\?"):
        read_card(tmp_path / "card.toml")


def test_a_builder_is_read_with_its_tables_and_what_it_needs(paired: Builder) -> None:
    assert paired.tables == ("longitudinal", "survival") and paired.required == ("event",)
    assert builders()["poisson"].tables == ("data",) and builders()["poisson"].required == ()


def test_a_card_has_a_second_table(tmp_path: Path, paired: Builder) -> None:
    text = (cards()["multicenter"].folder / "card.toml").read_text()
    path = tmp_path / "card.toml"
    (tmp_path / "data.csv").write_text("id,y\n1,2\n")
    (tmp_path / "events.csv").write_text("id,years\n1,3\n")
    two_tables = text.replace('builder = "hierarchical_logistic"', f'builder = "{paired.name}"')
    for further, second in (("", None), ('survival = "events.csv"\n', {"id": [1], "years": [3]})):
        path.write_text(further + two_tables.replace("[options]", '[options]\nevent = "Surv(years, 1) ~ 1"'))
        with pytest.raises(InputError) as refused:
            read_card(path).model()
        assert str(refused.value).startswith(f"given {[{'id': [1], 'y': [2]}, second]}, ")
    path.write_text(further + text)
    with pytest.raises(
        InputError, match=r"takes no survival table, and 'events.csv' is given .* \(in a card: survival\)"
    ):
        read_card(path).model()

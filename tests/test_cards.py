"""Model cards: complete, buildable, and the same density as ever ("same name, same density")."""

from __future__ import annotations

import gzip
import json
import os
from pathlib import Path

import pytest

from glmm_zoo.errors import InputError
from glmm_zoo.inference.said import words_of
from glmm_zoo.qualification.operation import log_densities
from glmm_zoo.registry import Builder, builders, cards, find_card_or_builder, read_card
from glmm_zoo.tables.card_files import LARGEST_CARD, LARGEST_CARD_DATA, LONGEST_KEY, card_data_file


@pytest.mark.parametrize("name", sorted(cards()))
@pytest.mark.promise("cards")
def test_density_is_the_stored_one(name: str) -> None:
    path = cards()[name].folder / "reference.json"
    log_density = log_densities(cards()[name].model())
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
    about = card.file.about
    assert about.question.endswith("?") and len(about.question) < 120  # the title of a report
    assert about.individual and (about.outcome or about.outcomes)


@pytest.mark.parametrize("name", sorted(cards()))
def test_words_of_a_card_are_about_its_model(name: str) -> None:
    model = cards()[name].model()
    said, labels = words_of(model, cards()[name].file.about)
    assert words_of(model, None)[0] == said == model.about
    assert [c for columns in labels.values() for c in columns] == said.label


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


# ----------------------------------------------------------------------------------------------------- strangers' cards

ROOT, UP = os.sep, os.pardir + os.sep
SYSTEM_FILE = f"{ROOT}etc/hostname"


def stranger(folder: Path, old: str = "", new: str = "") -> Path:
    """A card of ours in another folder, with a change of its text."""
    text = (cards()["multicenter"].folder / "card.toml").read_text()
    (folder / "card.toml").write_text(text.replace(old, new) if old else text)
    (folder / "data.csv").write_bytes(cards()["multicenter"].data_path.read_bytes())
    return folder / "card.toml"


@pytest.mark.parametrize(
    "name", [f"{ROOT}x", f"{UP}x", "a/b", "", "a b", "ü", ".x", "x.nc", "-x", "a\\u0000", "x" * 65, "x\\n"]
)
def test_a_card_is_called_by_a_plain_word(tmp_path: Path, name: str) -> None:
    path = stranger(tmp_path, 'name = "multicenter"', f'name = "{name}"')
    with pytest.raises(InputError, match="name must be a plain word of letters, digits, _ and -, at most 64, not "):
        read_card(path)
    for good in ("x" * 64, "my-card_2", "7"):
        assert read_card(stranger(tmp_path, 'name = "multicenter"', f'name = "{good}"')).name == good


@pytest.mark.parametrize("schema", ["2", "0", "-1", "true", "1.0", '"1"', "[1]", None])
def test_another_schema_is_refused_before_its_keys_are_looked_at(tmp_path: Path, schema: str | None) -> None:
    path = stranger(tmp_path, "schema = 1", "novel = 1" if schema is None else f"schema = {schema}\nnovel = 1")
    with pytest.raises(
        InputError, match=r"schema must be 1, the version of card files known here, (not |and there is none)"
    ):
        read_card(path)


def linked(folder: Path) -> None:
    (folder / "outside.csv").symlink_to(SYSTEM_FILE)
    (folder / "inside.csv").symlink_to("data.csv")
    (folder / "linked").symlink_to(folder.parent)
    os.mkfifo(folder / "pipe")
    (folder / "folder").mkdir()
    with open(folder / "large.csv", "wb") as file:
        file.truncate(LARGEST_CARD_DATA + 1)
    with gzip.open(folder / "bomb.csv.gz", "wb", compresslevel=1) as file:
        for _ in range((LARGEST_CARD_DATA >> 20) + 1):
            file.write(bytes(2**20))


NO_DATA = "is no regular file in the card's folder"
STRANGE_DATA = {
    os.devnull: NO_DATA, SYSTEM_FILE: NO_DATA, f"{UP}card/data.csv": NO_DATA, f"folder/{UP}data.csv": NO_DATA, "outside.csv": NO_DATA,
    "inside.csv": NO_DATA, "linked/x.csv": NO_DATA, "pipe": NO_DATA, "folder": NO_DATA, ".": NO_DATA, "": NO_DATA,
    "none.csv": "does not exist; a card's data lie beside its card.toml", "x\\u0000": "cannot be read: ", "x" * 5000: "cannot be read: File name",
    "large.csv": "has more than 256 MB", "bomb.csv.gz": "has more than 256 MB",
}  # fmt: skip


def test_a_cards_data_are_regular_files_of_its_folder_and_not_too_large(tmp_path: Path) -> None:
    folder = tmp_path / "card"
    folder.mkdir()
    stranger(folder)
    linked(folder)
    for name, words in STRANGE_DATA.items():
        with pytest.raises(InputError):
            card_data_file(folder, name.replace("\\u0000", "\0"))  # a pipe would hang when it is read
        with pytest.raises(InputError) as refused:
            read_card(stranger(folder, "schema = 1", f'schema = 1\ndata = "{name}"')).tables()
        assert words in str(refused.value) and len(str(refused.value)) < 400, name
    with open(folder / "large.csv", "wb") as file:
        file.truncate(LARGEST_CARD_DATA)
    assert card_data_file(folder, "large.csv") == folder / "large.csv"
    (folder / "folder" / "data.csv").write_bytes((folder / "data.csv").read_bytes())
    assert read_card(stranger(folder, "schema = 1", 'schema = 1\ndata = "folder/data.csv"')).tables()


LONG = {
    "deep list": ("x = " + "[" * 5000 + "]" * 5000, "nested too deeply"),
    "deep table": ("x = " + "{a = " * 5000 + "1" + "}" * 5000, "nested too deeply"),
    "long key": (".".join(["a"] * (LONGEST_KEY + 2)) + " = 1", "a key has more than 32 parts"),
    "long header": ("[" + " . ".join(['"a b"'] * 5_000) + "]", "a key has more than 32 parts"),
    "long number": ("x = " + "9" * 20_000, "is not TOML"),
    "no TOML": ("= =", "is not TOML"),
}


@pytest.mark.parametrize("case", LONG)
def test_deep_and_long_cards_are_told_at_once(tmp_path: Path, case: str) -> None:
    text, words = LONG[case]
    path = stranger(tmp_path, "[options]", f"[options]\n{text}")
    with pytest.raises(InputError, match=words):
        read_card(path)


def test_the_largest_card_and_the_longest_key_are_read(tmp_path: Path) -> None:
    path = stranger(tmp_path, "[options]", f"[options]\n{'.'.join(['a'] * LONGEST_KEY)} = 1")
    text = path.read_bytes()
    path.write_bytes(text + b"#" * (LARGEST_CARD - len(text)))
    assert read_card(path).name == "multicenter"
    path.write_bytes(text + b"#" * (LARGEST_CARD - len(text) + 1))
    with pytest.raises(InputError, match="has 65,537 bytes, at most 65,536 are read"):
        read_card(path)


@pytest.mark.parametrize("path", [os.devnull, ROOT, "pipe/x", "x\0/y", "x" * 5000 + "/x", "x" * 300 + ".toml"])
def test_a_path_that_is_no_card_is_told(path: str) -> None:
    with pytest.raises(InputError, match=r"card file .* (is no regular file|does not exist|cannot be read)"):
        find_card_or_builder(path)


def test_a_pipe_is_not_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    os.mkfifo(tmp_path / "pipe.toml")
    monkeypatch.setattr(Path, "read_bytes", lambda path: pytest.fail(f"{path} was opened"))
    with pytest.raises(InputError, match=r"card file .* is no regular file"):
        find_card_or_builder(str(tmp_path / "pipe.toml"))


def test_a_cards_options_have_the_types_of_the_builder(tmp_path: Path) -> None:
    for text, words in (
        ("center = 17", "center must be true, false, yes or no, not 17"),
        ("center = 2020-01-01", "center must be true, false, yes or no, not a date"),
        ("link = [1]", r"link must be text, not \[1\]"),
        ("centre = true", "has no option 'centre'; did you mean 'center'"),
    ):
        with pytest.raises(InputError, match=words):
            read_card(stranger(tmp_path, "[options]", f"[options]\n{text}")).model()

"""Files of model cards, which may be a stranger's: regular, inside the card's folder, and of a size that can be read.

A device or a pipe would hang or fill the memory, a link would read what the card's author has no business with.
"""

from __future__ import annotations

import contextlib
import gzip
import re
import stat
import tomllib
import zlib
from collections.abc import Sequence
from pathlib import Path

import msgspec

from glmm_zoo.errors import InputError, did_you_mean, listing, shown

CARD_SCHEMA = 1  # the version of card files that this version of the zoo reads
LARGEST_CARD = 2**16  # bytes of a card file, ten times those of ours
LARGEST_CARD_DATA = 2**28  # bytes of a card's data file, unpacked
LONGEST_KEY = 32  # parts of a dotted key a.b.c, of which the parser's memory is quadratic; a card has two
_KEY_PART = r"""(?:"[^"\n]*"|'[^'\n]*'|[A-Za-z0-9_-]+)[ \t]*"""
_LONG_KEY = re.compile(rf"(?<![A-Za-z0-9_-])(?:{_KEY_PART}\.[ \t]*){{{LONGEST_KEY}}}{_KEY_PART}".encode())


def card_text_file(path: Path) -> bytes:
    """The content of a card file, which is regular and not too large."""
    shown_path = shown(str(path))
    try:
        status = path.stat()
        sound = stat.S_ISREG(status.st_mode) and status.st_size <= LARGEST_CARD
        content = path.read_bytes() if sound else b""
    except FileNotFoundError:
        raise InputError(f"card file {shown_path} does not exist") from None
    except (OSError, ValueError) as err:
        raise InputError(f"card file {shown_path} cannot be read: {getattr(err, 'strerror', err)}") from None
    if not stat.S_ISREG(status.st_mode):
        raise InputError(f"card file {shown_path} is no regular file; give the path of a card.toml or of its folder")
    if not sound:
        raise InputError(
            f"card file {shown_path} has {status.st_size:,} bytes, at most {LARGEST_CARD:,} are read; a card is a page of text"
        )
    if _LONG_KEY.search(content):
        raise InputError(f"{path}: a key has more than {LONGEST_KEY} parts; a card has tables of plain values")
    return content


def card_data_file(folder: Path, name: str) -> Path:
    """The path of a card's data file: regular, in the card's folder, and not too large, also when unpacked."""
    try:
        path, plain = folder / name, folder.resolve() / name
        inside = path.resolve() == plain and plain.is_relative_to(folder.resolve()) and ".." not in Path(name).parts
        status = path.lstat() if inside else None
    except FileNotFoundError:
        raise InputError(
            f"data: file {shown(str(folder / name))} does not exist; a card's data lie beside its card.toml"
        ) from None
    except (OSError, ValueError) as err:
        raise InputError(f"data: {shown(name)} of the card cannot be read: {getattr(err, 'strerror', err)}") from None
    if status is None or not stat.S_ISREG(status.st_mode):
        raise InputError(
            f"data: {shown(name)} is no regular file in the card's folder {str(folder)!r}; copy the data there, without links"
        )
    size = status.st_size if path.suffix != ".gz" else _unpacked_size(path)
    if size > LARGEST_CARD_DATA:
        raise InputError(
            f"data: {name!r} of the card has more than {LARGEST_CARD_DATA >> 20} MB; to fit large data give them after the "
            "builder: glmm-zoo fit BUILDER DATA"
        )
    return path


def _unpacked_size(path: Path) -> int:
    """Bytes of a gzipped file when unpacked, counted to just above what a card may have; damage is left to the reader."""
    size = 0
    with contextlib.suppress(OSError, EOFError, zlib.error), gzip.open(path) as file:
        while size <= LARGEST_CARD_DATA and (piece := file.read(2**20)):
            size += len(piece)
    return size


def read_toml[T: msgspec.Struct](path: Path, kind: type[T], within: Sequence[type[msgspec.Struct]], what: str) -> T:
    """A card file, or another file of a `kind` whose tables are those `within` it; `what` is the word for it.

    Raises
    ------
    InputError
        A file that is not TOML, or not a regular file, or too large; another version of the schema; unknown keys (with the
        nearest one), keys that are missing or of the wrong type.
    """
    try:
        raw = tomllib.loads(card_text_file(path).decode())
        if type(raw.get("schema")) is not int or raw["schema"] != CARD_SCHEMA:
            given = f"not {shown(raw['schema'])}" if "schema" in raw else "and there is none"
            raise InputError(f"{path}: schema must be {CARD_SCHEMA}, the version of {what} files known here, {given}")
        return msgspec.convert(raw, kind)
    except RecursionError:
        raise InputError(
            f"{path}: tables and lists are nested too deeply; a {what} has tables of plain values"
        ) from None
    except msgspec.ValidationError as err:
        raise InputError(f"{path}: {without_unknown_key(str(err), (kind, *within))}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, ValueError) as err:
        raise err if isinstance(err, InputError) else InputError(f"{path} is not TOML: {err}") from None


def without_unknown_key(message: str, tables: Sequence[type[msgspec.Struct]]) -> str:
    """What msgspec says of a file; for an unknown key with the nearest known one."""
    if "unknown field `" not in message:
        return message
    key = message.split("unknown field `")[1].split("`")[0]
    known = [key for table in tables for key in table.__struct_fields__]
    return f"unknown key {key!r}{did_you_mean(key, known) or ';'} known: {listing(known, 99)}"


def not_exactly_one(table: msgspec.Struct, *names: str) -> str | None:
    """ "both a and b", or "neither a nor b", where a table does not have exactly one of two values; "" and None are none."""
    given = [name for name in names if getattr(table, name) not in ("", None)]
    if len(given) == 1:
        return None
    return f"both {names[0]} and {names[1]}" if given else f"neither {names[0]} nor {names[1]}"

"""Compiled code that is kept: what is damaged or may come from others is compiled anew, never run."""

from __future__ import annotations

import ctypes
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

import glmm_zoo as zoo
from glmm_zoo.inference.kernel import code_cache, machine

RETURNS = "define i64 @run(i64 %n, ptr %x, ptr %out, ptr %value, ptr %table) {{\n  ret i64 {}\n}}\n"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    code_cache._say_unused.cache_clear()
    return tmp_path / "glmm_zoo" / "native"


@pytest.fixture
def compiled(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Grows by each source that is compiled."""
    asked: list[str] = []
    compile_code = machine._machine_code
    monkeypatch.setattr(machine, "_machine_code", lambda text, m: asked.append(text) or compile_code(text, m))
    return asked


def value(number: int) -> int:
    """What a function returns that returns this number, as machine code."""
    keep, address = machine._compiled(RETURNS.format(number))
    found = machine._CALL(address)(0, *[ctypes.c_void_p()] * 4)
    del keep
    return found


def objects(folder: Path) -> list[Path]:
    return sorted(folder.iterdir())


DAMAGES = {
    "empty": lambda content: b"",
    "truncated": lambda content: content[: len(content) // 2],
    "one byte short": lambda content: content[:-1],
    "longer": lambda content: content + b"\0",
    "head only": lambda content: content[:88],
    "first bit": lambda content: bytes([content[0] ^ 1]) + content[1:],
    "key": lambda content: content[:30] + bytes([content[30] ^ 1]) + content[31:],
    "checksum": lambda content: content[:60] + bytes([content[60] ^ 1]) + content[61:],
    "last bit": lambda content: content[:-1] + bytes([content[-1] ^ 128]),
    "without a head": lambda content: content[88:],
    "text": lambda content: b"hello" * 1000,
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_object_is_compiled_anew(folder: Path, compiled: list[str], damage: str) -> None:
    assert value(7) == value(7) == 7 and len(compiled) == 1
    (path,) = objects(folder)
    good = path.read_bytes()
    path.write_bytes(DAMAGES[damage](good))
    assert value(7) == 7 and len(compiled) == 2 and path.read_bytes() == good
    assert value(7) == 7 and len(compiled) == 2


def test_an_object_under_the_name_of_another_is_refused(folder: Path, compiled: list[str]) -> None:
    value(1)
    (one,) = objects(folder)
    value(2)
    (two,) = set(objects(folder)) - {one}
    content = one.read_bytes()
    one.write_bytes(two.read_bytes())
    two.write_bytes(content)
    assert (value(1), value(2)) == (1, 2) and len(compiled) == 4


@pytest.mark.parametrize(("mode", "refused"), [(0o644, False), (0o664, True), (0o646, True)])
def test_an_object_that_others_may_write_is_refused(
    folder: Path, compiled: list[str], mode: int, refused: bool
) -> None:
    value(3)
    objects(folder)[0].chmod(mode)
    assert value(3) == 3 and len(compiled) == 1 + refused
    assert stat.S_IMODE(objects(folder)[0].stat().st_mode) == (0o600 if refused else mode)


@pytest.mark.parametrize("kind", ["link", "pipe", "folder"])
def test_what_is_no_file_is_not_read(folder: Path, tmp_path: Path, compiled: list[str], kind: str) -> None:
    value(4)
    (path,) = objects(folder)
    path.rename(tmp_path / "elsewhere.o")
    {"link": lambda: path.symlink_to(tmp_path / "elsewhere.o"), "pipe": lambda: os.mkfifo(path), "folder": path.mkdir}[
        kind
    ]()
    assert value(4) == 4 and len(compiled) == 2


@pytest.mark.parametrize(
    ("mode", "used"), [(0o700, True), (0o755, True), (0o775, False), (0o757, False), (0o777, False)]
)
def test_a_folder_that_others_may_write_is_not_used(folder: Path, compiled: list[str], mode: int, used: bool) -> None:
    folder.mkdir(parents=True)
    folder.chmod(mode)
    if used:
        assert value(5) == value(5) == 5 and len(compiled) == 1
        return
    with pytest.warns(
        zoo.ZooWarning, match=r"native' is not used: it may be written by others; give it to yourself alone"
    ):
        value(5)
    assert value(5) == 5 and len(compiled) == 2 and not objects(folder)  # said once


def test_a_folder_of_someone_else_is_not_used(
    folder: Path, compiled: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder.mkdir(parents=True, mode=0o700)
    own = os.geteuid()
    monkeypatch.setattr(code_cache.os, "geteuid", lambda: own + 1)
    with pytest.warns(zoo.ZooWarning, match=f"it belongs to user {own}, not to {own + 1};"):
        value(5)
    assert not objects(folder)


def test_a_file_in_place_of_the_folder_is_told(folder: Path) -> None:
    folder.parent.mkdir()
    folder.write_text("")
    with pytest.warns(zoo.ZooWarning, match="is not used: it is not a folder"):
        assert value(6) == 6


def test_an_object_is_synced_before_it_has_its_name(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced = []
    monkeypatch.setattr(code_cache.os, "fsync", lambda descriptor: synced.append(list(folder.glob("*.o"))))
    value(8)
    assert synced == [[]] and len(objects(folder)) == 1


def test_a_full_disk_leaves_nothing(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(code_cache.os, "fsync", full)
    assert value(9) == 9 and not objects(folder)


def test_the_oldest_and_what_killed_processes_left_go(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(code_cache, "_KEPT_FILES", 2)
    value(1)
    (first,) = objects(folder)
    for name, age in ((".a.partial", code_cache._ABANDONED + 5), (".b.partial", code_cache._ABANDONED - 60)):
        (folder / name).touch()
        os.utime(folder / name, (first.stat().st_mtime - age,) * 2)
    os.utime(first, (1, 1))
    value(2)
    value(3)
    left = {p.name for p in objects(folder)}
    assert len(left) == 3 and ".b.partial" in left and first.name not in left


def test_a_damaged_cache_does_not_end_a_process(folder: Path) -> None:
    """In a process of its own, for what it is about is a segmentation fault."""
    code = f"from glmm_zoo.inference.kernel.machine import _compiled; _compiled({RETURNS.format(1)!r})"
    run = [sys.executable, "-c", code]
    subprocess.run(run, check=True)
    (path,) = objects(folder)
    for damaged in (b"", path.read_bytes()[:200], path.read_bytes()[::-1]):
        path.write_bytes(damaged)
        subprocess.run(run, check=True)

"""What Ctrl-C and SIGTERM do to the program: it leaves at once, but for draws that would be lost.

An exception could be raised anywhere, and some libraries swallow it while they are imported or called back. So

* before there are draws, the program says one line and leaves from the handler;
* while NUTS runs, the signal is a `KeyboardInterrupt`, at which the sampler returns the draws made so far;
* from then on it is remembered until the draws are saved, but a second signal leaves at once.

The command line calls `listen` first of all. Programs that import the zoo keep their own handlers, and nothing is remembered.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType

_SAME = 1.0  # seconds; signals of one key press, which a shell and a parent process may both hand on


@dataclass
class _State:
    sampling: bool = False
    held: int | None = None  # the signal that waits for a short block, 0 for none; None outside of such a block
    drawn: bool = False  # there are draws that are not saved yet
    received: int | None = None
    at: float = 0.0  # when it was received
    saved: str = ""  # what the last line says
    leftovers: list[Path] = field(default_factory=list)  # removed on leaving, the last first; folders only if empty


_state = _State()


def listen() -> None:
    """Handle Ctrl-C and SIGTERM from here on, in the main thread, also where a shell had them ignored."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _handle)


def received() -> int | None:
    """The signal that came while there was something to lose, None where none did."""
    return _state.received


def exit_code(number: int | None) -> int:
    """As shells report a signal; without one, that of Ctrl-C."""
    return 128 + (number or signal.SIGINT)


@contextlib.contextmanager
def sampling() -> Iterator[None]:
    """While NUTS runs. A signal that came before, after other draws, interrupts it at once.

    Raises
    ------
    KeyboardInterrupt
        A signal, unless the sampler takes it.
    """
    _state.sampling = True
    try:
        yield
        _state.drawn = True
    finally:
        _state.sampling = False


def nothing_to_lose(saved: str) -> None:
    """There are no draws that are not saved; `saved` is what the program says of them should it be interrupted."""
    _state.drawn, _state.saved = False, saved


def advise(saved: str) -> None:
    """What the program says from here on should it be interrupted, whatever there is to lose."""
    _state.saved = saved


@contextlib.contextmanager
def held() -> Iterator[None]:
    """A short block that a signal does not break: files are made, and noted to be removed."""
    _state.held = 0
    try:
        yield
    finally:
        number, _state.held = _state.held, None
        if number:
            _handle(number, None)


@contextlib.contextmanager
def removed_in_the_end(*paths: Path) -> Iterator[None]:
    """Remove files, and folders that are empty, after the block or when a signal ends the program in it."""
    _state.leftovers += paths
    try:
        yield
    finally:
        for path in reversed(paths):
            _remove(path)
            _state.leftovers.remove(path)


def _handle(number: int, frame: FrameType | None) -> None:
    if _state.held is not None:
        _state.held = number
        return
    again = _state.received is not None
    if again and time.monotonic() - _state.at < _SAME:
        return
    _state.received, _state.at = number, time.monotonic()
    if _state.sampling and not again:
        raise KeyboardInterrupt
    if not _state.drawn or again:
        _leave(number)


def _leave(number: int) -> None:
    """End the process from the handler: no exception is raised that a library could swallow."""
    for path in reversed(_state.leftovers):
        _remove(path)
    with contextlib.suppress(Exception):  # a write that the signal interrupted
        sys.stdout.flush()
    with contextlib.suppress(OSError):
        os.write(2, f"{interrupted_by(number)}{_state.saved and f'; {_state.saved}'}\n".encode())
    os._exit(exit_code(number))


def interrupted_by(number: int | None) -> str:
    """How the line begins that tells of a signal."""
    return f"interrupted by {signal.Signals(number).name}" if number == signal.SIGTERM else "interrupted"


def _remove(path: Path) -> None:
    with contextlib.suppress(OSError):
        path.rmdir() if path.is_dir() else path.unlink()

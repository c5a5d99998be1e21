"""The exit codes of `glmm-zoo`."""

from __future__ import annotations

from enum import IntEnum


class ExitCode(IntEnum):
    """What a command tells the program that started it."""

    DONE = 0  # of `fit` and `check`: the fit is sound too, perhaps with remarks
    FAILED = 1
    WRONG_INPUT = 2
    UNSOUND = 3  # `fit` saved the fit, or `check` read it, but its diagnostics failed; or `replay` came to another posterior, or ranks of `calibrate` are not uniform
    INTERRUPTED = 130  # as shells report Ctrl-C: 128 and the number of the signal
    TERMINATED = 143  # likewise, SIGTERM

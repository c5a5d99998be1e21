"""The command line: `glmm-zoo list | show | fit | check | summary | hypotheses | predictions | comparisons | slopes | ...`, a file for each command.

A command imports what it needs when it runs, so that help comes at once and wrong input is refused before PyMC is loaded.
This file imports next to nothing, so that signals are handled from the start.
"""

from __future__ import annotations

import gc
import os
import sys
import warnings
from collections.abc import Callable
from typing import Any

from glmm_zoo.cli.exit_codes import ExitCode
from glmm_zoo.cli.late import load_late
from glmm_zoo.cli.terminal import say
from glmm_zoo.errors import FitError, InputError, ZooWarning
from glmm_zoo.inference import interrupts
from glmm_zoo.tables.memory import memory_ran_out


def main() -> None:
    """Entry point of the console script."""
    interrupts.listen()
    load_late()
    sys.exit(with_rare_garbage_collection(lambda: run(sys.argv[1:])))


def with_rare_garbage_collection[T](command: Callable[[], T]) -> T:
    """Run the one command that this process was started for, with few searches for garbage and none on the way out.

    Most of what a fit makes lives until the process ends, so that the searches find little: they took 0.2 s of a small fit, and
    0.3 s on the way out.
    """
    gc.set_threshold(200_000, 20, 20)
    result = command()
    gc.freeze()
    return result


def run(tokens: list[str]) -> int:
    """Run one command and return its exit code (see `ExitCode`); every message for the user goes to standard error."""
    from cyclopts import CycloptsError

    from glmm_zoo.cli.commands import app_for
    from glmm_zoo.cli.spelling import as_typed, wrong_option

    warnings.showwarning = _show_warning
    warnings.filterwarnings("always", category=ZooWarning)
    try:
        return app_for(tokens)(tokens, exit_on_error=False, print_error=False) or ExitCode.DONE
    except CycloptsError as err:
        say(f"error: {wrong_option(err)}")
        return ExitCode.WRONG_INPUT
    except InputError as err:
        say(f"error: {as_typed(str(err))}")
        return ExitCode.WRONG_INPUT
    except KeyboardInterrupt:
        say(interrupts.interrupted_by(interrupts.received()))
        return interrupts.exit_code(interrupts.received())
    except BrokenPipeError:  # the reader of our output, such as `head`, has left
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return ExitCode.FAILED
    except Exception as err:
        full = None if isinstance(err, FitError) else memory_ran_out(err)
        if full is None and not isinstance(err, FitError | OSError):
            raise
        say(f"error: {full or as_typed(str(err))}")
        return ExitCode.FAILED


def _show_warning(message: Warning | str, category: type[Warning], *_: Any, **__: Any) -> None:
    """Warnings of the zoo are for the user; those of the libraries it uses are not."""
    if issubclass(category, ZooWarning):
        from glmm_zoo.cli.spelling import as_typed

        say(f"warning: {as_typed(str(message))}")

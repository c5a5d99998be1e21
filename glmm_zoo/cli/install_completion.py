"""`glmm-zoo --install-completion`."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from glmm_zoo.cli.commands import app_of
from glmm_zoo.cli.exit_codes import ExitCode
from glmm_zoo.cli.terminal import print_rich
from glmm_zoo.errors import InputError


def install_completion(
    *, shell: Literal["zsh", "bash", "fish", "powershell"] | None = None, output: Path | None = None
) -> int:
    """Let the shell complete commands and options.

    Parameters
    ----------
    shell
        By default the one that this is typed in.
    output
        Where the script is written; then no file of the shell is changed. By default it goes where the shell looks for it, and the
        shell's startup file is told so.
    """
    from cyclopts.completion.detect import ShellDetectionError

    try:
        script = app_of().install_completion(shell=shell, output=output, add_to_startup=output is None)
    except ShellDetectionError:
        raise InputError(
            "which shell this is was not found out; name it: --shell bash, zsh, fish or powershell"
        ) from None
    print_rich(f"saved {script}; {'load it in the shell' if output else 'open a new shell'}, and it completes glmm-zoo")
    return ExitCode.DONE

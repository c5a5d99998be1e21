"""The commands that the command line has."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Literal

from cyclopts import App

from glmm_zoo.cli.calibrate import calibrate
from glmm_zoo.cli.certify import certify
from glmm_zoo.cli.check import check
from glmm_zoo.cli.comparisons import comparisons
from glmm_zoo.cli.exit_codes import ExitCode
from glmm_zoo.cli.explain import explain
from glmm_zoo.cli.fit import fit
from glmm_zoo.cli.fit_many import fit_many
from glmm_zoo.cli.hypotheses import hypotheses
from glmm_zoo.cli.list_models import list_models
from glmm_zoo.cli.loo import loo
from glmm_zoo.cli.plot import plot
from glmm_zoo.cli.predict import predict
from glmm_zoo.cli.predictions import predictions
from glmm_zoo.cli.prior import prior
from glmm_zoo.cli.qualify import qualify
from glmm_zoo.cli.replay import replay
from glmm_zoo.cli.report import report
from glmm_zoo.cli.sensitivity import sensitivity
from glmm_zoo.cli.show import show
from glmm_zoo.cli.simulate import simulate
from glmm_zoo.cli.slopes import slopes
from glmm_zoo.cli.spelling import learn
from glmm_zoo.cli.summary import summary
from glmm_zoo.cli.table import table
from glmm_zoo.cli.terminal import print_rich
from glmm_zoo.cli.update import update
from glmm_zoo.errors import InputError


def _version() -> str:
    from importlib.metadata import version

    return version("glmm-zoo")


app = App(
    name="glmm-zoo",
    help="A zoo of Bayesian generalized linear mixed models: fit, check, summarise, report.",
    version=_version,
    result_action="return_value",
)


def _add(command: Callable[..., int], name: str | None = None) -> None:
    """A command, whose help ends with the examples of its docstring."""
    _, _, examples = inspect.cleandoc(command.__doc__ or "").partition("\nExamples\n--------\n")
    app.command(command, name=name, help_epilogue=f"Examples:\n\n```\n{examples}\n```")


_add(list_models, name="list")
_add(show)
_add(prior)
_add(fit)
_add(fit_many)
_add(update)
_add(replay)
_add(check)
_add(explain)
_add(summary)
_add(hypotheses)
_add(predictions)
_add(comparisons)
_add(slopes)
_add(predict)
_add(loo)
_add(sensitivity)
_add(calibrate)
_add(certify)
_add(simulate)
_add(qualify)
_add(table)
_add(report)
_add(plot)


@app.command(name="--install-completion")
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
        script = app.install_completion(shell=shell, output=output, add_to_startup=output is None)
    except ShellDetectionError:
        raise InputError(
            "which shell this is was not found out; name it: --shell bash, zsh, fish or powershell"
        ) from None
    print_rich(f"saved {script}; {'load it in the shell' if output else 'open a new shell'}, and it completes glmm-zoo")
    return ExitCode.DONE


learn({name: command for name in app if (command := app[name].default_command) and not name.startswith("-")})

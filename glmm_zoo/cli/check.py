"""`glmm-zoo check`."""

from __future__ import annotations

from glmm_zoo.cli.exit_codes import ExitCode
from glmm_zoo.cli.terminal import print_rich, verdict_text


def check(file: str) -> int:
    """Say whether a fit can be trusted; exit code 3 when not.

    Parameters
    ----------
    file
        A NetCDF file that `fit` wrote.
    """
    from glmm_zoo.results import diagnostics, storage

    verdict = diagnostics.check(storage.load(file))
    print_rich(verdict_text(verdict))
    return ExitCode.DONE if verdict.sound else ExitCode.UNSOUND

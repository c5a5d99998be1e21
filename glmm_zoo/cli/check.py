"""`glmm-zoo check`."""

from __future__ import annotations

from glmm_zoo.cli.exit_codes import ExitCode
from glmm_zoo.cli.terminal import judgement_text, print_rich


def check(file: str) -> int:
    """Say whether the draws of a fit can be trusted, exit code 3 when not; whether the model fits the data; what it cannot tell.

    Parameters
    ----------
    file
        A NetCDF file that `fit` wrote.

    Examples
    --------
    glmm-zoo check fits/multicenter.nc
    """
    from glmm_zoo.results import diagnostics, storage
    from glmm_zoo.results.verdicts import verdicts

    tree = storage.load(file)
    verdict = diagnostics.check(tree)
    said = verdicts(tree, verdict)
    print_rich(*map(judgement_text, (said.sampling, said.fit, said.design)))
    return ExitCode.DONE if verdict.sound else ExitCode.UNSOUND

"""`glmm-zoo certify`."""

from __future__ import annotations

from pathlib import Path

from glmm_zoo.cli.arguments import Count
from glmm_zoo.cli.exit_codes import ExitCode
from glmm_zoo.cli.terminal import computing, print_rich
from glmm_zoo.errors import InputError


def certify(
    *designs: str,
    n: Count | None = None,
    repeat: bool = False,
    workers: str | None = None,
    out: str = "calibration",
) -> int:
    """Calibrate small designs of builders at the usual settings of a fit, and write their certificates.

    Parameters
    ----------
    designs
        Names of designs, most of which have that of their builder; without any all that have no certificate in this version.
    n
        How many data sets; by default as many as the design asks for, 1000 for most.
    repeat
        Makes only the first five simulations again of designs that have a certificate in this version, of all without names, and tells whether
        today's sources, on this machine, draw the same, of which they hold then too.
    workers
        How many processes of this machine fit at a time, or the address of a scheduler of dask.distributed.
    out
        A folder that gets DESIGN.json, and a folder DESIGN with a line for each data set as it ends, from which the same command goes on.

    Examples
    --------
    glmm-zoo certify poisson --n 20
    glmm-zoo certify poisson --repeat
    """

    from glmm_zoo.calibration import certify as module
    from glmm_zoo.refits.spread import workers_as_typed
    from glmm_zoo.report.certificate import REPEATED, certificate_words, certificates

    if repeat and n is not None:
        raise InputError(f"--n {n} is of new certificates; --repeat makes the first {REPEATED} simulations again")
    sound, fitters = True, workers_as_typed(workers)
    for design in designs or [name for name in module.designs() if (name in certificates()) is repeat]:
        with computing():
            found = (
                module.repeat(design, folder=out, workers=fitters)
                if repeat
                else module.certify(design, n, folder=out, workers=fitters)
            )
        if found is None:
            print_rich(
                f"{design}: the first {REPEATED} simulations have other ranks than those of the certificate. Sources or libraries draw otherwise, "
                f"or this machine rounds otherwise; `glmm-zoo certify {design}` makes a new certificate."
            )
        else:
            print_rich(f"{certificate_words(found)}.", f"certificate: {Path(out) / found.design}.json")
        sound = sound and found is not None and found.calibrated
    return ExitCode.DONE if sound else ExitCode.UNSOUND

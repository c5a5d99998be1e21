"""`glmm-zoo certify`."""

from __future__ import annotations

from pathlib import Path

from glmm_zoo.cli.arguments import Count
from glmm_zoo.cli.exit_codes import ExitCode
from glmm_zoo.cli.terminal import computing, print_rich


def certify(
    *designs: str,
    n: Count | None = None,
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
    workers
        How many processes of this machine fit at a time, or the address of a scheduler of dask.distributed.
    out
        A folder that gets DESIGN.json, and a folder DESIGN with a line for each data set as it ends, from which the same command goes on.

    Examples
    --------
    glmm-zoo certify poisson --n 20
    """

    from glmm_zoo.calibration.certify import certify as certify_design
    from glmm_zoo.calibration.certify import designs as all_designs
    from glmm_zoo.refits.spread import workers_as_typed
    from glmm_zoo.report.certificate import certificate_words, certificates

    sound = True
    for design in designs or [name for name in all_designs() if name not in certificates()]:
        with computing():
            found = certify_design(design, n, folder=out, workers=workers_as_typed(workers))
        print_rich(f"{certificate_words(found)}.", f"certificate: {Path(out) / found.builder}.json")
        sound = sound and found.calibrated
    return ExitCode.DONE if sound else ExitCode.UNSOUND

"""`glmm-zoo hypotheses`."""

from __future__ import annotations

from typing import Annotated

from cyclopts import Parameter

from glmm_zoo.cli.arguments import TableFormat
from glmm_zoo.cli.exit_codes import ExitCode
from glmm_zoo.cli.terminal import print_for_programs, print_rich
from glmm_zoo.errors import InputError, raise_all, shown


def hypotheses(
    file: str,
    /,
    *hypothesis: Annotated[str, Parameter(allow_leading_hyphen=True)],
    rope: Annotated[str | None, Parameter(allow_leading_hyphen=True)] = None,
    prob: float = 0.95,
    format: TableFormat = "table",
) -> int:
    """Say how probable hypotheses about the parameters of a fit are.

    Parameters
    ----------
    file
        A NetCDF file that `fit` wrote.
    hypothesis
        Such as "odds_ratio[trt] > 1", "beta[a] > beta[b]", "-1 < beta[a] < 1", "beta[a] = beta[b]", or without comparison
        "sd_a[Intercept] / sd_b[Intercept]", in the names of `summary FILE.nc --group-effects`.
    rope
        What counts as equal, LOW,HIGH: of a difference such as -0.1,0.1, of a ratio such as 0.9,1.1.
    prob
        Probability inside the intervals.
    format
        table for people; csv or json, in full precision, for programs.
    """
    from rich.text import Text

    from glmm_zoo.results import hypotheses as questions
    from glmm_zoo.results import storage

    raise_all([f"unknown option {shown(h)}; --help has the options" for h in hypothesis if h.startswith("--")])
    region = None if rope is None else _region(rope)
    estimates = questions.hypotheses(storage.load(file), hypothesis, rope=region, prob=prob)
    if format == "table":
        print_rich(Text(str(estimates)))
    else:
        print_for_programs(estimates.table, format, labels=False)
    return ExitCode.DONE


def _region(text: str) -> tuple[float, float]:
    """The two numbers of LOW,HIGH."""
    try:
        low, high = (float(bound) for bound in text.split(","))
    except ValueError:
        raise InputError(f"--rope is two numbers LOW,HIGH such as -0.1,0.1, not {shown(text)}") from None
    return low, high

"""`glmm-zoo hypotheses`."""

from __future__ import annotations

from typing import Annotated

from cyclopts import Parameter

from glmm_zoo.cli.asking import Answer
from glmm_zoo.cli.exit_codes import ExitCode
from glmm_zoo.errors import InputError, raise_all, shown


def hypotheses(
    file: str,
    /,
    *hypothesis: Annotated[str, Parameter(allow_leading_hyphen=True)],
    rope: Annotated[str | None, Parameter(allow_leading_hyphen=True)] = None,
    prob: float = 0.95,
    answer: Answer | None = None,
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
    answer
        Where the answer goes.
    """
    from glmm_zoo.results import hypotheses as questions
    from glmm_zoo.results import storage

    raise_all([f"unknown option {shown(h)}; --help has the options" for h in hypothesis if h.startswith("--")])
    region, answer = None if rope is None else _region(rope), answer or Answer()
    answer.check()
    tree = storage.load(file)
    answer.give(questions.hypotheses(tree, hypothesis, rope=region, prob=prob), tree, file)
    return ExitCode.DONE


def _region(text: str) -> tuple[float, float]:
    """The two numbers of LOW,HIGH."""
    try:
        low, high = (float(bound) for bound in text.split(","))
    except ValueError:
        raise InputError(f"--rope is two numbers LOW,HIGH such as -0.1,0.1, not {shown(text)}") from None
    return low, high

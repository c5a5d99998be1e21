"""`glmm-zoo hypotheses`."""

from __future__ import annotations

from typing import Annotated

from cyclopts import Parameter

from glmm_zoo.cli.asking import Answer, answer_with, region
from glmm_zoo.errors import raise_all, shown


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

    Examples
    --------
    glmm-zoo hypotheses fits/multicenter.nc "beta[period[4]] < beta[period[2]]"
    """
    from glmm_zoo.results import hypotheses as questions

    raise_all([f"unknown option {shown(h)}; --help has the options" for h in hypothesis if h.startswith("--")])
    equal = region(rope)
    return answer_with(lambda tree, _: questions.hypotheses(tree, hypothesis, rope=equal, prob=prob), file, answer)

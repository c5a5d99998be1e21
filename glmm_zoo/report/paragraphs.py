"""The paragraphs of a paper on a fit, as its report has them."""

from __future__ import annotations

import xarray as xr

from glmm_zoo.report.answer import answering
from glmm_zoo.report.methods import methods
from glmm_zoo.results.whole_fit import of_a_whole_fit


@of_a_whole_fit
def paragraphs(tree: xr.DataTree, *, prob: float = 0.95) -> dict[str, str]:
    """The methods and the results paragraph of a paper on a fit, with the numbers of the fit: a draft to edit.

    Parameters
    ----------
    tree
        A fit, fresh or loaded. Its words for the outcome, the groups and the levels are those of `fit(..., about=...)`, and the
        results are those of the variable that answers the fit's question.
    prob
        Probability inside the intervals.

    Returns
    -------
    dict
        "methods": design, model, priors, sampler, diagnostics and whose averages are reported. "results": averages, comparisons,
        ratios at equal group effects, and how groups differ; not there where nothing was estimated.

    Raises
    ------
    InputError
        A fit that was interrupted.

    Examples
    --------
    >>> print(zoo.paragraphs(tree)["results"])
    """
    return dict(zip(("methods", "results"), methods(tree, answering(tree, prob=prob), prob), strict=False))

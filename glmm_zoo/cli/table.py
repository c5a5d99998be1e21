"""`glmm-zoo table`."""

from __future__ import annotations

from typing import Annotated, Literal

from cyclopts import Parameter

from glmm_zoo.cli.arguments import Flag, name_value_pairs
from glmm_zoo.cli.exit_codes import ExitCode
from glmm_zoo.cli.terminal import computing, print_rich
from glmm_zoo.errors import raise_all


def table(
    file: str,
    /,
    *,
    of: Literal["estimates", "means", "comparisons", "league", "ranks", "diagnostics", "priors"] = "estimates",
    out: str | None = None,
    prob: float = 0.95,
    at: Annotated[list[str] | None, Parameter(consume_multiple=False, negative="", allow_leading_hyphen=True)] = None,
    overwrite: Flag = False,
) -> int:
    """Print a table of a fit as a paper has it, and write it for Word, LaTeX, the web or a spreadsheet.

    Parameters
    ----------
    file
        A NetCDF file that `fit` wrote.
    of
        estimates: averages over the population, comparisons, ratios, how groups differ; means or comparisons of the variable that
        answers the fit's question; league and ranks: all pairs of a network meta-analysis, and their order; diagnostics; priors.
    out
        Also write it: the ending says how, .csv (all digits), .html, .tex, .docx or .md.
    prob
        Probability inside the intervals.
    at
        Of league and ranks: a covariate and its value, age=40, or a risk under the reference, baseline=0.1; may be repeated.
    overwrite
        Replace an existing file.

    Examples
    --------
    glmm-zoo table fits/multicenter.nc --out table2.docx
    """
    from glmm_zoo.report import fit_table
    from glmm_zoo.report.terminal import paper_lines
    from glmm_zoo.results import storage

    if out is not None:
        fit_table.check_table_target(out, overwrite=overwrite)
    problems: list[str] = []
    place = name_value_pairs(at or [], "at", "age=40", problems) or None
    raise_all(problems)
    tree = storage.load(file)
    with computing():
        made = fit_table.table(tree, of, prob=prob, at=place)
    print_rich(*paper_lines(made.text))
    if out is not None:
        print_rich(f"saved {fit_table.write_table(made, out, overwrite=overwrite)}")
    return ExitCode.DONE

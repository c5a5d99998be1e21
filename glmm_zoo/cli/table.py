"""`glmm-zoo table`."""

from __future__ import annotations

from typing import Literal

from glmm_zoo.cli.arguments import Flag
from glmm_zoo.cli.exit_codes import ExitCode
from glmm_zoo.cli.terminal import computing, print_rich


def table(
    file: str,
    /,
    *,
    of: Literal["estimates", "means", "comparisons", "league", "diagnostics", "priors"] = "estimates",
    out: str | None = None,
    prob: float = 0.95,
    overwrite: Flag = False,
) -> int:
    """Print a table of a fit as a paper has it, and write it for Word, LaTeX, the web or a spreadsheet.

    Parameters
    ----------
    file
        A NetCDF file that `fit` wrote.
    of
        estimates: averages over the population, comparisons, ratios, how groups differ; means or comparisons of the variable that
        answers the fit's question; league: all pairs of a network meta-analysis; diagnostics; priors.
    out
        Also write it: the ending says how, .csv (all digits), .html, .tex, .docx or .md.
    prob
        Probability inside the intervals.
    overwrite
        Replace an existing file.
    """
    from glmm_zoo.report import fit_table
    from glmm_zoo.report.terminal import paper_lines
    from glmm_zoo.results import storage

    if out is not None:
        fit_table.check_table_target(out, overwrite=overwrite)
    tree = storage.load(file)
    with computing():
        made = fit_table.table(tree, of, prob=prob)
    print_rich(*paper_lines(made.text))
    if out is not None:
        print_rich(f"saved {fit_table.write_table(made, out, overwrite=overwrite)}")
    return ExitCode.DONE

"""A fit made again by what its file says, and whether it comes out the same: to the bit, or to Monte Carlo error."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
import xarray as xr
from scipy import stats

from glmm_zoo.errors import InputError, listing, plural
from glmm_zoo.inference.fit import fit
from glmm_zoo.refits.imputed import together
from glmm_zoo.refits.variations import model_of, settings_of
from glmm_zoo.results.diagnostics import incomplete
from glmm_zoo.results.imputations import imputations_of
from glmm_zoo.results.numbers import written
from glmm_zoo.results.storage import metadata
from glmm_zoo.results.summary import summary

_DERIVED = ("report", "estimands")  # groups that are worked out from the others
_DATA = ("observed_data", "constant_data")
_FALSE_ALARM = 0.001  # of all comparisons of a replay together
_MOST_TOLD = 5


@dataclass(frozen=True, repr=False, eq=False)
class Replay:
    """What came of a replay.

    Attributes
    ----------
    tree
        The fit that was made again.
    differing
        The groups of the file in which any bit differs, of draws, data or labels; none where the replay is exact.
    table
        One row for each parameter: `mean` and `sd` in the file, `again_mean` and `again_sd`, and how far they lie apart in combined
        Monte Carlo standard errors, `mean_apart` and `sd_apart`.
    limit
        The Monte Carlo errors that the largest of all these differences exceeds with probability 0.001 where nothing but chance
        differs.
    changed
        Versions, and the kind of machine, that differ: what the file says and what is here.
    """

    tree: xr.DataTree
    differing: tuple[str, ...]
    table: pd.DataFrame
    limit: float
    changed: Mapping[str, tuple[str, str]]

    @property
    def exact(self) -> bool:
        """Whether all groups have the same bits."""
        return not self.differing

    @property
    def agrees(self) -> bool:
        """Whether the fit is exact, or is of the same data and differs by no more than Monte Carlo error."""
        return self.exact or not (self._of_other_data or self._largest() > self.limit)

    @property
    def sentence(self) -> str:
        """What was found, in words."""
        if self.exact:
            return "Fitted again by what the file says: every draw, and all that goes with it, has the same bits."
        lead = f"Fitted again by what the file says, bits differ in {listing(self.differing, 99)}{self._because()}"
        if self._of_other_data:
            return f"{lead}; the data that the model is of are not the same, so nothing else is compared."
        apart = self.table[["mean_apart", "sd_apart"]].abs().max(axis=1).sort_values(ascending=False)
        beyond = apart[apart > self.limit]
        if len(beyond) == 0:
            return (
                f"{lead}; the posteriors agree: means and sds of {plural(len(apart), 'parameter')} lie at most "
                f"{written(apart.iloc[0], 1)} Monte Carlo errors apart ({apart.index[0]}), and chance alone reaches {written(self.limit, 1)} "
                f"once in {round(1 / _FALSE_ALARM)} replays."
            )
        told = "; ".join(f"{name} by {written(by, 1)}" for name, by in beyond.iloc[:_MOST_TOLD].items())
        return (
            f"{lead}; the posteriors do not agree: {plural(len(beyond), 'parameter')} of {len(apart)} differ by more than "
            f"{written(self.limit, 1)} Monte Carlo errors ({told}), which chance alone reaches once in {round(1 / _FALSE_ALARM)} replays."
        )

    def __repr__(self) -> str:
        return f"{self.sentence}\n\n{self.table.to_string(float_format='%.4g')}"

    @property
    def _of_other_data(self) -> bool:
        return any(group in _DATA for group in self.differing)

    def _largest(self) -> float:
        return float(self.table[["mean_apart", "sd_apart"]].abs().max(axis=None))

    def _because(self) -> str:
        if not self.changed:
            return ""
        told = "; ".join(f"{what} {here} here, {there} in the file" for what, (there, here) in self.changed.items())
        return f", which other versions and machines may give ({told})"


def replay(tree: xr.DataTree, *, progress: bool | None = None) -> Replay:
    """Fit again by what a fit says of itself: its data, formula, options, priors, settings and seed.

    The same bits are promised on the same kind of processor with the same versions. Elsewhere draws differ, and the posteriors are
    compared; of imputed tables each is fitted again. With a, b the means (or sds) of a parameter, |a - b| / sqrt(mcse_a^2 + mcse_b^2).

    Parameters
    ----------
    tree
        A fit, fresh or loaded.
    progress
        As in `fit`.

    Returns
    -------
    Replay
        `exact`, `agrees`, a `table` with a row for each parameter, a `sentence`, and the new `tree`.

    Raises
    ------
    InputError
        An interrupted fit; a file that does not hold the table that was fitted.
    """
    gap = incomplete(tree)
    if gap is not None:
        raise InputError(f"no replay: {gap}; fit again")
    fits = [fit(model_of(one), **settings_of(one), progress=progress) for one in imputations_of(tree)]
    again = fits[0] if len(fits) == 1 else together(fits)
    differing = tuple(
        name
        for name in dict.fromkeys([*tree.children, *again.children])
        if name not in _DERIVED and not _same_bits(tree, again, name)
    )
    table = _compared(summary(tree), summary(again))
    limit = stats.norm.isf(_FALSE_ALARM / (2 * 2 * max(len(table), 1)))
    return Replay(again, differing, table, float(limit), _changed(metadata(tree), metadata(again)))


def _same_bits(one: xr.DataTree, other: xr.DataTree, group: str) -> bool:
    """Whether a group has the same variables, dims, labels and values in both, to the last bit."""
    if group not in one.children or group not in other.children:
        return False
    a, b = one[group].dataset, other[group].dataset
    if set(a.variables) != set(b.variables):
        return False
    return all(a[name].dims == b[name].dims and _bits(a[name].values) == _bits(b[name].values) for name in a.variables)


def _bits(values: np.ndarray) -> tuple[tuple[int, ...], object]:
    """The shape and the bytes of numbers, or the texts of labels, whose type in a file may be wider."""
    if values.dtype.kind in "OSUT":
        return values.shape, tuple(map(str, values.ravel()))
    return values.shape, np.ascontiguousarray(values).tobytes()


def _compared(one: pd.DataFrame, other: pd.DataFrame) -> pd.DataFrame:
    """Means and sds of both, and how far apart; a parameter of one only is infinitely so, one that does not vary is compared as it is."""
    columns = ["mean", "sd", "mcse_mean", "mcse_sd"]
    both = one[columns].join(other[columns].add_prefix("again_"), how="outer")
    for what in ("mean", "sd"):
        apart = both[what] - both[f"again_{what}"]
        error = np.hypot(both[f"mcse_{what}"], both[f"again_mcse_{what}"])
        both[f"{what}_apart"] = (apart / error).where(apart != 0, 0.0).fillna(np.inf)
    return both[["mean", "again_mean", "mean_apart", "sd", "again_sd", "sd_apart"]]


def _changed(one: Mapping, other: Mapping) -> dict[str, tuple[str, str]]:
    """Versions and the machine that two fits name differently."""
    was, now = ({**m["versions"], "machine": m["machine"]} for m in (one, other))
    return {what: (was.get(what, "none"), here) for what, here in now.items() if was.get(what) != here}

"""What a function that reads a fit says where another program took something out of it or changed it."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, Concatenate

from glmm_zoo.errors import InputError, listing
from glmm_zoo.results.storage import metadata

if TYPE_CHECKING:
    import xarray as xr

_GROUPS = ("posterior", "sample_stats", "observed_data", "posterior_predictive", "constant_data", "report")
_SAMPLING = {"draws": int, "tune": int, "chains": int, "thin": int, "finished": list, "target_accept": float}
_SPEC = {
    "builder": str, "formula": str, "response": str, "options": dict, "links": dict, "groups": dict, "smooths": list, "notes": list,
    "priors": dict, "facts": dict, "aspects": list, "auxiliary": list, "data": dict, "learnt": dict, "formulas": dict,
}  # fmt: skip
_CONTENT = {"sampling": dict, "spec": dict, "seconds": dict, "versions": dict, "created": str, "machine": str}


def of_a_whole_fit[**P, R](
    read: Callable[Concatenate[xr.DataTree, P], R],
) -> Callable[Concatenate[xr.DataTree, P], R]:
    """A function of a fit that fails with a sentence where the fit is not as it was written."""

    @functools.wraps(read)
    def reading(tree: xr.DataTree, *arguments: P.args, **keywords: P.kwargs) -> R:
        try:
            return read(tree, *arguments, **keywords)
        except InputError:
            raise
        except (LookupError, TypeError, ValueError, AttributeError, ImportError) as err:
            faults = list(_faults(tree))
            if isinstance(err, LookupError) and not faults:
                faults = [f"looked for {str(err)[:60]}"]
            if not faults:
                raise
            raise InputError(
                f"this fit is not as glmm_zoo wrote it ({listing(faults, 3)}); take the file that it wrote, or fit again"
            ) from err

    return reading


def _faults(tree: xr.DataTree) -> Iterator[str]:
    """What lacks, and what is of another type or size than our own files have it."""
    content = metadata(tree)
    yield from _wrong("", content, _CONTENT)
    several = "outcomes" in content["spec"]  # each of which has a response of its own
    yield from _wrong("spec.", content["spec"], {k: v for k, v in _SPEC.items() if k != "response" or not several})
    bounds = content["spec"].get("bounds") or [None, None]
    if not (
        isinstance(bounds, list) and len(bounds) == 2 and all(isinstance(b, int | float | str | None) for b in bounds)
    ):
        yield "the metadata have no proper spec.bounds"
    for key in ("link", "family"):
        if not isinstance(content["spec"].get(key, ""), str):
            yield f"the metadata have no proper spec.{key}"
    yield from _wrong("sampling.", content.get("sampling"), _SAMPLING)
    sampling = content.get("sampling")
    if isinstance(sampling, dict) and "runs" in sampling:  # files of older versions have none
        yield from _wrong("sampling.", sampling, {"runs": list})
    yield from (f"no group {name!r}" for name in _GROUPS if name not in tree.children)
    groups = {name: tree[name].dataset for name in _GROUPS if name in tree.children}
    for name, variable in groups["constant_data"].variables.items() if "constant_data" in groups else ():
        if name not in variable.dims and not ({"column", "kind"} <= set(variable.attrs) or "table" in variable.attrs):
            yield f"constant_data[{name!r}] does not say its column"
    if "posterior" not in groups:
        return
    posterior, stats = groups["posterior"], groups.get("sample_stats")
    for name, variable in posterior.data_vars.items():
        if variable.dims[:2] != ("chain", "draw") or variable.dtype.kind not in "fiu":
            yield f"posterior[{name!r}] is not numbers by chain and draw"
    yield from (f"posterior has no labels of {dim!r}" for dim in posterior.dims if dim not in posterior.coords)
    # Where not all draws of group effects are kept, their moments are.
    elsewhere = tree["group_effects"].data_vars if "group_effects" in tree.children else ()
    missing = (name for name in _referred(content) if name not in posterior and name not in elsewhere)
    yield from (f"no posterior[{name!r}]" for name in missing)
    if stats is not None:
        optional = ("bfmi",) if "bfmi" in stats else ()  # files of older versions have none
        for name in ("diverging", "energy", "reached_max_treedepth", "lp", *optional):
            if name not in stats or "chain" not in stats[name].dims or stats[name].dtype.kind not in "fiub":
                yield f"no numbers by chain in sample_stats[{name!r}]"
    for group in (posterior, stats):
        if group is not None and any(group.sizes.get(dim) == 0 for dim in ("chain", "draw")):
            yield "no draws"


def _referred(content: Mapping[str, Any]) -> Iterator[str]:
    """The variables of the posterior that the metadata name."""
    spec = content["spec"]
    for group in spec["groups"].values() if isinstance(spec.get("groups"), dict) else ():
        yield from (group[key] for key in ("sd",) if isinstance(group, dict) and key in group)
    for key in ("auxiliary", "priors"):
        names = spec.get(key)
        yield from (n.split("[")[0] for n in (names if isinstance(names, list | dict) else ()) if isinstance(n, str))


def _wrong(where: str, found: Any, expected: Mapping[str, type]) -> Iterator[str]:
    """What of the metadata is not there, or of another type."""
    for key, kind in expected.items() if isinstance(found, dict) else ():
        value = found.get(key)
        if not isinstance(value, kind) and not (kind is float and isinstance(value, int)):
            yield f"the metadata have no proper {where}{key}"

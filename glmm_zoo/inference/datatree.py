"""The groups posterior, log_likelihood, log_prior, observed_data and constant_data of the DataTree that a fit returns."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from glmm_zoo.errors import listing, plural
from glmm_zoo.formulas.names import variable_name
from glmm_zoo.inference.compile import Compiled
from glmm_zoo.inference.draws import Draws
from glmm_zoo.inference.moments import MOMENT_NAMES
from glmm_zoo.inference.recording import Recording
from glmm_zoo.inference.settings import Settings
from glmm_zoo.results import storage

if TYPE_CHECKING:
    from glmm_zoo.graph.model import Model
    from glmm_zoo.tables.columns import Column

MAX_POINTWISE = 4_000_000  # numbers kept of the log-likelihood, and of predictive draws: 32 MB each before compression
MOST_DOUBLES = 4_000_000  # numbers that all draws of the group effects may have in double precision: 32 MB
MOST_EFFECTS = (
    20_000_000  # numbers that the draws of the group effects may have that are kept: 80 MB in single precision
)
_AT_ONCE = 2_000_000  # numbers computed together


@dataclass(frozen=True)
class KeptVariables:
    """The variables of which each draw is kept, those of these in `single` precision, and those of which moments are kept, with
    the draws numbered `thinned` of the first so many `effects` of their numbers."""

    draws: Sequence[Any]
    moments: Sequence[Any] = ()
    single: Collection[str] = ()
    thinned: np.ndarray = field(default_factory=lambda: np.arange(0))
    effects: int = 0


def kept_variables(model: Model, settings: Settings) -> KeptVariables:
    """All variables, or of the group effects moments and, unless these alone are asked for, as many draws as there is room for."""
    sizes = {name: len(g.factor.levels) * len(g.labels) for g in model.groups for name in g.effect_variables}
    made, keep = settings.draws * settings.chains, settings.keep_group_effects
    numbers = made * sum(sizes.values())
    if keep == "draws" or (keep == "auto" and numbers <= MOST_EFFECTS):
        return KeptVariables(model.unobserved_RVs, single=sizes.keys() if numbers > MOST_DOUBLES else ())
    own = dict.fromkeys(g.name("u") for g in model.groups)  # at zero of the covariates, which the others follow from
    moments = [model[name] for name in {**own, **sizes}]
    draws = [v for v in model.unobserved_RVs if v not in moments]
    if keep == "moments":
        return KeptVariables(draws, moments)
    effects = sum(sizes[name] for name in own)
    step = -(-made * effects // MOST_EFFECTS)
    return KeptVariables(draws, moments, (), np.arange(step - 1, settings.draws, step), effects)


def recording_of(model: Model, compiled: Compiled, kept: KeptVariables, settings: Settings) -> Recording | None:
    """What is recorded of each draw as it is made, where not all draws are kept; else None."""
    if not kept.moments:
        return None
    prior = log_prior_terms(model).values()
    return Recording(
        compiled.variables([*kept.draws, *prior]),
        compiled.variables(kept.moments),
        pointwise_draws(settings.draws, settings.chains, model.rows),
        kept.thinned,
        kept.effects,
    )


def posterior(model: Model, compiled: Compiled, drawn: Draws, kept: KeptVariables) -> tuple[xr.Dataset, list[str]]:
    """Every variable of which each draw is kept as chain x draw x its named dims, in the order in which they are read; and what
    to note of them."""
    chains, draws = drawn.stats["diverging"].shape
    shown = kept.draws
    values = (drawn.recorded or [])[: len(shown)] or [
        v.reshape(chains, draws, *v.shape[1:]) for v in _computed(model, compiled, drawn, kept)
    ]
    variables = {}
    used: dict[str, None] = {}
    for name, v in zip([rv.name for rv in shown], values, strict=True):
        dims = model.named_vars_to_dims.get(name) or tuple(f"{name}_dim_{i}" for i in range(v.ndim - 2))
        used.update(dict.fromkeys(d for d in dims if d in model.coords))
        variables[name] = (("chain", "draw", *dims), v, model.attributes.get(name))
    coords = {"chain": np.arange(chains), "draw": np.arange(draws), **labels_of_dims(model, list(used))}
    names = _in_reading_order(model, list(variables))
    notes = [f"draws of {listing(list(kept.single))} are kept in single precision, to keep the file small"]
    return xr.Dataset(variables, coords)[names], notes if kept.single else []


def _computed(model: Model, compiled: Compiled, drawn: Draws, kept: KeptVariables) -> list[np.ndarray]:
    """All draws (chains x draws, ...) of the variables; where they are large of some draws after others, so that little is there twice."""
    x, compute = drawn.x_of(drawn.x_draws), compiled.variables(kept.draws)
    if not kept.single:
        return compute(x)
    first = compute(x[:1])
    types = [np.float32 if v.name in kept.single else part.dtype for v, part in zip(kept.draws, first, strict=True)]
    values = [np.empty((len(x), *part.shape[1:]), kind) for part, kind in zip(first, types, strict=True)]
    step = max(1, _AT_ONCE // max(1, sum(part.size for part in first)))
    for start in range(0, len(x), step):
        some = slice(start, start + step)
        for whole, part in zip(values, compute(x[some]), strict=True):
            whole[some] = part
    return values


def _in_reading_order(model: Model, names: Sequence[str]) -> list[str]:
    """Names of variables: intercepts and coefficients, sds, group effects, and what only carries others.

    The latter stay in the file because PyMC would draw them anew, without a word, in a later prediction.
    """
    rank = ("Intercept", "beta", "cutpoints", "sd_", "corr_", "u_")
    prefixes = [p.prefix for p in model.predictors]

    def position(name: str) -> tuple[int, int]:
        prefix = max((p for p in prefixes if p and name.startswith(f"{p}_")), key=len, default="")
        bare = name.removeprefix(f"{prefix}_") if prefix else name
        part = prefixes.index(prefix) if prefix in prefixes else len(prefixes)  # what outcomes share comes last
        return part, next((i for i, r in enumerate(rank) if bare.startswith(r)), len(rank) - 2)

    return sorted(names, key=position)


def sample_stats(drawn: Draws) -> xr.Dataset:
    """Statistics of the sampler by draw; by chain E-BFMI, which needs the energies of the draws that are not kept too."""
    chains, draws = drawn.stats["diverging"].shape
    coords = {"chain": np.arange(chains), "draw": np.arange(draws)}
    by_draw = {name: (("chain", "draw"), v) for name, v in drawn.stats.items()}
    return xr.Dataset({**by_draw, "bfmi": ("chain", drawn.bfmi)}, coords)


def kept_effects(model: Model, kept: KeptVariables, drawn: Draws) -> tuple[dict[str, xr.Dataset], str]:
    """The moments of the group effects, and some draws of a fit that was not interrupted, each variable by its named dims; and
    what to note of them."""
    assert drawn.moments is not None and drawn.effects is not None
    values, draws = drawn.moments, drawn.effects
    variables, thinned, labels, start = {}, {}, dict[str, None](), 0
    for rv in kept.moments:
        dims = model.named_vars_to_dims[rv.name]
        shape = [len(model.coords[d]) for d in dims]
        labels.update(dict.fromkeys(dims))
        here = slice(start, start := start + int(np.prod(shape)))
        variables[rv.name] = (("statistic", *dims), values[:, here].reshape(len(values), *shape))
        if len(kept.thinned) and start <= kept.effects and not drawn.interrupted:
            thinned[rv.name] = (("chain", "effect_draw", *dims), draws[..., here].reshape(*draws.shape[:2], *shape))
    coords = labels_of_dims(model, list(labels))
    groups = {"group_effects": xr.Dataset(variables, {"statistic": list(MOMENT_NAMES), **coords})}
    note = (
        f"of {listing(list(variables))} the mean, sd, effective draws and R-hat (at most {np.max(values[-1]):.3f}) of each are in the "
        "group 'group_effects', taken from all draws as they were made; "
    )
    if not thinned:
        return groups, f"{note}the draws are not kept, to stay within memory"
    own = {"chain": np.arange(len(draws)), "effect_draw": kept.thinned}
    groups[storage.EFFECT_DRAWS] = xr.Dataset(thinned, {**own, **coords})
    note += (
        f"to keep the file small, {plural(len(kept.thinned), 'draw')} of each chain are kept of {listing(list(thinned))}, in single "
        f"precision, in the group '{storage.EFFECT_DRAWS}', from which answers about single levels are computed"
    )
    return groups, note


def top_level_parameters(model: Model) -> list[Any]:
    """All random variables but the responses and the random effects."""
    effects = storage.random_effect_variables(model.spec)
    return [rv for rv in model.free_RVs if rv.name not in effects]


def log_prior_terms(model: Model) -> dict[str, Any]:
    """The log prior density of every element of every top-level parameter, by name."""
    return {rv.name: model.derived.log_prior(rv, jacobian=False) for rv in top_level_parameters(model)}


def log_prior(model: Model, compiled: Compiled, drawn: Draws, recorded: int) -> xr.Dataset:
    """The log prior of every draw; where variables were recorded while sampling, it follows the first `recorded` of them."""
    chains, draws = drawn.stats["diverging"].shape
    terms = log_prior_terms(model)
    values = (
        drawn.recorded[recorded:]
        if drawn.recorded
        else compiled.variables(list(terms.values()))(drawn.x_of(drawn.x_draws))
    )
    variables = {}
    for name, v in zip(terms, values, strict=True):
        value = v.reshape(chains, draws, *v.shape[v.ndim - terms[name].ndim :])
        variables[name] = (("chain", "draw", *(model.named_vars_to_dims.get(name) or ())[: value.ndim - 2]), value)
    dims = dict.fromkeys(str(d) for names, _ in variables.values() for d in names[2:])
    return xr.Dataset(
        variables, {"chain": np.arange(chains), "draw": np.arange(draws), **labels_of_dims(model, list(dims))}
    )


def log_likelihood(model: Model, compiled: Compiled, drawn: Draws) -> tuple[xr.Dataset, list[str]]:
    """Log-likelihood by row or by subject, and what to note of it."""
    chains, draws = drawn.stats["diverging"].shape
    kept = pointwise_draws(draws, chains, model.rows)
    terms = compiled.variables(model.logp(vars=model.outcomes, sum=False))(drawn.x_of(kept))
    dims = {name: model.unit or dim for name, dim in dims_of_outcomes(model).items()}
    variables = {
        name: (("chain", "draw", dim), v.reshape(chains, len(kept), -1))
        for (name, dim), v in zip(dims.items(), terms, strict=True)
    }
    notes = [
        f"the pointwise log-likelihood and predictive draws are kept for {plural(len(kept), 'draw')} of each chain, to keep the "
        "file small; tree.sel(draw=tree['log_likelihood'].draw) is the fit of these draws alone"
    ]
    coords = {"chain": np.arange(chains), "draw": kept, **labels_of_dims(model, list(dims.values()))}
    return xr.Dataset(variables, coords), notes if len(kept) < draws else []


def data_groups(model: Model, labels: Mapping[str, Mapping[str, Column]] | None = None) -> Mapping[str, xr.Dataset]:
    """observed_data: the response as the likelihood sees it; constant_data: the columns used, as they were read, and `labels`,
    further ones by the dimension of their rows.

    Columns of a table beside the main one are named by the dimension of its rows too, "event_row:years".
    """
    dims = dims_of_outcomes(model)
    observed = {
        name: (dim, np.asarray(model.rvs_to_values[model[name]].get_value(), dtype=float)) for name, dim in dims.items()
    }
    tables = {"row": model.frame, **model.also}
    columns = {
        (variable_name(name) if dim == "row" else f"{dim}:{variable_name(name)}"): storage.column_variable(column, dim)
        for dim, table in tables.items()
        for name, column in {**table.columns, **(labels or {}).get(dim, {})}.items()
    }
    for name in model.spec["data"].get("tables", ()):
        columns |= storage.level_table_variables(model.frame.beside[name])
    return {
        "observed_data": xr.Dataset(observed, labels_of_dims(model, list(dims.values()))),
        "constant_data": xr.Dataset(columns, {dim: table.row_numbers for dim, table in tables.items()}),
    }


def labels_of_dims(model: Model, dims: Sequence[str]) -> dict[str, Any]:
    """Labels of dimensions: text, but numbers for rows."""
    rows = dims_of_outcomes(model).values()
    return {d: np.asarray(model.coords[d] if d in rows else [str(v) for v in model.coords[d]]) for d in dims}


def dims_of_outcomes(model: Model) -> dict[str, str]:
    """The dimension of every outcome by its name."""
    return {rv.name: str(model.named_vars_to_dims[rv.name][0]) for rv in model.outcomes}


def pointwise_draws(draws: int, chains: int, rows: int) -> np.ndarray:
    """The draws of each chain of which numbers by row are kept, so that they are at most `MAX_POINTWISE`."""
    return np.arange(0, draws, max(1, -(-draws * chains * rows // MAX_POINTWISE)))

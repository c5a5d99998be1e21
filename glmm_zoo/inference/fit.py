"""From a model to a DataTree that holds everything. Imports every room but `cli`.

Group indices and the log density are checked before sampling, completeness before any diagnosis.
"""

from __future__ import annotations

import platform
import secrets
import sys
import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from glmm_zoo.errors import InputError, listing, plural, raise_all
from glmm_zoo.inference import approximation, sampling
from glmm_zoo.inference.moments import STATISTICS
from glmm_zoo.plans.intake import groups_of, safe
from glmm_zoo.results import convergence, report, storage

if TYPE_CHECKING:
    from glmm_zoo.graph.model import Model

MAX_POINTWISE = 8_000_000  # numbers kept of the log-likelihood: 64 MB before compression
MAX_PREDICTIVE = 2_000_000  # and of predictive draws
TARGETS = (0.8, 0.95, 0.99)  # of the acceptance probability, the next after a divergence
MOST_THIN = 8
REST = 7e8  # gradients x (rows + unknowns) that take as long as all of a small fit but sampling: some three seconds
AFFORDABLE = 1.5e9  # of the draws that are made beyond those asked for
MOST_KEPT = 5e7  # numbers in memory
TUNE_ON = 100  # warm-up draws where a chain goes on from draws
MOST_EFFECTS = 1e8  # numbers that all draws of the group effects may have; 0.8 GB, held three times for a moment
PARAMETERIZATIONS = ("auto", "noncentered", "centered")
KEPT_EFFECTS = ("auto", "draws", "moments")
_PACKAGES = ("glmm-zoo", "pymc", "pytensor", "nutpie", "jax", "numpy", "xarray", "arviz-stats", "formulaic")


class Interrupted(KeyboardInterrupt):  # it is Ctrl-C, with what had been sampled
    """Sampling was stopped by Ctrl-C; `tree` holds the draws made so far, NaN where there are none."""

    def __init__(self, tree: xr.DataTree):
        super().__init__("sampling was interrupted")
        self.tree = tree


def fit(
    model: Model,
    *,
    draws: int = 1000,
    tune: int = 500,
    chains: int = 4,
    cores: int | None = None,
    seed: int | None = None,
    thin: int | None = None,
    target_accept: float | None = None,
    parameterization: str = "auto",
    keep_group_effects: str = "auto",
    progress: bool | None = None,
) -> xr.DataTree:
    """Sample a model of the zoo with NUTS and diagnose the result.

    Parameters
    ----------
    model
        What a builder returned.
    draws, tune
        Draws kept and warm-up draws, for each chain.
    chains, cores
        Chains, and how many run at a time; by default one for small data, where a second would only be in the way.
    seed
        The same seed gives the same draws on the same kind of machine, whatever the number of cores. None draws one
        and records it.
    thin
        Every thin-th draw is kept, thin x draws are made. None chooses up to 8, as long as another draw made for each kept
        adds more to the effective draws per second than it costs.
    target_accept
        Mean acceptance probability that the step size is tuned for; nearer to 1 is slower and safer. None is 0.8, and from
        the start again at 0.95, then 0.99, as long as a transition diverged.
    parameterization
        What the sampler moves for the group effects: "auto" adapts to how much the data say of each level,
        "noncentered" and "centered" are the two classical forms. The posterior is the same.
    keep_group_effects
        "draws" of the group effects `u_<g>` in the posterior; or, where they would not fit in memory, their "moments": mean, sd
        and split R-hat of each in the group `group_effects`, taken as the draws are made. "auto" keeps draws up to 10^8
        numbers.
    progress
        Show a progress bar; by default where there is a terminal or a notebook.

    Returns
    -------
    DataTree
        Groups posterior, sample_stats, log_likelihood, posterior_predictive, observed_data, constant_data and report;
        with moments, `group_effects` too.

    Raises
    ------
    InputError
        Arguments out of range.
    FitError
        A log density that is not finite at the start.
    Interrupted
        Ctrl-C, with the draws made so far.
    """
    _check_arguments(model, draws, tune, chains, cores, seed, thin, target_accept, parameterization, keep_group_effects)
    seed = secrets.randbits(32) if seed is None else seed
    visible = sys.stderr.isatty() or "ipykernel" in sys.modules
    began = time.perf_counter()
    model.uncentre()
    if parameterization == "centered":
        model.centre()
    start = approximation.refer(model) if parameterization == "auto" else None
    compiled = sampling.compile_model(model, start)
    visible = visible if progress is None else progress
    shown, effects = _shown(model, keep_group_effects, draws * chains)
    recording = _recording(model, compiled, shown, effects, draws, chains) if effects else None

    def sample(target: float) -> tuple[sampling.Draws, int]:
        options: Any = {
            "draws": draws, "chains": chains, "cores": cores, "target_accept": target, "progress": visible,
        }  # fmt: skip
        drawn = sampling.sample(compiled, tune=tune, seed=seed, thin=thin or 1, recording=recording, **options)
        if thin or recording:
            return drawn, thin or 1
        return _longer(model, compiled, drawn, seed, options)

    first, *others = TARGETS if target_accept is None else (target_accept,)
    target, (drawn, every) = first, sample(first)
    while others and not drawn.interrupted and drawn.stats["diverging"].any():
        target, before = others.pop(0), drawn
        drawn, every = sample(target)
        drawn = drawn.after(before)
    posterior = _posterior(model, compiled, drawn, shown)
    notes = list(model.spec["notes"])
    groups = {
        "posterior": posterior[_in_reading_order(model, shown)],
        "sample_stats": xr.Dataset(
            {k: (("chain", "draw"), v) for k, v in drawn.stats.items()},
            posterior.coords.to_dataset()[["chain", "draw"]].coords,
        ),
        **_data_groups(model),
    }
    if drawn.moments is not None:
        groups["group_effects"] = _moments(model, effects, drawn.moments, notes)
    if not drawn.interrupted:
        groups["log_likelihood"] = _log_likelihood(model, compiled, drawn, notes)
        predictive = groups["posterior_predictive"] = _predictive(model, compiled, drawn, seed, notes)
        groups["observed_data"] = groups["observed_data"].map(
            lambda y: y.astype(predictive[str(y.name)].dtype), keep_attrs=True
        )
    tree = xr.DataTree.from_dict(groups)
    storage.label(
        tree,
        {
            "spec": {**model.spec, "notes": notes, "auxiliary": sorted(model.auxiliary)},
            "sampling": {
                "sampler": f"nutpie NUTS, gradients by {'JAX' if compiled.program is None else 'glmm_zoo.kernel'}",
                "draws": draws,
                "tune": tune,
                "chains": chains,
                "seed": seed,
                "thin": every,
                "target_accept": target,
                "parameterization": parameterization,
                "finished": drawn.finished.tolist(),
                "interrupted": drawn.interrupted,
                "gradients": drawn.gradients,
            },
            "seconds": {
                "compile": round(compiled.seconds, 3),
                "sample": round(drawn.seconds, 3),
                "all": round(time.perf_counter() - began, 3),
            },
            "created": datetime.now(UTC).isoformat(timespec="seconds"),
            "versions": {"python": platform.python_version(), **{p: version(p) for p in _PACKAGES}},
            "machine": f"{platform.system()} {platform.machine()}",
        },
    )
    if drawn.interrupted:
        raise Interrupted(tree)
    return report.attach(tree)


def _check_arguments(
    model: Any,
    draws: int,
    tune: int,
    chains: int,
    cores: int | None,
    seed: int | None,
    thin: int | None,
    target_accept: float | None,
    parameterization: str,
    keep_group_effects: str,
) -> None:
    from glmm_zoo.graph.model import Model

    if not isinstance(model, Model):
        raise InputError(f"fit takes a model that a builder of the zoo returned, not {type(model).__name__}")
    problems = [
        f"{name} must be a whole number of at least {least}, not {value!r}"
        for name, value, least in (
            ("draws", draws, 1), ("tune", tune, 1), ("chains", chains, 1), ("cores", cores, 1), ("seed", seed, 0),
            ("thin", thin, 1),
        )
        if value is not None and (isinstance(value, bool) or not isinstance(value, int | np.integer) or value < least)
    ]  # fmt: skip
    problems += [
        f"{name} must be one of {listing(known)}, not {value!r}"
        for name, value, known in (
            ("parameterization", parameterization, PARAMETERIZATIONS),
            ("keep_group_effects", keep_group_effects, KEPT_EFFECTS),
        )
        if value not in known
    ]
    if target_accept is not None and not 0 < target_accept < 1:
        problems.append(f"target_accept must be between 0 and 1, not {target_accept!r}")
    raise_all(problems)


def _longer(
    model: Model, compiled: sampling.Compiled, drawn: sampling.Draws, seed: int, options: Mapping[str, Any]
) -> tuple[sampling.Draws, int]:
    """Chains made longer, draws by draws, and thinned to as many as they had; and how many were made for each kept.

    They go on as long as what is kept gains by a larger share than the time grows, at the first of `TARGETS` in coordinates
    learnt from the draws there are, which are no good where draws diverge. If draws are worth a share r of independent ones,
    they are correlated like rho = (1 - r) / (1 + r), and of t times as many every t-th is worth
    (1 - rho^t) / (1 + rho^t). The worst parameter but the group effects counts.
    """
    effects = {model.rvs_to_values[model[u]] for u in (*model.transports, *model.smoothed)}
    values = ((v, np.size(model.initial_point()[v.name])) for v in model.value_vars)
    own = np.flatnonzero(np.concatenate([np.full(size, v not in effects) for v, size in values]))
    one = drawn.gradients * (model.rows + compiled.size)
    most = min(MOST_THIN, 1 + int(AFFORDABLE / one), int(MOST_KEPT / drawn.x.size))
    parts, bulk, tail = [drawn], np.zeros(len(own)), np.zeros(len(own))
    able = compiled.program is not None and len(own) > 0 and drawn.x.shape[1] >= 4
    while able and len(parts) < most and not (parts[-1].interrupted or parts[-1].stats["diverging"].any()):
        x, made = parts[-1].x, len(parts)
        bulk, tail = bulk + convergence.bulk(x[:, :, own]), tail + convergence.tail(x[:, :, own])
        effective = max(1.0, min(bulk.min(), tail.min()))
        share = min(effective / (made * x.shape[0] * x.shape[1]), 1.0)
        rho = (1 - share) / (1 + share)
        now, then = ((1 - rho**t) / (1 + rho**t) for t in (made, made + 1))
        if then / now < (REST + (made + 1) * one) / (REST + made * one):
            break
        usual = options["target_accept"] <= TARGETS[0]
        more = sampling.sample(
            compiled.learnt([p.x for p in parts], own, effective) if usual else compiled,
            tune=TUNE_ON, thin=1, beginnings=x.reshape(-1, compiled.size),
            seed=int(np.random.SeedSequence(seed, spawn_key=(made, 1)).generate_state(1)[0]), **options,
        )  # fmt: skip
        parts.append(more)
    return sampling.joined(parts, len(parts)), len(parts)


# ------------------------------------------------------------------------------------------------- groups of the tree


def _shown(model: Model, keep: str, draws: int) -> tuple[list[Any], list[Any]]:
    """The variables of which each draw is kept, and those of which the moments are."""
    effects = [model[g.name("u")] for g in groups_of(model.predictors)]
    numbers = draws * sum(len(g.factor.levels) * len(g.labels) for g in groups_of(model.predictors))
    if keep == "draws" or (keep == "auto" and numbers <= MOST_EFFECTS):
        effects = []
    return [v for v in model.unobserved_RVs if v not in effects], effects


def _recording(
    model: Model, compiled: sampling.Compiled, shown: Sequence[Any], effects: Sequence[Any], draws: int, chains: int
) -> sampling.Recording:
    kept = [_thinned(draws, chains, model.rows, most) for most in (MAX_POINTWISE, MAX_PREDICTIVE)]
    every, moments = (compiled.function(model.replace_rvs_by_values(list(v))) for v in (shown, effects))
    return sampling.Recording(every, moments, np.union1d(*kept))


def _moments(model: Model, effects: Sequence[Any], moments: np.ndarray, notes: list[str]) -> xr.Dataset:
    """Mean, sd and R-hat of the group effects: each variable statistic x its named dims."""
    variables, used, start = {}, {}, 0
    for rv in effects:
        dims = model.named_vars_to_dims[rv.name]
        shape = [len(model.coords[d]) for d in dims]
        used.update(dict.fromkeys(dims))
        part = moments[:, start : start + int(np.prod(shape))]
        variables[rv.name] = (("statistic", *dims), part.reshape(len(part), *shape))
        start += part.shape[1]
    notes.append(
        f"of {listing(list(variables))} the mean, sd and R-hat (at most {np.max(moments[2]):.3f}) of each are kept in the group "
        "'group_effects', not the draws, to stay within memory"
    )
    return xr.Dataset(variables, {"statistic": list(STATISTICS), **_coords(model, list(used))})


def _in_reading_order(model: Model, shown: Sequence[Any]) -> list[str]:
    """The variables of the posterior: intercepts and coefficients, sds, group effects, and what only carries others.

    The latter stay in the file because PyMC would draw them anew, without a word, in a later prediction.
    """
    names = [v.name for v in shown]
    rank = ("Intercept", "beta", "cutpoints", "sd_", "corr_", "u_")

    prefixes = [p.prefix for p in model.predictors]

    def position(name: str) -> tuple[int, int]:
        prefix = max((p for p in prefixes if p and name.startswith(f"{p}_")), key=len, default="")
        bare = name.removeprefix(f"{prefix}_") if prefix else name
        part = prefixes.index(prefix) if prefix in prefixes else len(prefixes)  # what outcomes share comes last
        return part, next((i for i, r in enumerate(rank) if bare.startswith(r)), len(rank) - 2)

    return sorted(names, key=position)


def _coords(model: Model, dims: Sequence[str]) -> dict[str, Any]:
    """Labels of dimensions: text, but numbers for rows."""
    rows = _rows(model).values()
    return {d: np.asarray(model.coords[d] if d in rows else [str(v) for v in model.coords[d]]) for d in dims}


def _rows(model: Model) -> dict[str, str]:
    """The dimension of every outcome by its name."""
    return {rv.name: str(model.named_vars_to_dims[rv.name][0]) for rv in model.observed_RVs}


def _posterior(model: Model, compiled: sampling.Compiled, drawn: sampling.Draws, shown: Sequence[Any]) -> xr.Dataset:
    """Every variable shown as chain x draw x its named dims."""
    chains, draws = drawn.stats["diverging"].shape
    values = drawn.recorded or [
        v.reshape(chains, draws, *v.shape[1:])
        for v in compiled.function(model.replace_rvs_by_values(list(shown)))(drawn.held(drawn.at))
    ]
    variables = {}
    used: dict[str, None] = {}
    for name, v in zip([rv.name for rv in shown], values, strict=True):
        dims = model.named_vars_to_dims.get(name) or tuple(f"{name}_dim_{i}" for i in range(v.ndim - 2))
        used.update(dict.fromkeys(d for d in dims if d in model.coords))
        variables[name] = (("chain", "draw", *dims), v)
    return xr.Dataset(variables, {"chain": np.arange(chains), "draw": np.arange(draws), **_coords(model, list(used))})


def _thinned(draws: int, chains: int, rows: int, most: int) -> np.ndarray:
    """Which draws of each chain are kept so that draws x chains x rows stays below `most`."""
    return np.arange(0, draws, max(1, -(-draws * chains * rows // most)))


def _log_likelihood(model: Model, compiled: sampling.Compiled, drawn: sampling.Draws, notes: list[str]) -> xr.Dataset:
    chains, draws = drawn.stats["diverging"].shape
    kept = _thinned(draws, chains, model.rows, MAX_POINTWISE)
    if len(kept) < draws:
        notes.append(
            f"the pointwise log-likelihood is kept for {plural(len(kept), 'draw')} of each chain, to keep the file small"
        )
    terms = compiled.function(model.logp(vars=model.observed_RVs, sum=False))(drawn.held(kept))
    dims = {name: model.unit or dim for name, dim in _rows(model).items()}
    return xr.Dataset(
        {
            name: (("chain", "draw", dim), v.reshape(chains, len(kept), -1))
            for (name, dim), v in zip(dims.items(), terms, strict=True)
        },
        {"chain": np.arange(chains), "draw": kept, **_coords(model, list(dims.values()))},
    )


def _predictive(
    model: Model, compiled: sampling.Compiled, drawn: sampling.Draws, seed: int, notes: list[str]
) -> xr.Dataset:
    """Responses drawn from the likelihood; what it takes from the unknowns comes from the sampler's compiled graph."""
    from pymc.pytensorf import compile as compile_graph
    from pytensor.compile.mode import Mode
    from pytensor.graph.rewriting.db import RewriteDatabaseQuery
    from pytensor.link.vm import VMLinker

    chains, draws = drawn.stats["diverging"].shape
    kept = _thinned(draws, chains, model.rows, MAX_PREDICTIVE)
    if len(kept) < draws:
        notes.append(f"predictive draws are kept for {plural(len(kept), 'draw')} of each chain, to keep the file small")
    own = int(np.random.SeedSequence(seed).spawn(1)[0].generate_state(1)[0])
    responses, parameters = _written_out(model.observed_RVs, set(model.unobserved_RVs))
    values = compiled.function(model.replace_rvs_by_values(parameters))(drawn.held(kept))
    # rewriting would bring in slower operations
    as_it_stands = Mode(VMLinker(use_cloop=False, c_thunks=False), RewriteDatabaseQuery(include=()))
    draw = compile_graph(*_of_all_draws(responses, parameters), random_seed=own, mode=as_it_stands)
    dims = _rows(model)
    found = {
        name: (("chain", "draw", dim), _as_counts(y.reshape(chains, len(kept), -1)))
        for (name, dim), y in zip(dims.items(), draw(*values), strict=True)
    }
    return xr.Dataset(found, {"chain": np.arange(chains), "draw": kept, **_coords(model, list(dims.values()))})


def _written_out(responses: Sequence[Any], unknown: set[Any]) -> tuple[list[Any], list[Any]]:
    """Responses as a graph of elementary random variables, and what in it is known once the unknowns are."""
    from pymc.distributions.distribution import SymbolicRandomVariable
    from pytensor.compile.rewriting import inline_ofg_node
    from pytensor.graph.replace import graph_replace
    from pytensor.graph.traversal import ancestors, toposort
    from pytensor.tensor.random.op import RandomVariable

    written = list(responses)
    while composed := next(
        (n for n in toposort(written, blockers=unknown) if isinstance(n.op, SymbolicRandomVariable)), None
    ):
        replaced = dict(zip(composed.outputs, inline_ofg_node(composed), strict=True))
        written = graph_replace(written, replaced, strict=False)
    random: set[Any] = set()
    parameters: dict[Any, None] = {}
    for node in toposort(written, blockers=unknown):
        if isinstance(node.op, RandomVariable) or not random.isdisjoint(node.inputs):
            random.update(node.outputs)
            fixed = [v for v in node.inputs if v not in random]
            parameters.update(dict.fromkeys(v for v in fixed if not unknown.isdisjoint(ancestors([v]))))
    return written, list(parameters)


def _of_all_draws(responses: Sequence[Any], parameters: Sequence[Any]) -> tuple[list[Any], list[Any]]:
    """The parameters of many draws (draws, ...), and the responses written out for all of them at once.

    Each random variable, which has scalar parameters or is a category, is made to depend on a parameter, since PyTensor
    draws once for all what does not.
    """
    import pytensor.tensor as pt
    from pytensor.graph.replace import clone_replace, vectorize_graph
    from pytensor.graph.traversal import toposort
    from pytensor.scalar.basic import Cast
    from pytensor.tensor.elemwise import Elemwise
    from pytensor.tensor.random import basic
    from pytensor.tensor.random.op import RandomVariable
    from pytensor.tensor.type_other import NoneTypeT

    def uncast(y: Any) -> Any:  # PyTensor casts number by number, in Python
        return y.owner.inputs[0] if isinstance(y.owner.op, Elemwise) and isinstance(y.owner.op.scalar_op, Cast) else y

    uniform: Any = basic.uniform
    cumsum: Any = pt.cumsum
    of_one = {p: p.type() for p in parameters}
    one = pt.max(of_one[parameters[0]])
    own = dict(of_one)
    nodes: list[Any] = [n for n in toposort(responses, blockers=parameters) if isinstance(n.op, RandomVariable)]
    for node in nodes:
        inputs: list[Any] = clone_replace(node.inputs, own, rebuild_strict=False)
        rng, size, first, *others = inputs
        zero: Any = pt.zeros_like(one, dtype=first.dtype)
        spread: Any = zero if isinstance(size.type, NoneTypeT) else zero + pt.zeros(size, dtype=first.dtype)
        if isinstance(node.op, basic.CategoricalRV):
            u = uniform(spread + 0.0 * first[..., 0], 1.0, rng=rng, return_next_rng=True)[1]
            own[node.outputs[1]] = pt.sum(u[..., None] > cumsum(first, axis=-1)[..., :-1], axis=-1)
        elif isinstance(node.op, basic.BernoulliRV):  # its own draws import SciPy's statistics, which is slow
            u = uniform(spread + 0.0 * first, 1.0, rng=rng, return_next_rng=True)[1]
            own[node.outputs[1]] = pt.switch(u < first, 1, 0)
        else:
            own[node.outputs[1]] = node.op(first + spread, *others, rng=rng, return_next_rng=True)[1]
    given = {v: pt.tensor(dtype=v.type.dtype, shape=(None, *v.type.shape)) for v in of_one.values()}
    return list(given.values()), vectorize_graph(
        clone_replace([uncast(y) for y in responses], own, rebuild_strict=False), given
    )


def _as_counts(values: np.ndarray) -> np.ndarray:
    """Whole numbers as integers, which is how ArviZ's plots tell counts from measurements."""
    return values.astype(np.int64) if np.all(values == np.round(values)) else values


def _data_groups(model: Model) -> Mapping[str, xr.Dataset]:
    """observed_data: the response as the likelihood sees it; constant_data: the columns used, as they were read.

    Columns of a table beside the main one are named by the dimension of its rows too, "event_row:years".
    """
    dims = _rows(model)
    observed = {
        name: (dim, np.asarray(model.rvs_to_values[model[name]].get_value(), dtype=float)) for name, dim in dims.items()
    }
    tables = {"row": model.frame, **model.also}
    columns = {
        (safe(name) if dim == "row" else f"{dim}:{safe(name)}"): storage.stored(column, dim)
        for dim, table in tables.items()
        for name, column in table.columns.items()
    }
    return {
        "observed_data": xr.Dataset(observed, _coords(model, list(dims.values()))),
        "constant_data": xr.Dataset(columns, {dim: table.row_numbers for dim, table in tables.items()}),
    }

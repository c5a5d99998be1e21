"""From a model to a DataTree that holds everything: parameterize, compile, sample, write down, diagnose.

Group indices and the log density are checked before sampling, completeness before any diagnosis.
"""

from __future__ import annotations

import os
import secrets
import sys
import time
from dataclasses import asdict, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import xarray as xr

from glmm_zoo.errors import InputError, check_kind, raise_all
from glmm_zoo.families.tensors import without_traces
from glmm_zoo.inference import datatree, posterior_predictive, schedule
from glmm_zoo.inference.chains_elsewhere import ChainsElsewhere
from glmm_zoo.inference.compile import Compiled, compile_model
from glmm_zoo.inference.datatree import KeptVariables
from glmm_zoo.inference.draws import Draws
from glmm_zoo.inference.kept import KeptChains, keeping, machine, versions
from glmm_zoo.inference.nuts_jax import check_blackjax
from glmm_zoo.inference.parameterization import parameterize
from glmm_zoo.inference.prior_draws import prior
from glmm_zoo.inference.said import Words, words_of
from glmm_zoo.inference.schedule import Sampled
from glmm_zoo.inference.settings import Settings
from glmm_zoo.inference.workers import Workers
from glmm_zoo.results import storage
from glmm_zoo.results.about import KEY, About, stored_about
from glmm_zoo.results.parts import parts_folder
from glmm_zoo.results.report.stored import with_report
from glmm_zoo.tables.memory import give_back_what_is_free

if TYPE_CHECKING:
    from collections.abc import Mapping

    from glmm_zoo.graph.model import Model
    from glmm_zoo.tables.columns import Column


class Interrupted(KeyboardInterrupt):  # it is Ctrl-C, with what had been sampled
    """Sampling was stopped by Ctrl-C; `tree` holds the draws made so far, NaN where there are none."""

    def __init__(self, tree: xr.DataTree, kept: KeptChains | None):
        advice = 'give resume="fit.nc" to keep chains as they end' if kept is None else kept.advice("the same call")
        super().__init__(f"sampling was interrupted; {advice}")
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
    effective: int | None = None,
    target_accept: float | None = None,
    parameterization: str = "auto",
    keep_group_effects: str = "auto",
    backend: str = "kernel",
    progress: bool | None = None,
    about: Words | None = None,
    resume: str | os.PathLike[str] | None = None,
    workers: Workers = None,
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
    effective
        Draws are made until every parameter that is no group effect or weight of a smooth has so many effective ones, in bulk and
        tails, or 8 times `draws` are made; `draws` is then the most that are kept of each chain. 400 is what `check` asks for.
    target_accept
        Mean acceptance probability that the step size is tuned for; nearer to 1 is slower and safer. None is 0.8, 0.7 where chains go
        on in bent coordinates, and from the start again at 0.95, then 0.99, as long as a transition diverged.
    parameterization
        What the sampler moves for the group effects: "auto" adapts to how much the data say of each level,
        "noncentered" and "centered" are the two classical forms. The posterior is the same.
    keep_group_effects
        "draws" of the group effects `u_<g>` in the posterior, in single precision from 4 million numbers on; or their "moments": mean,
        sd, effective draws and split R-hat of each in the group `group_effects`, taken as the draws are made. "auto" keeps draws of up to
        20 million numbers, and else moments of all draws with as many of the draws as that, evenly spaced, in the group
        `group_effect_draws`.
    backend
        "kernel" is machine code for one processor at a time. "jax" moves all chains at once by BlackJAX, an extra of the package
        (`jax`), on what JAX finds: the rows are spread over its devices, processors that JAX was told of or GPUs. The posterior is
        the same, and draws are those of another run. Draws are not made beyond those asked for.
    progress
        Show a progress bar; by default where there is a terminal or a notebook.
    about
        What is said of the fit in words, for the report: a mapping with the fields of `glmm_zoo.results.about.About`, or a .toml
        file of them. The columns that its `label` names are kept in the file too. By default it is what the model's card says.
    resume
        The file that the fit is to be saved to, such as "fits/a.nc". Chains that take more than a second are then kept in the folder
        fits/a.parts as they end, until `save` writes that file. After an interruption, even of the machine, the same call goes on
        with those that are there, and returns what it would have returned without one, to the bit.
    workers
        Who makes the chains: None for threads of this process; a number of processes; or "tcp://host:8786", the scheduler of a
        dask.distributed, whose workers have this package. The draws are the same to the bit on processors of one kind; a chain whose
        worker dies is made by another, and with `resume` those that have come back are kept. Of a script, processes need
        `if __name__ == "__main__":`.

    Returns
    -------
    DataTree
        Groups posterior, sample_stats, log_likelihood, log_prior (of the top-level parameters), prior (as many draws of these, and
        of what is reported that they alone determine), posterior_predictive, posterior_predictive_new_groups (of 200 draws, with
        group effects drawn anew; not of survival), observed_data, constant_data and report; with moments, `group_effects` and
        `group_effect_draws` too.

    Raises
    ------
    InputError
        Arguments out of range; words about columns, levels or outcomes that the model does not have; chains kept of another fit;
        another fit into the same file that is running.
    FitError
        A log density that is not finite at the start.
    Interrupted
        Ctrl-C, with the draws made so far.
    """
    settings = Settings(
        draws=draws,
        tune=tune,
        chains=chains,
        cores=cores,
        seed=seed,
        thin=thin,
        effective=effective,
        target_accept=target_accept,
        parameterization=parameterization,
        keep_group_effects=keep_group_effects,
        backend=backend,
    )
    _check(model, settings)
    if workers is not None and settings.backend == "jax":
        raise InputError(
            'backend="jax" moves all chains at once; give workers with the kernel, or spread them over JAX\'s devices'
        )
    said, labels = words_of(model, about)
    target = None if resume is None else checked_target(resume)
    visible = sys.stderr.isatty() or "ipykernel" in sys.modules
    with keeping(target, model, settings) as beside, without_traces():
        tree, interrupted = _fitted(
            model, settings, beside, said, labels, progress=visible if progress is None else progress, workers=workers
        )
        if interrupted:
            raise Interrupted(tree, beside)
        give_back_what_is_free(tree.nbytes)
        return with_report(tree)


def fit_draws(model: Model, **given: Any) -> xr.DataTree:
    """What `fit` finds with these of its settings, to the bit, without the groups and the report that are read by people: the posterior,
    the statistics of the sampler, the data and the log-likelihood."""
    settings = Settings(**given)
    _check(model, settings)
    tree, interrupted = _fitted(model, settings, None, About(), {}, progress=False, whole=False)
    if interrupted:
        raise Interrupted(tree, None)
    return tree


def checked_target(resume: Any) -> Path:
    """The file that the fit is to be saved to, which is asked for before hours of sampling."""
    if not isinstance(resume, str | os.PathLike):
        raise InputError(f"resume takes the file that the fit is to be saved to, such as 'fits/a.nc', not {resume!r}")
    path = Path(resume)
    inside = path.parent.suffix == parts_folder(path).suffix  # of a fit of several imputed tables
    return path if inside else storage.check_target(path, overwrite=True)


def _fitted(
    model: Model,
    asked: Settings,
    beside: KeptChains | None,
    said: About,
    labels: Mapping[str, Mapping[str, Column]],
    *,
    progress: bool,
    whole: bool = True,
    workers: Workers = None,
) -> tuple[xr.DataTree, bool]:
    """The tree without its report, `whole` or as `fit_draws` has it, and whether sampling was interrupted."""
    began = time.perf_counter()
    settings = replace(asked, seed=_seed(asked, beside))
    parameterized, start = parameterize(model, settings.parameterization)
    compiled = compile_model(parameterized, start, settings.backend)
    kept = datatree.kept_variables(parameterized, settings)
    raise_all(settings.memory_problems(1 if kept.moments else compiled.size))
    if kept.moments and settings.effective is not None:
        raise InputError(
            "effective goes with group effects of which all draws are kept, and here they are too many; give draws in its place, or "
            "keep_group_effects='draws'"
        )
    sampled = schedule.sample_with_retries(
        parameterized,
        compiled,
        settings,
        progress=progress,
        recording=datatree.recording_of(parameterized, compiled, kept, settings),
        kept=beside,
        elsewhere=None if workers is None else ChainsElsewhere(workers, parameterized, start, settings).run,
    )
    of_every, notes = _of_every_draw(parameterized, compiled, sampled.draws, kept, whole=whole)
    some = datatree.pointwise_draws(sampled.settings.draws, sampled.settings.chains, parameterized.rows)
    if not sampled.draws.interrupted:  # what follows reads x of no other draws
        sampled = replace(sampled, draws=sampled.draws.of_these(some))
    groups, of_others = _groups(parameterized, compiled, sampled, kept, labels, of_every, whole=whole)
    notes += of_others
    tree = xr.DataTree.from_dict(groups)
    content = _metadata(parameterized, compiled, settings, sampled, notes, began)
    if beside is not None:
        content["sampling"] |= {"key": beside.key, "cut_short": sampled.cut_short}
    storage.write_metadata(tree, {**content, KEY: stored_about(said)})
    return tree, sampled.draws.interrupted


def _seed(settings: Settings, beside: KeptChains | None) -> int:
    """The seed that was given, that of the chains which are kept, or one that is drawn."""
    if settings.seed is not None:
        seed = settings.seed
    elif beside is not None and beside.seed is not None:
        seed = beside.seed
    else:
        seed = secrets.randbits(32)
    if beside is not None:
        beside.seed = seed
    return seed


def _check(model: Any, settings: Settings) -> None:
    check_kind("fit", model, "Model")
    raise_all(settings.problems())
    if settings.backend == "jax":
        check_blackjax()


def _of_every_draw(
    model: Model, compiled: Compiled, drawn: Draws, kept: KeptVariables, *, whole: bool
) -> tuple[dict[str, xr.Dataset], list[str]]:
    """The groups for which x of every draw is read, and the notes of the model and of these."""
    posterior, notes = datatree.posterior(model, compiled, drawn, kept)
    groups = {"posterior": posterior}
    if whole and not drawn.interrupted:
        groups["log_prior"] = datatree.log_prior(model, compiled, drawn, len(kept.draws))
    return groups, [*model.spec["notes"], *notes]


def _groups(
    model: Model,
    compiled: Compiled,
    sampled: Sampled,
    kept: KeptVariables,
    labels: Mapping[str, Mapping[str, Column]],
    of_every: Mapping[str, xr.Dataset],
    *,
    whole: bool,
) -> tuple[dict[str, xr.Dataset], list[str]]:
    """The groups of the tree but the report, `of_every` draw and others, in the order of the file, and the notes of the others. Of what
    was interrupted there is no likelihood."""
    drawn, notes = sampled.draws, list[str]()
    groups = {
        "posterior": of_every["posterior"],
        "sample_stats": datatree.sample_stats(drawn),
        **datatree.data_groups(model, labels),
    }
    if drawn.moments is not None:
        of_effects, note = datatree.kept_effects(model, kept, drawn)
        groups |= of_effects
        notes.append(note)
    if not drawn.interrupted:
        groups["log_likelihood"], of_likelihood = datatree.log_likelihood(model, compiled, drawn)
        notes += of_likelihood
    if whole and not drawn.interrupted:
        groups["log_prior"] = of_every["log_prior"]
        seed = sampled.settings.seed
        replicated = posterior_predictive.posterior_predictive(model, compiled, drawn, seed)
        groups["posterior_predictive"] = replicated
        of_new_groups = posterior_predictive.new_groups(model, compiled, drawn, seed)
        if of_new_groups is not None:
            groups["posterior_predictive_new_groups"] = of_new_groups
        chains, draws = drawn.stats["diverging"].shape
        groups["prior"] = prior(model, chains, draws, seed)
        groups["observed_data"] = groups["observed_data"].map(
            lambda y: y.astype(replicated[str(y.name)].dtype), keep_attrs=True
        )
    return groups, notes


def _sampler(compiled: Compiled, settings: Settings) -> str:
    if settings.backend == "jax":
        return "BlackJAX NUTS, gradients by JAX"
    scheme = "nutpie NUTS"
    if compiled.blocks is not None:
        scheme = f"NUTS of the population's parameters, group effects in {compiled.blocks.count} blocks"
    return f"{scheme}, gradients by {'JAX' if compiled.program is None else 'glmm_zoo.kernel'}"


def _metadata(
    model: Model, compiled: Compiled, asked: Settings, sampled: Sampled, notes: list[str], began: float
) -> dict[str, Any]:
    """What the file says of the fit, whose notes are the model's and its own."""
    settings, drawn = sampled.settings, sampled.draws
    return {
        "spec": {**model.spec, "notes": notes, "auxiliary": sorted(model.auxiliary)},
        "sampling": {
            # "glmm_zoo.kernel" is the word of the file format for inference/kernel
            "sampler": _sampler(compiled, settings),
            "draws": settings.draws,
            "tune": settings.tune,
            "chains": settings.chains,
            "seed": settings.seed,
            "thin": sampled.thin,
            "target_accept": settings.target_accept,
            "runs": [asdict(run) for run in sampled.runs],
            "tune_between": schedule.TUNE_ON if sampled.runs[-1].parts > 1 else None,
            "parameterization": settings.parameterization,
            "finished": drawn.finished.tolist(),
            "interrupted": drawn.interrupted,
            "gradients": drawn.gradients,
            "asked": asdict(asked),
            "notes": notes[len(model.spec["notes"]) :],
        },
        "seconds": {
            "compile": round(compiled.seconds, 3),
            "sample": round(drawn.seconds, 3),
            "all": round(time.perf_counter() - began, 3),
        },
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "versions": versions(settings.backend),
        "machine": machine(),
    }

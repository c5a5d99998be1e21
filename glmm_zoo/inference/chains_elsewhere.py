"""The chains of a fit, each made by a process or a machine that is free, with the bits that it has here.

A worker gets the model as it is sampled here, its coordinates and where its chains begin. nutpie makes all chains or none, so the
others begin there far out, in a density that costs nothing; a chain's random numbers depend on the seed and on its place alone.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Mapping
from dataclasses import replace
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np

from glmm_zoo.errors import FitError, plural
from glmm_zoo.inference import interrupts
from glmm_zoo.inference.compile import Compiled, compile_model
from glmm_zoo.inference.coordinates import Coordinates, SamplerStart
from glmm_zoo.inference.datatree import kept_variables, recording_of
from glmm_zoo.inference.kept import Chain, KeptRun
from glmm_zoo.inference.nuts import one_chain
from glmm_zoo.inference.recording import Recorders, Recording
from glmm_zoo.inference.settings import Settings
from glmm_zoo.inference.workers import Workers, results_of_tasks

if TYPE_CHECKING:
    from glmm_zoo.graph.model import Model

_compiling = threading.Lock()  # a worker of dask may have several threads


class ChainsElsewhere:
    """Makes the chains of a model by `workers`, see `results_of_tasks`; `asked` are the settings of the fit."""

    def __init__(self, workers: Workers, model: Model, start: SamplerStart | None, asked: Settings):
        import cloudpickle

        self.workers, self.model = workers, cloudpickle.dumps((_registered(model), model, start, asked))

    def run(
        self,
        compiled: Compiled,
        settings: Settings,
        beginnings: np.ndarray,
        progress: bool,
        _: Recorders | None,
        run: KeptRun | None,
        there: Mapping[int, Chain],
    ) -> dict[int, Chain]:
        """All chains, those that are `there` and those that are made, which are kept as they come back.

        Raises
        ------
        FitError
            A chain with which one worker after the other died.
        KeyboardInterrupt
            Ctrl-C; chains that have come back are kept.
        """
        chains, missing = dict(there), [k for k in range(settings.chains) if k not in there]
        how = compiled.coordinates, settings, beginnings
        with interrupts.sampling():
            for k, chain in results_of_tasks(_made, missing, self.model, how, workers=self.workers, lost=_lost):
                chains[k] = chain
                if run is not None:
                    run.write(k, chain)
                    run.kept.written()
                if progress:
                    end = "\n" if len(chains) == settings.chains else ""
                    sys.stderr.write(f"\r{len(chains)} of {plural(settings.chains, 'chain')}{end}")
                    sys.stderr.flush()
        return chains


def _registered(model: Model) -> list[tuple[Any, type, Any]]:
    """What PyMC has to know of distributions that are made for this model: a process that gets them cannot import them."""
    from pymc.distributions.distribution import _support_point
    from pymc.logprob.abstract import _logprob

    kinds = {type(rv.owner.op) for rv in model.basic_RVs}
    made = [kind for kind in kinds if getattr(sys.modules.get(kind.__module__), kind.__name__, None) is not kind]
    functions: tuple[Any, ...] = (_logprob, _support_point)
    return [(f, kind, f.registry[kind]) for f in functions for kind in made if kind in f.registry]


def _made(chain: int, content: bytes, how: tuple[Coordinates, Settings, np.ndarray]) -> tuple[int, Chain]:
    """One chain, by its number; the same bits however often it is asked for."""
    coordinates, settings, beginnings = how
    with _compiling:
        compiled, recording = _compiled(content)
    return chain, one_chain(replace(compiled, coordinates=coordinates), settings, beginnings, recording, chain)


@lru_cache(maxsize=1)
def _compiled(content: bytes) -> tuple[Compiled, Recording | None]:
    """The functions of the model, which all chains and runs of a fit share."""
    import cloudpickle

    registered, model, start, asked = cloudpickle.loads(content)
    for function, kind, of_kind in registered:
        function.register(kind, of_kind)
    compiled = compile_model(model, start, asked.backend)
    return compiled, recording_of(model, compiled, kept_variables(model, asked), asked)


def _lost(chain: int, why: str) -> tuple[int, Chain]:
    raise FitError(f"chain {chain} could not be made: {why}; look at the memory of the workers")

"""Where chains begin, and by which seed nutpie asks for the beginning of which chain."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from glmm_zoo.errors import FitError
from glmm_zoo.inference.compile import Compiled

FARTHEST = 2.5  # of the first starts, in coordinates of unit size; of group effects 1
HALVINGS = 10  # of the way to a start at which the density is not finite, or as good as none
STEEPEST = 1e5  # falls of a normal log density; sound fits had up to 4e4, and from 1e16 no chain came back


def first_beginnings(compiled: Compiled, own: np.ndarray, chains: int, seed: int | None) -> np.ndarray:
    """Points x (chains, n) around the model's start, wider than the posterior in all elements but group effects.

    `own` are these elements. Of each, every chain has a stratum of its own (McKay, Beckman & Conover 1979), so that with two
    chains or more there is one on either side. A point where the density is not finite is drawn nearer to the start, and so is
    one to which the log density falls `STEEPEST` times as far as a normal one about the start does at most: a hazard that is
    extrapolated over decades falls by 1e34, and no chain comes back from there.

    Raises
    ------
    FitError
        When the density is not finite near the start.
    """
    rng = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(0, 0)))
    away = rng.uniform(-1, 1, (chains, compiled.size))
    strata = rng.permuted(np.tile(np.arange(chains), (len(own), 1)), axis=1).T
    away[:, own] = FARTHEST * (2 * (strata + rng.uniform(size=strata.shape)) / chains - 1)
    start = compiled.coordinates.z_of(compiled.start)
    with np.errstate(all="ignore"):
        at_start = compiled.value_and_gradient(compiled.start)[0]
    fall = (FARTHEST**2 * len(own) + compiled.size - len(own)) / 2  # of a normal log density, from its mode to a corner
    least = at_start - STEEPEST * fall if np.isfinite(at_start) else -np.inf
    return np.stack([_nearest(compiled, start, step, least) for step in away])


def _nearest(compiled: Compiled, start: np.ndarray, step: np.ndarray, least: float) -> np.ndarray:
    """x of start + step / 2^k, the first at which nutpie can begin and the log density is not below `least`; or the last at
    which nutpie can begin."""
    found = None
    for halving in range(HALVINGS + 1):
        x = compiled.coordinates.x_of(start + step / 2**halving)
        with np.errstate(all="ignore"):
            value, gradient = compiled.value_and_gradient(x)
        if np.isfinite(value) and np.isfinite(gradient).all() and gradient.all():
            found = x
            if value >= least:
                break
    if found is not None:
        return found
    raise FitError(
        f"sampling could not start: the density is not finite at any of {HALVINGS + 1} points nearer and nearer to the start; "
        "try tighter priors or check the scale of the data"
    )


def by_seed(nutpie: Any, beginnings: np.ndarray, seed: int | None) -> Callable[[int], np.ndarray]:
    """The function by which nutpie, in any order and from any thread, asks for a chain's first z: it gives its seed only.

    With one core chains begin in their order, whatever their density is, so a run on a normal density tells their seeds.

    Raises
    ------
    KeyboardInterrupt
        Ctrl-C in that run.
    """
    from nutpie.compiled_pyfunc import from_pyfunc

    seeds: list[int] = []

    def begin(seed: int) -> np.ndarray:
        seeds.append(seed)
        return np.ones(1)

    normal = from_pyfunc(
        ndim=1,
        make_logp_fn=lambda: lambda z: (-float(z @ z) / 2, -z),
        make_expand_fn=lambda *_: lambda z: {"z": z},
        make_initial_point_fn=begin,
        expanded_dtypes=[np.dtype("float64")],
        expanded_shapes=[(1,)],
        expanded_names=["z"],
    )
    options = {"progress_bar": False, "return_raw_trace": True}
    nutpie.sample(normal, draws=1, tune=1, chains=len(beginnings), cores=1, seed=seed, **options)
    if len(seeds) < len(beginnings):
        raise KeyboardInterrupt
    return dict(zip(seeds, beginnings, strict=True)).__getitem__

"""The functions of a model that the sampler calls: log density, gradient, variables, start.

`kernel` makes machine code of them; a graph with an operation that `kernel` does not know is compiled by JAX instead.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from glmm_zoo.errors import FitError
from glmm_zoo.families.tensors import as_it_stands
from glmm_zoo.inference.blocks import EffectBlocks, blocks_of, move_freely, population_coordinates, separate
from glmm_zoo.inference.compile_jax import CompiledFunctions, Vectorized, by_jax
from glmm_zoo.inference.coordinates import UNCHANGED, Coordinates, SamplerStart
from glmm_zoo.inference.kernel.expression import UnsupportedError

if TYPE_CHECKING:
    import pymc as pm

    from glmm_zoo.inference.kernel.machine import Function

_log = logging.getLogger("glmm_zoo")


@dataclass(frozen=True)
class Compiled:
    """A model's functions of the unconstrained vector x (n,), where to start, and the coordinates in which to sample it.

    `variables` compiles any variables of the graph as functions of many x at once. `program` is the log density with its
    gradient in machine code, to be called without Python; None from JAX, of which `density` is the function of x and its data.
    `seconds` is how long compiling took. `blocks` are those in which group effects are sampled, if they are; the program then
    writes their terms after the gradient.
    """

    start: np.ndarray
    value_and_gradient: Callable[[np.ndarray], tuple[float, np.ndarray]]
    variables: Callable[[Sequence[Any]], Vectorized]
    coordinates: Coordinates
    program: Function | None
    seconds: float
    density: tuple[Callable[..., Any], Sequence[Any]] | None = None
    blocks: EffectBlocks | None = None

    @property
    def size(self) -> int:
        return len(self.start)

    @property
    def can_be_bent(self) -> bool:
        """Whether coordinates can be bent: where nutpie moves all unknowns."""
        return self.program is not None and self.blocks is None

    def in_coordinates_from(
        self, draws: Sequence[np.ndarray], elements: np.ndarray, effective: float, *, bent: bool = False
    ) -> Compiled:
        """The same in coordinates estimated from draws, see `Coordinates.estimated_from`."""
        coordinates = self.coordinates.estimated_from(draws, elements, effective, bent=bent)
        return replace(self, coordinates=coordinates)

    def value_and_gradient_of_z(self) -> Callable[[np.ndarray], tuple[float, np.ndarray]]:
        """The density and its gradient as functions of z, for callers in Python."""
        coordinates, program = self.coordinates, self.program_of_z()
        if program is not None:
            return _called_from_python(program)

        def value_and_gradient(z: np.ndarray) -> tuple[float, np.ndarray]:
            value, gradient = self.value_and_gradient(coordinates.x_of(z))
            gradient = gradient.copy()
            gradient[coordinates.index] = coordinates.root.T @ gradient[coordinates.index]
            return value, gradient

        return value_and_gradient

    def program_of_z(self) -> Function | None:
        """The same in machine code; None from JAX."""
        from glmm_zoo.inference.kernel.bent import Bent
        from glmm_zoo.inference.kernel.machine import InCoordinates

        at = self.coordinates
        if self.program is None or not len(at.index):
            return self.program
        straight = InCoordinates(self.program, at.index, at.mean, at.root)
        return straight if at.bends is None else Bent(straight, at.bends)


def compile_model(model: pm.Model, start: SamplerStart | None = None, backend: str = "kernel") -> Compiled:
    """Compile the log density with its gradient, by JAX if that is the backend.

    With a start, the sampler's coordinates z are such that z = 0 is the mean of each of its blocks and their covariance I. Where it
    has many group effects that are independent given all else, they are sampled in `EffectBlocks`.

    Raises
    ------
    FitError
        When an index of the model is out of range, which would sample silently, or the log density is not finite at
        the start.
    """
    began = time.perf_counter()
    shapes, x, coordinates = _start_and_coordinates(model, start)
    functions = program = blocks = None
    if backend == "kernel":
        blocks = None if start is None else blocks_of(model, shapes)
        try:
            functions, program = _by_kernel(model, shapes, blocks)
        except UnsupportedError as err:
            _log.info("compiled by JAX, because the kernel does not know %s", err)
        except IndexError as err:
            raise FitError(f"the model indexes past the levels of a factor: {err}") from err
    if functions is None:
        check_density(model)
        functions, blocks = by_jax(model, shapes, x), None
    if not np.isfinite(functions.value_and_gradient(x)[0]):
        check_density(model)
    if blocks is not None and program is not None:
        if separate(blocks, program, x) and move_freely(blocks, program, x):
            x[blocks.effects] = 0.0  # about their mean; where u = 0 may be far out
            coordinates = population_coordinates(blocks, functions.value_and_gradient, x)
        else:
            _log.info("group effects are not sampled in blocks, which depend on each other or hardly move")
            blocks = None
            functions, program = _by_kernel(model, shapes, None)  # without terms of blocks after the gradient
    seconds = time.perf_counter() - began
    return Compiled(
        x, functions.value_and_gradient, functions.variables, coordinates, program, seconds, functions.density, blocks
    )


def _start_and_coordinates(
    model: pm.Model, start: SamplerStart | None
) -> tuple[list[tuple[int, ...]], np.ndarray, Coordinates]:
    """The shapes of the value variables, the point x (n,) to start from, and the coordinates."""
    initial = model.initial_point()
    shapes = [np.shape(initial[v.name]) for v in model.value_vars]
    firsts = [0, *np.cumsum([int(np.prod(s)) for s in shapes])]
    point = {**initial, **(start.point if start else {})}
    x = np.concatenate([np.ravel(point[v.name]).astype(float) for v in model.value_vars])
    first = dict(zip([model.values_to_rvs[v].name for v in model.value_vars], firsts, strict=False))
    coordinates = UNCHANGED
    for block in start.blocks if start else ():
        index = np.array([first[rv] + i for rv, i in block.elements])
        coordinates = coordinates.with_block(index, block.mean, block.root)
    x[coordinates.index] = coordinates.mean
    return shapes, x, coordinates


def _by_kernel(
    model: pm.Model, shapes: Sequence[tuple[int, ...]], blocks: EffectBlocks | None
) -> tuple[CompiledFunctions, Function]:
    from glmm_zoo.graph.derived import derived_of
    from glmm_zoo.inference.kernel.density import GraphCompiler

    compiler = GraphCompiler(model.value_vars, shapes, derived_of(model).stands)
    program = compiler.with_gradient(model.logp(), None if blocks is None else blocks.terms)

    def variables(wanted: Sequence[Any]) -> Vectorized:
        run, shapes_of_wanted = compiler.outputs(wanted)
        ends = np.cumsum([0, *(int(np.prod(shape)) for shape in shapes_of_wanted)])

        def by_draw(x: np.ndarray) -> list[np.ndarray]:
            out = np.zeros((len(x), ends[-1]))
            run.of_rows(np.ascontiguousarray(x), out)
            parts = zip(ends[:-1], ends[1:], shapes_of_wanted, strict=True)
            return [out[:, a:b].reshape(len(x), *shape) for a, b, shape in parts]

        return by_draw

    return CompiledFunctions(_called_from_python(program), variables), program


def _called_from_python(program: Function) -> Callable[[np.ndarray], tuple[float, np.ndarray]]:
    def value_and_gradient(x: np.ndarray) -> tuple[float, np.ndarray]:
        out = np.zeros(len(x) + program.beside)
        return program(np.ascontiguousarray(x), out), out[: len(x)]

    return value_and_gradient


def check_density(model: pm.Model) -> None:
    """Evaluate the log density once in a mode that checks array bounds, which the compiled backends do not.

    Raises
    ------
    FitError
        When a term of it is not finite at the initial point, or an index is out of range.
    """
    point = model.initial_point()
    try:
        value = model.compile_logp(mode=as_it_stands())(point)
    except IndexError as err:
        raise FitError(f"the model indexes past the levels of a factor: {err}") from err
    if not np.isfinite(value):
        bad = [name for name, term in model.point_logps(point).items() if not np.isfinite(term)]
        raise FitError(
            f"the log density is {value} at the initial point; not finite: {', '.join(bad)}; check priors and data"
        )

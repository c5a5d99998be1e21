"""PyTensor, imported when a graph is built and not before, and the same functions for NumPy arrays."""

from __future__ import annotations

import contextlib
import importlib
from collections.abc import Callable, Sequence
from functools import cache
from types import SimpleNamespace
from typing import Any

import numpy as np

Tensor = Any  # a PyTensor variable: its own types do not describe arithmetic
Array = Any  # a NumPy array or a PyTensor variable
VariableLookup = Callable[[str], Array]  # from the name of a variable of the model to its value


def import_pytensor() -> Any:
    """The module `pytensor.tensor`."""
    return importlib.import_module("pytensor.tensor")


def as_it_stands() -> Any:
    """PyTensor's mode for a graph that is evaluated a few times: node by node in Python, with bounds of indices checked.

    Rewriting the graph first, as its other modes do, takes ten times as long as evaluating it.
    """
    mode: Any = importlib.import_module("pytensor.compile.mode")
    return mode.Mode("py", "minimum_compile")


def without_traces() -> contextlib.AbstractContextManager[Any]:
    """Graphs are written without which line of Python wrote each node, which takes a tenth of the time of small data."""
    config: Any = importlib.import_module("pytensor.configdefaults").config
    return config.change_flags(traceback__limit=0)


def evaluated(variables: Sequence[Any], known: dict[Any, Any]) -> list[Any]:
    """The values of variables of a graph, node by node in Python, with bounds of indices checked, and nothing rewritten or compiled.

    `known` has the values of what is given, inputs or anything between, and afterwards of all that was computed on the way.

    Raises
    ------
    ValueError
        An input that is not given; a random variable that is not, which is never drawn.
    """
    from pytensor.compile.sharedvalue import SharedVariable
    from pytensor.graph.basic import Constant
    from pytensor.tensor.random.type import RandomType

    stack = list(variables)
    while stack:
        v = stack[-1]
        missing = [] if v in known or v.owner is None else [i for i in v.owner.inputs if i not in known]
        if missing:
            stack.extend(missing)
            continue
        stack.pop()
        if v in known:
            continue
        if isinstance(v.type, RandomType):
            raise ValueError("the graph needs a random variable that is not given")
        if isinstance(v, Constant):
            known[v] = v.data
        elif isinstance(v, SharedVariable):
            known[v] = v.get_value(borrow=True)
        elif v.owner is None:
            raise ValueError(f"the graph needs {v}, which is not given")
        else:
            known.update(zip(v.owner.outputs, performed(v.owner, [known[i] for i in v.owner.inputs]), strict=True))
    return [known[v] for v in variables]


def performed(node: Any, inputs: Sequence[Any]) -> list[Any]:
    """What one operation of a graph gives for values of its inputs."""
    storage: list[list[Any]] = [[None] for _ in node.outputs]
    values = [
        np.asarray(x, dtype=v.type.dtype) if hasattr(v.type, "ndim") and v.type.ndim else x
        for v, x in zip(node.inputs, inputs, strict=True)
    ]
    if hasattr(node.op, "prepare_node"):
        node.op.prepare_node(node, None, None, "py")
    node.op.perform(node, values, storage)
    return [s[0] for s in storage]


@cache
def elementwise_operation() -> Any:
    """The class of PyTensor's operations that are a function of elements which PyTensor does not have."""
    from pytensor.graph.basic import Apply
    from pytensor.graph.op import Op
    from pytensor.graph.replace import _vectorize_node

    pt = import_pytensor()

    class Elementwise(Op):
        """`of` elements of the inputs, which is a function of NumPy arrays."""

        def make_node(self, *inputs: Tensor) -> Any:
            inputs = tuple(map(pt.as_tensor_variable, pt.broadcast_arrays(*inputs)))
            return Apply(self, inputs, [pt.tensor(dtype="float64", shape=inputs[0].type.shape)])

        def perform(self, node: Any, inputs: Any, output_storage: Any) -> None:
            output_storage[0][0] = np.asarray(self.of(*inputs), float)

        def infer_shape(self, node: Any, shapes: Any) -> Any:
            return [shapes[0]]

        def of(self, *inputs: np.ndarray) -> np.ndarray:
            raise NotImplementedError

    @_vectorize_node.register(Elementwise)
    def _(op: Any, node: Any, *inputs: Tensor) -> Any:
        return op.make_node(*inputs)

    return Elementwise


def functions_of(x: Array) -> Any:
    """What a density computes with: `pytensor.tensor` for a PyTensor variable, for numbers the same functions of NumPy."""
    return _of_numpy() if isinstance(x, np.ndarray | np.number | float) else import_pytensor()


def _of_numpy() -> Any:
    from scipy import special  # imported when a density is asked for

    return SimpleNamespace(
        abs=np.abs, clip=np.clip, concatenate=np.concatenate, cumsum=np.cumsum, eq=np.equal, erfc=special.erfc, exp=np.exp,
        expm1=np.expm1, gammaln=special.gammaln, log=np.log, log1p=np.log1p, logaddexp=np.logaddexp,
        logsumexp=special.logsumexp, maximum=np.maximum, minimum=np.minimum, softplus=lambda x: np.maximum(x, 0.0) + np.log1p(np.exp(-np.abs(x))),
        sqrt=np.sqrt, sum=np.sum, switch=np.where, zeros_like=np.zeros_like,
    )  # fmt: skip


def matrix_product(X: np.ndarray, beta: Array) -> Array:
    """X beta (N,), X of data: a product of NumPy where beta is known, of PyTensor where it is not."""
    if isinstance(beta, np.ndarray):
        return X @ beta
    return import_pytensor().constant(X) @ beta

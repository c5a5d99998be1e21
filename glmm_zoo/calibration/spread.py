"""One function of many items: one after the other here, or each as a worker of a dask cluster is free."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from typing import Any

from glmm_zoo.errors import InputError, shown
from glmm_zoo.estimands.progress import block_by_block

Workers = int | str | None


def spread_tasks[A, R](
    function: Callable[..., R], items: Sequence[A], *shared: Any, workers: Workers, lost: Callable[[A, str], R]
) -> Iterator[R]:
    """`function(item, *shared)` of each item, in the order of the items, or with workers in the order in which they end.

    Parameters
    ----------
    shared
        What goes to each worker once.
    workers
        None for this process alone; a number of processes on this machine; or the address of a scheduler of dask.distributed,
        whose workers have this package. A task whose worker dies is given to another one.
    lost
        What stands for the result of an item with which one worker after the other died, and why.

    Raises
    ------
    InputError
        Workers that are neither, a scheduler that does not answer, or a dask.distributed that is not installed.
    """
    if workers is None:
        for item in block_by_block(items):
            yield function(item, *shared)
        return
    with ExitStack() as stack:
        client = _client(workers, stack)
        from distributed import KilledWorker, as_completed

        there = [client.scatter(value, broadcast=True, hash=False) for value in shared]
        futures = {client.submit(function, item, *there, pure=False): item for item in items}
        for _, future in zip(block_by_block(items), as_completed(list(futures), loop=client.loop), strict=True):
            try:
                yield future.result()
            except KilledWorker as err:
                yield lost(futures[future], f"the processes that had it died: {err}")


def workers_as_typed(text: str | None) -> Workers:
    """Workers from the command line, where a number is text."""
    return int(text) if text is not None and text.isdecimal() else text


def _client(workers: int | str, stack: ExitStack) -> Any:
    """A client of a cluster, which is closed with the stack; one of this machine's processes too."""
    number = isinstance(workers, int) and not isinstance(workers, bool) and workers >= 1
    if not number and not isinstance(workers, str):
        raise InputError(
            f"workers must be a number of processes, at least 1, or the address of a scheduler such as tcp://host:8786, not {workers!r}"
        )
    if importlib.util.find_spec("distributed") is None:
        raise InputError("workers need dask.distributed, which is not installed: pip install 'glmm-zoo[cluster]'")
    from distributed import Client, LocalCluster

    if isinstance(workers, int):
        cluster = LocalCluster(n_workers=workers, threads_per_worker=1, processes=True, dashboard_address=":0")
        return stack.enter_context(Client(stack.enter_context(cluster), set_as_default=False))
    try:
        return stack.enter_context(Client(workers, timeout=10, set_as_default=False))
    except (OSError, ValueError, TimeoutError) as err:
        raise InputError(f"workers: no scheduler of dask answers at {shown(workers)}: {err}") from None

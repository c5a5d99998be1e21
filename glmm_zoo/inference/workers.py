"""One function of many items: one after the other here, or each as a process, or a worker of a dask cluster, is free."""

from __future__ import annotations

import importlib
import importlib.util
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from functools import lru_cache
from multiprocessing import get_context
from typing import Any

from glmm_zoo.errors import InputError, shown

Workers = int | str | None
_TRIES = 3  # of an item, whose process dies


def results_of_tasks[A, R](
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
        return (function(item, *shared) for item in items)
    if isinstance(workers, str):
        return _by_a_scheduler(function, items, shared, workers, lost)
    return _by_processes(function, items, shared, workers, lost)


def _by_processes[A, R](
    function: Callable[..., R], items: Sequence[A], shared: Sequence[Any], workers: int, lost: Callable[[A, str], R]
) -> Iterator[R]:
    """By so many processes of this machine, of which a new set is made where one has died."""
    if isinstance(workers, bool) or not isinstance(workers, int) or workers < 1:
        raise InputError(
            f"workers must be a number of processes, at least 1, or the address of a scheduler such as tcp://host:8786, not {workers!r}"
        )
    import cloudpickle

    task, waiting, tries = cloudpickle.dumps((function, tuple(shared))), deque(enumerate(items)), Counter[int]()
    while waiting:
        with ProcessPoolExecutor(workers, get_context("spawn")) as pool:
            running: dict[Future[R], tuple[int, A]] = {}
            while waiting or running:
                while waiting and len(running) < workers:
                    place, item = waiting.popleft()
                    running[pool.submit(_run, task, item)] = place, item
                found = wait(running, return_when=FIRST_COMPLETED).done
                ended = {future: running.pop(future) for future in found}
                dead = [of for future, of in ended.items() if isinstance(future.exception(), BrokenProcessPool)]
                yield from (future.result() for future, of in ended.items() if of not in dead)
                if dead:
                    dead += running.values()
                    break
            else:
                dead = []
        for place, item in dead:  # one of them it was
            tries[place] += 1
            if tries[place] < _TRIES:
                waiting.append((place, item))
            else:
                yield lost(item, f"the processes that had it died, {_TRIES} of them")


def _run(task: bytes, item: Any) -> Any:
    function, shared = _loaded(task)
    return function(item, *shared)


@lru_cache(maxsize=1)
def _loaded(task: bytes) -> tuple[Callable[..., Any], tuple[Any, ...]]:
    import cloudpickle

    return cloudpickle.loads(task)


def _by_a_scheduler[A, R](
    function: Callable[..., R], items: Sequence[A], shared: Sequence[Any], address: str, lost: Callable[[A, str], R]
) -> Iterator[R]:
    """By the workers of a scheduler of dask.distributed."""
    if importlib.util.find_spec("distributed") is None:
        raise InputError(
            "the address of a scheduler needs dask.distributed, which is not installed: pip install 'glmm-zoo[cluster]'; or give a number "
            "of processes"
        )
    distributed: Any = importlib.import_module("distributed")
    try:  # not the default client, to which others would turn for locks
        client = distributed.Client(address, timeout=10, set_as_default=False)
    except (OSError, ValueError, TimeoutError) as err:
        raise InputError(f"workers: no scheduler of dask answers at {shown(address)}: {err}") from None
    with client:
        there = [client.scatter(value, broadcast=True, hash=False) for value in shared]
        futures = {client.submit(function, item, *there, pure=False): item for item in items}
        for future in distributed.as_completed(list(futures), loop=client.loop):
            try:
                yield future.result()
            except distributed.KilledWorker as err:
                yield lost(futures[future], f"the processes that had it died: {err}")

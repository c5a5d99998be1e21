"""How much memory there is, for estimates before work that could not be finished."""

from __future__ import annotations

import contextlib
import ctypes
import errno
import math
import os
from pathlib import Path

from glmm_zoo.errors import FitError

try:  # here, since with no memory left it could not be imported
    import resource
except ImportError:  # not on Windows
    resource = None

# Of the address space of `fit`, `predict` and `report`: below it libraries that are loaded end the process, or wait for ever. Fits ended
# at 1.95e9, none at 2.05e9.
LEAST_LIMIT = 2e9
_MUCH = 8e6
_NEARLY_NONE = 4e8  # left below a limit, when a library cannot be loaded
_SAID = (
    "failed to map segment",
    "cannot allocate memory",
    "allocation failed",
)  # by the loader of libraries, and by HDF5


def available_memory() -> float:
    """Bytes that this process may still use: what the machine has free, a container's limit, `ulimit -v`; inf if unknown."""
    return min(_free_on_machine(), _left_in_container(), _left_of_limit())


def in_gigabytes(size: float) -> str:
    """`"1.5 GB"`, and of what no machine has the power of ten; an integer may be larger than any float."""
    return f"{size / 1e9:.1f} GB" if size < 10**15 else f"10^{round(math.log10(size) - 9)} GB"


def give_back_what_is_free(kept: float) -> None:
    """Give the system memory that was freed, beside so many bytes that are kept; for few bytes it is not worth the while.

    The GNU C library keeps what is freed in pieces between what is in use. Other libraries have no such function.
    """
    if kept < _MUCH:
        return
    with contextlib.suppress(OSError, AttributeError, TypeError):
        ctypes.CDLL(None).malloc_trim(0)


def _free_on_machine() -> float:
    with contextlib.suppress(OSError, ValueError, IndexError):
        for line in Path("/proc/meminfo").read_text().splitlines():
            if line.startswith("MemAvailable:"):
                return 1024.0 * int(line.split()[1])
    with contextlib.suppress(AttributeError, OSError, ValueError):
        return float(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"))
    return math.inf


def _left_in_container() -> float:
    for most, used in (
        ("memory.max", "memory.current"),
        ("memory/memory.limit_in_bytes", "memory/memory.usage_in_bytes"),
    ):
        with contextlib.suppress(OSError, ValueError):  # "max" is no number
            root = Path("/sys/fs/cgroup")
            return max(0.0, float((root / most).read_text()) - float((root / used).read_text()))
    return math.inf


def _limit() -> float:
    """The limit of this process's address space, `ulimit -v`."""
    if resource is not None:
        limit = resource.getrlimit(resource.RLIMIT_AS)[0]
        return math.inf if limit == resource.RLIM_INFINITY else float(limit)
    return math.inf


def _left_of_limit() -> float:
    with contextlib.suppress(OSError, ValueError, IndexError):
        if _limit() < math.inf:
            pages = float(Path("/proc/self/statm").read_text().split()[0])
            return max(0.0, _limit() - os.sysconf("SC_PAGE_SIZE") * pages)
    return math.inf


def check_limit(least: float = LEAST_LIMIT) -> None:
    """Refuse to begin under a limit of memory at which libraries end the process without a word.

    Raises
    ------
    FitError
        A limit that is too low.
    """
    if _limit() < least:
        raise FitError(f"{_limited()}, and at least {least / 1e9:.2f} GB are needed; raise the limit")


def memory_ran_out(err: BaseException) -> str | None:
    """A sentence where memory ran out, which libraries say in many ways; None for another error."""
    if isinstance(err, MemoryError) and str(err) and _limit() == math.inf:
        return f"memory is full: {err}"
    said = any(words in str(err).lower() for words in _SAID)
    nearly_none = getattr(err, "errno", None) in (None, errno.ENOMEM) and _left_of_limit() < _NEARLY_NONE
    if isinstance(err, MemoryError) or said or nearly_none:
        where = "the memory of this machine is full" if _limit() == math.inf else _limited()
        return f"{where}, and this needs more; {'free some' if _limit() == math.inf else 'raise the limit'}"
    return None


def _limited() -> str:
    return f"this process may use {_limit() / 1e9:.2f} GB of memory by its limit (ulimit -v)"

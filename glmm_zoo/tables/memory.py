"""How much memory there is, for estimates before work that could not be finished."""

from __future__ import annotations

import contextlib
import math
import os
from pathlib import Path


def available_memory() -> float:
    """Bytes that this process may still use: what the machine has free, a container's limit, `ulimit -v`; inf if unknown."""
    return min(_free_on_machine(), _left_in_container(), _left_of_limit())


def in_gigabytes(size: float) -> str:
    """`"1.5 GB"`, and of what no machine has the power of ten; an integer may be larger than any float."""
    return f"{size / 1e9:.1f} GB" if size < 10**15 else f"10^{round(math.log10(size) - 9)} GB"


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


def _left_of_limit() -> float:
    with contextlib.suppress(ImportError, OSError, ValueError, IndexError):
        import resource

        limit = resource.getrlimit(resource.RLIMIT_AS)[0]
        if limit != resource.RLIM_INFINITY:
            return max(0.0, limit - resource.getpagesize() * float(Path("/proc/self/statm").read_text().split()[0]))
    return math.inf

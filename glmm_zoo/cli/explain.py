"""`glmm-zoo explain`."""

from __future__ import annotations

import re
from pathlib import Path

from glmm_zoo.cli.exit_codes import ExitCode
from glmm_zoo.cli.terminal import print_rich
from glmm_zoo.errors import did_you_mean, raise_all

_PACKAGE = Path(__file__).parents[1]


def explain(*names: str) -> int:
    """Explain messages of `check`, findings, warnings and errors: what each means, and what to do first; without a name list all.

    Parameters
    ----------
    names
        What a message ends with after "More: glmm-zoo explain", such as `divergences`.

    Examples
    --------
    glmm-zoo explain divergences
    """
    from rich.text import Text

    found = entries()
    raise_all([f"no message {name!r}{did_you_mean(name, found)}" for name in names if name not in found])
    if not names:
        print_rich(*(Text(f"{name}: {text.partition(chr(10))[0]}") for name, text in found.items()))
    for name in names:
        print_rich(Text(name, style="bold"), Text(f"{found[name]}\n"))
    return ExitCode.DONE


def guide() -> Path:
    """The guide to all messages: inside the installed package, or in the documentation of a checkout."""
    installed = _PACKAGE / "guides" / "diagnostics.md"
    return installed if installed.exists() else _PACKAGE.parent / "docs" / "guides" / "diagnostics.md"


def entries() -> dict[str, str]:
    """The entry of each message by its name, which is its heading of the third rank in the guide; the first line is its title."""
    parts = re.split(r"^### (\w+)\n", guide().read_text(encoding="utf-8"), flags=re.MULTILINE)
    texts = (re.split(r"^## ", part, flags=re.MULTILINE)[0].strip() for part in parts[2::2])
    return dict(zip(parts[1::2], texts, strict=True))

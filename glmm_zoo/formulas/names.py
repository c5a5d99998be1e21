"""Names of variables and dimensions of a model, made from names of columns and of linear predictors."""

from __future__ import annotations

import re
from collections.abc import Iterable

from glmm_zoo.errors import shown

# Names that variables and dimensions of the graph have or may have.
_RESERVED = re.compile(
    r"chain|draw|row|sample|coef|(.*_)?cutpoints?(_.*)?|sigma|alpha|zi|never(_.*)?|assoc|effect|tau|rho|exposure_time|exposure_shares|_.*"
    r"|(.*_)?(Intercept|beta)(_.*)?|(.*_)?(s|simplex)_.*|(.*_)?(sd|corr|pcorr|u|df)_.*|.*_(effect|effect_bis|coef|pair|step)"
)
_PLAIN_WORD = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")


def variable_name(column: str) -> str:
    """A name that PyMC, xarray and NetCDF all take for a variable or dimension; mostly the column's name itself.

    Slashes and control characters become underscores; one is added to names that the graph has for itself.
    """
    clean = "".join("_" if ch in "/\\" or ord(ch) < 32 else ch for ch in column).strip() or "_"
    clean = f"x{clean}" if clean.startswith(".") else clean
    return f"{clean}_" if _RESERVED.fullmatch(clean) else clean


def renamed(columns: Iterable[str]) -> list[str]:
    """A sentence on every column that a fit has under another name."""
    pairs = {column: variable_name(column) for column in columns}
    return [
        f"column {c!r} is called {name!r} in names of variables and dimensions"
        for c, name in pairs.items()
        if name != c
    ]


def not_a_plain_word(name: object) -> str | None:
    """What is wrong with a name that files or groups of files are to be called by; None where nothing is."""
    if isinstance(name, str) and _PLAIN_WORD.fullmatch(name):
        return None
    return f"must be a plain word of letters, digits, _ and -, at most 64, not {shown(name)}"


def prefix_within(outcome: str, part: str) -> str:
    """The prefix of one linear predictor of an outcome: `outcome`, "zi", or "count_zi"."""
    return prefixed(outcome, part) if part else outcome


def prefixed(prefix: str, name: str) -> str:
    """`Intercept`, or `zi_Intercept` for a predictor with the prefix "zi"."""
    return f"{prefix}_{name}" if prefix else name

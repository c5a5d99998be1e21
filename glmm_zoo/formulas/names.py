"""Names of variables and dimensions of a model, made from names of columns and of linear predictors."""

from __future__ import annotations

import re

# Names that variables and dimensions of the graph have or may have.
_RESERVED = re.compile(
    r"chain|draw|row|sample|coef|(.*_)?cutpoints?(_.*)?|sigma|alpha|zi|never(_.*)?|assoc|effect|tau|rho|exposure_time|exposure_shares|_.*"
    r"|(.*_)?(Intercept|beta)(_.*)?|(.*_)?s_.*|(.*_)?(sd|corr|pcorr|u)_.*|.*_(effect|effect_bis|coef|pair)"
)


def variable_name(column: str) -> str:
    """A name that PyMC, xarray and NetCDF all take for a variable or dimension; mostly the column's name itself.

    Slashes and control characters become underscores; one is added to names that the graph has for itself.
    """
    clean = "".join("_" if ch in "/\\" or ord(ch) < 32 else ch for ch in column).strip() or "_"
    clean = f"x{clean}" if clean.startswith(".") else clean
    return f"{clean}_" if _RESERVED.fullmatch(clean) else clean


def prefixed(prefix: str, name: str) -> str:
    """`Intercept`, or `zi_Intercept` for a predictor with the prefix "zi"."""
    return f"{prefix}_{name}" if prefix else name

"""Whether a prior was given for the fit or is the default."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from glmm_zoo.priors import parse


def prior_origin(spec: Mapping[str, Any], variable: str, element: str, prior: str) -> str:
    """ "yours" if a prior that was given is in force here; "" of a file that does not keep what was given."""
    if "given" not in spec:
        return ""
    names = {variable, element, element.split("[")[0]} - {""}
    for pattern, general in ((r"(.*?)(sd|corr|rho)_(.*)", "{0}{1}[{2}"), (r"(.*?)s_(.*)_(sd|linear)", "{0}s_{2}")):
        found = re.fullmatch(pattern, variable)
        names |= {general.format(*found.groups()), f"{found[1]}{found[2]}"} if found else set()
    names |= {"beta"} if variable.endswith("_linear") else {"effect"} if variable == "long_term_effect" else set()
    names |= {name.removeprefix(f"{prefix}_") for prefix in spec.get("outcomes", ()) for name in names}
    squeezed = tuple(re.sub(r"\s+", "", name) for name in names)
    given = [text for key, text in spec["given"].items() if re.sub(r"\s+", "", key).startswith(squeezed)]
    return "yours" if any(str(parse(text)) == prior for text in given) else "default"

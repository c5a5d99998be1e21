"""What a prior is of: the kind of its parameter, its outcome and its linear predictor, and whose it is."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from glmm_zoo.families.family import OwnParameter
from glmm_zoo.formulas.names import variable_name
from glmm_zoo.priors import parse
from glmm_zoo.report.parts import OutcomeParts, Parts


@dataclass(frozen=True)
class PriorOf:
    """A parameter: its variable, one of its elements ("" of all), what kind it is, its link, its outcome, and the scale of its unit."""

    variable: str
    element: str
    kind: str
    link: str
    outcome: OutcomeParts
    part: str = ""

    @property
    def own(self) -> OwnParameter | None:
        """The family's own parameter that it is, of one cause where there are several."""
        return self.outcome.family.own_parameter(self.kind) or self.outcome.family.own_parameter(self.variable)


def prior_kind(parts: Parts, variable: str) -> tuple[str, OutcomeParts, str]:
    """What kind of parameter a variable is, "intercept", "coefficient", "sd", ..., an own one of the family its name; of which outcome,
    and of which further part, "zi", "never"."""
    of = read_prior_of(parts, variable, "")
    return of.kind, of.outcome, of.part


def read_prior_of(parts: Parts, variable: str, element: str) -> PriorOf:
    """Which outcome and which linear predictor a parameter belongs to."""
    outcome, part, base = parts.outcomes[0], "", variable
    named = [*(parts.outcomes if len(parts.outcomes) > 1 else ()), *parts.covariates]
    for candidate in sorted(named, key=lambda o: len(o.prefix), reverse=True):
        if variable.startswith(f"{candidate.prefix}_") or f"{candidate.prefix}:" in element:
            outcome, base = candidate, variable.removeprefix(f"{candidate.prefix}_")
            break
    for name in outcome.others:
        if base != "nominal_beta" and (base.startswith(f"{name}_") or f"{name}:" in element):
            part, base = name, base.removeprefix(f"{name}_")
            break
    for level in outcome.named:
        base = base.removeprefix(f"{variable_name(level)}_")
    link = outcome.others[part].link if part else outcome.link
    kind = next((k for k, pattern in _KINDS.items() if re.fullmatch(pattern, base)), base)
    return PriorOf(variable, element, kind, link, outcome, part)


_KINDS = {
    "sd": "sd_.*", "corr": "corr_.*", "df": "df_.*", "smooth sd": "s_.*_sd", "smooth line": "s_.*_linear", "coefficient": "beta|beta_mean|s_.*_linear",
    "intercept": "Intercept|cutpoints", "effect": "effect|long_term_effect", "hazard coefficient": "surv_beta|assoc",
    "hazard level": "surv_Intercept|log_h0|h0_level|h0_weights", "share": "never",
    "autocorrelation": "rho|rho_at_gap|partial_rho|ar1_.*", "range": "range_.*", "spatial share": "rho_.+", "simplex": "simplex_.*",
}  # fmt: skip


def origin_of(spec: Mapping[str, Any], variable: str, element: str, prior: str) -> str:
    """ "yours" if a prior that was given is in force here; "" of a file that does not keep what was given."""
    if "given" not in spec:
        return ""
    names = {variable, element, element.split("[")[0]} - {""}
    for pattern, general in (
        (r"(.*?)(sd|corr|df|ar1|range|rho|simplex)_(.*)", "{0}{1}[{2}"),
        (r"(.*?)s_(.*)_(sd|linear)", "{0}s_{2}"),
    ):
        found = re.fullmatch(pattern, variable)
        names |= {general.format(*found.groups()), f"{found[1]}{found[2]}"} if found else set()
    names |= {"beta"} if variable.endswith("_linear") else {"effect"} if variable == "long_term_effect" else set()
    names |= {name.removeprefix(f"{prefix}_") for prefix in spec.get("outcomes", ()) for name in names}
    squeezed = tuple(re.sub(r"\s+", "", name) for name in names)
    given = [text for key, text in spec["given"].items() if re.sub(r"\s+", "", key).startswith(squeezed)]
    return "yours" if any(str(parse(text)) == prior for text in given) else "default"

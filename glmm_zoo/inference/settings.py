"""How a model is sampled: one value, checked once, that passes from the command line or a notebook to the sampler."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from glmm_zoo.errors import listing

PARAMETERIZATIONS = ("auto", "noncentered", "centered")
KEPT_EFFECTS = ("auto", "draws", "moments")


@dataclass(frozen=True)
class Settings:
    """The arguments of `fit` beside the model, whose docstring says what each means. None leaves the choice to `fit`."""

    draws: int = 1000
    tune: int = 500
    chains: int = 4
    cores: int | None = None
    seed: int | None = None
    thin: int | None = None
    target_accept: float | None = None
    parameterization: str = "auto"
    keep_group_effects: str = "auto"

    def problems(self, *, least_draws: int = 1, spell: Callable[[str], str] = str) -> list[str]:
        """A sentence for each value out of range.

        `least_draws` bounds draws and warm-up draws from below; `spell` turns the name of a setting into the word that
        the user wrote, such as "--target-accept" for `target_accept`.
        """
        least = {"draws": least_draws, "tune": least_draws, "chains": 1, "cores": 1, "seed": 0, "thin": 1}
        problems = [
            f"{spell(name)} must be a whole number of at least {bound}, not {value!r}"
            for name, bound in least.items()
            if (value := getattr(self, name)) is not None and not _is_whole_number(value, bound)
        ]
        problems += [
            f"{spell(name)} must be one of {listing(known)}, not {value!r}"
            for name, known in (("parameterization", PARAMETERIZATIONS), ("keep_group_effects", KEPT_EFFECTS))
            if (value := getattr(self, name)) not in known
        ]
        if self.target_accept is not None and not 0 < self.target_accept < 1:
            problems.append(f"{spell('target_accept')} must be between 0 and 1, not {self.target_accept!r}")
        return problems


def _is_whole_number(value: object, least: int) -> bool:
    return isinstance(value, int | np.integer) and not isinstance(value, bool) and int(value) >= least

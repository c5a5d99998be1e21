"""How a model is sampled: one value, checked once, that passes from the command line or a notebook to the sampler."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields
from numbers import Integral, Real
from typing import Literal, get_args

from glmm_zoo.errors import listing, plural, shown
from glmm_zoo.tables.memory import available_memory, in_gigabytes

Parameterization = Literal["auto", "noncentered", "centered"]
KeptEffects = Literal["auto", "draws", "moments"]
Backend = Literal["kernel", "jax"]
PARAMETERIZATIONS: tuple[str, ...] = get_args(Parameterization)
KEPT_EFFECTS: tuple[str, ...] = get_args(KeptEffects)
BACKENDS: tuple[str, ...] = get_args(Backend)
LARGEST_SEED = 2**64 - 1  # nutpie's
TARGET_ACCEPT = 0.8  # where the settings leave it open
MAX_TREE_DEPTH = 10

_STATISTICS = 8  # numbers that the sampler tells of each draw


@dataclass(frozen=True)
class Settings:
    """What `fit` is told; its docstring says what each means. None leaves the choice to `fit`."""

    draws: int = 1000
    tune: int = 500
    chains: int = 4
    cores: int | None = None
    seed: int | None = None
    thin: int | None = None
    effective: int | None = None
    target_accept: float | None = None
    parameterization: str = "auto"
    keep_group_effects: str = "auto"
    backend: str = "kernel"

    def __post_init__(self) -> None:
        """NumPy's whole numbers become Python's, which can be stored with the fit."""
        for name in ("draws", "tune", "chains", "cores", "seed", "thin", "effective"):
            value = getattr(self, name)
            if isinstance(value, Integral) and not isinstance(value, bool):
                object.__setattr__(self, name, int(value))

    def problems(self, *, least_draws: int = 1, spell: Callable[[str], str] = str) -> list[str]:
        """A sentence for each value out of range.

        `least_draws` bounds draws and warm-up draws from below; `spell` turns the name of a setting into the word that
        the user wrote, such as "--target-accept" for `target_accept`.
        """
        least = {
            "draws": least_draws,
            "tune": least_draws,
            "chains": 1,
            "cores": 1,
            "seed": 0,
            "thin": 1,
            "effective": 1,
        }
        problems = [
            f"{spell(name)} must be a whole number of at least {bound}, not {shown(value)}"
            for name, bound in least.items()
            if (value := getattr(self, name)) is not None and not _is_whole_number(value, bound)
        ]
        if _is_whole_number(self.seed, LARGEST_SEED + 1):
            problems.append(f"{spell('seed')} must be at most 2**64 - 1 = {LARGEST_SEED}, not {shown(self.seed)}")
        problems += [
            f"{spell(name)} must be one of {listing(known)}, not {shown(value)}"
            for name, known in (
                ("parameterization", PARAMETERIZATIONS),
                ("keep_group_effects", KEPT_EFFECTS),
                ("backend", BACKENDS),
            )
            if (value := getattr(self, name)) not in known
        ]
        if self.effective is not None and self.thin is not None:
            problems.append(
                f"{spell('effective')} and {spell('thin')} both say how many draws are made; give one of them"
            )
        target = self.target_accept
        if target is not None and not (isinstance(target, Real) and 0 < float(target) < 1):
            problems.append(f"{spell('target_accept')} must be between 0 and 1, not {shown(target)}")
        return problems or self.memory_problems(1, spell=spell)

    def memory_problems(self, unknowns: int, *, spell: Callable[[str], str] = str) -> list[str]:
        """A sentence if the draws of so many unknowns do not fit in memory."""
        needed, available = self.memory_needed(unknowns), available_memory()
        if needed <= available:
            return []
        made = [f"{spell('draws')} {self.draws}", f"{spell('tune')} {self.tune}", f"{spell('chains')} {self.chains}"]
        made += [f"{spell('thin')} {self.thin}"] if self.thin else []
        return [
            f"{listing(made)} need {in_gigabytes(needed)} of memory for {plural(unknowns, 'unknown')}, and "
            f"{in_gigabytes(available)} are free; ask for less of them"
        ]

    def memory_needed(self, unknowns: int) -> int:
        """Bytes that sampling takes: the sampler holds all draws that it makes and their statistics, which are then copied
        before they are thinned; of the warm-up only statistics."""
        draws, tune, chains, thin = int(self.draws), int(self.tune), int(self.chains), int(self.thin or 1)
        held = draws * thin * (unknowns + _STATISTICS) + tune * _STATISTICS
        return 8 * chains * (2 * held + draws * unknowns)


def _is_whole_number(value: object, least: int) -> bool:
    """NumPy's integers are `Integral` too; NumPy is not imported for this, so that the command line starts at once."""
    return isinstance(value, Integral) and not isinstance(value, bool) and int(value) >= least


SETTING_NAMES = tuple(f.name for f in fields(Settings))

"""How often the limits of R-hat and effective draws are broken by chance, and how often by a chain that lies elsewhere.

    python benchmarks/validation/verdict_noise.py

Draws are simulated: four sound chains whose effective draws are just those that the verdict requires, in three ways
(independent, autoregressive, and with a slow distance from the median, which only folded R-hat sees), and autoregressive
chains with 1600 effective draws of which one is shifted. Prints the share of fits with a false alarm for 20 to 20,000
random effects, strictly (1.01 and 400 effective draws) and by the limits of the verdict, and the share of shifts found.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy.signal import lfilter
from scipy.special import ndtr, ndtri

from glmm_zoo.results import convergence
from glmm_zoo.results.diagnostics import ESS_PER_CHAIN, RHAT, noise_of_worst

CHAINS = 4
NUMBERS = (20, 200, 2000, 20_000)
AT_ONCE = 50
Simulation = Callable[[np.random.Generator], np.ndarray]  # of (chains, draws, AT_ONCE)


def autoregressive(rng: np.random.Generator, draws: int, effective: float) -> np.ndarray:
    """Normal chains of so many draws, all of them together worth `effective` independent ones."""
    share = effective / (CHAINS * draws)
    phi = (1 - share) / (1 + share)
    noise = rng.normal(size=(CHAINS, draws, AT_ONCE)) * np.sqrt(1 - phi**2)
    noise[:, 0] /= np.sqrt(1 - phi**2)
    return lfilter([1.0], [1.0, -phi], noise, axis=1)


def slow_distance(rng: np.random.Generator, draws: int, effective: float) -> np.ndarray:
    """Normal draws whose signs are independent and whose distance from 0 is autoregressive."""
    x = autoregressive(rng, draws, effective)
    return ndtri((1 + ndtr(x)) / 2) * rng.choice([-1.0, 1.0], x.shape)


def shifted(rng: np.random.Generator, shift: float) -> np.ndarray:
    x = autoregressive(rng, 1000, 1600)
    x[0] += shift
    return x


def statistics(simulate: Simulation, number: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """R-hat and the smaller of the effective draws in bulk and tails, of so many quantities."""
    rng, found = np.random.default_rng(seed), []
    for _ in range(number // AT_ONCE):
        x = simulate(rng)
        bulk, r_hat = convergence.ess_bulk_and_rhat(x)
        found.append((r_hat, np.minimum(bulk, convergence.ess_tail(x))))
    r_hat, effective = np.concatenate(found, axis=1)
    return r_hat, effective


def alarms(r_hat: np.ndarray, effective: np.ndarray, noise: float) -> dict[str, np.ndarray]:
    """Which quantities are beyond the limits, by the name of the limit."""
    needed = ESS_PER_CHAIN * CHAINS / noise
    high, few = r_hat >= np.sqrt(1 + (RHAT**2 - 1) * noise), effective < needed
    return {"R-hat": high, "effective draws": few, "either": high | few}


def main() -> None:
    needed = ESS_PER_CHAIN * CHAINS
    sound: dict[str, tuple[Simulation, int]] = {
        "independent, 100 draws": (lambda rng: autoregressive(rng, 100, needed), 1_000_000),
        "autoregressive, 250 draws": (lambda rng: autoregressive(rng, 250, needed), 100_000),
        "autoregressive, 1000 draws": (lambda rng: autoregressive(rng, 1000, needed), 20_000),
        "slow distance, 250 draws": (lambda rng: slow_distance(rng, 250, needed), 100_000),
    }
    print("share of sound fits with an alarm: strictly, then by the limits of the verdict")
    for name, (simulate, number) in sound.items():
        found = statistics(simulate, number, seed=1)
        for effects in NUMBERS:
            shares = {
                limit: [
                    of_fits(alarms(*found, noise)[limit], effects) for noise in (1.0, noise_of_worst(effects, CHAINS))
                ]
                for limit in ("R-hat", "effective draws", "either")
            }
            words = ", ".join(f"{limit} {strict:.3f} {ours:.4f}" for limit, (strict, ours) in shares.items())
            print(f"{name}, {effects} effects in {number // effects} fits: {words}", flush=True)
    print("share of effects found of which one chain of 1000 draws is shifted by so many sds")
    for shift in (0.0, 0.3, 0.4, 0.5, 0.6, 0.8, 1.0):
        found = statistics(lambda rng, by=shift: shifted(rng, by), 1000, seed=2)
        noises = {"strict": 1.0, **{str(n): noise_of_worst(n, CHAINS) for n in NUMBERS}}
        shares = {
            name: [alarms(*found, noise)[limit].mean() for limit in ("R-hat", "either")]
            for name, noise in noises.items()
        }
        print(f"{shift}: " + ", ".join(f"{name} {r:.3f} {e:.3f}" for name, (r, e) in shares.items()), flush=True)


def of_fits(alarm: np.ndarray, effects: int) -> float:
    """The share of fits of so many effects with an alarm."""
    return float(alarm[: len(alarm) // effects * effects].reshape(-1, effects).any(axis=1).mean())


if __name__ == "__main__":
    main()

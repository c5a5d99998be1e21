"""What NUTS returns, and how chains, and the draws of chains that went on, are put together."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from glmm_zoo.results import convergence


@dataclass(frozen=True)
class Draws:
    """Unconstrained draws, as many as the longest chain has, NaN from where another was stopped; and sampler statistics.

    x
        (chains, draws, n), or of the draws `x_draws` only.
    x_draws
        The numbers of the draws whose x is kept.
    stats
        Statistics of the sampler by name, (chains, draws) each.
    finished
        Draws made after warm-up by each chain (chains,).
    gradients
        Evaluations of the gradient, of warm-up and sampling together.
    interrupted
        Whether Ctrl-C ended sampling.
    seconds
        How long sampling took.
    divergences
        How many transitions after warm-up diverged, of draws that are not kept too.
    bfmi
        E-BFMI of each chain (chains,) from all transitions, the smallest of its parts.
    recorded
        (chains, draws, ...) of each variable recorded while sampling; None where x holds all.
    moments
        (statistics, k) of the variables of which not all draws are kept; None where there are none.
    effects
        (chains, some draws, effects) of the first of these in single precision.
    """

    x: np.ndarray
    x_draws: np.ndarray
    stats: Mapping[str, np.ndarray]
    finished: np.ndarray
    gradients: int
    interrupted: bool
    seconds: float
    divergences: int
    bfmi: np.ndarray
    recorded: Sequence[np.ndarray] | None = None
    moments: np.ndarray | None = None
    effects: np.ndarray | None = None

    def x_of(self, draws: np.ndarray) -> np.ndarray:
        """x of these draws of every chain (chains x draws, n)."""
        x = self.x if len(draws) == len(self.x_draws) else self.x[:, np.searchsorted(self.x_draws, draws)]
        return x.reshape(-1, x.shape[2])

    def of_these(self, draws: np.ndarray) -> Draws:
        """The same with x of these draws of every chain alone."""
        if len(draws) == len(self.x_draws):
            return self
        return replace(self, x=self.x[:, np.searchsorted(self.x_draws, draws)], x_draws=draws)

    def without_values(self) -> Draws:
        """What they cost, and their statistics."""
        return replace(self.of_these(self.x_draws[:0]), recorded=None, effects=None)

    def with_cost_of(self, earlier: Draws) -> Draws:
        """These, with the gradients and seconds of earlier ones added to their own."""
        return replace(self, gradients=self.gradients + earlier.gradients, seconds=self.seconds + earlier.seconds)


def of_one_chain(
    x: np.ndarray, stats: Mapping[str, np.ndarray], gradients: int, seconds: float, *, interrupted: bool
) -> Draws:
    """One chain, of x (1, draws, n) and its statistics (1, draws), the warm-up left out."""
    made = x.shape[1]
    return Draws(
        x,
        np.arange(made),
        stats,
        np.array([made]),
        gradients,
        interrupted,
        seconds,
        divergences=int(stats["diverging"].sum()),
        bfmi=np.array([convergence.bfmi(stats["energy"][0])]),
    )


def beside_each_other(chains: list[Draws], seconds: float) -> Draws:
    """Chains, each by itself, of which some may be shorter; all took so many seconds together.

    The x of each is given up as soon as it is copied, so that little is there twice.
    """
    most = max(c.x.shape[1] for c in chains)

    def padded(values: Iterable[np.ndarray], like: np.ndarray) -> np.ndarray:
        nothing = np.nan if like.dtype.kind == "f" else 0
        whole = np.empty((len(chains), most, *like.shape[2:]), like.dtype)
        for row, of_chain in zip(whole, values, strict=True):
            made = of_chain.shape[1]
            row[:made], row[made:] = of_chain[0], nothing
        return whole

    def given_up() -> Iterator[np.ndarray]:
        for k, chain in enumerate(chains):
            chains[k] = replace(chain, x=chain.x[:, :0].copy())
            yield chain.x

    return Draws(
        x=padded(given_up(), chains[0].x[:, :0].copy()),
        x_draws=np.arange(most),
        stats={name: padded([c.stats[name] for c in chains], like) for name, like in chains[0].stats.items()},
        finished=np.concatenate([c.finished for c in chains]),
        gradients=sum(c.gradients for c in chains),
        interrupted=any(c.interrupted for c in chains),
        seconds=seconds,
        divergences=sum(c.divergences for c in chains),
        bfmi=np.concatenate([c.bfmi for c in chains]),
    )


def joined_and_thinned(parts: Sequence[Draws], thin: int) -> Draws:
    """Chains of equally many draws one after another, the last parts perhaps shorter, of which every `thin`-th draw is kept.

    A kept draw diverged, or reached the greatest depth, if one since the kept draw before it did.
    """
    if thin == len(parts) == 1:
        return parts[0]
    ends = np.cumsum([p.x.shape[1] for p in parts])
    kept = np.arange(thin - 1, ends[-1], thin)
    within = np.split(kept, np.searchsorted(kept, ends[:-1]))
    x = np.concatenate(
        [p.x[:, own - end + p.x.shape[1]] for p, own, end in zip(parts, within, ends, strict=True)], axis=1
    )
    stats = {}
    for name, first in parts[0].stats.items():
        values = [p.stats[name] for p in parts]
        if name == "energy":  # which has a constant for each mass matrix
            values = [e - _mean_of_chains(e) + _mean_of_chains(first) for e in values]
        by_kept = np.concatenate(values, axis=1)[:, : thin * len(kept)].reshape(len(first), len(kept), thin)
        stats[name] = by_kept.any(axis=2) if first.dtype == bool else by_kept[:, :, -1]
    return replace(
        parts[-1],
        x=x,
        x_draws=np.arange(len(kept)),
        stats=stats,
        finished=sum(p.finished for p in parts) // thin,
        gradients=sum(p.gradients for p in parts),
        seconds=sum(p.seconds for p in parts),
        divergences=sum(p.divergences for p in parts),
        bfmi=np.minimum.reduce([p.bfmi for p in parts]),
    )


def _mean_of_chains(values: np.ndarray) -> np.ndarray:
    """Over the draws of each chain that were made (chains, 1)."""
    made = np.isfinite(values)
    total = np.where(made, values, 0.0).sum(axis=1, keepdims=True)
    return total / np.maximum(made.sum(axis=1, keepdims=True), 1)

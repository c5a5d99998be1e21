"""A Gaussian approximation q(b, u) of the coefficients and group effects of one linear predictor, given weights and working
responses of its rows: the mixed model equations, with the covariances of the group effects by EM.

Levels, rows and effects are l, n and k; p coefficients; R unknowns that are solved for together.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from glmm_zoo.graph.transforms.group_effects import GroupEffectsInformation, SharedInformation
from glmm_zoo.graph.transforms.smooth_weights import SmoothWeightsInformation
from glmm_zoo.plans.intake import Group

if TYPE_CHECKING:
    from glmm_zoo.graph.model import LinearPredictor

WORK = 4e9  # multiplications of a round that solves for the effects of several factors at once,
NUMBERS = 6e6  # and numbers that it holds
_LEAST_SD, _MOST_SD = 0.05, 10.0  # of a group effect, in units of the link


class PredictorApproximation:
    """One linear predictor eta = D b + offset + sum over factors f of Z_f u_f, and what is known of it after so many rounds.

    Row i of factor f has covariates z[f][i] (k_f,) and level codes[f][i].

    Of the model: `groups` the factors, `names` of their effects, `columns` the positions of this predictor's effects among
    those of the factor, `levels` how many each has, `smooths` the weights of each smooth with their positions in b, `D`
    (n, p), `offset` (n,), `unit` in which eta is of size one, `fixed` the number of coefficients before the smooths'
    weights, `prior_score` (p,) what the coefficients' priors add to the right-hand side. `order` has the factors with the
    fewest levels first; `exact` says whether all unknowns are solved for at once.

    Changed by `update`: `b` (p,) and `covariance` (p, p) of the coefficients; `u[f]` (levels, k_f) the means of the effects;
    `S[f]` (k_f, k_f) their covariance between levels; `sds` of each smooth's weights, and with them `prior_precision` (p,);
    `mean` and `variance` (n,) of eta; `w` and `y` (n,) the weights and working responses without the offset; `penalty` (p,)
    the prior precision that the last round used; `change` how much the covariances moved.
    """

    def __init__(self, prefix: str, linear: LinearPredictor, groups: Sequence[Group], unit: float):
        self.groups, self.unit, self.D = list(groups), unit, linear.design
        self.names = [g.name("u") for g in groups]
        n, p = self.D.shape
        self.fixed = len(linear.elements)
        ends = self.fixed + np.cumsum([0, *(len(s.sd_of) for s in linear.smooth_weights)])
        positions = [np.arange(start, end) for start, end in itertools.pairwise(ends)]
        self.smooths = list(zip(linear.smooth_weights, positions, strict=True))
        self.sds = [np.full(s.sd_of.max() + 1, unit / _size(self.D[:, at])) for s, at in self.smooths]
        precision = np.array([prior.arguments.get("sigma", 100.0 * unit) ** -2.0 for prior in linear.priors])
        self.prior_score = np.zeros(p)
        self.prior_score[: self.fixed] = precision * [prior.arguments.get("mu", 0.0) for prior in linear.priors]
        self.prior_precision = np.append(precision, np.zeros(p - self.fixed))
        self._penalize_smooths()
        self.offset = np.zeros(n) if linear.offset is None else linear.offset
        self.columns = [[k for k, owner in enumerate(g.owners) if owner == prefix] for g in groups]
        self.z = [np.column_stack([g.z[k] for k in own]) for g, own in zip(groups, self.columns, strict=True)]
        self.codes = [g.codes[prefix] for g in groups]
        self.levels = [len(g.factor.levels) for g in groups]
        self.S = [np.eye(z.shape[1]) * unit**2 * 0.25 for z in self.z]
        self.b = np.zeros(p)
        self.u = [np.zeros((levels, z.shape[1])) for levels, z in zip(self.levels, self.z, strict=True)]
        self.mean = self.offset.copy()
        self.variance = np.full(n, 0.25 * unit**2)
        self.change = np.inf
        self.order = sorted(range(len(groups)), key=lambda f: self.levels[f])
        *others, largest = [u.size for u in sorted(self.u, key=len)] or [0]
        rest = p + sum(others)
        self.exact = not others or (largest * rest <= NUMBERS and (largest + rest) * rest**2 <= WORK)
        self._pairs_of_levels: dict[tuple[int, int], tuple[np.ndarray, np.ndarray]] = {}  # that share rows, by factors

    def _penalize_smooths(self) -> None:
        for (smooth, at), sds in zip(self.smooths, self.sds, strict=True):
            self.prior_precision[at] = sds[smooth.sd_of] ** -2.0

    # sums over rows, by level
    def _information(self, f: int, w: np.ndarray) -> np.ndarray:
        """Z_f' W Z_f by level (levels, k, k)."""
        z, k = self.z[f], self.z[f].shape[1]
        A = np.empty((self.levels[f], k, k))
        for i in range(k):
            for j in range(i + 1):
                A[:, i, j] = A[:, j, i] = np.bincount(self.codes[f], w * z[:, i] * z[:, j], self.levels[f])
        return A

    def _by_level(self, f: int, x: np.ndarray) -> np.ndarray:
        """Z_f' x by level for columns x (n, m): (levels, k, m)."""
        z = self.z[f]
        return (
            np.stack(
                [
                    np.stack([np.bincount(self.codes[f], z[:, i] * col, self.levels[f]) for col in x.T], axis=1)
                    for i in range(z.shape[1])
                ],
                axis=1,
            )
            if x.shape[1]
            else np.empty((self.levels[f], z.shape[1], 0))
        )

    def update(self, w: np.ndarray, response: np.ndarray) -> None:
        """q given weights w (n,) and working responses (n,), then the covariances of the effects by one EM step."""
        self.w, self.y, self.penalty = w, response - self.offset, self.prior_precision.copy()
        solve = self._without_groups if not self.groups else self._together if self.exact else self._in_turn
        second_moments = solve()
        self.mean = self.offset + self.D @ self.b
        for f, u in enumerate(self.u):
            self.mean = self.mean + np.einsum("nk,nk->n", self.z[f], u[self.codes[f]])
        self.change = 0.0
        for f, moment in enumerate(second_moments):
            self._update_covariance(f, moment / self.levels[f])
        self._update_smooth_sds()

    def _update_covariance(self, f: int, S: np.ndarray) -> None:
        """S is the covariance of the effects of factor f from now on, with sds between the bounds."""
        sd = np.sqrt(np.diag(S))
        bounded = np.clip(sd, _LEAST_SD * self.unit, _MOST_SD * self.unit)
        S = S * np.outer(bounded / sd, bounded / sd)
        self.change = max(self.change, float(np.max(np.abs(np.log(bounded**2 / np.diag(self.S[f]))))) / 10)
        self.S[f] = S

    def _update_smooth_sds(self) -> None:
        second_moment = self.b**2 + np.diag(self.covariance)
        for i, (smooth, at) in enumerate(self.smooths):
            sds = np.sqrt(np.bincount(smooth.sd_of, second_moment[at]) / np.bincount(smooth.sd_of))
            unit = self.unit / _size(self.D[:, at])
            sds = np.clip(sds, _LEAST_SD * unit, _MOST_SD * unit)
            self.change = max(self.change, float(np.max(np.abs(np.log(sds / self.sds[i])))) / 5)
            self.sds[i] = sds
        self._penalize_smooths()

    def _without_groups(self) -> list[np.ndarray]:
        """Solves for the coefficients."""
        H, g = self._system([])
        self.covariance = _inverse(H + np.diag(self.prior_precision))
        self.b = self.covariance @ (g + self.prior_score)
        self.variance = np.sum(self.D @ self.covariance * self.D, axis=1)
        return []

    def _together(self) -> list[np.ndarray]:
        """Solves for all unknowns at once: those of `_reduced`, then the effects of the largest factor given them.

        Returns E[sum over levels of u u'] (k, k) for each factor."""
        H, g, V, Vc, VX = self._reduced()
        *others, f = self.order
        p, places = self.D.shape[1], self._places(others)
        H[np.arange(p), np.arange(p)] += self.prior_precision
        g[:p] += self.prior_score
        for e, at in places.items():
            H[at[:, :, None], at[:, None, :]] += np.linalg.inv(self.S[e])
        C = _inverse(H)
        solution = C @ g
        across = (_by_effect(VX) @ C).reshape(VX.shape)  # minus the covariance with the others
        self.covariance, self.b, self.u[f] = C[:p, :p], solution[:p], Vc - VX @ solution
        covariances = {f: V + across @ VX.transpose(0, 2, 1)}
        for e, at in places.items():
            self.u[e], covariances[e] = solution[at], C[at[:, :, None], at[:, None, :]]
        self.variance = self._variance(C, across, covariances[f])
        return [np.einsum("gk,gl->kl", u, u) + covariances[e].sum(axis=0) for e, u in enumerate(self.u)]

    def _reduced(self) -> tuple[np.ndarray, ...]:
        """The system of the R coefficients and effects of all factors but the largest, averaged over the effects u of that
        one, each level of which is coupled with X (k, R). H (R, R) and g (R,), without priors; V (levels, k, k), the
        covariance of u given the R; V c (levels, k), its mean where they are 0; V X (levels, k, R)."""
        *others, f = self.order
        H, g = self._system(others)
        X, c = self._coupling(f, others), self._by_level(f, (self.w * self.y)[:, None])
        V = np.linalg.inv(self._information(f, self.w) + np.linalg.inv(self.S[f]))
        Vc, VX = V @ c, V @ X
        X = _by_effect(X).T
        return H - X @ _by_effect(VX), g - X @ Vc.ravel(), V, Vc[:, :, 0], VX

    def _system(self, factors: Sequence[int]) -> tuple[np.ndarray, np.ndarray]:
        """Information of the likelihood about the coefficients and the effects of these factors, and its product with the
        response."""
        p, places = self.D.shape[1], self._places(factors)
        size = p + sum(at.size for at in places.values())
        H, g = np.zeros((size, size)), np.zeros(size)
        H[:p, :p], g[:p] = (self.D * self.w[:, None]).T @ self.D, self.D.T @ (self.w * self.y)
        for e, at in places.items():
            before = [d for d in places if places[d][0, 0] < at[0, 0]]
            X = self._coupling(e, before)
            H[at, : X.shape[2]] = X
            H[: X.shape[2], at] = X.transpose(2, 0, 1)
            H[at[:, :, None], at[:, None, :]] = self._information(e, self.w)
            g[at] = self._by_level(e, (self.w * self.y)[:, None])[:, :, 0]
        return H, g

    def _coupling(self, f: int, factors: Sequence[int]) -> np.ndarray:
        """Information that the effects of factor f share with the coefficients and the effects of these (levels, k, R)."""
        z, p, places = self.z[f], self.D.shape[1], self._places(factors)
        X = np.zeros((self.levels[f], z.shape[1], p + sum(at.size for at in places.values())))
        X[:, :, :p] = self._by_level(f, self.D * self.w[:, None])
        for e, at in places.items():
            pairs = self._shared(f, e, self.w)
            columns = at[pairs.other][:, None, :]
            X[pairs.own[:, None, None], np.arange(z.shape[1])[:, None], columns] = pairs.weights.transpose(2, 0, 1)
        return X

    def _places(self, factors: Sequence[int]) -> dict[int, np.ndarray]:
        """Where the effects of these factors stand, after the coefficients and each other: (levels, k)."""
        start, places = self.D.shape[1], {}
        for f in factors:
            places[f] = start + np.arange(self.u[f].size).reshape(self.u[f].shape)
            start += self.u[f].size
        return places

    def _variance(self, C: np.ndarray, across: np.ndarray, own: np.ndarray) -> np.ndarray:
        """Of eta (n,), from the covariance C (R, R) of the unknowns of `_reduced`, minus that of the largest factor's
        effects with them (levels, k, R), and that of the effects (levels, k, k)."""
        *others, f = self.order
        z, at = self.z[f], self.codes[f]
        variance = np.einsum("nk,nkl,nl->n", z, own[at], z)
        if not others:
            return variance + np.sum((self.D @ C - 2 * np.einsum("nk,nkp->np", z, across[at])) * self.D, axis=1)
        x = np.hstack([self.D, *(self.z[e] for e in others)])
        places = [place[self.codes[e]] for e, place in self._places(others).items()]
        columns = np.hstack([np.broadcast_to(np.arange(self.D.shape[1]), self.D.shape), *places])
        for rows in np.array_split(np.arange(len(x)), max(1, x.size * x.shape[1] // 4_000_000)):
            which, values = columns[rows], x[rows]
            variance[rows] += np.einsum("np,npq,nq->n", values, C[which[:, :, None], which[:, None, :]], values)
            shared = across[at[rows][:, None, None], np.arange(z.shape[1])[:, None], which[:, None, :]]
            variance[rows] -= 2 * np.einsum("nk,nkp,np->n", z[rows], shared, values)
        return variance

    def _in_turn(self) -> list[np.ndarray]:
        """Many unknowns in several factors: block by block, each factor with the others' uncertainty in its weights."""
        D = self.D
        fits = [np.einsum("nk,nk->n", z, u[c]) for z, u, c in zip(self.z, self.u, self.codes, strict=True)]
        self.variance, second_moments = np.zeros(len(self.w)), {}
        for f in self.order:
            others = sum((x for e, x in enumerate(fits) if e != f), np.zeros(len(self.w)))
            y = self.y - others
            w = self.weights(f)
            A, B = self._information(f, w), self._by_level(f, D * w[:, None])
            c = self._by_level(f, (w * y)[:, None])[:, :, 0]
            V = np.linalg.inv(A + np.linalg.inv(self.S[f]))
            VB = V @ B
            H = (D * w[:, None]).T @ D + np.diag(self.prior_precision)
            self.covariance = _inverse(H - np.einsum("gkp,gkq->pq", B, VB))
            self.b = self.covariance @ (D.T @ (w * y) + self.prior_score - np.einsum("gkp,gk->p", VB, c))
            self.u[f] = np.einsum("gkl,gl->gk", V, c - B @ self.b)
            fits[f] = np.einsum("nk,nk->n", self.z[f], self.u[f][self.codes[f]])
            self.variance += np.einsum("nk,nkl,nl->n", self.z[f], V[self.codes[f]], self.z[f])
            covariance = V + np.einsum("gkp,pq,glq->gkl", VB, self.covariance, VB)
            second_moments[f] = np.einsum("gk,gl->kl", self.u[f], self.u[f]) + covariance.sum(axis=0)
        self.variance += np.einsum("np,pq,nq->n", D, self.covariance, D)
        return [second_moments[f] for f in range(len(self.u))]

    def weights(self, f: int) -> np.ndarray:
        """The rows' weights for factor f when the factors after it are averaged over: 1 / (1 / w + their variance)."""
        after = self.order[self.order.index(f) + 1 :]
        spread = sum((np.einsum("nk,kl,nl->n", self.z[e], self.S[e], self.z[e]) for e in after), np.zeros(len(self.w)))
        return 1 / (1 / self.w + spread)

    # what is said of one factor or smooth when the factors after it are averaged over
    def information_about(self, f: int) -> tuple[GroupEffectsInformation, tuple[int, ...]]:
        """What the likelihood says of the effects of factor f given this predictor's coefficients and the effects of the
        factors before it, with those after it averaged over; and which factors these are, in the order of `shared`."""
        place = self.order.index(f)
        before, after = self.order[:place], self.order[place + 1 :]
        if after and self.exact:
            return self._information_averaged(f, before, after), tuple(before)
        w = self.weights(f)
        A, B = self._information(f, w), self._by_level(f, self.D * w[:, None])
        c = self._by_level(f, (w * self.y)[:, None])[:, :, 0]
        return GroupEffectsInformation(A, c, B, [self._shared(f, e, w) for e in before]), tuple(before)

    def _shared(self, f: int, e: int, w: np.ndarray) -> SharedInformation:
        """The levels of f and of e that meet in a row, and the information that these rows have about both."""
        if (f, e) not in self._pairs_of_levels:
            both = self.codes[f] * self.levels[e] + self.codes[e]
            self._pairs_of_levels[f, e] = np.unique(both, return_inverse=True)
        pairs, at = self._pairs_of_levels[f, e]
        zf, ze = self.z[f], self.z[e]
        weights = np.array(
            [
                [np.bincount(at, w * zf[:, i] * ze[:, j], len(pairs)) for j in range(ze.shape[1])]
                for i in range(zf.shape[1])
            ]
        )
        return SharedInformation(pairs // self.levels[e], pairs % self.levels[e], weights)

    def _information_averaged(self, f: int, before: Sequence[int], after: Sequence[int]) -> GroupEffectsInformation:
        """As `information_about`, from the system of all unknowns with those after f eliminated."""
        H, g, *_ = self._reduced()
        p, k, places = self.D.shape[1], self.z[f].shape[1], self._places(self.order[:-1])
        own = places[f].ravel()
        end = own[-1] + 1  # from here on stand the factors after it
        K = H[end:, end:].copy()
        for e in after[:-1]:
            at = places[e] - end
            K[at[:, :, None], at[:, None, :]] += np.linalg.inv(self.S[e])
        G = np.linalg.solve(K, H[end:, own]).T  # (own, later)
        H, c = H[own, :end] - G @ H[end:, :end], (g[own] - G @ g[end:]).reshape(-1, k)
        at = np.arange(len(own)).reshape(-1, k)
        A = H[:, own][at[:, :, None], at[:, None, :]]
        shared = []
        for e in before:
            cross = H[:, places[e].ravel()].reshape(-1, k, *places[e].shape)
            large = np.abs(cross).max(axis=(1, 3)) > 1e-6 * np.abs(cross).max()
            level, other = np.nonzero(large)
            weights = np.ascontiguousarray(cross[level, :, other, :].transpose(1, 2, 0))
            shared.append(SharedInformation(level, other, weights))
        return GroupEffectsInformation(A, c, H[:, :p].reshape(len(A), k, p), shared)

    def information_about_weights(self, sd_of: np.ndarray, at: np.ndarray) -> SmoothWeightsInformation:
        """What the likelihood says of the weights at the positions `at` (q,) in b, given the coefficients before them.

        The weights of each sd are turned by themselves; the others of the smooth, the coefficients after it and the group
        effects are averaged over.
        """
        precision, before = _inverse(self.covariance), np.arange(at[0])
        g, q, first = precision @ self.b, len(at), len(before)
        V, a, c, B = np.zeros((q, q)), np.zeros(q), np.zeros(q), np.zeros((q, first))
        for j in range(sd_of.max() + 1):
            these = np.flatnonzero(sd_of == j)
            own = np.append(before, at[these])
            rest = np.setdiff1d(np.arange(len(g)), own)
            G = np.linalg.solve(precision[np.ix_(rest, rest)], precision[np.ix_(rest, own)]).T
            H, h = precision[np.ix_(own, own)] - G @ precision[np.ix_(rest, own)], g[own] - G @ g[rest]
            information, turn = np.linalg.eigh(H[first:, first:] - np.diag(self.penalty[at[these]]))
            V[np.ix_(these, these)], a[these] = turn, np.maximum(information, 0.0)
            c[these], B[these] = turn.T @ h[first:], turn.T @ H[first:, :first]
        return SmoothWeightsInformation(V, a, c, B)


def _size(Z: np.ndarray) -> float:
    """Standard deviation over the rows of a curve whose weights have sd 1."""
    return float(np.sqrt(np.mean(np.sum(Z**2, axis=1))))


def _by_effect(X: np.ndarray) -> np.ndarray:
    """(levels, k, R) as (levels x k, R)."""
    return X.reshape(X.shape[0] * X.shape[1], X.shape[2])


def _inverse(H: np.ndarray) -> np.ndarray:
    """Inverse of a symmetric positive definite matrix."""
    if not len(H):
        return H
    inverse = np.linalg.inv(H)
    return 0.5 * (inverse + inverse.T)

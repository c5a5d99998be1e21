"""A Gaussian approximation q(b, u) of the coefficients and group effects of one linear predictor, given weights and working
responses of its rows: the mixed model equations, with the sds of the group effects at the mode of their logarithms.

Shapes: n rows, p coefficients, levels of a factor with k effects each, R unknowns that are solved for together.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from glmm_zoo.graph.transforms.group_effects import GroupEffectsInformation, SharedInformation
from glmm_zoo.graph.transforms.smooth_weights import SmoothWeightsInformation
from glmm_zoo.inference.level_precision import Dependence, dependence, next_dependence
from glmm_zoo.inference.matrices import by_effect, diagonals, symmetric_inverse
from glmm_zoo.inference.predictor_data import PredictorData, SmoothPart

_LEAST_SD, _MOST_SD = 1e-4, 1e4  # of a group effect, in units of the link
_LONGEST_STEP = 1.0  # of the log of an sd in a round
_AT_ONCE = 1_000_000  # numbers of rows computed together


@dataclass(frozen=True, eq=False)
class PredictorApproximation:
    """What is known of one linear predictor after so many rounds.

    b, covariance
        Mean (p,) and covariance (p, p) of the coefficients.
    u, V
        By factor, the means of the effects (levels, k) and their covariances (levels, k, k).
    S
        By factor, the covariances of the effects between levels, one for each stratum of these (strata, k, k).
    correlations
        By factor, how much its levels depend on each other, see `level_precision`; 0 where they do not.
    sds
        By smooth, the sds of its weights.
    mean, variance
        Of eta (n,).
    change
        How much S and sds moved in the last round.
    w, y, prior_precision
        What the last round used: weights (n,), working responses without the offset (n,), and the precisions of the
        coefficients' priors (p,).
    """

    data: PredictorData
    b: np.ndarray
    covariance: np.ndarray
    u: Sequence[np.ndarray]
    V: Sequence[np.ndarray]
    S: Sequence[np.ndarray]
    correlations: Sequence[float]
    sds: Sequence[np.ndarray]
    mean: np.ndarray
    variance: np.ndarray
    change: float
    w: np.ndarray
    y: np.ndarray
    prior_precision: np.ndarray

    def updated(self, w: np.ndarray, response: np.ndarray) -> PredictorApproximation:
        """q given weights w (n,) and working responses (n,), then one step of the sds of effects and smooths' weights."""
        data = self.data
        given = replace(self, w=w, y=response - data.offset, prior_precision=data.prior_precision(self.sds))
        solve = given._without_groups if not data.groups else given._together if data.exact else given._in_turn
        solved = solve()
        mean = data.offset + data.D @ solved.b
        for f, u in enumerate(solved.u):
            mean = mean + np.einsum("nk,nk->n", data.z[f], u[data.codes[f]])
        following = [solved._next_prior(f) for f in range(len(self.S))]
        S, correlations = [of_one for of_one, _ in following], [of_one for _, of_one in following]
        sds = [solved._next_smooth_sds(j) for j in range(len(self.sds))]
        moved = [np.log(diagonals(new) / diagonals(old)) / 2 for new, old in zip(S, self.S, strict=True)]
        moved += [np.log(new / old) for new, old in zip(sds, self.sds, strict=True)]
        moved += [np.array([new - old]) for new, old in zip(correlations, self.correlations, strict=True)]
        change = max([0.0, *(float(np.max(np.abs(step))) for step in moved)]) / 5
        return replace(solved, mean=mean, S=S, correlations=correlations, sds=sds, change=change)

    def _next_prior(self, f: int) -> tuple[np.ndarray, float]:
        """The covariances (strata, k, k) of the effects of a factor, and their correlation, after a step."""
        depends = dependence(self.data.groups[f])
        if depends is not None:
            return self._next_dependence(f, depends)
        return np.stack([self._next_covariance(f, stratum) for stratum in range(len(self.S[f]))]), 0.0

    def _next_covariance(self, f: int, stratum: int) -> np.ndarray:
        """The covariance of the effects of a stratum of a factor (k, k) after a step: its sds by Newton, its correlations by EM."""
        data = self.data
        group, columns = data.groups[f], data.columns[f]
        own_levels = group.stratum == stratum
        u, V, S = self.u[f][own_levels], self.V[f][own_levels], self.S[f][stratum]
        levels, k = u.shape
        moment = (np.einsum("gk,gl->kl", u, u) + V.sum(axis=0)) / levels
        root = np.sqrt(np.diag(moment))
        block_of = {k: i for i, block in enumerate(group.blocks) for k in block}
        together = np.equal.outer(*[[block_of[column] for column in columns]] * 2)
        # what LKJ(1) on the scale of the sampler does, nearly: no correlation is exactly 1
        corr = np.where(together, moment / np.outer(root, root), 0.0) * levels / (levels + 2.0)
        corr[np.arange(k), np.arange(k)] = 1.0
        sd, own = np.sqrt(np.diag(S)), diagonals(V)
        units = data.unit / np.array([group.spreads[column] for column in columns])
        places = stratum * len(group.labels) + np.array(columns)
        prior = data.sd_priors.derivatives(group.name("sd"), places, np.log(sd))
        sd = np.array([_next_sd(sd[j], u[:, j], own[:, j], units[j], *(x[j] for x in prior)) for j in range(k)])
        return corr * np.outer(sd, sd)

    def _next_dependence(self, f: int, depends: Dependence) -> tuple[np.ndarray, float]:
        """The variance (1, 1, 1) and the correlation of effects whose levels depend on each other after a step."""
        data, sd = self.data, float(np.sqrt(self.S[f].item()))
        rest = self.y - data.D @ self.b
        for e, u in enumerate(self.u):
            if e != f:
                rest = rest - np.einsum("nk,nk->n", data.z[e], u[data.codes[e]])
        score = data.by_level(f, (self.w * rest)[:, None])[:, 0, 0]
        slope, bend = data.sd_priors.derivatives(data.groups[f].name("sd"), np.array(data.columns[f]), np.log([sd]))
        information = data.information(f, self.w)[:, 0, 0]
        sd, correlation = next_dependence(depends, sd, self.correlations[f], information, score, (slope[0], bend[0]))
        return np.full((1, 1, 1), np.clip(sd, _LEAST_SD * data.unit, _MOST_SD * data.unit) ** 2), correlation

    def _next_smooth_sds(self, j: int) -> np.ndarray:
        """The sds of a smooth's weights after a step."""
        smooth, sds, variance = self.data.smooths[j], self.sds[j], np.diag(self.covariance)
        prior = self.data.sd_priors.derivatives(smooth.prior, smooth.places, np.log(sds))
        found = []
        for i, sd in enumerate(sds):
            own = smooth.positions[smooth.sd_of == i]
            found.append(_next_sd(sd, self.b[own], variance[own], smooth.unit, *(x[i] for x in prior)))
        return np.array(found)

    def _precisions(self, f: int) -> np.ndarray:
        """The inverse covariance of the effects of each level of a factor (levels, k, k)."""
        return np.linalg.inv(self.S[f])[self.data.groups[f].stratum]

    # three ways to solve: each gives q
    def _without_groups(self) -> PredictorApproximation:
        D = self.data.D
        H, g = self._system([])
        covariance = symmetric_inverse(H + np.diag(self.prior_precision))
        b, variance = covariance @ (g + self.data.score), np.sum(D @ covariance * D, axis=1)
        return replace(self, b=b, covariance=covariance, variance=variance)

    def _together(self) -> PredictorApproximation:
        """All unknowns at once: those of `_reduced`, then the effects of the largest factor given them."""
        H, g, V, Vc, VX = self._reduced()
        *others, f = self.data.order
        p, places = self.data.D.shape[1], self.data.places(others)
        H[np.arange(p), np.arange(p)] += self.prior_precision
        g[:p] += self.data.score
        for e, at in places.items():
            self._add_prior(H, e, at)
        C = symmetric_inverse(H)
        solution = C @ g
        across = (by_effect(VX) @ C).reshape(VX.shape)  # minus the covariance with the others
        u, covariances = {f: Vc - VX @ solution}, {f: V + across @ VX.transpose(0, 2, 1)}
        for e, at in places.items():
            u[e], covariances[e] = solution[at], C[at[:, :, None], at[:, None, :]]
        variance = self._variance(C, across, covariances[f])
        factors = range(len(self.u))
        u, covariances = [u[e] for e in factors], [covariances[e] for e in factors]
        return replace(self, b=solution[:p], covariance=C[:p, :p], u=u, V=covariances, variance=variance)

    def _reduced(self) -> tuple[np.ndarray, ...]:
        """The system of the R coefficients and effects of all factors but the largest, averaged over the effects u of that
        one, each level of which is coupled with X (k, R). H (R, R) and g (R,), without priors; V (levels, k, k), the
        covariance of u given the R; V c (levels, k), its mean where they are 0; V X (levels, k, R)."""
        *others, f = self.data.order
        H, g = self._system(others)
        X, c = self._coupling(f, others), self.data.by_level(f, (self.w * self.y)[:, None])
        V, Vc, VX = self._given_the_others(f, self.data.information(f, self.w), c, X)
        X = by_effect(X).T
        return H - X @ by_effect(VX), g - X @ Vc.ravel(), V, Vc[:, :, 0], VX

    def _given_the_others(
        self, f: int, information: np.ndarray, c: np.ndarray, X: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """The covariances V (levels, k, k) of the effects of factor f given all others, and the inverse of their precision, with this
        information (levels, k, k), times c and X (levels, k, m)."""
        depends = dependence(self.data.groups[f])
        if depends is None:
            V = np.linalg.inv(information + self._precisions(f))
            return V, V @ c, V @ X
        P = depends.precision(self.S[f].item(), self.correlations[f]).plus(information[:, 0, 0])
        return P.diagonal_of_inverse()[:, None, None], P.solved(c[:, 0])[:, None], P.solved(X[:, 0])[:, None]

    def _add_prior(self, H: np.ndarray, e: int, at: np.ndarray) -> None:
        """The precision of the effects of factor e, which stand in H at the places `at` (levels, k)."""
        depends = dependence(self.data.groups[e])
        if depends is None:
            H[at[:, :, None], at[:, None, :]] += self._precisions(e)
        else:
            H[at, at.T] += depends.precision(self.S[e].item(), self.correlations[e]).full()

    def _system(self, factors: Sequence[int]) -> tuple[np.ndarray, np.ndarray]:
        """Information of the likelihood about the coefficients and the effects of these factors, and its product with the
        response."""
        D, places = self.data.D, self.data.places(factors)
        p = D.shape[1]
        size = p + sum(at.size for at in places.values())
        H, g = np.zeros((size, size)), np.zeros(size)
        H[:p, :p], g[:p] = (D * self.w[:, None]).T @ D, D.T @ (self.w * self.y)
        for e, at in places.items():
            before = [d for d in places if places[d][0, 0] < at[0, 0]]
            X = self._coupling(e, before)
            H[at, : X.shape[2]] = X
            H[: X.shape[2], at] = X.transpose(2, 0, 1)
            H[at[:, :, None], at[:, None, :]] = self.data.information(e, self.w)
            g[at] = self.data.by_level(e, (self.w * self.y)[:, None])[:, :, 0]
        return H, g

    def _coupling(self, f: int, factors: Sequence[int]) -> np.ndarray:
        """Information that the effects of factor f share with the coefficients and the effects of these (levels, k, R)."""
        data, k = self.data, self.data.z[f].shape[1]
        p, places = data.D.shape[1], data.places(factors)
        X = np.zeros((data.levels[f], k, p + sum(at.size for at in places.values())))
        X[:, :, :p] = data.by_level(f, data.D * self.w[:, None])
        for e, at in places.items():
            pairs = data.shared(f, e, self.w)
            columns = at[pairs.other][:, None, :]
            X[pairs.own[:, None, None], np.arange(k)[:, None], columns] = pairs.weights.transpose(2, 0, 1)
        return X

    def _variance(self, C: np.ndarray, across: np.ndarray, own: np.ndarray) -> np.ndarray:
        """Of eta (n,), from the covariance C (R, R) of the unknowns of `_reduced`, minus that of the largest factor's
        effects with them (levels, k, R), and that of the effects (levels, k, k)."""
        *others, f = self.data.order
        D, z, at = self.data.D, self.data.z[f], self.data.codes[f]
        variance = np.empty(len(D))
        for rows in np.array_split(np.arange(len(D)), max(1, across[0].size * len(D) // _AT_ONCE)):
            variance[rows] = np.einsum("nk,nkl,nl->n", z[rows], own[at[rows]], z[rows])
            if not others:
                shared = np.einsum("nk,nkp->np", z[rows], across[at[rows]])
                variance[rows] += np.sum((D[rows] @ C - 2 * shared) * D[rows], axis=1)
        if not others:
            return variance
        x = np.hstack([D, *(self.data.z[e] for e in others)])
        places = [place[self.data.codes[e]] for e, place in self.data.places(others).items()]
        columns = np.hstack([np.broadcast_to(np.arange(D.shape[1]), D.shape), *places])
        for rows in np.array_split(np.arange(len(x)), max(1, x.size * x.shape[1] // 4_000_000)):
            which, values = columns[rows], x[rows]
            variance[rows] += np.einsum("np,npq,nq->n", values, C[which[:, :, None], which[:, None, :]], values)
            shared = across[at[rows][:, None, None], np.arange(z.shape[1])[:, None], which[:, None, :]]
            variance[rows] -= 2 * np.einsum("nk,nkp,np->n", z[rows], shared, values)
        return variance

    def _in_turn(self) -> PredictorApproximation:
        """Many unknowns in several factors: block by block, each factor with the others' uncertainty in its weights."""
        data, D = self.data, self.data.D
        b, covariance, u, covariances = self.b, self.covariance, list(self.u), list(self.V)
        fits = [np.einsum("nk,nk->n", z, u_f[codes]) for z, u_f, codes in zip(data.z, u, data.codes, strict=True)]
        variance = np.zeros(len(self.w))
        for f in data.order:
            z, codes = data.z[f], data.codes[f]
            others = sum((x for e, x in enumerate(fits) if e != f), np.zeros(len(self.w)))
            y = self.y - others
            w = self._weights(f)
            A, B = data.information(f, w), data.by_level(f, D * w[:, None])
            c = data.by_level(f, (w * y)[:, None])[:, :, 0]
            V, Vc, VB = self._given_the_others(f, A, c[:, :, None], B)
            H = (D * w[:, None]).T @ D + np.diag(self.prior_precision)
            covariance = symmetric_inverse(H - np.einsum("gkp,gkq->pq", B, VB))
            b = covariance @ (D.T @ (w * y) + data.score - np.einsum("gkp,gk->p", VB, c))
            u[f] = Vc[:, :, 0] - VB @ b
            fits[f] = np.einsum("nk,nk->n", z, u[f][codes])
            variance += np.einsum("nk,nkl,nl->n", z, V[codes], z)
            covariances[f] = V + np.einsum("gkp,pq,glq->gkl", VB, covariance, VB)
        variance += np.einsum("np,pq,nq->n", D, covariance, D)
        return replace(self, b=b, covariance=covariance, u=u, V=covariances, variance=variance)

    def _weights(self, f: int) -> np.ndarray:
        """The rows' weights for factor f when the factors after it are averaged over: 1 / (1 / w + their variance)."""
        after = self.data.order[self.data.order.index(f) + 1 :]
        z, groups, codes = self.data.z, self.data.groups, self.data.codes
        spread = np.zeros(len(self.w))
        for e in after:
            spread += np.einsum("nk,nkl,nl->n", z[e], self.S[e][groups[e].stratum[codes[e]]], z[e])
        return 1 / (1 / self.w + spread)

    # what is said of one factor or smooth when those after it are averaged over
    def information_about(self, f: int) -> tuple[GroupEffectsInformation, tuple[int, ...]]:
        """What the likelihood says of the effects of factor f given this predictor's coefficients and the effects of the
        factors before it, with those after it averaged over; and which factors these are, in the order of `shared`."""
        data, place = self.data, self.data.order.index(f)
        before, after = data.order[:place], data.order[place + 1 :]
        if after and data.exact:
            return self._information_averaged(f, before, after), tuple(before)
        w = self._weights(f)
        A, B = data.information(f, w), data.by_level(f, data.D * w[:, None])
        c = data.by_level(f, (w * self.y)[:, None])[:, :, 0]
        return GroupEffectsInformation(A, c, B, [data.shared(f, e, w) for e in before]), tuple(before)

    def _information_averaged(self, f: int, before: Sequence[int], after: Sequence[int]) -> GroupEffectsInformation:
        """As `information_about`, from the system of all unknowns with those after f eliminated."""
        H, g, *_ = self._reduced()
        p, k, places = self.data.D.shape[1], self.data.z[f].shape[1], self.data.places(self.data.order[:-1])
        own = places[f].ravel()
        end = own[-1] + 1  # where the factors after it begin
        K = H[end:, end:].copy()
        for e in after[:-1]:
            at = places[e] - end
            self._add_prior(K, e, at)
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

    def information_about_weights(self, smooth: SmoothPart) -> SmoothWeightsInformation:
        """What the likelihood says of the weights (q,) of a smooth, given the coefficients before them.

        The weights of each sd are turned by themselves; the others of the smooth, the coefficients after it and the group
        effects are averaged over.
        """
        sd_of, at = smooth.sd_of, smooth.positions
        q, first = len(at), at[0]
        V, a, c, B = np.zeros((q, q)), np.zeros(q), np.zeros(q), np.zeros((q, first))
        for j in range(sd_of.max() + 1):
            these = np.flatnonzero(sd_of == j)
            own, h, shared = self._information_at(at[these], first)
            information, turn = np.linalg.eigh(own)
            V[np.ix_(these, these)], a[these] = turn, np.maximum(information, 0.0)
            c[these], B[these] = turn.T @ h, turn.T @ shared
        return SmoothWeightsInformation(V, a, c, B)

    def information_about_coordinates(self, smooth: SmoothPart) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """What the likelihood says of the coordinates v (q, k) of group effects, given the coefficients before them and with all else
        averaged over: A (k, q, k, q), c (k, q) and B (k, q, p)."""
        at, k = smooth.positions, len(smooth.places)
        A, c, B = self._information_at(at, at[0])
        q = len(at) // k
        return A.reshape(k, q, k, q), c.reshape(k, q), B.reshape(k, q, at[0])

    def _information_at(self, at: np.ndarray, first: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """What the likelihood says of the coefficients at some positions (q,) given the `first` ones, with the others and the group
        effects averaged over: information (q, q), its product with the response (q,), and what is shared with the first (q, first)."""
        precision = symmetric_inverse(self.covariance)
        g, own = precision @ self.b, np.append(np.arange(first), at)
        rest = np.setdiff1d(np.arange(len(g)), own)
        G = np.linalg.solve(precision[np.ix_(rest, rest)], precision[np.ix_(rest, own)]).T
        H, h = precision[np.ix_(own, own)] - G @ precision[np.ix_(rest, own)], g[own] - G @ g[rest]
        return H[first:, first:] - np.diag(self.prior_precision[at]), h[first:], H[first:, :first]


def before_the_first_round(data: PredictorData) -> PredictorApproximation:
    """Where the approximation begins: eta is the offset, with a standard deviation of half a unit."""
    n, p = data.D.shape
    sds = [np.full(smooth.sd_of.max() + 1, smooth.unit) for smooth in data.smooths]
    return PredictorApproximation(
        data=data,
        b=np.zeros(p),
        covariance=np.zeros((p, p)),
        u=[np.zeros((levels, z.shape[1])) for levels, z in zip(data.levels, data.z, strict=True)],
        V=[np.zeros((levels, z.shape[1], z.shape[1])) for levels, z in zip(data.levels, data.z, strict=True)],
        S=[
            np.stack([np.diag([0.25 * (data.unit / group.spreads[k]) ** 2 for k in columns])] * len(group.strata))
            for group, columns in zip(data.groups, data.columns, strict=True)
        ],
        correlations=[of.begins if (of := dependence(g)) else 0.0 for g in data.groups],
        sds=sds,
        mean=data.offset.copy(),
        variance=np.full(n, 0.25 * data.unit**2),
        change=np.inf,
        w=np.zeros(n),
        y=np.zeros(n),
        prior_precision=data.prior_precision(sds),
    )


def _next_sd(sd: float, mean: np.ndarray, variance: np.ndarray, unit: float, slope: float, bend: float) -> float:
    """The sd of effects of these means and variances (levels,) after a Newton step of its logarithm.

    `slope` and `bend` are the first two derivatives of the log of its prior by log sd. A level tells 1 - variance / sd^2 of what
    there is to know of its effect.
    """
    known, square = 1.0 - variance / sd**2, mean**2 / sd**2
    gradient = float(np.sum(square - known)) + slope
    observed, expected = 2 * np.sum(known * (1 - known) - square * (1 - 2 * known)), 2 * np.sum(known**2)
    step = np.clip(gradient / max(observed - bend, expected - bend, 0.1), -_LONGEST_STEP, _LONGEST_STEP)
    return float(np.clip(sd * np.exp(step), _LEAST_SD * unit, _MOST_SD * unit))

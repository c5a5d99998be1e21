"""Rows of network meta-analyses: arms of trials, at the levels of their own trials or at a given risk or rate under the reference.

    eta = b_i + D_it + v_it,   v_i ~ Normal(0, tau^2 (I + J) / 2) over the treatments but the reference

D_it is effect[t], and what slopes over covariates of the study and over its level add to it.

b_i is the level of study i under the reference, which few studies need to have tested: the effects of a study's treatments differ from
the mean ones by w_t = W_t - W_first, W_t ~ Normal(0, tau^2 / 2) independent, so that given k of its arms another one has

    w_t ~ Normal(mean of the k w, tau^2 / 2 (1 + 1 / k))
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import xarray as xr

from glmm_zoo.errors import InputError
from glmm_zoo.estimands.arm_rows import given_baseline, own_study
from glmm_zoo.estimands.linear_rows import EffectDraws, LinearRows, RandomTerm
from glmm_zoo.estimands.posterior import PosteriorDraws
from glmm_zoo.estimands.row_coding import Exposure, RowCoding
from glmm_zoo.formulas.learnt_columns import codes_of_levels
from glmm_zoo.formulas.new_rows import levels_in_rows
from glmm_zoo.plans.groups import groups_of
from glmm_zoo.plans.reading import SingleOutcome, log_exposure
from glmm_zoo.results.networks import network_of
from glmm_zoo.tables.columns import Table
from glmm_zoo.trials.arm_predictor import single_of_network
from glmm_zoo.trials.interactions import BASELINE
from glmm_zoo.trials.network import Network


@dataclass(frozen=True)
class _NetworkDraws:
    """What the linear predictors of a network are made of; `options` are the model's."""

    network: Network
    draws: PosteriorDraws
    options: Mapping[str, Any]

    @property
    def consistent(self) -> bool:
        return self.options["consistency"] == "consistency"

    @property
    def tau(self) -> np.ndarray:
        """Draws (S,); 0 of fixed effects."""
        return self.draws["tau"] if self.options["trt_effects"] == "random" else np.zeros(self.draws.size)

    @cached_property
    def deviations(self) -> np.ndarray:
        """w (S, studies, T); those of treatments that a study did not have are drawn."""
        network, present = self.network, self.network.present
        w = np.zeros((self.draws.size, *present.shape))
        if self.options["trt_effects"] == "random":
            mean = self.mean_effects(network.contrasts[:, 0], network.effects(self.consistent)[1])
            w[:, network.contrasts[:, 0], network.contrasts[:, 1]] = self.draws["study_effect"] - mean
        k = present.sum(axis=1)
        z = np.random.default_rng(0).standard_normal(w.shape) * np.sqrt((1 + 1 / k) / 2)[:, None]
        drawn = (w.sum(axis=-1) / k)[..., None] + self.tau[:, None, None] * z
        return np.where(present, w, drawn)

    @property
    def slopes(self) -> np.ndarray:
        return self.draws["beta"] if self.network.interactions.names else np.empty((self.draws.size, 0))

    def mean_effects(self, study: np.ndarray, against: np.ndarray) -> np.ndarray:
        """D (S, m) in these studies (m,), of the treatments `against` (m, effects)."""
        slopes = self.network.interactions
        level = None if slopes.level is None else self.draws["study_Intercept"]
        return slopes.effects(study, against, self.draws["effect"], self.slopes, level)

    @property
    def levels(self) -> np.ndarray:
        """The levels of the studies under the reference (S, studies)."""
        of_first = 0.0
        if self.network.interactions.level is None:  # else the model has those under the reference
            of_first = self.mean_effects(np.arange(len(self.network.first)), self.network.against[1])
        return self.draws["study_Intercept"] - of_first + self.deviations[:, :, 0]

    def over_level(self, own: np.ndarray, against: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """What slopes over the levels of their own studies add to rows: columns, with draws of their coefficients; `own` (m, studies)
        says whose study a row is."""
        slopes = self.network.interactions
        columns = own[:, :, None] * slopes.over_level(against)[:, None, :]
        level = self.draws["study_Intercept"] - slopes.level
        coefficients = level[:, :, None] * self.slopes[:, None, slopes.of_covariates :]
        return columns.reshape(len(own), -1), coefficients.reshape(len(level), -1)

    def study_effects(self, single: SingleOutcome) -> EffectDraws:
        """v, after the study's level with random baselines; of unrelated mean effects w of all treatments."""
        tau2, name = self.tau**2, self.network.study.name
        count = len(self.network.labels) - self.consistent
        covariance = tau2[:, None, None] * (np.eye(count) + 1) / 2
        of_level = None
        if self.options["baseline"] == "random":
            group = groups_of(single.predictors, center=False)[0]
            whole = np.zeros((len(tau2), count + 1, count + 1))
            whole[:, 0, 0], whole[:, 1:, 1:] = self.draws[group.name("sd")][:, 0] ** 2, covariance
            covariance, of_level = whole, group.name("u")

        def of_levels() -> np.ndarray:
            w = self.deviations
            v = w[..., 1:] - w[..., :1] if self.consistent else w
            return v if of_level is None else np.concatenate([self.draws[of_level] + w[..., :1], v], axis=-1)

        return EffectDraws(name, "study_effect", (name,), self.network.study.levels, covariance, of_levels)


@dataclass(frozen=True)
class _NetworkCoding:
    """How rows become linear predictors."""

    of: _NetworkDraws
    effects: EffectDraws
    treatment: str
    exposure: str | None
    may_be_given: bool

    def code(self, table: Table, exposure: Exposure) -> dict[str, LinearRows]:
        network, options = self.of.network, self.of.options
        t = codes_of_levels(table[self.treatment], network.labels)
        offset = np.zeros(table.rows)
        if self.exposure is not None:
            own = self.exposure in exposure.given
            offset = log_exposure(table, self.exposure) if own else np.full(table.rows, np.log(exposure.units))
        codes, labels = levels_in_rows(self.effects.levels, self.effects.columns, table)
        given = self.may_be_given and BASELINE in table.columns
        z = np.eye(len(network.labels))[t]
        amount = "risk" if self.exposure is None else "rate"
        if not self.of.consistent:
            studies = own_study(self.effects, table, codes, labels, amount, False)
            blocks = [
                (studies, self.of.draws["study_Intercept"]),
                (self._direct(table, t, codes), self.of.draws["effect"]),
            ]
            return {"": LinearRows(tuple(blocks), offset, (self._term(z, codes, labels),))}
        z = z[:, 1:]
        slopes, own = network.interactions, network.interactions.of_covariates
        blocks = [(z, self.of.draws["effect"])]
        if (X := slopes.covariates) is not None:
            blocks.append((slopes.columns(X.code_new_rows(table) - X.means, z), self.of.slopes[:, :own]))
        level = np.zeros if given else np.ones
        if given:
            risk = given_baseline(table, of_risks=self.exposure is None)
            offset = offset + risk
            if slopes.level is not None:
                blocks.append((slopes.columns((risk - slopes.level)[:, None], z), self.of.slopes[:, own:]))
        elif options["baseline"] == "fixed":
            of_study = own_study(self.effects, table, codes, labels, amount, self.may_be_given)
            blocks.append((of_study, self.of.levels))
            if slopes.level is not None:
                blocks.append(self.of.over_level(of_study, z))
        else:
            blocks.append((np.ones((table.rows, 1)), self.of.draws["Intercept"][:, None]))
        z = np.column_stack([level(table.rows), z]) if options["baseline"] == "random" else z
        return {"": LinearRows(tuple(blocks), offset, (self._term(z, codes, labels),))}

    def _term(self, z: np.ndarray, codes: np.ndarray, labels: np.ndarray | None) -> RandomTerm:
        return RandomTerm(self.effects, tuple(range(z.shape[1])), z, codes, labels)

    def _direct(self, table: Table, t: np.ndarray, codes: np.ndarray) -> np.ndarray:
        """Which unrelated mean effect each row has (m, pairs), none under its study's own baseline.

        Raises
        ------
        InputError
            Rows of a treatment that was not compared with the baseline of their study.
        """
        network = self.of.network
        base = network.first[codes]
        columns = np.column_stack([(t == a) & (base == b) for a, b in network.pairs]).astype(float)
        unknown = (t != base) & (columns.sum(axis=1) == 0)
        if unknown.any():
            k = int(np.flatnonzero(unknown)[0])
            raise InputError(
                f"consistency='ume' has effects of compared pairs alone, and {network.labels[t[k]]!r} was compared with "
                f"{network.labels[base[k]]!r}, the baseline of {network.study.name} {network.study.levels[codes[k]]!r}, in no study; ask a fit "
                "with consistency='consistency'"
            )
        return columns


def read_network_fit(
    tree: xr.DataTree, spec: Mapping[str, Any], draws: PosteriorDraws
) -> tuple[SingleOutcome, RowCoding]:
    """The arms of a fitted network meta-analysis, and how rows become linear predictors."""
    options = spec["options"]
    study, treatment, exposure = options["study"], options["treatment"], options["exposure"]
    network = network_of(tree)
    single = replace(single_of_network(spec["formula"], network, options["baseline"]), notes=())
    of = _NetworkDraws(network, draws, options)
    columns = (treatment, *network.formula.predictor_columns)
    may_be_given = BASELINE not in (study, exposure, *columns) and of.consistent  # else it is another column
    effects = of.study_effects(single)
    coding = _NetworkCoding(of, effects, treatment, exposure, may_be_given)
    fixed = options["baseline"] == "fixed"
    X = network.interactions.covariates
    return single, RowCoding(
        columns,
        {study: effects},
        {treatment: network.labels, **({} if X is None else X.learnt.get("levels", {}))},
        () if exposure is None else (exposure,),
        coding.code,
        optional=(*([BASELINE] if may_be_given else []), *([study] if fixed else [])),
        remark="at each row's own baseline" if fixed else "",
    )

"""What guidelines ask of a paper, and what of it a page shows: nothing is done unless it is shown, and what is not says the command.

BARG: Kruschke (2021), Nature Human Behaviour 5:1282. ROBUST: Sung et al. (2005), Journal of Clinical Epidemiology 58:261. Stepped wedges:
the extension of CONSORT, Hemming et al. (2018), BMJ 363:k1614. Meta-analyses: PRISMA 2020, Page et al. (2021), BMJ 372:n71, and GRADE.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import xarray as xr

from glmm_zoo.errors import listing, plural
from glmm_zoo.priors import parse
from glmm_zoo.report.parts import Parts, read_parts
from glmm_zoo.report.prior_text import prior_text
from glmm_zoo.report.reproduce import prior_command
from glmm_zoo.report.serial_words import processes
from glmm_zoo.results.imputations import imputed_tables
from glmm_zoo.trials.arms import META_ANALYSES

State = Literal["done", "not done", "not applicable"]
BAYES = "BARG, ROBUST"
BARG, WEDGE, PRISMA, GRADE, JOINT = "BARG", "CONSORT for stepped wedges", "PRISMA", "GRADE", "joint models"
NMA = "PRISMA-NMA"


@dataclass(frozen=True)
class Item:
    """One item of a guideline: whether it is done, and where, or else what does it."""

    guideline: str
    item: str
    state: State
    where: str


@dataclass(frozen=True)
class _Page:
    """The fit, what the page shows by name, as "Figure 2" or as itself, and the file's name."""

    parts: Parts
    shown: Mapping[str, str]
    path: str

    def item(self, guideline: str, item: str, names: str | tuple[str, ...], missing: str, holds: bool = True) -> Item:
        """Done where the page shows one of the names, and it holds of the file; else what is `missing`."""
        found = [self.shown[n] for n in self._shown(names)]
        done = bool(found) and holds
        return Item(
            guideline, item, "done" if done else "not done", listing(dict.fromkeys(found), 3) if done else missing
        )

    def _shown(self, names: str | tuple[str, ...]) -> list[str]:
        """The names that are shown; "pooled/" is any that begins so."""
        wanted = (names,) if isinstance(names, str) else names
        return [n for n in self.shown if any(n == w or (w.endswith("/") and n.startswith(w)) for w in wanted)]

    def update(self, change: str) -> str:
        return f"`glmm-zoo update {self.path} {change}`"


def checklist(tree: xr.DataTree, shown: Collection[str] | Mapping[str, str], path: str = "FILE.nc") -> list[Item]:
    """The items of the guidelines that are for this fit.

    Parameters
    ----------
    shown
        The names of the blocks, figures and tables of a page ("answer", "verdict", "model", "priors", "methods", "reproduce",
        "predictive_check", "pooled/studies", ...), or a mapping from these to what they are called there, "Figure 2".
    path
        The file of the fit, for the commands.
    """
    labels = (
        dict(shown)
        if isinstance(shown, Mapping)
        else {name: name.replace("_", " ").replace("/", ": ") for name in shown}
    )
    page = _Page(read_parts(tree), labels, path)
    of_design = {
        "stepped_wedge": _wedge,
        "meta_analysis": _meta,
        "network_meta_analysis": _network,
        "joint_survival": _joint,
    }.get(page.parts.builder)
    return [
        *_question(page),
        *_priors(page),
        *_computation(page),
        *_posterior(page),
        *(of_design(page) if of_design else ()),
    ]


# ---------------------------------------------------------------------------------------------------------- every fit


def _question(page: _Page) -> Iterator[Item]:
    about, data = page.parts.about, page.parts.spec["data"]
    yield page.item(
        BARG,
        "Question stated",
        "answer",
        f"Say it: {page.update('--about FILE.toml')} with its question",
        bool(about.question),
    )
    yield page.item(BARG, "Outcome and data described", "model", f"Say what was measured, in whom: {page.update('--about FILE.toml')} with its outcome "
                    "and individual", bool(about.outcome or about.outcomes))  # fmt: skip
    yield page.item(BAYES, "Likelihood, link and linear predictor stated", "model", f"`glmm-zoo report {page.path}`")
    if data["dropped"]:
        yield page.item(
            BARG,
            "Missing values reported",
            "model",
            f"{plural(data['dropped'], 'row')} dropped: `glmm-zoo report {page.path}`",
        )
    elif page.parts.covariates:
        yield page.item(BARG, "Missing values reported", "model", f"`glmm-zoo report {page.path}`")
    elif imputed_tables(page.parts.tree):
        yield page.item(BARG, "Missing values reported", "missing", f"`glmm-zoo report {page.path}`")
    else:
        yield Item(BARG, "Missing values reported", "not applicable", "No row was dropped")


def _priors(page: _Page) -> Iterator[Item]:
    rows = prior_text(page.parts.tree)
    yield page.item(BAYES, "Priors stated", "priors", f"`glmm-zoo report {page.path}`")
    without = list(dict.fromkeys(row.parameter for row in rows if not row.why))
    yield page.item(
        BAYES, "Priors justified", "priors", f"Give your reasons for the priors of {listing(without, 5)}" if without else
        f"`glmm-zoo report {page.path}`", not without,
    )  # fmt: skip
    yield page.item(BARG, "Prior predictive check", "prior_predictive", f"`{prior_command(page.parts.spec)}`")
    halved = _halved_sd(page.parts.spec)
    or_refit = f"; or {page.update(halved)}" if halved else ""
    yield page.item(BAYES, "Sensitivity to the priors", "sensitivity", f"`glmm-zoo sensitivity {page.path}`{or_refit}")


def _halved_sd(spec: Mapping[str, Any]) -> str:
    """The argument that halves the scale of the first prior of a standard deviation between groups; "" where there is none."""
    keys = spec.get("prior_keys", {})
    for name, given in spec["priors"].items():
        if name.startswith("sd_"):
            of_all = {keys.get(name, f"{name.replace('sd_', 'sd[', 1)}]"): given}
            key, text = next(iter((of_all if isinstance(given, str) else given).items()))
            return f"--prior '{key}={parse(text).scaled(0.5)}'"
    return ""


def _computation(page: _Page) -> Iterator[Item]:
    tree, sampling = page.parts.tree, page.parts.content["sampling"]
    diagnosed = "report" in tree.children and "diagnostics" in tree["report"].children
    told = ("methods", "reproduce")
    yield page.item(BAYES, "Sampler, chains, warm-up and software", told, f"`glmm-zoo report {page.path}`")
    several = sampling.get("chains", 1) > 1
    how = page.update("--chains 4") if not several else f"`glmm-zoo check {page.path}`"
    yield page.item(BARG, "Convergence of the chains", ("verdict", "ranks"), how, diagnosed and several)
    yield page.item(BARG, "Effective number of draws", "verdict", f"`glmm-zoo check {page.path}`", diagnosed)
    if sampling.get("thin", 1) > 1:
        yield page.item(
            BARG, f"Thinning told: of {sampling['thin']} draws the last is kept", told, f"`glmm-zoo report {page.path}`"
        )
    made = sampling.get("seed") is not None and bool(page.parts.spec["data"].get("sha256"))
    yield page.item(BARG, "Code, data, seed and versions", "reproduce", f"`glmm-zoo report {page.path}`", made)


ESTIMATES = ("means", "comparisons", "conditional", "pooled/pooled", "network/pairs", "network/direct")  # tables


def _posterior(page: _Page) -> Iterator[Item]:
    tree, several = page.parts.tree, [n for n, g in page.parts.spec["groups"].items() if "members" in g]
    groups = [name for name in page.parts.groups if name not in several]  # levels of which may be left out
    predicted = "posterior_predictive" in tree.children
    figure = "cox_snell" if "event_times" in page.parts.spec["facts"] else "predictive_check"
    yield page.item(BARG, "Posterior predictive check", figure, f"`glmm-zoo plot {page.path} {figure}`" if predicted else
                    page.update("--seed 1"), predicted)  # fmt: skip
    yield page.item(
        BAYES, "Point estimates and intervals, with their scale", ESTIMATES, f"`glmm-zoo report {page.path}`"
    )
    level = (
        f" --level {groups[-1]}"
        if groups and page.parts.builder not in (*META_ANALYSES, "joint_survival") and not processes(page.parts)
        else ""
    )
    yield page.item(
        BARG, "Models compared", ("loo", "loo/"), f"One model only: `glmm-zoo loo {page.path} OTHER.nc{level}`"
    )
    asked = [n for n in _stored(tree) if "p_rope" in tree[f"estimands/{n}"].dataset]
    yield page.item(
        BARG, "Decision with a region of practical equivalence", tuple(asked),
        f"Where a decision is made: `glmm-zoo comparisons {page.path} VARIABLE --rope LOW,HIGH`", bool(asked),
    )  # fmt: skip


def _stored(tree: xr.DataTree) -> list[str]:
    return list(tree["estimands"].children) if "estimands" in tree.children else []


# ------------------------------------------------------------------------------------------------------------- designs

ELSEWHERE = "Not in the file of a fit: the paper has to tell it"


def _wedge(page: _Page) -> Iterator[Item]:
    facts = page.parts.spec["facts"]
    yield page.item(
        WEDGE,
        "Design: clusters, sequences and periods in a diagram",
        "design_map",
        f"`glmm-zoo plot {page.path} design_map`",
    )
    yield page.item(WEDGE, "Outcome by cluster and period under both conditions", ("period_risks", "design_map"),
                    f"`glmm-zoo plot {page.path} period_risks`")  # fmt: skip
    yield page.item(WEDGE, "How change over time is allowed for", "model", f"`glmm-zoo report {page.path}`")
    yield page.item(
        WEDGE, "Correlations within clusters reported", "wedge_effects/correlation", f"`glmm-zoo summary {page.path}`"
    )
    yield page.item(WEDGE, "Absolute and relative effects", "comparisons", f"`glmm-zoo comparisons {page.path} {page.parts.spec['options']['treatment'] or 'treat'}`")  # fmt: skip
    yield page.item(
        WEDGE, "Effect that varies with the time since crossing over", "exposure_effect",
        page.update("--option exposure_time=categorical"), facts["exposure_time"] != "constant",
    )  # fmt: skip
    other = next(c for c in ("decay", "nested_exchangeable") if c != facts["correlation"])
    yield page.item(
        WEDGE,
        "Sensitivity to the form of the correlation",
        ("loo", "loo/"),
        page.update(f"--option correlation={other}"),
    )
    yield Item(WEDGE, "Randomisation, blinding, recruitment, consent and harms", "not done", ELSEWHERE)


def _meta(page: _Page) -> Iterator[Item]:
    pooled = ("forest", "pooled/pooled")
    yield page.item(
        PRISMA, "Results of single studies", ("forest", "pooled/studies"), f"`glmm-zoo plot {page.path} forest`"
    )
    yield page.item(PRISMA, "Characteristics of the studies", "forest", f"Name columns of the studies: {page.update('--about FILE.toml')} with its label",
                    bool(page.parts.about.label))  # fmt: skip
    yield page.item(
        f"{PRISMA}, {GRADE}", "Pooled effect with its interval (imprecision)", pooled, f"`glmm-zoo report {page.path}`"
    )
    yield page.item(f"{PRISMA}, {GRADE}", "Heterogeneity (inconsistency)", ("parameters", "forest"),
                    f"`glmm-zoo summary {page.path}`")  # fmt: skip
    yield page.item(PRISMA, "Prediction interval", pooled, f"`glmm-zoo report {page.path}`")
    yield page.item(GRADE, "Absolute effects at a stated baseline risk", ("baseline_risks", "pooled/absolute"),
                    page.update("--option baseline_risk=0.1"))  # fmt: skip
    yield from _of_trials(page)


def _network(page: _Page) -> Iterator[Item]:
    again = f"`glmm-zoo report {page.path}`"
    yield page.item(NMA, "Geometry of the network", "network", f"`glmm-zoo plot {page.path} network`")
    yield page.item(
        f"{NMA}, {GRADE}", "All pairs with their intervals (league table)", ("network/league", "network/pairs"), again
    )
    yield page.item(NMA, "Prediction intervals", ("network/pairs", "forest"), again)
    if page.parts.spec["facts"].get("slopes"):
        yield page.item(PRISMA, "Meta-regression: slopes with their intervals", "network/slopes", again)
    yield page.item(NMA, "Ranks with their uncertainty", "network/ranks", again)
    yield page.item(
        f"{NMA}, {GRADE}",
        "Inconsistency of direct and indirect evidence",
        "network/loops",
        "A fit without covariates, with consistency='ume'"
        if page.parts.spec["facts"].get("slopes")
        else page.update("--option consistency=ume"),
    )
    yield from _of_trials(page)


def _of_trials(page: _Page) -> Iterator[Item]:
    tau = page.update("--prior 'tau=HalfNormal(0.5)'")
    yield page.item(
        PRISMA,
        "Sensitivity to the prior of the heterogeneity",
        "sensitivity",
        f"`glmm-zoo sensitivity {page.path}`; or {tau}",
    )
    yield Item(
        f"{PRISMA}, {GRADE}",
        "Publication bias",
        "not done",
        "No method for it here: a funnel plot, with other software",
    )
    yield Item(f"{PRISMA}, {GRADE}", "Risk of bias of the studies, indirectness", "not done", ELSEWHERE)
    yield Item(PRISMA, "Search and selection of studies", "not done", ELSEWHERE)


def _joint(page: _Page) -> Iterator[Item]:
    event = page.parts.spec["event"]
    yield page.item(JOINT, "Form of the association and baseline hazard", "model", f"`glmm-zoo report {page.path}`")
    other = "value + slope" if event["association"] == ["value"] else "value"
    yield page.item(
        JOINT,
        "Other forms of the association compared",
        ("loo", "loo/"),
        page.update(f"--option association='{other}'"),
    )
    if event.get("recurrent"):
        yield page.item(
            JOINT,
            "Numbers of events beside their mean in the data",
            "event_numbers",
            f"`glmm-zoo plot {page.path} event_numbers`",
        )
        return
    yield page.item(
        JOINT,
        "Survival beside Kaplan and Meier's estimate",
        "survival_curves",
        f"`glmm-zoo plot {page.path} survival_curves`",
    )
    yield page.item(JOINT, "Accuracy of predictions (AUC, Brier score, calibration)", ("auc", "calibration", "accuracy/"),
                    "In Python: zoo.landmark_accuracy(tree, ...)")  # fmt: skip
    causes = len(event["causes"])
    yield Item(JOINT, "Competing events", "done" if causes > 1 and "model" in page.shown else "not done", page.shown.get("model", "") if causes > 1 else
               "One cause only: what ends follow-up otherwise counts as censoring; a column of causes as the event tells them apart")  # fmt: skip

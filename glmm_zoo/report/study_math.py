"""Meta-analyses as formulas, arm by arm."""

from __future__ import annotations

from collections.abc import Iterator

from glmm_zoo.report.mathml import (
    MINUS,
    PLUS,
    ROW_INDEX,
    Line,
    barred,
    call,
    fraction,
    linked,
    normal,
    num,
    op,
    squared,
    sub,
    sym,
)
from glmm_zoo.report.network_words import over_levels, slope_names
from glmm_zoo.report.parts import Parts
from glmm_zoo.results.numbers import alone


def meta_lines(parts: Parts) -> Iterator[Line]:
    """Arm t (0 control, 1 treated) of study i."""
    options, t = parts.spec["options"], sym("t")
    y, d, m, b = (sub(sym(s), ROW_INDEX) for s in ("y", "d", "m", "b"))
    y = sub(sym("y"), ROW_INDEX, t)
    of_risks = parts.spec["link"] == "logit"
    mean = sub(sym("p" if of_risks else "μ"), ROW_INDEX, t)
    yield y, "∼", call(sym("Binomial"), sub(sym("n"), ROW_INDEX, t), mean) if of_risks else call(sym("Poisson"), mean)
    time = [] if of_risks else [call(sym("log"), sub(sym("T"), ROW_INDEX, t))]
    covariates = [
        f"{sub(sym('β'), sym(name))}{op('(')}{sub(sym(name), ROW_INDEX)}{MINUS}{barred(sym(name))}{op(')')}"
        for name in (":".join(parts.name(e) for e in term) for term in parts.outcomes[0].main.terms)
    ]
    average = PLUS.join([sym("δ"), *covariates])
    if options["baseline"] == "bivariate":
        yield (
            linked(parts.spec["link"], mean),
            "=",
            PLUS.join([*time, sym("α"), f"{t}{m}", sub(sym("u"), ROW_INDEX, t)]),
        )
        yield m, "=", average
        vector = f"{op('(')}{sub(sym('u'), ROW_INDEX, num(0))}{op(',')}{sub(sym('u'), ROW_INDEX, num(1))}{op(')')}"
        yield vector, "∼", call(sym("MultivariateNormal"), num(0), sym("Σ"))
        return
    if options["coding"] == "half":
        effect = f"{t}{m}{PLUS}{op('(')}{t}{MINUS}{fraction(num(1), num(2))}{op(')')}{op('(')}{d}{MINUS}{m}{op(')')}"
        yield linked(parts.spec["link"], mean), "=", PLUS.join([*time, b, effect])
        yield m, "=", average
        yield d, "∼", normal(squared(sym("τ")), m)
    else:
        yield linked(parts.spec["link"], mean), "=", PLUS.join([*time, b, f"{t}{d}"])
        yield d, "∼", normal(squared(sym("τ")), average)
    if options["baseline"] == "random":
        yield b, "=", f"{sym('α')}{PLUS}{sub(sym('u'), ROW_INDEX)}"
        yield sub(sym("u"), ROW_INDEX), "∼", normal(squared(sym("σ")))


def network_lines(parts: Parts) -> Iterator[Line]:
    """Arm k of study i, whose treatment is t_ik; arm 1 is its baseline."""
    options, k, one = parts.spec["options"], sym("k"), num(1)
    of_risks = parts.spec["link"] == "logit"
    mean, delta = sub(sym("p" if of_risks else "μ"), ROW_INDEX, k), sub(sym("δ"), ROW_INDEX, k)
    law = call(sym("Binomial"), sub(sym("n"), ROW_INDEX, k), mean) if of_risks else call(sym("Poisson"), mean)
    yield sub(sym("y"), ROW_INDEX, k), "∼", law
    time = [] if of_risks else [call(sym("log"), sub(sym("T"), ROW_INDEX, k))]
    own, base = sub(sym("t"), ROW_INDEX, k), sub(sym("t"), ROW_INDEX, one)
    terms, over_level = slope_names(parts), over_levels(parts)
    b, at_base = sub(sym("b"), ROW_INDEX), sub(sym("D"), ROW_INDEX, base)
    yield linked(parts.spec["link"], mean), "=", PLUS.join([*time, b, *([at_base] if over_level else []), delta])
    yield sub(sym("δ"), ROW_INDEX, one), "=", num(0)
    consistent = options["consistency"] == "consistency"
    effect = f"{sub(sym('D'), ROW_INDEX, own)}{MINUS}{at_base}" if terms else ""
    effect = effect or f"{sub(sym('d'), own)}{MINUS}{sub(sym('d'), base)}" if consistent else sub(sym("d"), own, base)
    if options["trt_effects"] == "random":
        yield delta, "∼", normal(squared(sym("τ")), effect)
        yield call(sym("corr"), delta, sub(sym("δ"), ROW_INDEX, sym("l"))), "=", fraction(one, num(2))
    else:
        yield delta, "=", effect
    if terms:
        yield from _sloped_effects(parts)
    if options["baseline"] == "random":
        of_first = at_base if terms else sub(sym("d"), base)
        yield b, "=", PLUS.join([sym("α"), of_first, sub(sym("u"), ROW_INDEX)])
        yield sub(sym("u"), ROW_INDEX), "∼", normal(squared(sym("σ")))


def _sloped_effects(parts: Parts) -> Iterator[Line]:
    """The effect of treatment t in study i, along the covariates and the level of the study."""
    t, kind = sym("t"), parts.spec["options"]["interactions"]
    of = () if kind == "common" else (t,)
    names, level = slope_names(parts), parts.spec["facts"]["reference_level"]
    names = names[:-1] if over_levels(parts) else names
    slopes = [sub(sym("β"), sym(name), *of) for name in names]
    lines = [
        f"{slope}{op('(')}{sub(sym(name), ROW_INDEX)}{MINUS}{barred(sym(name))}{op(')')}"
        for slope, name in zip(slopes, names, strict=True)
    ]
    if level is not None:
        slopes.append(sub(sym("B"), *of))
        middle = f"{MINUS}{num(alone(level))}" if level >= 0 else f"{PLUS}{num(alone(-level))}"
        lines.append(f"{slopes[-1]}{op('(')}{sub(sym('b'), ROW_INDEX)}{middle}{op(')')}")
    yield sub(sym("D"), ROW_INDEX, t), "=", PLUS.join([sub(sym("d"), t), *lines])
    yield sub(sym("D"), ROW_INDEX, sym("reference")), "=", num(0)
    if kind == "exchangeable":
        for slope, name in zip(slopes, [*names, "b"], strict=False):
            yield slope, "∼", normal(squared(sub(sym("ω"), sym(name))), sub(sym("μ"), sym(name)))

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
from glmm_zoo.report.parts import Parts


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
    yield linked(parts.spec["link"], mean), "=", PLUS.join([*time, sub(sym("b"), ROW_INDEX), delta])
    yield sub(sym("δ"), ROW_INDEX, one), "=", num(0)
    own, base = sub(sym("t"), ROW_INDEX, k), sub(sym("t"), ROW_INDEX, one)
    consistent = options["consistency"] == "consistency"
    effect = f"{sub(sym('d'), own)}{MINUS}{sub(sym('d'), base)}" if consistent else sub(sym("d"), own, base)
    if options["trt_effects"] == "random":
        yield delta, "∼", normal(squared(sym("τ")), effect)
        yield call(sym("corr"), delta, sub(sym("δ"), ROW_INDEX, sym("l"))), "=", fraction(one, num(2))
    else:
        yield delta, "=", effect
    if options["baseline"] == "random":
        yield sub(sym("b"), ROW_INDEX), "=", PLUS.join([sym("α"), sub(sym("d"), base), sub(sym("u"), ROW_INDEX)])
        yield sub(sym("u"), ROW_INDEX), "∼", normal(squared(sym("σ")))

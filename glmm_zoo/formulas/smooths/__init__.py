"""Penalised smooths as mixed-model terms. NumPy and SciPy only.

A smooth is f(x) = X(x) b with the penalty b' S b / sd^2 on twice the negative log-likelihood. With S = U diag(D, 0) U'
and the null space of S set apart,

    f(x) = Xf(x) linear + Zs(x) weights,    weights ~ Normal(0, sd^2) independently,

is the same thing: b' S b = weights' weights, so that the penalised spline is a random effect and its smoothing parameter
1 / sd^2 (Kimeldorf & Wahba 1970; Wood 2017, section 5.8). sd -> 0 leaves the polynomial Xf, sd -> infinity the
unpenalised regression spline. The model is the same for every rotation of the weights.

Bases, knots, constraints and the scale of S are those of mgcv (Wood 2003, 2017) as brms uses them, so that sd means the
same as brms's `sds`: S is multiplied by ||X||^2 / ||S|| (largest absolute row and column sum), a curve sums to zero over
the rows, and each column of Xf has the mean sum of squares of the columns of Zs.

`splines` has the functions and penalties of tp, cr, ps and cc, `bases` their split into Xf and Zs, `tensor_products` that
of t2, and `smooth` the columns of one smooth of a linear predictor: s(x), by=, bs="fs", t2(x, z).
"""

# Reference fits of models/beat_the_blues/data.csv: Rscript tests/references/beat_the_blues.R writes three records beside it.
# unstructured: a Stan program of its own (brms 2.18 has no unstr()); ar1: brms, whose sigma is the sd of an innovation, so that
# the exponential prior of the residual sd is written for sigma / sqrt(1 - ar^2); maximum: nlme::gls.
library(nlme); library(rstan); library(brms); library(jsonlite)
rstan_options(boost_lib = "/usr/include")
d <- read.csv("models/beat_the_blues/data.csv", stringsAsFactors = FALSE)
d$treatment <- factor(d$treatment, c("TAU", "BtheB")); d$m <- factor(d$month)
d <- d[order(d$subject, d$visit), ]
f <- bdi ~ bdi_pre + treatment * m
X <- model.matrix(f, d); n <- as.integer(table(d$subject))
program <- "
data { int N; int K; int S; int T; matrix[N, K] X; vector[N] y; int n[S]; int visit[N]; }
parameters { vector[K] b; vector<lower=0>[T] sigma; cholesky_factor_corr[T] L; }
transformed parameters { matrix[T, T] R = multiply_lower_tri_self_transpose(L); }
model {
  int at = 1; vector[N] mu = X * b; matrix[T, T] V = quad_form_diag(R, sigma);
  for (s in 1:S) { int e = at + n[s] - 1; y[at:e] ~ multi_normal(mu[at:e], V[visit[at:e], visit[at:e]]); at = e + 1; }
  b[1] ~ normal(15, 20); b[2:K] ~ normal(0, 10); sigma ~ exponential(0.1); L ~ lkj_corr_cholesky(2);
}"
told <- function(fit, names) {
  s <- summary(fit, pars = names)$summary
  setNames(lapply(rownames(s), function(p) list(mean = s[p, "mean"], sd = s[p, "sd"],
    mcse_mean = s[p, "se_mean"], mcse_sd = s[p, "sd"] / sqrt(2 * s[p, "n_eff"]))), rownames(s))
}
written <- function(name, ...) write_json(list(...), sprintf("tests/references/%s.json", name), auto_unbox = TRUE, digits = 6, pretty = TRUE)
design <- "columns of X: Intercept, bdi_pre, treatment BtheB, months 3, 5, 8, and treatment times these; center=False"
sampler <- list(chains = 4, warmup = 1000, draws_per_chain = 4000)
fit <- stan(model_code = program, data = list(N = nrow(d), K = ncol(X), S = length(n), T = 4, X = X, y = d$bdi, n = n, visit = d$visit),
  chains = 4, iter = 5000, warmup = 1000, seed = 1, cores = 1, refresh = 0)
written("beat_the_blues_unstructured", peer = paste("Stan, rstan", packageVersion("rstan")), data = "HSAUR3_BtheB.csv",
  model = "bdi ~ bdi_pre + treatment * factor(month), unstructured residuals of a subject", design = design,
  priors = list(b1 = "normal(15, 20)", b = "normal(0, 10)", sigma = "exponential(0.1)", R = "lkj(2)"), sampler = sampler,
  divergences = get_num_divergent(fit), max_rhat = max(summary(fit)$summary[, "Rhat"], na.rm = TRUE),
  parameters = told(fit, c("b", "sigma", "R[1,2]", "R[1,3]", "R[1,4]", "R[2,3]", "R[2,4]", "R[3,4]")))
marginal <- stanvar(scode = "  target += exponential_lpdf(sigma / sqrt(1 - square(ar[1])) | 0.1) - 0.5 * log1m(square(ar[1]));", block = "model") +
  stanvar(scode = "  real sd_residual = sigma / sqrt(1 - square(ar[1]));", block = "genquant")
brm <- brm(bf(update(f, . ~ 0 + Intercept + . + ar(time = visit, gr = subject, p = 1, cov = TRUE))), data = d, cores = 1, chains = 4,
  iter = 5000, warmup = 1000, seed = 1, refresh = 0, stanvars = marginal,
  prior = c(prior(normal(0, 10), class = b), prior(normal(15, 20), class = b, coef = Intercept), prior("", class = sigma)))
written("beat_the_blues_ar1", peer = paste("brms", packageVersion("brms")), data = "HSAUR3_BtheB.csv",
  model = "bdi ~ bdi_pre + treatment * factor(month) + ar(time = visit, gr = subject, p = 1, cov = TRUE)", design = design,
  priors = list(b1 = "normal(15, 20)", b = "normal(0, 10)", sd_residual = "exponential(0.1)", ar = "uniform(-1, 1)"), sampler = sampler,
  divergences = get_num_divergent(brm$fit), max_rhat = max(summary(brm$fit)$summary[, "Rhat"], na.rm = TRUE),
  parameters = told(brm$fit, c("b", "sd_residual", "ar[1]")))
structures <- list(unstructured = list(corSymm(form = ~ visit | subject), varIdent(form = ~ 1 | m)),
  ar1 = list(corAR1(form = ~ visit | subject), NULL), ar1h = list(corAR1(form = ~ visit | subject), varIdent(form = ~ 1 | m)),
  car1 = list(corCAR1(form = ~ month | subject), NULL), compound = list(corCompSymm(form = ~ visit | subject), NULL),
  toeplitz = list(corARMA(form = ~ visit | subject, p = 3), NULL))
maximum <- lapply(structures, function(s) {
  g <- gls(f, d, correlation = s[[1]], weights = s[[2]], method = "ML")
  one <- which(table(d$subject) == 4)[1]
  R <- cov2cor(as.matrix(getVarCov(g, individual = names(one))))
  sds <- sqrt(diag(as.matrix(getVarCov(g, individual = names(one)))))
  list(logLik = as.numeric(logLik(g)), coefficients = unname(coef(g)), sds = unname(sds), correlations = R[lower.tri(R)])
})
written("beat_the_blues_maximum", peer = paste("nlme::gls", packageVersion("nlme")), data = "HSAUR3_BtheB.csv",
  model = "bdi ~ bdi_pre + treatment * factor(month); corSymm and varIdent, corAR1, corCAR1, corCompSymm, corARMA(p = 3)", design = design,
  estimation = "maximum likelihood; correlations of visits 1 and 2, 1 and 3, 1 and 4, 2 and 3, 2 and 4, 3 and 4", parameters = maximum)

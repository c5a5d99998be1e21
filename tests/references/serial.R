# Reference fits of models/seizures/data.csv: Rscript tests/references/serial.R writes two records beside it.
# ar1: a Stan program of its own, so that every prior is exactly ours (brms's sderr is the sd of an innovation); maximum: glmmTMB.
library(rstan); library(glmmTMB); library(jsonlite)
rstan_options(boost_lib = "/usr/include")
d <- read.csv("models/seizures/data.csv")
d <- d[order(d$subject, d$period), ]
X <- model.matrix(~ lbase + factor(trt, c("placebo", "progabide")), d)
program <- "
data { int S; int T; int K; matrix[S * T, K] X; int y[S * T]; }
parameters { vector[K] b; real<lower=0> sd_u; real<lower=-1, upper=1> rho; matrix[T, S] z; }
transformed parameters {
  matrix[T, S] u;
  u[1] = sd_u * z[1];
  for (t in 2:T) u[t] = rho * u[t - 1] + sd_u * sqrt(1 - square(rho)) * z[t];
}
model {
  y ~ poisson_log(X * b + to_vector(u));
  b[1] ~ normal(0, 2.5); b[2:K] ~ normal(0, 1); sd_u ~ exponential(1); to_vector(z) ~ std_normal();
}"
fit <- stan(model_code = program, data = list(S = 59, T = 4, K = ncol(X), X = X, y = d$y), chains = 4, iter = 5000, warmup = 1000,
  seed = 1, cores = 1, refresh = 0)
s <- summary(fit, pars = c("b", "sd_u", "rho"))$summary
told <- setNames(lapply(rownames(s), function(p) list(mean = s[p, "mean"], sd = s[p, "sd"],
  mcse_mean = s[p, "se_mean"], mcse_sd = s[p, "sd"] / sqrt(2 * s[p, "n_eff"]))), rownames(s))
design <- "columns of X: Intercept, lbase, progabide; center=False"
write_json(list(peer = paste("Stan, rstan", packageVersion("rstan")), data = "models/seizures/data.csv",
  model = "y ~ lbase + trt + ar1(period | subject), Poisson", design = design,
  priors = list(b1 = "normal(0, 2.5)", b = "normal(0, 1)", sd_u = "exponential(1)", rho = "uniform(-1, 1)"),
  sampler = list(chains = 4, warmup = 1000, draws_per_chain = 4000), divergences = get_num_divergent(fit),
  max_rhat = max(summary(fit)$summary[, "Rhat"], na.rm = TRUE), parameters = told),
  "tests/references/epil_poisson_ar1.json", auto_unbox = TRUE, digits = 6, pretty = TRUE)
d$p <- factor(d$period); d$subject <- factor(d$subject)
ml <- glmmTMB(y ~ lbase + trt + ar1(0 + p | subject), d, poisson)
v <- VarCorr(ml)$cond$subject
told <- lapply(split(coef(summary(ml))$cond[, 1:2], row.names(coef(summary(ml))$cond)), function(x) list(estimate = x[1], se = x[2]))
told <- c(told, list(sd_u = list(estimate = attr(v, "stddev")[[1]]), rho = list(estimate = attr(v, "correlation")[2, 1])))
write_json(list(peer = paste("glmmTMB", packageVersion("glmmTMB")), data = "models/seizures/data.csv",
  model = "y ~ lbase + trt + ar1(0 + factor(period) | subject), Poisson", design = design,
  estimation = "maximum likelihood, Laplace's approximation", parameters = told),
  "tests/references/epil_poisson_ar1_maximum.json", auto_unbox = TRUE, digits = 6, pretty = TRUE)

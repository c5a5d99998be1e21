# Rheumatoid arthritis: network meta-regressions written out in Stan: on the log odds of the placebo arms with one slope for all treatments,
# and on the duration of the disease with exchangeable slopes (Dias et al., NICE DSU Technical Support Document 3).
# Rscript certolizumab_stan.R tests/data/gemtc_certolizumab.csv > certolizumab_stan.json

library(rstan)
rstan_options(boost_lib = "/usr/include")
code <- "
data {
  int S; int K; int y0[S]; int n0[S]; int y1[S]; int n1[S]; int t[S];   // placebo, and the treatment of each trial
  vector[S] x; real m; int over_level;
}
parameters { vector[K] d; real<lower=0> tau; vector[S] mu; vector[S] z; real b; real<lower=0> b_sd; vector[K] w; }
transformed parameters {
  vector[S] delta;
  for (i in 1:S)
    delta[i] = d[t[i]] + tau * z[i] + (over_level ? b * (mu[i] - m) : (b + b_sd * w[t[i]]) * x[i]);
}
model {
  d ~ normal(0, 2.5); tau ~ normal(0, 1); mu ~ normal(0, 5); z ~ std_normal(); w ~ std_normal();
  b ~ normal(0, over_level ? 2 : 1); b_sd ~ normal(0, 0.3);
  y0 ~ binomial_logit(n0, mu);
  y1 ~ binomial_logit(n1, mu + delta);
}
"
a <- read.csv(commandArgs(trailingOnly = TRUE)[1])
p <- a[a$treat == "Placebo", ]
q <- a[a$treat != "Placebo", ]
q <- q[match(p$study, q$study), ]
treatments <- sort(unique(q$treat))
model <- stan_model(model_code = code)
fit_of <- function(over_level) {
  fit <- sampling(model, list(S = nrow(p), K = length(treatments), y0 = p$events, n0 = p$n, y1 = q$events, n1 = q$n,
    t = match(q$treat, treatments), x = p$duration - mean(p$duration), m = mean(log((p$events + 0.5) / (p$n - p$events + 0.5))),
    over_level = as.integer(over_level)), chains = 4, cores = 1, iter = 11000, warmup = 1000, seed = 1,
    control = list(adapt_delta = 0.99), refresh = 0)
  pars <- c("d", "tau", "b", if (!over_level) "b_sd")
  names <- c(paste(treatments, "vs Placebo"), "tau", "slope", if (!over_level) "sd of slopes")
  m <- monitor(as.array(fit, pars = pars), warmup = 0, print = FALSE)
  rows <- lapply(seq_along(names), function(i) list(mean = m[i, "mean"], sd = m[i, "sd"], mcse_mean = m[i, "se_mean"], mcse_sd = m[i, "sd"] / sqrt(2 * m[i, "Bulk_ESS"])))
  stats::setNames(rows, names)
}
cat(jsonlite::toJSON(list(
  peer = "Stan, by hand: certolizumab_stan.R", data = "gemtc_certolizumab.csv",
  model = "binomial, logit; a fixed baseline for each trial, normal effects around a line in the log odds of placebo, or in the duration of the disease with normal slopes",
  priors = c("effects ~ normal(0, 2.5)", "baselines ~ normal(0, 5)", "tau ~ half-normal(1)", "slope ~ normal(0, 2), of duration normal(0, 1)", "sd of slopes ~ half-normal(0.3)"),
  parameters = list(baseline = fit_of(TRUE), duration = fit_of(FALSE))
), auto_unbox = TRUE, digits = 6, pretty = 1))

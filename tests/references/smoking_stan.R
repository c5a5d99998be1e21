# Smoking cessation: a random-effects network meta-analysis written out in Stan, with consistency and with unrelated mean effects.
# The effects of a study of several arms are drawn one after the other, each given those before it (Dias et al. 2013, TSD 2), the
# priors are normal(0, 2.5) for effects, normal(0, 5) for levels of studies, half-normal(1) for tau.
# Rscript smoking_stan.R models/smoking/data.csv > smoking_stan.json

library(rstan)
rstan_options(boost_lib = "/usr/include")
code <- "
data {
  int N; int S; int T; int P;
  int y[N]; int n[N]; int study[N]; int arm[N];   // arms in the order of the treatments
  int t[N]; int base[N];
  int pair[T, T];            // place of the effect of a treatment against a baseline, 0 where there is none
  int consistent;
}
parameters { vector[P] d; real<lower=0> tau; vector[S] mu; vector[N] z; }
transformed parameters {
  vector[N] delta = rep_vector(0, N);
  {
    real sw = 0;
    for (i in 1:N) {
      if (arm[i] == 1) sw = 0;
      else {
        real m = consistent ? (t[i] == 1 ? 0 : d[t[i] - 1]) - (base[i] == 1 ? 0 : d[base[i] - 1]) : d[pair[t[i], base[i]]];
        int k = arm[i];
        delta[i] = m + sw / (k - 1) + tau * sqrt(k / (2.0 * (k - 1))) * z[i];
        sw += delta[i] - m;
      }
    }
  }
}
model {
  d ~ normal(0, 2.5); tau ~ normal(0, 1); mu ~ normal(0, 5); z ~ std_normal();
  y ~ binomial_logit(n, mu[study] + delta);
}
"
d <- read.csv(commandArgs(trailingOnly = TRUE)[1])
order_of <- c("no_contact", "self_help", "ind_counseling", "grp_counseling")
d$t <- match(d$treat, order_of)
d <- d[order(d$study, d$t), ]
d$arm <- ave(d$t, d$study, FUN = seq_along)
d$base <- ave(d$t, d$study, FUN = min)
pairs <- unique(d[d$arm > 1, c("t", "base")])
pairs <- pairs[order(pairs$base, pairs$t), ]
pair <- matrix(0L, 4, 4)
pair[cbind(pairs$t, pairs$base)] <- seq_len(nrow(pairs))
model <- stan_model(model_code = code)
fit_of <- function(consistent) {
  fit <- sampling(model, list(N = nrow(d), S = max(d$study), T = 4, P = if (consistent) 3 else nrow(pairs), y = d$events, n = d$n,
    study = d$study, arm = d$arm, t = d$t, base = d$base, pair = pair, consistent = as.integer(consistent)),
    chains = 4, cores = 1, iter = 11000, warmup = 1000, seed = 1, control = list(adapt_delta = 0.95), refresh = 0)
  draws <- as.array(fit, pars = c("d", "tau"))
  names <- c(if (consistent) paste(order_of[-1], "vs", order_of[1]) else paste(order_of[pairs$t], "vs", order_of[pairs$base]), "tau")
  m <- monitor(draws, warmup = 0, print = FALSE)
  rows <- lapply(seq_along(names), function(i) list(mean = m[i, "mean"], sd = m[i, "sd"], mcse_mean = m[i, "se_mean"], mcse_sd = m[i, "sd"] / sqrt(2 * m[i, "Bulk_ESS"])))
  stats::setNames(rows, names)
}
cat(jsonlite::toJSON(list(
  peer = "Stan, by hand: smoking_stan.R", data = "models/smoking/data.csv",
  model = "binomial, logit; a fixed baseline for each trial, normal effects with correlation 1/2 within trials of three arms",
  priors = c("effects ~ normal(0, 2.5)", "baselines ~ normal(0, 5)", "tau ~ half-normal(1)"),
  parameters = list(consistency = fit_of(TRUE), ume = fit_of(FALSE))
), auto_unbox = TRUE, digits = 6, pretty = 1))

# A marker and relapses that come again, with a frailty, written out in Stan: constant baseline hazard, a marker that is linear in time,
# so that the hazard's integral over a row (start, stop] has a closed form. The priors are normal(0, 2.5) for intercepts, coefficients,
# association and log baseline hazard, exponential(1) for sds.
# Rscript tests/references/relapses_stan.R, from the top.
library(rstan)
rstan_options(boost_lib = "/usr/include")
code <- "
data {
  int N; int R; int S; vector[N] y; vector[N] time; int id[N];
  vector[R] start; vector[R] stop; vector[R] again; vector[R] x; int who[R];
}
parameters { real a; real b; real<lower=0> sigma; real<lower=0> s; real<lower=0> f; vector[S] z; vector[S] w; real level; real gamma; real assoc; }
model {
  vector[S] u = s * z;
  vector[R] at_0 = level + gamma * x + assoc * (a + u[who]) + f * w[who];
  real slope = assoc * b;
  a ~ normal(0, 2.5); b ~ normal(0, 2.5); level ~ normal(0, 2.5); gamma ~ normal(0, 2.5); assoc ~ normal(0, 2.5);
  sigma ~ exponential(1); s ~ exponential(1); f ~ exponential(1); z ~ std_normal(); w ~ std_normal();
  y ~ normal(a + b * time + u[id], sigma);
  target += dot_product(again, at_0 + slope * stop) - sum(exp(at_0) .* (exp(slope * stop) - exp(slope * start)) / slope);
}
"
v <- read.csv("tests/data/sim_relapses_visits.csv")
e <- read.csv("tests/data/sim_relapses.csv")
ids <- sort(unique(e$id))
fit <- sampling(stan_model(model_code = code), list(N = nrow(v), R = nrow(e), S = length(ids), y = v$y, time = v$time, id = match(v$id, ids),
  start = e$start, stop = e$stop, again = e$relapse, x = e$drug, who = match(e$id, ids)), chains = 4, cores = 1, iter = 4000, warmup = 1000,
  seed = 1, control = list(adapt_delta = 0.95), refresh = 0)
kept <- c("a", "b", "sigma", "s", "f", "level", "gamma", "assoc")
names <- c("Intercept", "beta[time]", "sigma", "sd_id[Intercept]", "frailty_sd", "surv_Intercept", "surv_beta[drug]", "assoc[value]")
m <- monitor(as.array(fit, pars = kept), warmup = 0, print = FALSE)
rows <- lapply(seq_along(names), function(i) list(mean = m[i, "mean"], sd = m[i, "sd"], mcse_mean = m[i, "se_mean"],
  mcse_sd = m[i, "sd"] / sqrt(2 * m[i, "Bulk_ESS"])))
writeLines(jsonlite::toJSON(list(
  peer = sprintf("Stan, by hand: relapses_stan.R, rstan %s", packageVersion("rstan")), data = "sim_relapses_visits.csv, sim_relapses.csv",
  model = "y ~ time + (1 | id), Surv(start, stop, relapse) ~ drug + (1 | id), exponential", divergences = get_num_divergent(fit),
  parameters = stats::setNames(rows, names)), auto_unbox = TRUE, pretty = 1, digits = 10), "tests/references/relapses_stan.json")

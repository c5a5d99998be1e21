# Two competing causes with Weibull hazards, each with group effects that are correlated over the causes, written out in Stan:
# h_k(t) = exp(eta_k) shape_k (t / unit_k)^(shape_k - 1). The priors are student_t(3, 0, 2.5) for intercepts, normal(0, 2.5) for
# coefficients, exponential(1) for sds, lkj(2), lognormal(0, 0.5) for shapes. The units are the median times of each cause, one digit.
# Rscript tests/references/causes_stan.R, from the top.
library(rstan)
rstan_options(boost_lib = "/usr/include")
code <- "
data { int N; int G; vector[N] t; int status[N]; vector[N] x; int g[N]; vector[2] unit; }
parameters { vector[2] a; vector[2] b; vector<lower=0>[2] shape; vector<lower=0>[2] s; cholesky_factor_corr[2] L; matrix[2, G] z; }
transformed parameters { matrix[2, G] u = diag_pre_multiply(s, L) * z; }
model {
  a ~ student_t(3, 0, 2.5); b ~ normal(0, 2.5); shape ~ lognormal(0, 0.5); s ~ exponential(1); L ~ lkj_corr_cholesky(2);
  to_vector(z) ~ std_normal();
  for (i in 1:N) {
    for (k in 1:2) {
      real eta = a[k] + b[k] * x[i] + u[k, g[i]];
      if (status[i] == k) target += eta + log(shape[k]) + (shape[k] - 1) * log(t[i] / unit[k]);
      target += -exp(eta) * unit[k] * pow(t[i] / unit[k], shape[k]);
    }
  }
}
generated quantities { real corr = tcrossprod(L)[1, 2]; }
"
d <- read.csv("tests/data/sim_causes.csv")
causes <- c("death", "relapse")
status <- match(d$status, causes, nomatch = 0)
unit <- sapply(1:2, function(k) as.numeric(sprintf("%.1g", median(d$time[status == k]))))
arms <- sort(unique(d$arm))
fit <- sampling(stan_model(model_code = code), list(N = nrow(d), G = length(unique(d$centre)), t = d$time, status = status,
  x = as.numeric(d$arm == arms[2]), g = as.integer(factor(d$centre)), unit = unit), chains = 4, cores = 1, iter = 3500, warmup = 1000, seed = 1,
  control = list(adapt_delta = 0.95), refresh = 0)
m <- monitor(as.array(fit, pars = c("a", "b", "shape", "s", "corr")), warmup = 0, print = FALSE)
names <- c(paste0(causes, "_Intercept"), paste0(causes, "_beta[arm[", arms[2], "]]"), paste0(causes, "_shape"), paste0("sd[", causes, "]"), "corr")
rows <- lapply(seq_along(names), function(i) list(mean = m[i, "mean"], sd = m[i, "sd"], mcse_mean = m[i, "se_mean"],
  mcse_sd = m[i, "sd"] / sqrt(2 * m[i, "Bulk_ESS"])))
writeLines(jsonlite::toJSON(list(
  peer = sprintf("Stan, by hand: causes_stan.R, rstan %s", packageVersion("rstan")), data = "sim_causes.csv",
  model = "two Weibull hazards, Surv(time, status) ~ arm + (1 |p| centre)", unit = unit, divergences = get_num_divergent(fit),
  parameters = stats::setNames(rows, names)), auto_unbox = TRUE, pretty = 1, digits = 10), "tests/references/causes_stan.json")

# The fit of airquality_mi.json: Rscript tests/references/missing_covariates.R tests/data/datasets_airquality.csv tests/references/airquality_mi.json
arguments <- commandArgs(trailingOnly = TRUE)
rstan::rstan_options(boost_lib = "/usr/include")
library(brms)
if (!file.exists(arguments[1])) {
  d <- datasets::airquality
  write.csv(data.frame(ozone = d$Ozone, solar = d$Solar.R, wind = d$Wind, temp = d$Temp, month = d$Month), arguments[1], row.names = FALSE)
}
d <- read.csv(arguments[1])
b <- function(prior, coef, resp) set_prior(prior, class = "b", coef = coef, resp = resp)
priors <- c(
  b("normal(80, 20)", "Intercept", "temp"), b("normal(0, 1)", "miozone", "temp"), b("normal(0, 2)", "wind", "temp"),
  b("normal(0, 0.1)", "miozone:wind", "temp"), set_prior("exponential(0.1)", class = "sigma", resp = "temp"),
  b("normal(40, 50)", "Intercept", "ozone"), b("normal(0, 1)", "misolar", "ozone"), b("normal(0, 5)", "wind", "ozone"),
  set_prior("exponential(0.05)", class = "sigma", resp = "ozone"),
  b("normal(200, 100)", "Intercept", "solar"), b("normal(0, 10)", "wind", "solar"), set_prior("exponential(0.01)", class = "sigma", resp = "solar")
)
fit <- brm(
  bf(temp ~ 0 + Intercept + mi(ozone) * wind) + bf(ozone | mi() ~ 0 + Intercept + mi(solar) + wind) + bf(solar | mi() ~ 0 + Intercept + wind) + set_rescor(FALSE),
  d, gaussian(), priors, chains = 4, cores = 1, warmup = 1000, iter = 11000, seed = 2, refresh = 5000
)
s <- posterior::summarise_draws(fit, "mean", "sd", "mcse_mean", "mcse_sd", "rhat")
s <- s[grepl("^(b_|bsp_|sigma_)|^Ymi_.*\\[(5|25|27|96)\\]$", s$variable), ]
parameters <- lapply(split(s, factor(s$variable, s$variable)), function(r) as.list(signif(unlist(r[c("mean", "sd", "mcse_mean", "mcse_sd")]), 7)))
record <- list(
  peer = sprintf("brms %s, rstan %s, R %s", packageVersion("brms"), packageVersion("rstan"), getRversion()),
  data = "datasets_airquality.csv",
  model = "bf(temp ~ 0 + Intercept + mi(ozone) * wind) + bf(ozone | mi() ~ 0 + Intercept + mi(solar) + wind) + bf(solar | mi() ~ 0 + Intercept + wind), gaussian",
  design = "153 days; ozone is missing on 37, solar on 7, both on 2",
  priors = c(
    "temp: b_Intercept ~ normal(80, 20), miozone ~ normal(0, 1), wind ~ normal(0, 2), miozone:wind ~ normal(0, 0.1), sigma ~ exponential(0.1)",
    "ozone: b_Intercept ~ normal(40, 50), misolar ~ normal(0, 1), wind ~ normal(0, 5), sigma ~ exponential(0.05)",
    "solar: b_Intercept ~ normal(200, 100), wind ~ normal(0, 10), sigma ~ exponential(0.01)"
  ),
  sampler = list(chains = 4, warmup = 1000, draws_per_chain = 10000, seed = 2),
  divergences = sum(subset(nuts_params(fit), Parameter == "divergent__")$Value),
  max_rhat = signif(max(s$rhat), 6),
  note = "Ymi_ozone[5] is the missing value of row 5, counted from 1",
  parameters = parameters
)
writeLines(jsonlite::toJSON(record, auto_unbox = TRUE, pretty = 1, digits = 8), arguments[2])

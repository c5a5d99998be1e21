# The fit of verbagg_categorical.json: Rscript tests/references/verbagg_categorical.R models/verbal_aggression/data.csv tests/references/verbagg_categorical.json
arguments <- commandArgs(trailingOnly = TRUE)
rstan::rstan_options(boost_lib = "/usr/include")
library(brms)
if (!file.exists(arguments[1])) {
  d <- lme4::VerbAgg
  write.csv(d[as.integer(as.character(d$id)) %% 3 == 0, c("id", "item", "mode", "situ", "Gender", "resp")], arguments[1], row.names = FALSE)
}
d <- read.csv(arguments[1])
d$resp <- factor(d$resp, c("no", "perhaps", "yes"))
d$mode <- factor(d$mode, c("do", "want"))
names <- c("muperhaps", "muyes")
priors <- do.call(c, lapply(names, function(p) c(
  set_prior("normal(0, 2.5)", class = "b", dpar = p), set_prior("student_t(3, 0, 2.5)", class = "b", coef = "Intercept", dpar = p),
  set_prior("exponential(1)", class = "sd", dpar = p)
)))
fit <- brm(
  resp ~ 0 + Intercept + mode + situ + (1 | p | id), d, categorical(refcat = "no"), c(priors, set_prior("lkj(2)", class = "cor")),
  chains = 4, cores = 1, warmup = 750, iter = 2250, seed = 1, init_r = 0.5, refresh = 250
)
s <- posterior::summarise_draws(fit, "mean", "sd", "mcse_mean", "mcse_sd", "rhat")
s <- s[grepl("^(b_|sd_|cor_)", s$variable), ]
parameters <- lapply(split(s, factor(s$variable, s$variable)), function(r) as.list(signif(unlist(r[c("mean", "sd", "mcse_mean", "mcse_sd")]), 7)))
record <- list(
  peer = sprintf("brms %s, rstan %s, R %s", packageVersion("brms"), packageVersion("rstan"), getRversion()),
  data = "lme4_VerbAgg.csv",
  model = "resp ~ 0 + Intercept + mode + situ + (1 | p | id), categorical(refcat = 'no')",
  design = "modewant, situself 0/1; group id (105)",
  priors = c("b ~ normal(0, 2.5)", "b_Intercept ~ student_t(3, 0, 2.5)", "sd ~ exponential(1)", "cor ~ lkj(2)"),
  sampler = list(chains = 4, warmup = 750, draws_per_chain = 1500, seed = 1, init_r = 0.5),
  divergences = sum(subset(nuts_params(fit), Parameter == "divergent__")$Value),
  max_rhat = signif(max(s$rhat), 6),
  parameters = parameters
)
writeLines(jsonlite::toJSON(record, auto_unbox = TRUE, pretty = 1, digits = 8), arguments[2])

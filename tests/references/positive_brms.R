# The references pbc_gamma, pbc_lognormal and pbc_student: run from the root of the repository, Rscript tests/references/positive_brms.R [name].
suppressMessages({library(brms); library(jsonlite)})
rstan::rstan_options(boost_lib = "/usr/include")
d <- read.csv("tests/data/rstanarm_pbcLong.csv")
common <- c(prior(normal(0, 1), class = b), prior(exponential(1), class = sd))
at <- function(text) set_prior(text, class = "b", coef = "Intercept")
models <- list(
  pbc_gamma = list(
    bf(platelet ~ 0 + Intercept + year + (1 | id)), Gamma(link = "log"),
    c(common, at("normal(5, 2)"), prior(inv_gamma(0.4, 0.3), class = shape))
  ),
  pbc_lognormal = list(
    bf(platelet ~ 0 + Intercept + year + (1 | id), sigma ~ 0 + Intercept + year), lognormal(),
    c(common, at("normal(5, 2)"), prior(normal(0, 1), class = b, dpar = sigma),
      set_prior("normal(-1, 2)", class = "b", coef = "Intercept", dpar = "sigma"))
  ),
  pbc_student = list(
    bf(albumin ~ 0 + Intercept + year + (1 | id)), student(),
    c(common, at("normal(3, 2)"), prior(exponential(1), class = sigma), prior(gamma(2, 0.1), class = nu))
  )
)
asked <- commandArgs(TRUE)
for (name in if (length(asked)) asked else names(models)) {
  model <- models[[name]]
  fit <- brm(model[[1]], d, model[[2]], model[[3]], chains = 4, iter = 3500, warmup = 1000, seed = 1, cores = 1, refresh = 0)
  draws <- posterior::as_draws_array(fit)
  keep <- grep("^(b_|sd_|sigma$|shape$|nu$)", posterior::variables(draws), value = TRUE)
  s <- posterior::summarise_draws(draws[, , keep], "mean", "sd", "rhat", mcse_mean = posterior::mcse_mean, mcse_sd = posterior::mcse_sd)
  rows <- lapply(seq_along(keep), function(i) lapply(as.list(s[i, c("mean", "sd", "mcse_mean", "mcse_sd")]), signif, 6))
  prior <- prior_summary(fit)
  record <- list(
    peer = paste0("brms ", packageVersion("brms"), ", rstan ", packageVersion("rstan"), ", R ", getRversion()),
    data = "rstanarm_pbcLong.csv", model = paste(c(deparse(model[[1]]$formula), sapply(model[[1]]$pforms, deparse)), collapse = "; "),
    priors = as.list(setNames(prior$prior, paste(prior$class, prior$coef, prior$dpar))[prior$prior != ""]),
    sampler = list(chains = 4, draws_per_chain = 2500, warmup = 1000, seed = 1),
    divergences = sum(subset(nuts_params(fit), Parameter == "divergent__")$Value), max_rhat = signif(max(s$rhat), 5),
    parameters = setNames(rows, keep)
  )
  write_json(record, file.path("tests/references", paste0(name, ".json")), auto_unbox = TRUE, pretty = TRUE, digits = 8)
}

# The reference esoph_monotonic: run from the root of the repository, Rscript tests/references/monotonic.R.
suppressMessages({library(brms); library(jsonlite)})
rstan::rstan_options(boost_lib = "/usr/include")
data <- "tests/data/datasets_esoph.csv"
if (!file.exists(data)) {
  d <- datasets::esoph
  write.csv(data.frame(
    age = as.integer(d$agegp) - 1L, alcohol = as.integer(d$alcgp) - 1L, heavy = as.integer(d$tobgp >= "20-29"),
    cases = d$ncases, n = d$ncases + d$ncontrols
  ), data, row.names = FALSE)
}
d <- read.csv(data)
formula <- bf(cases | trials(n) ~ 0 + Intercept + heavy + mo(age) + mo(alcohol, id = "a") + mo(alcohol, id = "a"):heavy)
priors <- c(
  prior(normal(0, 1), class = b), set_prior("normal(-4, 2)", class = "b", coef = "Intercept"),
  set_prior("dirichlet(c(1, 1, 1, 1, 1))", class = "simo", coef = "moage1"),
  set_prior("dirichlet(c(2, 2, 2))", class = "simo", coef = "a")
)
fit <- brm(formula, d, binomial(), priors, chains = 4, iter = 3500, warmup = 1000, seed = 1, cores = 1, refresh = 0,
           control = list(adapt_delta = 0.95))
draws <- posterior::as_draws_array(fit)
keep <- grep("^(b_|bsp_|simo_)", posterior::variables(draws), value = TRUE)
s <- posterior::summarise_draws(draws[, , keep], "mean", "sd", "rhat", mcse_mean = posterior::mcse_mean, mcse_sd = posterior::mcse_sd)
rows <- lapply(seq_along(keep), function(i) lapply(as.list(s[i, c("mean", "sd", "mcse_mean", "mcse_sd")]), signif, 6))
prior <- prior_summary(fit)
record <- list(
  peer = paste0("brms ", packageVersion("brms"), ", rstan ", packageVersion("rstan"), ", R ", getRversion()),
  data = "datasets_esoph.csv", model = paste(deparse(formula$formula), collapse = " "),
  priors = as.list(setNames(prior$prior, paste(prior$class, prior$coef))[prior$prior != ""]),
  sampler = list(chains = 4, draws_per_chain = 2500, warmup = 1000, seed = 1, adapt_delta = 0.95),
  divergences = sum(subset(nuts_params(fit), Parameter == "divergent__")$Value), max_rhat = signif(max(s$rhat), 5),
  parameters = setNames(rows, keep)
)
write_json(record, "tests/references/esoph_monotonic.json", auto_unbox = TRUE, pretty = TRUE, digits = 8)

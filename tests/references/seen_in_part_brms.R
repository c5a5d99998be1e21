# The references seen_in_part_censored, _truncated, _limits and _weighted, and tests/data/sim_limits.csv: run from the root of the repository,
# Rscript tests/references/seen_in_part_brms.R [name].
suppressMessages({library(brms); library(jsonlite)})
rstan::rstan_options(boost_lib = "/usr/include")
d <- read.csv("tests/data/sim_seen_in_part.csv")
d$z <- ifelse(is.na(d$z), d$y + 1, d$z)  # brms takes no missing upper ends, also where it does not use them
set.seed(3)
limits <- data.frame(g = sprintf("g%02d", rep(1:12, each = 40)), x = round(rnorm(480), 3), limit = round(runif(480, -1, 1), 2))
limits$y <- round(0.5 + 0.6 * limits$x + rep(rnorm(12, 0, 0.7), each = 40) + rnorm(480, 0, 0.9), 3)
limits <- limits[limits$y > limits$limit, ]
common <- c(prior(normal(0, 1), class = b), prior(exponential(1), class = sd), set_prior("normal(0, 2)", class = "b", coef = "Intercept"))
sigma <- prior(exponential(1), class = sigma)
models <- list(
  censored = list(bf(y | cens(c, z) ~ 0 + Intercept + x + (1 | g)), gaussian(), c(common, sigma)),
  truncated = list(bf(k | trunc(lb = 1) ~ 0 + Intercept + x + (1 | g)), poisson(), common),
  limits = list(bf(y | trunc(lb = limit) ~ 0 + Intercept + x + (1 | g)), gaussian(), c(common, sigma)),
  weighted = list(bf(y | weights(w) ~ 0 + Intercept + x + (1 | g)), gaussian(), c(common, sigma))
)
asked <- commandArgs(TRUE)
for (name in if (length(asked)) asked else names(models)) {
  model <- models[[name]]
  file <- if (name == "limits") "sim_limits.csv" else "sim_seen_in_part.csv"
  if (name == "limits") write.csv(limits, file.path("tests/data", file), row.names = FALSE, quote = FALSE)
  fit <- brm(model[[1]], if (name == "limits") limits else d, model[[2]], model[[3]], chains = 4, iter = 3500, warmup = 1000, seed = 1, cores = 1, refresh = 0)
  draws <- posterior::as_draws_array(fit)
  keep <- grep("^(b_|sd_|sigma$)", posterior::variables(draws), value = TRUE)
  s <- posterior::summarise_draws(draws[, , keep], "mean", "sd", "rhat", mcse_mean = posterior::mcse_mean, mcse_sd = posterior::mcse_sd)
  rows <- lapply(seq_along(keep), function(i) lapply(as.list(s[i, c("mean", "sd", "mcse_mean", "mcse_sd")]), signif, 6))
  prior <- prior_summary(fit)
  record <- list(
    peer = paste0("brms ", packageVersion("brms"), ", rstan ", packageVersion("rstan"), ", R ", getRversion()),
    data = file, model = deparse(model[[1]]$formula),
    priors = as.list(setNames(prior$prior, paste(prior$class, prior$coef, prior$dpar))[prior$prior != ""]),
    sampler = list(chains = 4, draws_per_chain = 2500, warmup = 1000, seed = 1),
    divergences = sum(subset(nuts_params(fit), Parameter == "divergent__")$Value), max_rhat = signif(max(s$rhat), 5),
    parameters = setNames(rows, keep)
  )
  write_json(record, file.path("tests/references", paste0("seen_in_part_", name, ".json")), auto_unbox = TRUE, pretty = TRUE, digits = 8)
}

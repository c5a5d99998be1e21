# brms's fit of two competing causes as lognormal times of which the other is censored, with correlated effects of centres, and the
# Aalen-Johansen estimate of survival: Rscript tests/references/causes.R, from the top.
suppressMessages({library(brms); library(posterior); library(survival)})
rstan::rstan_options(boost_lib = "/usr/include")
d <- read.csv("tests/data/sim_causes.csv")
d <- transform(d, relapse = time, death = time, treated = as.numeric(arm == "treated"),
               no_relapse = ifelse(status == "relapse", "none", "right"), no_death = ifelse(status == "death", "none", "right"))

state <- factor(d$status, c("censored", "death", "relapse"))
aj <- summary(survfit(Surv(time, state) ~ arm, data = transform(d, state = state)), times = c(1, 3, 6))
curves <- list(peer = sprintf("survival %s, R %s", packageVersion("survival"), getRversion()), data = "sim_causes.csv",
               arm = sub("arm=", "", aj$strata), time = aj$time, death = aj$pstate[, 2], relapse = aj$pstate[, 3],
               se_death = aj$std.err[, 2], se_relapse = aj$std.err[, 3])
writeLines(jsonlite::toJSON(curves, auto_unbox = TRUE, pretty = 1, digits = 12), "tests/references/causes_aalen_johansen.json")

both <- lapply(c("relapse", "death"), function(r)
  bf(as.formula(sprintf("%s | cens(no_%s) ~ treated + x + (1 | p | centre)", r, r)), center = FALSE) + lognormal())
common <- unlist(lapply(c("relapse", "death"), function(r) list(
  prior_string("normal(0, 2.5)", class = "b", resp = r), prior_string("student_t(3, 0, 2.5)", class = "b", coef = "Intercept", resp = r),
  prior_string("exponential(1)", class = "sd", resp = r), prior_string("exponential(1)", class = "sigma", resp = r))), FALSE)
fit <- brm(both[[1]] + both[[2]] + set_rescor(FALSE), data = d, prior = do.call(c, c(common, list(prior(lkj(2), class = cor)))),
           chains = 4, cores = 1, warmup = 1000, iter = 3500, seed = 1, control = list(adapt_delta = 0.95), refresh = 0)
kept <- grep("^(b_|sd_|cor_|sigma)", variables(fit), value = TRUE)
s <- summarise_draws(as_draws_df(fit)[kept], mean, sd, mcse_mean, mcse_sd, rhat)
parameters <- lapply(split(s, factor(s$variable, s$variable)), function(r)
  list(mean = signif(r$mean, 7), sd = signif(r$sd, 7), mcse_mean = signif(r$mcse_mean, 6), mcse_sd = signif(r$mcse_sd, 6)))
written <- list(peer = sprintf("brms %s, rstan %s, R %s", packageVersion("brms"), packageVersion("rstan"), getRversion()),
                data = "sim_causes.csv", model = "relapse | cens(no_relapse) ~ treated + x + (1 | p | centre), and death so; by causes.R",
                priors = c("b ~ normal(0, 2.5)", "b Intercept ~ student_t(3, 0, 2.5)", "sd, sigma ~ exponential(1)", "cor ~ lkj(2)"),
                sampler = list(chains = 4, warmup = 1000, draws_per_chain = 2500, seed = 1, adapt_delta = 0.95),
                divergences = sum(nuts_params(fit, pars = "divergent__")$Value), max_rhat = signif(max(s$rhat), 6), parameters = parameters)
writeLines(jsonlite::toJSON(written, auto_unbox = TRUE, pretty = 1, digits = NA), "tests/references/causes_lognormal.json")

# brms's fits of beta-binomial, beta, zero-one-inflated beta and ordered beta: Rscript tests/references/proportions.R, from the top.
suppressMessages({library(brms); library(posterior)})
rstan::rstan_options(boost_lib = "/usr/include")
settings <- list(chains = 4, cores = 1, warmup = 1000, iter = 3500, seed = 1, control = list(adapt_delta = 0.95), refresh = 0)
common <- c(prior(normal(0, 2.5), class = b), prior(student_t(3, 0, 2.5), class = b, coef = Intercept),
            prior(exponential(1), class = sd), prior(inv_gamma(0.4, 0.3), class = phi))

record <- function(name, formula, data, family, priors = common, stanvars = NULL, source) {
  fit <- do.call(brm, c(list(formula, data = data, family = family, prior = priors, stanvars = stanvars), settings))
  kept <- grep("^(b_|bsp_|sd_|phi|zoi|coi|cut)", variables(fit), value = TRUE)
  s <- summarise_draws(as_draws_df(fit)[kept], mean, sd, mcse_mean, mcse_sd, rhat)
  parameters <- lapply(split(s, factor(s$variable, s$variable)), function(r)
    list(mean = signif(r$mean, 7), sd = signif(r$sd, 7), mcse_mean = signif(r$mcse_mean, 6), mcse_sd = signif(r$mcse_sd, 6)))
  divergences <- sum(nuts_params(fit, pars = "divergent__")$Value)
  peer <- sprintf("brms %s, rstan %s, R %s", packageVersion("brms"), packageVersion("rstan"), getRversion())
  written <- list(peer = peer, data = source, model = paste(deparse(formula$formula), "by proportions.R"),
                  priors = c("b ~ normal(0, 2.5)", "b Intercept ~ student_t(3, 0, 2.5)", "sd ~ exponential(1)",
                             paste("phi ~", priors$prior[priors$class == "phi"])),
                  sampler = list(chains = 4, warmup = 1000, draws_per_chain = 2500, seed = 1, adapt_delta = 0.95),
                  divergences = divergences, max_rhat = signif(max(s$rhat), 6), parameters = parameters)
  writeLines(jsonlite::toJSON(written, auto_unbox = TRUE, pretty = 1, digits = NA), sprintf("tests/references/%s.json", name))
}

data(cbpp, package = "lme4")
record("cbpp_beta_binomial", bf(incidence | trials(size) ~ period + (1 | herd), center = FALSE), cbpp, beta_binomial(),
       within(common, prior[class == "phi"] <- "gamma(2, 0.1)"), source = "lme4_cbpp.csv")  # moments that exist: cbpp may be binomial

oil <- transform(read.csv("models/gasoline/data.csv"), y = yield / 100, t = (endpoint - 330) / 10)
record("gasoline_beta", bf(y ~ t + (1 | Sample), center = FALSE), oil, Beta(), source = "nlme_Gasoline.csv")

record("sim_zoib", bf(y ~ x + (1 | g), center = FALSE) + lf(zoi ~ x, center = FALSE), read.csv("tests/data/sim_zoib.csv"),
       zero_one_inflated_beta(), source = "sim_zoib.csv",
       c(common, prior(normal(0, 2.5), class = b, dpar = zoi), prior(student_t(3, 0, 2.5), class = b, coef = Intercept, dpar = zoi),
         prior(beta(1, 1), class = coi)))

fries <- transform(na.omit(read.csv("models/fries/data.csv")), y = rancid / 15, week = time - 5, oil = factor(treatment))
ordered_beta <- custom_family("ordered_beta", dpars = c("mu", "phi", "cutzero", "cutgap"), links = c("identity", "log", "identity", "identity"),
                              lb = c(NA, 0, NA, 0), type = "real")
density <- "
real ordered_beta_lpdf(real y, real mu, real phi, real cutzero, real cutgap) {
  if (y <= 0) return log1m_inv_logit(mu - cutzero);
  if (y >= 1) return log_inv_logit(mu - cutzero - cutgap);
  return log_diff_exp(log_inv_logit(mu - cutzero), log_inv_logit(mu - cutzero - cutgap)) + beta_proportion_lpdf(y | inv_logit(mu), phi);
}"
cutpoints <- "target += student_t_lpdf(cutzero | 3, 0, 2.5) + student_t_lpdf(cutzero + cutgap | 3, 0, 2.5);"
record("fries_ordered_beta", bf(y ~ week + oil + (1 | subject), center = FALSE), fries, ordered_beta, source = "reshape2_french_fries.csv",
       c(common, prior("", class = cutzero), prior("", class = cutgap)),
       stanvar(scode = density, block = "functions") + stanvar(scode = cutpoints, block = "model"))

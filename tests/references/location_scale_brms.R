# orthodont_location_scale.json, soup_disc.json and soup_disc_acat.json by brms: run in tests/references, after location_scale.R.
library(brms)
rstan::rstan_options(boost_lib = "/usr/include")

fitted <- function(formula, data, family, priors) {
  fit <- brm(formula, data, family, priors, chains = 4, cores = 1, warmup = 1000, iter = 3000, seed = 20, control = list(adapt_delta = 0.95))
  draws <- posterior::as_draws_array(fit)
  kept <- posterior::subset_draws(draws, grep("^(b_|sd_|cor_)", posterior::variables(draws), value = TRUE))
  print(rstan::get_num_divergent(fit$fit))
  posterior::summarise_draws(kept, mean = mean, sd = sd, mcse_mean = posterior::mcse_mean, mcse_sd = posterior::mcse_sd, rhat = posterior::rhat)
}

d <- read.csv("../data/nlme_Orthodont.csv")
d$age <- d$age - 11
print(fitted(
  bf(distance ~ age + female + (1 | p | subject), center = FALSE) + lf(sigma ~ female + (1 | p | subject), center = FALSE), d, gaussian(),
  c(prior(student_t(3, 24, 5), class = "b", coef = "Intercept"), prior(normal(0, 5), class = "b"),
    prior(student_t(3, 0, 2.5), class = "b", coef = "Intercept", dpar = "sigma"), prior(normal(0, 2), class = "b", dpar = "sigma"),
    prior(exponential(0.5), class = "sd"), prior(exponential(1), class = "sd", dpar = "sigma"), prior(lkj(2), class = "cor"))
))
for (family in list(cumulative("probit"), acat("logit"))) print(fitted(
  bf(sureness ~ test + (1 | p | respondent), center = FALSE) + lf(disc ~ 0 + test + (1 | p | respondent), cmc = FALSE),
  read.csv("../data/ordinal_soup.csv"), family,
  c(prior(student_t(3, 0, 2.5), class = "Intercept"), prior(normal(0, 2.5), class = "b"), prior(normal(0, 1), class = "b", dpar = "disc"),
    prior(exponential(1), class = "sd"), prior(exponential(2), class = "sd", dpar = "disc"), prior(lkj(2), class = "cor"))
))

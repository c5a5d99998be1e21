# orthodont_by.json and orthodont_student_effects.json by brms: run in tests/references.
library(brms)
rstan::rstan_options(boost_lib = "/usr/include")

recorded <- function(name, formula, data, priors, file, model) {
  fit <- brm(bf(formula, center = FALSE), data, gaussian(), priors, chains = 4, cores = 1, warmup = 1000, iter = 3000, seed = 20, control = list(adapt_delta = 0.95))
  draws <- posterior::as_draws_array(fit)
  kept <- posterior::subset_draws(draws, grep("^(b_|sd_|cor_|df_|sigma)", posterior::variables(draws), value = TRUE))
  found <- posterior::summarise_draws(kept, mean = mean, sd = sd, mcse_mean = posterior::mcse_mean, mcse_sd = posterior::mcse_sd, rhat = posterior::rhat)
  values <- function(i) lapply(as.list(found[i, 2:5]), signif, 6)
  record <- list(
    peer = paste0("brms ", packageVersion("brms"), ", rstan ", packageVersion("rstan"), ", R ", getRversion()), data = file, model = model,
    priors = with(subset(as.data.frame(priors), TRUE), trimws(paste(class, coef, "~", prior))),
    sampler = list(chains = 4, warmup = 1000, draws_per_chain = 2000, adapt_delta = 0.95, seed = 20),
    divergences = rstan::get_num_divergent(fit$fit), max_rhat = max(found$rhat),
    parameters = setNames(lapply(seq_len(nrow(found)), values), found$variable)
  )
  jsonlite::write_json(record, paste0(name, ".json"), auto_unbox = TRUE, digits = NA, pretty = 1)
}

d <- read.csv("../data/nlme_Orthodont.csv")
d$age <- d$age - 11
of_teeth <- c(prior(student_t(3, 24, 5), class = "b", coef = "Intercept"), prior(normal(0, 5), class = "b"),
  prior(exponential(0.5), class = "sd"), prior(lkj(2), class = "cor"), prior(exponential(0.5), class = "sigma"))
recorded("orthodont_by", distance ~ age + female + (1 + age | gr(subject, by = female)), d, of_teeth,
  "nlme_Orthodont.csv", "distance ~ age + female + (1 + age | gr(subject, by = female)), age counted from 11")
recorded("orthodont_student_effects", distance ~ age + female + (1 + age | gr(subject, dist = "student")), d,
  c(of_teeth, prior(gamma(6, 1), class = "df", group = "subject")),
  "nlme_Orthodont.csv", "distance ~ age + female + (1 + age | gr(subject, dist = \"student\")), age counted from 11")

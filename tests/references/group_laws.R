# orthodont_by.json, orthodont_student_effects.json and sim_mm.json by brms, and ../data/sim_mm.csv: run in tests/references.
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

set.seed(7)
n <- 240
levels <- sprintf("s%02d", 1:24)
m <- data.frame(x = round(rnorm(n), 3), g1 = sample(levels[1:20], n, TRUE), g2 = sample(levels[5:24], n, TRUE), w1 = round(runif(n, 0.5, 3), 2), w2 = round(runif(n, 0.5, 3), 2))
u <- setNames(rnorm(24, 0, 1.2), levels)
m$y <- round(1 + 0.5 * m$x + (m$w1 * u[m$g1] + m$w2 * u[m$g2]) / (m$w1 + m$w2) + rnorm(n, 0, 0.8), 3)
write.csv(m, "../data/sim_mm.csv", row.names = FALSE)
recorded("sim_mm", y ~ x + (1 | mm(g1, g2, weights = cbind(w1, w2))), m,
  c(prior(normal(0, 5), class = "b"), prior(exponential(1), class = "sd"), prior(exponential(1), class = "sigma")),
  "sim_mm.csv", "y ~ x + (1 | mm(g1, g2, weights = cbind(w1, w2)))")

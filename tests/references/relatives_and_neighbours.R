# The fit of lip_cancer_bym2.json, after the simulation of sim_animals.csv and sim_animals_A.csv where they are not there:
# Rscript tests/references/relatives_and_neighbours.R
rstan::rstan_options(boost_lib = "/usr/include")
library(brms)
here <- "tests/data/sim_animals"
if (!file.exists(paste0(here, ".csv"))) {
  # 30 founders without records, then two generations of 40 animals with three records each; A by the tabular method
  set.seed(5)
  n <- 110
  sire <- dam <- rep(NA, n)
  for (i in 31:n) {
    parents <- sample(if (i <= 70) 1:30 else 31:70, 2)
    sire[i] <- parents[1]
    dam[i] <- parents[2]
  }
  A <- diag(n)
  for (i in 31:n) {
    A[i, 1:(i - 1)] <- A[1:(i - 1), i] <- (A[1:(i - 1), sire[i]] + A[1:(i - 1), dam[i]]) / 2
    A[i, i] <- 1 + A[sire[i], dam[i]] / 2
  }
  dimnames(A) <- rep(list(sprintf("a%03d", 1:n)), 2)
  S <- matrix(c(1, 0.2, 0.2, 0.25), 2)  # sds 1 and 0.5, correlation 0.4
  u <- t(chol(A)) %*% matrix(rnorm(2 * n), n) %*% chol(S)
  d <- data.frame(animal = rep(31:n, each = 3), age = rep(-1:1, n - 30))
  d$y <- round(2 + 0.5 * d$age + u[d$animal, 1] + d$age * u[d$animal, 2] + rnorm(nrow(d), 0, 0.7), 3)
  d$animal <- rownames(A)[d$animal]
  write.csv(d, paste0(here, ".csv"), row.names = FALSE, quote = FALSE)
  write.csv(A, paste0(here, "_A.csv"), quote = FALSE)
}
record <- function(file, fit, data, model, design, priors, keep) {
  s <- posterior::summarise_draws(fit, "mean", "sd", "mcse_mean", "mcse_sd", "rhat")
  s <- s[grepl(keep, s$variable), ]
  parameters <- lapply(split(s, factor(s$variable, s$variable)), function(r) as.list(signif(unlist(r[c("mean", "sd", "mcse_mean", "mcse_sd")]), 7)))
  out <- list(
    peer = sprintf("brms %s, rstan %s, R %s", packageVersion("brms"), packageVersion("rstan"), getRversion()),
    data = data, model = model, design = design, priors = priors,
    sampler = list(chains = 4, warmup = 1000, draws_per_chain = 2000, seed = 1, adapt_delta = 0.95),
    divergences = sum(subset(nuts_params(fit), Parameter == "divergent__")$Value), max_rhat = signif(max(s$rhat), 6), parameters = parameters
  )
  writeLines(jsonlite::toJSON(out, auto_unbox = TRUE, pretty = 1, digits = 8), file.path("tests/references", file))
}
sampled <- function(...) brm(..., chains = 4, cores = 1, warmup = 1000, iter = 3000, seed = 1, control = list(adapt_delta = 0.95), refresh = 500)

d <- read.csv("models/lip_cancer/data.csv")
edges <- read.csv("models/lip_cancer/neighbours.csv", check.names = FALSE)
W <- matrix(0, nrow(d), nrow(d), dimnames = rep(list(d$district), 2))
W[cbind(edges$from, edges$to)] <- W[cbind(edges$to, edges$from)] <- 1
fit <- sampled(
  cases ~ 0 + Intercept + I(aff / 10) + offset(log(expected)) + car(W, gr = district, type = "bym2"), d, poisson(),
  c(
    set_prior("normal(0, 2.5)", class = "b"), set_prior("student_t(3, 0, 2.5)", class = "b", coef = "Intercept"),
    set_prior("exponential(1)", class = "sdcar"), set_prior("beta(1, 1)", class = "rhocar")
  ),
  data2 = list(W = W)
)
record(
  "lip_cancer_bym2.json", fit, "models/lip_cancer/data.csv", "cases ~ 0 + Intercept + I(aff / 10) + offset(log(expected)) + car(W, gr = district, type = 'bym2'), poisson",
  "Intercept, aff / 10; districts (56), neighbours of models/lip_cancer/neighbours.csv",
  c("b ~ normal(0, 2.5)", "b_Intercept ~ student_t(3, 0, 2.5)", "sdcar ~ exponential(1)", "rhocar ~ beta(1, 1)"), "^(b_|sdcar|rhocar)"
)

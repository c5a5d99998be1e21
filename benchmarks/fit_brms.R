# One fit by brms: `Rscript fit_brms.R SPEC OUT DRAWS SEED CORES`; writes OUT (the fit, as saveRDS does) and its .json.
suppressPackageStartupMessages(library(brms))
arguments <- commandArgs(trailingOnly = TRUE)
spec <- jsonlite::read_json(arguments[1], simplifyVector = TRUE, simplifyDataFrame = FALSE)
data <- read.csv(file.path(dirname(arguments[1]), "data.csv"))
draws <- as.integer(arguments[3])

stan_names <- c(Normal = "normal", StudentT = "student_t", Exponential = "exponential", Gamma = "gamma", Beta = "beta",
                LKJ = "lkj")
prior_of <- function(block, ...) {
  chosen <- spec$priors[[block]]
  if (is.null(chosen)) return(empty_prior())
  set_prior(sprintf("%s(%s)", stan_names[[chosen$distribution]], toString(unlist(chosen$arguments))), ...)
}
ordinal <- spec$family == "ordinal"
priors <- c(
  if (ordinal) prior_of("cutpoints", class = "Intercept") else prior_of("Intercept", class = "b", coef = "Intercept"),
  prior_of("beta", class = "b"), prior_of("sd", class = "sd"), prior_of("corr", class = "cor"),
  prior_of("alpha", class = "shape"), prior_of("zi", class = "zi"),
  do.call(c, lapply(spec$smooths, function(smooth) prior_of(smooth$sd, class = "sds")))
)
families <- list(
  bernoulli = bernoulli(), binomial = binomial(), poisson = poisson(), negative_binomial = negbinomial(),
  zero_inflated_negative_binomial = zero_inflated_negbinomial(), ordinal = cumulative()
)
if (ordinal) data$y <- ordered(data$y)
response <- if (spec$family == "binomial") "y | trials(n)" else "y"

# Debian keeps Boost's headers outside of R's package.
if (!nzchar(rstan::rstan_options("boost_lib"))) rstan::rstan_options(boost_lib = "/usr/include")

# brms compiles within brm(); the clock is read where it calls the compiler.
compile_began <- compile_ended <- NA
invisible(trace("stan_model", where = asNamespace("rstan"), print = FALSE,
                tracer = quote(compile_began <<- proc.time()[["elapsed"]]),
                exit = quote(compile_ended <<- proc.time()[["elapsed"]])))
fit <- brm(
  bf(paste(response, "~", spec$right_side), center = FALSE), data = data, family = families[[spec$family]],
  prior = priors, chains = 4, warmup = 1000, iter = 1000 + draws, cores = as.integer(arguments[5]),
  seed = as.integer(arguments[4]), refresh = 0, silent = 2
)
sampled <- proc.time()[["elapsed"]]
saveRDS(fit, arguments[2])
steps <- rstan::get_sampler_params(fit$fit, inc_warmup = TRUE)
kept <- rstan::get_sampler_params(fit$fit, inc_warmup = FALSE)
facts <- list(
  compile_s = compile_ended - compile_began, sample_s = sampled - compile_ended,
  gradients = sum(sapply(steps, function(s) sum(s[, "n_leapfrog__"]))),
  divergences = sum(sapply(kept, function(s) sum(s[, "divergent__"]))),
  version = paste("brms", packageVersion("brms"), "rstan", packageVersion("rstan"))
)
jsonlite::write_json(facts, sub("[.]rds$", ".json", arguments[2]), auto_unbox = TRUE, digits = 6)

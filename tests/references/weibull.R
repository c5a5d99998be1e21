# The reference pbc_weibull_maximum: run from the root of the repository, Rscript tests/references/weibull.R.
suppressMessages({library(survival); library(jsonlite)})
d <- read.csv("tests/data/rstanarm_pbcSurv.csv")
fit <- survreg(Surv(futimeYears, death) ~ age + trt, d, dist = "weibull")
at <- c(as.list(coef(fit)), scale = fit$scale)
names(at)[1] <- "Intercept"
write_json(
  list(
    peer = paste0("survival ", packageVersion("survival"), ", R ", getRversion()), data = "rstanarm_pbcSurv.csv",
    model = "survreg(Surv(futimeYears, death) ~ age + trt, dist = 'weibull')", log_likelihood = fit$loglik[2],
    parameters = lapply(at, function(x) list(estimate = x))
  ),
  "tests/references/pbc_weibull_maximum.json", digits = NA, auto_unbox = TRUE, pretty = TRUE
)

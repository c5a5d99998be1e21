# The reference nitrofen_maximum: underdispersed counts (boot::nitrofen), Conway-Maxwell-Poisson by its mean, maximum likelihood.
# Run from the root of the repository, Rscript tests/references/nitrofen.R
library(glmmTMB)
d <- read.csv("models/nitrofen/data.csv")
m <- glmmTMB(young ~ factor(brood) * factor(conc), family = compois, data = d)
record <- list(
  peer = paste0("glmmTMB ", packageVersion("glmmTMB"), ", R ", getRversion()), data = "boot_nitrofen.csv",
  model = "young ~ factor(brood) * factor(conc), family = compois; log_dispersion is that of 1 / nu",
  parameters = lapply(setNames(m$fit$par, c(names(fixef(m)$cond), "log_dispersion")), function(x) list(estimate = x)),
  log_likelihood = as.numeric(logLik(m))
)
jsonlite::write_json(record, "tests/references/nitrofen_maximum.json", auto_unbox = TRUE, pretty = TRUE, digits = 12)

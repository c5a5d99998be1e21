# One fit by maximum likelihood with defaults: `Rscript fit_maximum.R lme4|glmmTMB SPEC OUT DRAWS SEED CORES`; writes OUT (saveRDS) and its .json.
# No draws are made; the last three are what all tools are given.
arguments <- commandArgs(trailingOnly = TRUE)
tool <- arguments[1]
suppressPackageStartupMessages(library(tool, character.only = TRUE))
spec <- jsonlite::read_json(arguments[2], simplifyVector = TRUE, simplifyDataFrame = FALSE)
data <- read.csv(file.path(dirname(arguments[2]), "data.csv"))
for (g in grep("^g[0-9]+$", names(data), value = TRUE)) data[[g]] <- factor(data[[g]])
response <- if (spec$family == "binomial") "cbind(y, n - y)" else "y"
formula <- as.formula(paste(response, "~", if (nzchar(spec$right_side)) spec$right_side else "1"))
fit <- switch(spec$family,
  bernoulli = , binomial = if (tool == "lme4") glmer(formula, data, binomial) else glmmTMB(formula, data, binomial),
  poisson = if (tool == "lme4") glmer(formula, data, poisson) else glmmTMB(formula, data, poisson),
  negative_binomial = if (tool == "lme4") glmer.nb(formula, data) else glmmTMB(formula, data, nbinom2),
  zero_inflated_negative_binomial = glmmTMB(formula, data, nbinom2, ziformula = ~1)
)
saveRDS(summary(fit), arguments[3])
version <- paste(tool, packageVersion(tool))
jsonlite::write_json(list(version = version), sub("[.]rds$", ".json", arguments[3]), auto_unbox = TRUE)

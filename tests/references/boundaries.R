# What other programs give at the end of a parameter's range, and by penalized quasi-likelihood:
#   Rscript boundaries.R ordinal_wine.csv metadat_dat.collins1985b.csv geepack_ohio.csv
# wine: a correlation of two standard deviations over nine judges; diuretics: the spread of nine trials; ohio: as in laplace.R.
suppressMessages({library(lme4); library(metafor); library(MASS)})
files <- commandArgs(TRUE)
write_record <- function(file, peer, data, model, estimation, parameters) {
  record <- list(peer = paste0(peer, " ", packageVersion(peer), ", R ", getRversion()), data = data, model = model,
                 estimation = estimation, parameters = lapply(parameters, function(x) list(estimate = x)))
  jsonlite::write_json(record, file, auto_unbox = TRUE, digits = 8, pretty = TRUE)
}
wine <- lmer(response ~ temp * contact + (temp | judge), read.csv(files[1]))
of_judges <- VarCorr(wine)$judge
write_record("wine_singular.json", "lme4", "ordinal_wine.csv", "lmer(response ~ temp * contact + (temp | judge))",
             if (isSingular(wine)) "restricted maximum likelihood, which lmer calls singular" else "restricted maximum likelihood",
             as.list(c(fixef(wine), sd_Intercept = attr(of_judges, "stddev")[[1]], sd_warm = attr(of_judges, "stddev")[[2]],
                       corr = attr(of_judges, "correlation")[1, 2], sigma = sigma(wine))))
trials <- read.csv(files[2])
effects <- escalc("OR", ai = ped.xti, n1i = fup.nti, ci = ped.xci, n2i = fup.nci, data = trials)
by <- lapply(c(REML = "REML", ML = "ML", DL = "DL"), function(method) rma(yi, vi, data = effects, method = method))
write_record("diuretics_zero_tau.json", "metafor", "metadat_dat.collins1985b.csv", "rma of log odds ratios of deaths of newborns (ped)",
             "REML, ML and DerSimonian and Laird",
             list(tau_REML = sqrt(by$REML$tau2), tau_ML = sqrt(by$ML$tau2), tau_DL = sqrt(by$DL$tau2), effect = by$REML$beta[[1]], se = by$REML$se))
pql <- glmmPQL(resp ~ age * smoke, random = ~ 1 | id, family = binomial, data = read.csv(files[3]), verbose = FALSE)
write_record("ohio_pql.json", "MASS", "geepack_ohio.csv", "glmmPQL(resp ~ age * smoke, random = ~ 1 | id, binomial)", "penalized quasi-likelihood",
             as.list(c(fixef(pql), sd = as.numeric(nlme::VarCorr(pql)["(Intercept)", "StdDev"]))))

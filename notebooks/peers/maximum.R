# What lme4, ordinal, mgcv, glmmTMB, metafor and two TMB programs of our own give for eleven notebooks: run in this folder. The rows have the
# notebooks' own names.
#   maximum.json
library(lme4)
card <- function(name, ...) read.csv(file.path("../../models", name, "data.csv"), ...)
version <- function(package) sprintf("%s %s, R %s", package, packageVersion(package), getRversion())
coefficients <- function(fit, names) {
  table <- coef(summary(fit))
  setNames(lapply(seq_along(names), function(i) list(estimate = table[i, 1], se = table[i, 2])), names)
}
sds <- function(values, names) setNames(lapply(as.numeric(values), function(value) list(estimate = value)), names)
record <- function(peer, model, ...) list(peer = version(peer), model = model, parameters = c(...))

records <- list()
d <- card("multicenter")
fit <- glmer(cbind(incidence, size - incidence) ~ factor(period) + (1 | herd), d, family = binomial, nAGQ = 25)
records$multi_centre <- record("lme4", "glmer(cbind(incidence, size - incidence) ~ factor(period) + (1 | herd), family = binomial, nAGQ = 25)",
  coefficients(fit, c("Intercept", "quarter 2", "quarter 3", "quarter 4")), sds(attr(VarCorr(fit)$herd, "stddev"), "sd of herds"))

d <- card("random_slopes")
fit <- lmer(Reaction ~ Days + (1 + I(Days - 4.5) | Subject), d)
spread <- VarCorr(fit)$Subject
records$longitudinal_slopes <- record("lme4", "lmer(Reaction ~ Days + (1 + I(Days - 4.5) | Subject)), REML",
  coefficients(fit, c("Intercept", "slope of day")), sds(attr(spread, "stddev"), c("sd of persons at day 4.5", "sd of slopes")),
  sds(attr(spread, "correlation")[1, 2], "their correlation"), sds(sigma(fit), "residual sd"))

d <- card("melanoma")
fit <- glmer(deaths ~ uvb + offset(log(expected)) + (1 | nation / region / county), d, family = poisson)
records$counts_with_offset <- record("lme4", "glmer(deaths ~ uvb + offset(log(expected)) + (1 | nation / region / county), family = poisson)",
  coefficients(fit, c("Intercept", "ultraviolet B")),
  sds(sapply(VarCorr(fit)[c("nation", "region:nation", "county:(region:nation)")], attr, "stddev"), c("sd of nations", "sd of regions", "sd of counties")))

d <- within(card("wine"), judge <- factor(judge))
fit <- ordinal::clmm(factor(rating) ~ temp + contact + (1 | judge), data = d, nAGQ = 10)
records$ordinal <- record("ordinal", "clmm(factor(rating) ~ temp + contact + (1 | judge), nAGQ = 10)",
  coefficients(fit, c("threshold 1|2", "threshold 2|3", "threshold 3|4", "threshold 4|5", "warm", "contact")),
  sds(sqrt(unlist(ordinal::VarCorr(fit))), "sd of judges"))

d <- subset(card("crossed"), id %% 3 == 1)
d$scene <- sub("want|do", "", d$item, ignore.case = TRUE)
fit <- glmer((r2 == "Y") ~ Anger + Gender + btype + situ + mode + (1 | id) + (1 | scene / item), d, family = binomial,
             control = glmerControl(optimizer = "bobyqa", optCtrl = list(maxfun = 1e5)))
records$nested_and_crossed <- record("lme4", "glmer(r2 == 'Y' ~ Anger + Gender + btype + situ + mode + (1 | id) + (1 | scene / item), family = binomial), id %% 3 == 1",
  coefficients(fit, c("Intercept", "anger", "men", "scold", "shout", "self to blame", "want to")),
  sds(sapply(VarCorr(fit)[c("id", "scene", "item:scene")], attr, "stddev"), c("sd of persons", "sd of scenes", "sd of items in a scene")))

library(mgcv)
d <- within(card("sitka", stringsAsFactors = TRUE), tree <- factor(tree))
fit <- gam(size ~ treat + s(time, by = treat, k = 6) + s(tree, bs = "re"), data = d, method = "REML")
table <- summary(fit)$p.table
spread <- gam.vcomp(fit)[, "std.dev"]
at <- expand.grid(time = c(469, 674), treat = c("control", "ozone"), tree = d$tree[1])
means <- predict(fit, at, type = "lpmatrix", exclude = "s(tree)")
growth <- rbind(means[2, ] - means[1, ], means[4, ] - means[3, ])
growth_se <- sqrt(diag(growth %*% vcov(fit) %*% t(growth)))
growth <- growth %*% coef(fit)
records$gamm <- record("mgcv", "gam(size ~ treat + s(time, by = treat, k = 6) + s(tree, bs = 're'), method = 'REML')",
  list("ozone" = list(estimate = table[2, 1], se = table[2, 2]),
       "growth in clean air" = list(estimate = growth[1], se = growth_se[1]), "growth with ozone" = list(estimate = growth[2], se = growth_se[2])),
  sds(spread[c("s(tree)", "scale")], c("sd of trees", "residual sd")))

library(glmmTMB)
d <- within(card("owls"), hours <- ArrivalTime - 25)
fit <- glmmTMB(SiblingNegotiation ~ FoodTreatment + SexParent + hours + offset(log(BroodSize)) + (1 | Nest),
               ziformula = ~ FoodTreatment + SexParent + hours, family = nbinom2, data = d)
of_part <- function(part, names) {
  table <- coef(summary(fit))[[part]]
  setNames(lapply(seq_along(names), function(i) list(estimate = table[i, 1], se = table[i, 2])), names)
}
effects <- c("beta[FoodTreatment[Satiated]]", "beta[SexParent[Male]]", "beta[hours]")
records$zero_inflation <- record("glmmTMB", "SiblingNegotiation ~ FoodTreatment + SexParent + hours + offset(log(BroodSize)) + (1 | Nest), ziformula = ~ FoodTreatment + SexParent + hours, nbinom2",
  of_part("cond", c("Intercept", effects)), of_part("zi", paste0("zi_", c("Intercept", effects))),
  sds(c(attr(VarCorr(fit)$cond$Nest, "stddev"), sigma(fit)), c("sd_Nest[Intercept]", "alpha")))

d <- card("wedge_trial")
fit <- glmer(cbind(y, n - y) ~ factor(period) + treat + (1 | cluster) + (1 | cluster:period), d, family = binomial, control = glmerControl("bobyqa"))
records$stepped_wedge <- record("lme4", "glmer(cbind(y, n - y) ~ factor(period) + treat + (1 | cluster) + (1 | cluster:period), family = binomial)",
  coefficients(fit, c("Intercept", paste("period", 1:4), "effect"))[c("Intercept", "effect")],
  sds(sapply(VarCorr(fit)[c("cluster", "cluster:period")], attr, "stddev"), c("sd_cluster[Intercept]", "sd_cluster:period[Intercept]")))

d <- card("bcg")
trials <- metafor::escalc("OR", ai = events2, n1i = n2, ci = events1, n2i = n1, data = within(d, lat <- ablat - mean(ablat)))
fit <- metafor::rma(yi, vi, mods = ~ lat, data = trials)
records$meta_analysis <- record("metafor", "rma(yi, vi, mods = ~ lat) on log odds ratios, REML",
  list("effect" = list(estimate = fit$beta[1], se = fit$se[1]), "beta[ablat]" = list(estimate = fit$beta[2], se = fit$se[2])), sds(sqrt(fit$tau2), "tau"))

# Two likelihoods of our own, maximised with Laplace's approximation of the integral over group effects.
library(TMB)
maximised <- function(name, data, start, random) {
  file.copy(paste0(name, ".cpp"), tempdir(), overwrite = TRUE)
  stem <- file.path(tempdir(), name)
  compile(paste0(stem, ".cpp"))
  dyn.load(dynlib(stem))
  of <- MakeADFun(data, start, random = random, DLL = name, silent = TRUE)
  found <- nlminb(of$par, of$fn, of$gr, control = list(iter.max = 500, eval.max = 500))
  stopifnot(found$convergence == 0)
  summary(sdreport(of), c("fixed", "report"))
}
with_se <- function(table, rows, names) setNames(lapply(rows, function(i) list(estimate = table[i, 1], se = table[i, 2])), names)

d <- card("absent_or_rare", stringsAsFactors = TRUE)
first <- d[match(levels(d$pop), d$pop), ]
table <- maximised("never_at_risk",
  list(y = d$count, X = model.matrix(~ mined + spp, d), pop = as.integer(d$pop) - 1L, site = as.integer(d$site) - 1L,
       w = as.numeric(first$mined == "yes"), any = as.integer(tapply(d$count, d$pop, sum) > 0)),
  list(beta = rep(0, 8), gamma = c(-1, 0), log_sd = c(0, -0.5), u = rep(0, nlevels(d$pop)), v = rep(0, nlevels(d$site))), c("u", "v"))
records$never_at_risk <- record("TMB", "count ~ mined + spp + (1 | site) + (1 | pop), never ~ mined, Poisson: never_at_risk.cpp",
  with_se(table, c(1, 2), c("Intercept", "beta[mined[yes]]")), with_se(table, c(9, 10), c("never_Intercept", "never_beta[mined[yes]]")),
  sds(exp(table[c(12, 11), 1]), c("sd_site[Intercept]", "sd_pop[Intercept]")), with_se(table, 13, "share[never at risk]"))

d <- within(card("liver_platelets"), { years <- day / 365.25; id <- factor(id) })
liver <- subset(d, !is.na(hepato))
platelets <- subset(d, !is.na(platelet))
table <- maximised("joint_outcomes",
  list(y = liver$hepato, X = model.matrix(~ years + trt, liver), g = as.integer(liver$id) - 1L,
       z = log(platelets$platelet), Z = model.matrix(~ years + trt, platelets), h = as.integer(platelets$id) - 1L, years = platelets$years),
  list(beta = rep(0, 3), delta = c(5, 0, 0), log_sigma = -1, log_sd = c(0.5, -1, -2.5), theta = rep(0, 3), U = matrix(0, nlevels(d$id), 3)), "U")
report <- which(rownames(table) %in% c("sd", "corr"))
records$joint_outcomes <- record("TMB", "hepato ~ years + trt + (1 |p| id), log(platelet) ~ years + trt + (1 + years |p| id): joint_outcomes.cpp",
  with_se(table, c(2, 5), c("hepato_beta[years]", "logplatelet_beta[years]")),
  with_se(table, report, c("sd_id[hepato:Intercept]", "sd_id[logplatelet:Intercept]", "sd_id[logplatelet:years]",
                           "corr_id[hepato:Intercept, logplatelet:Intercept]", "corr_id[hepato:Intercept, logplatelet:years]")))

jsonlite::write_json(records, "maximum.json", auto_unbox = TRUE, pretty = TRUE, digits = 8)

# What lme4, ordinal and mgcv give for six notebooks: run in tests/references. The rows have the notebooks' own names.
#   gallery_maximum.json
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

jsonlite::write_json(records, "gallery_maximum.json", auto_unbox = TRUE, pretty = TRUE, digits = 8)

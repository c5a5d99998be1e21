# Maximum likelihood of models with a standard deviation of their own for some rows, and the data: run in tests/references.
#   orthodont_varident_maximum.json  nlme::lme with varIdent
#   soup_scale_maximum.json          ordinal::clm with scale=
library(nlme)
write <- function(about, file) jsonlite::write_json(about, file, auto_unbox = TRUE, pretty = TRUE, digits = 12)
version <- function(package) sprintf("%s %s, R %s", package, packageVersion(package), getRversion())

d <- as.data.frame(Orthodont)
d <- data.frame(distance = d$distance, age = d$age, female = as.integer(d$Sex == "Female"), subject = as.character(d$Subject))
write.csv(d, "../data/nlme_Orthodont.csv", row.names = FALSE)
fit <- lme(distance ~ I(age - 11) + female, d, random = ~ 1 | subject, weights = varIdent(form = ~ 1 | female), method = "ML",
           control = lmeControl(tolerance = 1e-12, msTol = 1e-12))
ratio <- coef(fit$modelStruct$varStruct, unconstrained = FALSE)
sigma <- if (names(ratio) == "1") c(fit$sigma, fit$sigma * ratio) else c(fit$sigma * ratio, fit$sigma)
names <- c("Intercept", "beta_age", "beta_female", "sd_subject", "log_sigma_male", "log_sigma_female")
values <- c(fixef(fit), as.numeric(VarCorr(fit)[1, 2]), log(sigma))
values[4] <- sqrt(as.numeric(getVarCov(fit)))
write(list(peer = version("nlme"), data = "nlme_Orthodont.csv",
           model = "lme(distance ~ I(age - 11) + female, random = ~ 1 | subject, weights = varIdent(form = ~ 1 | female), method = 'ML')",
           log_likelihood = as.numeric(logLik(fit)),
           parameters = lapply(setNames(values, names), function(v) list(estimate = as.numeric(v)))), "orthodont_varident_maximum.json")

data(soup, package = "ordinal")
d <- subset(soup, LOCATION == "Region 1")
d <- data.frame(sureness = as.integer(d$SURENESS), test = as.integer(d$PROD == "Test"), respondent = as.integer(as.character(d$RESP)))
write.csv(d, "../data/ordinal_soup.csv", row.names = FALSE)
parameters <- list()
for (link in c("logit", "probit", "cloglog")) {
  fit <- ordinal::clm(factor(sureness) ~ test, scale = ~ test, data = d, link = link)
  parameters[[link]] <- list(log_likelihood = as.numeric(logLik(fit)), cutpoints = unname(fit$alpha), beta = unname(fit$beta), zeta = unname(fit$zeta))
}
write(list(peer = version("ordinal"), data = "ordinal_soup.csv",
           model = "clm(sureness ~ test, scale = ~ test): P(Y <= k) = F((cutpoint_k - beta test) / exp(zeta test))",
           parameters = parameters), "soup_scale_maximum.json")

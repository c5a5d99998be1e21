# Laplace's approximation and adaptive quadrature of the same likelihoods, where groups are small:
#   Rscript laplace.R geepack_ohio.csv verbagg_wanting.csv
# ohio: wheezing of 537 children in four years; verbagg_wanting: answers no < perhaps < yes of 316 persons to three items.
library(lme4)
library(ordinal)
files <- commandArgs(TRUE)
ohio <- read.csv(files[1])
glmer_with <- function(points) {
  fit <- glmer(resp ~ age * smoke + (1 | id), ohio, binomial, nAGQ = points)
  c(fixef(fit), sd = sqrt(VarCorr(fit)$id[1]))
}
wanting <- read.csv(files[2])
wanting$resp <- factor(wanting$resp, c("no", "perhaps", "yes"), ordered = TRUE)
clmm_with <- function(points) {
  fit <- clmm(resp ~ item + Gender + (1 | id), wanting, nAGQ = points)
  c(coef(fit), sd = sqrt(VarCorr(fit)$id[1]))
}
write_record <- function(file, peer, data, model, laplace, quadrature) {
  parameters <- Map(function(l, q) list(estimate = l, exact = q), as.list(laplace), as.list(quadrature))
  estimation <- "maximum likelihood: estimate by Laplace's approximation (nAGQ = 1), exact by adaptive quadrature (nAGQ = 25)"
  record <- list(peer = paste0(peer, " ", packageVersion(peer), ", R ", getRversion()), data = data, model = model,
                 estimation = estimation, parameters = parameters)
  jsonlite::write_json(record, file, auto_unbox = TRUE, digits = 8, pretty = TRUE)
}
write_record("ohio_laplace.json", "lme4", "geepack_ohio.csv", "glmer(resp ~ age * smoke + (1 | id), binomial)", glmer_with(1), glmer_with(25))
write_record("verbagg_wanting_laplace.json", "ordinal", "glmm_zoo/qualification/disagreements/verbagg_wanting.csv",
             "clmm(resp ~ item + Gender + (1 | id)), logit, no < perhaps < yes", clmm_with(1), clmm_with(25))

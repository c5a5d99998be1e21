# The reference imputed_maximum and its data: run from the root of the repository, Rscript tests/references/imputed.R.
# 300 rows in 30 groups, a third of x missing, five imputations of it (x1 to x5) from its regression on z and y; lme4 on each, Rubin's rules by hand.
suppressMessages({library(lme4); library(jsonlite)})
set.seed(20)
n <- 300
g <- rep(seq_len(30), 10)
z <- rnorm(n)
x <- 0.6 * z + rnorm(n, 0, 0.8)
y <- 1 + 0.7 * x - 0.3 * z + rnorm(30, 0, 0.6)[g] + rnorm(n)
gap <- runif(n) < 1 / 3
m <- lm(x ~ z + y, subset = !gap)
d <- data.frame(y = y, z = z, g = sprintf("g%02d", g))
for (k in 1:5) {
  sigma <- sqrt(sum(resid(m)^2) / rchisq(1, df.residual(m)))
  b <- coef(m) + sigma / sigma(m) * drop(rnorm(3) %*% chol(vcov(m)))
  d[[paste0("x", k)]] <- ifelse(gap, cbind(1, z, y) %*% b + rnorm(n, 0, sigma), x)
}
d <- data.frame(lapply(d, function(v) if (is.numeric(v)) round(v, 5) else v))
write.csv(d, "tests/data/sim_imputed.csv", row.names = FALSE)
fits <- lapply(1:5, function(k) lmer(y ~ x + z + (1 | g), transform(d, x = d[[paste0("x", k)]])))
q <- sapply(fits, fixef)
within <- rowMeans(sapply(fits, function(f) diag(as.matrix(vcov(f)))))
between <- apply(q, 1, var)
r <- (1 + 1 / 5) * between / within
df <- 4 * (1 + 1 / r)^2
rows <- lapply(seq_len(3), function(i) list(
  estimate = signif(rowMeans(q)[i], 7), within = signif(within[i], 7), between = signif(between[i], 7),
  fmi = signif(((r + 2 / (df + 3)) / (r + 1))[i], 7)
))
record <- list(
  peer = paste0("lme4 ", packageVersion("lme4"), ", R ", getRversion()), data = "sim_imputed.csv", model = "y ~ x + z + (1 | g), x one of x1 to x5",
  estimation = "REML for each of five imputations; Rubin's rules", parameters = setNames(lapply(rows, lapply, unname), rownames(q))
)
write_json(record, "tests/references/imputed_maximum.json", auto_unbox = TRUE, pretty = TRUE, digits = 8)

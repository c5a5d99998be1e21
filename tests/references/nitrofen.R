# Underdispersed counts: the young of water fleas (boot::nitrofen), Conway-Maxwell-Poisson with its mean parameterised.
# By maximum likelihood (glmmTMB) and by a Stan program of its own, which finds lambda in each of the nine cells by Newton's method.
# Rscript nitrofen.R FOLDER, with nitrofen.csv (models/nitrofen/data.csv) in it.
library(rstan)
library(glmmTMB)
folder <- commandArgs(TRUE)[1]
d <- read.csv(file.path(folder, "nitrofen.csv"))
number <- function(x) formatC(x, digits = 10, format = "g")

m <- glmmTMB(young ~ factor(brood) * factor(conc), family = compois, data = d)
cat("logLik", number(logLik(m)), "\n", number(m$fit$par), "\n")
print(sqrt(diag(vcov(m, full = TRUE))))

program <- "
functions {
  vector rate_and_norm(real log_mu, real nu, vector j, vector log_factorial) {
    real rate = nu * log(exp(log_mu) + (nu - 1) / (2 * nu));
    for (k in 1:8) {
      vector[num_elements(j)] p = softmax(rate * j - nu * log_factorial);
      real m = dot_product(p, j);
      rate = rate + (log_mu - log(m)) * m / dot_product(p, square(j - m));
    }
    return [rate, log_sum_exp(rate * j - nu * log_factorial)]';
  }
}
data { int N; int K; int C; int y[N]; int cell[N]; matrix[C, K] X; int J; vector[J] j; vector[J] log_factorial; }
parameters { vector[K] beta; real<lower=0> nu; }
model {
  vector[C] eta = X * beta;
  beta[1] ~ normal(2, 2);
  beta[2:K] ~ normal(0, 1);
  nu ~ lognormal(0, 1);
  {
    matrix[C, 2] of_cell;
    for (c in 1:C) of_cell[c] = rate_and_norm(eta[c], nu, j, log_factorial)';
    for (i in 1:N) target += y[i] * of_cell[cell[i], 1] - nu * log_factorial[y[i] + 1] - of_cell[cell[i], 2];
  }
}"
rstan_options(boost_lib = "/usr/include")
cells <- unique(d[c("brood", "conc")])
X <- model.matrix(~ factor(brood) * factor(conc), cells)
cell <- match(paste(d$brood, d$conc), paste(cells$brood, cells$conc))
data <- list(N = nrow(d), K = ncol(X), C = nrow(cells), y = d$young, cell = cell, X = X, J = 60, j = 0:59, log_factorial = lgamma(1:60))
fit <- stan(model_code = program, data = data, chains = 4, iter = 3500, warmup = 1000, seed = 1, cores = 1, refresh = 500)
names <- c(colnames(X), "nu")
s <- summary(fit, pars = c("beta", "nu"))$summary
out <- lapply(seq_along(names), function(i) list(mean = s[i, "mean"], sd = s[i, "sd"], mcse_mean = s[i, "se_mean"], mcse_sd = s[i, "sd"] / sqrt(2 * s[i, "n_eff"])))
names(out) <- names
writeLines(jsonlite::toJSON(list(parameters = out, divergences = sum(get_divergent_iterations(fit)), max_rhat = max(s[, "Rhat"])), auto_unbox = TRUE, digits = 6, pretty = TRUE), file.path(folder, "nitrofen_stan.json"))

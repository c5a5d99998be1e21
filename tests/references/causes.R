# Cumulative incidences of two competing causes by arm, Aalen and Johansen's estimate: Rscript tests/references/causes.R, from the top.
suppressMessages(library(survival))
d <- read.csv("tests/data/sim_causes.csv")
state <- factor(d$status, c("censored", "death", "relapse"))
aj <- summary(survfit(Surv(time, state) ~ arm, data = transform(d, state = state)), times = c(1, 3, 6))
curves <- list(peer = sprintf("survival %s, R %s", packageVersion("survival"), getRversion()), data = "sim_causes.csv",
               model = "survfit(Surv(time, status) ~ arm), one entry for each arm and time",
               parameters = list(arm = sub("arm=", "", aj$strata), time = aj$time, death = aj$pstate[, 2],
                                 relapse = aj$pstate[, 3], se_death = aj$std.err[, 2], se_relapse = aj$std.err[, 3]))
writeLines(jsonlite::toJSON(curves, auto_unbox = TRUE, pretty = 1, digits = 12), "tests/references/causes_aalen_johansen.json")

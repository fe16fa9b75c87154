# Rscript maxstat.R data.csv permutations
# Times maxstat's permutation p of the maximally selected log-rank; prints seconds, p, statistic and version.
suppressMessages({library(survival); library(maxstat)})
given <- commandArgs(trailingOnly = TRUE)
data <- read.csv(given[1])
run <- function(permutations) maxstat.test(Surv(time, event) ~ score, data, smethod = "LogRank", pmethod = "condMC",
                                           minprop = 0.1, maxprop = 0.9, B = permutations)
set.seed(1)
invisible(run(100))
started <- Sys.time()
found <- run(as.integer(given[2]))
cat(as.numeric(difftime(Sys.time(), started, units = "secs")), "\n", sep = "")
cat(found$p.value, " ", found$statistic, "\n", sep = "")
cat("maxstat ", as.character(packageVersion("maxstat")), "\n", sep = "")

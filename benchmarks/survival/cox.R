# Rscript cox.R data.csv counts.csv fits compared coefficients.csv
# Times survival::coxph.fit, the bare fit below coxph(), over the first `fits` resamples; prints seconds a fit
# and versions. Writes the coefficients of the first `compared` resamples, iterated to the last digit.
suppressMessages(library(survival))
given <- commandArgs(trailingOnly = TRUE)
data <- read.csv(given[1])
counts <- as.matrix(read.csv(given[2], header = FALSE))
fits <- as.integer(given[3]); compared <- as.integer(given[4])
outcome <- Surv(data$time, data$event)
score <- matrix(data$score, ncol = 1)
rows <- apply(counts[seq_len(max(fits, compared)), ], 1, function(drawn) rep(seq_along(drawn), drawn), simplify = FALSE)
x <- lapply(rows, function(i) score[i, , drop = FALSE])
y <- lapply(rows, function(i) outcome[i])
fit <- function(b, control) coxph.fit(x[[b]], y[[b]], NULL, NULL, NULL, control, NULL, "efron", NULL, resid = FALSE)
usual <- coxph.control()
for (b in seq_len(min(fits, 50))) fit(b, usual)  # byte-compiled before it is timed
started <- Sys.time()
for (b in seq_len(fits)) fit(b, usual)
seconds <- as.numeric(difftime(Sys.time(), started, units = "secs"))
if (compared > 0) {
  tight <- coxph.control(eps = 1e-14, toler.chol = 1e-15, iter.max = 50)
  found <- vapply(seq_len(compared), function(b) unname(fit(b, tight)$coefficients), 0)
  writeLines(format(found, digits = 17), given[5])
}
cat(seconds / fits, "\n", sep = "")
cat("R ", as.character(getRversion()), ", survival ", as.character(packageVersion("survival")), "\n", sep = "")

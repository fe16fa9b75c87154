# Prints tests/reference/r_two_group.csv: two groups of parts of veteran, by coxph and survdiff.
#   Rscript benchmarks/survival/r_two_group.R > tests/reference/r_two_group.csv
# Which patients, events and groups follow from their number, so that any language can repeat it
# (tests/survival/test_two_group.py).
suppressPackageStartupMessages(library(survival))
versions <- sprintf("R %s; survival %s", getRversion(), packageVersion("survival"))
cat("dataset,analysis,term,quantity,value,tolerance,source\n")
tight <- coxph.control(eps = 1e-14, toler.chol = 1e-15, iter.max = 100)
patient <- seq_len(nrow(veteran))
part <- function(b) {
  size <- c(1, 3, 5)[1 + b %% 3]
  inside <- (7 * patient + 5 * b) %% 17 < size & (patient + b) %% 11 != 0
  data.frame(
    time = if (b %% 2) ceiling(veteran$time / 30) else veteran$time,
    event = as.integer(veteran$status == 1 & (patient + b) %% 4 != 0),
    x = as.integer((patient^2 + 2 * b * patient) %% 7 < 3))[inside, ]
}
analyse <- function(b, ties, firth = FALSE) {
  data <- part(b)
  at <- function(beta) suppressWarnings(
    coxph(Surv(time, event) ~ x, data, init = beta, ties = ties, control = coxph.control(iter.max = 0)))
  # No step is taken: likelihood and variance are those at `beta`.
  value <- function(beta) {
    fit <- at(beta)
    fit$loglik[2] - if (firth) 0.5 * log(fit$var[1]) else 0
  }
  fit <- suppressWarnings(coxph(Surv(time, event) ~ x, data, ties = ties, control = tight))
  coef <- if (firth) optimize(value, c(-8, 8), maximum = TRUE, tol = 1e-10)$maximum else fit$coefficients[[1]]
  best <- if (firth) value(coef) else fit$loglik[2]
  # So far out the likelihood has come to its limit.
  monotone <- !firth && abs(coef) > 12
  z <- sign(coef) * sqrt(max(2 * (best - value(0)), 0))
  drop <- function(beta) 2 * (best - value(beta)) - qchisq(0.95, 1)
  cross <- function(from, to) uniroot(drop, c(from, to), tol = 1e-13)$root
  test <- survdiff(Surv(time, event) ~ x, data)
  # Limits of a few patients lie far out.
  found <- c(coef = if (monotone) sign(coef) * Inf else coef, z = z,
    score_z = sign(test$obs[2] - test$exp[2]) * sqrt(test$chisq),
    lower = if (monotone && coef < 0) -Inf else cross(-11, if (monotone) 11 else coef),
    upper = if (monotone && coef > 0) Inf else cross(if (monotone) -11 else coef, 11),
    n = nrow(data), events = sum(data$event), n_exposed = sum(data$x), events_exposed = sum(data$event * data$x))
  source <- sprintf("\"%s of part %d%s (%s)\"", if (firth) "coxph + log(information) / 2" else "coxph and survdiff",
    b, if (firth) "" else sprintf("; ties='%s'", ties), versions)
  # optimize() finds a maximum to the root of the machine precision.
  tolerance <- ifelse(firth & names(found) == "coef", "1e-6", "1e-8")
  cat(paste("veteran", if (firth) "firth" else ties, b, names(found), sapply(found, format, digits = 15),
    tolerance, source, sep = ","), sep = "\n")
}
for (b in 1:18) {
  analyse(b, "efron")
  analyse(b, "breslow")
  analyse(b, "breslow", firth = TRUE)
}

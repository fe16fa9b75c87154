# The sarcoma cohort by R: baseline uptake and outcome, what tests/reference/r_sarcoma.csv holds (aggregates only).
# Rscript benchmarks/survival/r_sarcoma.R <folder>/clinical.csv data/derived/sarcoma/primary/adpet.csv > tests/reference/r_sarcoma.csv
suppressPackageStartupMessages(library(survival))

DAYS_PER_MONTH <- 30.4375
TIMES <- c(3, 6, 12)  # months from the PET
TAU <- 6
METRICS <- c("SUVMAX", "MTV41", "TLG41")
VERSION <- sprintf("R %s.%s, survival %s", R.version$major, R.version$minor, packageVersion("survival"))

rows <- list()
put <- function(analysis, term, quantity, value, tolerance, call) {
  rows[[length(rows) + 1]] <<- data.frame(dataset = "sarcoma", analysis, term, quantity, value = as.numeric(value),
                                          tolerance, source = paste0(VERSION, ": ", call))
}

# ---- outcome: days from the PET, which is time zero
files <- commandArgs(TRUE)
raw <- read.csv(files[1], na.strings = "")
zero <- raw$days_diagnosis_to_mri + raw$days_mri_to_pet
dead <- !is.na(raw$status) & raw$status == "D"
relapsed <- !is.na(raw$outcome)
last <- raw$days_diagnosis_to_last_follow_up
first <- pmin(ifelse(relapsed, raw$days_diagnosis_to_outcome, Inf), ifelse(dead, last, Inf))
ends <- list(
  EFS = Surv((ifelse(relapsed | dead, first, last) - zero) / DAYS_PER_MONTH, as.numeric(relapsed | dead)),
  OS = Surv((last - zero) / DAYS_PER_MONTH, as.numeric(dead))
)

# ---- exposure: one value a patient, the maximum of an SUV, the sum of volumes
pet <- read.csv(files[2])
pet <- pet[pet$AVISIT == "D0" & pet$ROLE == "LESION", ]
value_of <- function(metric) {
  mine <- pet[pet$METRIC == metric, ]
  by <- tapply(mine$AVAL, mine$USUBJID, if (metric == "SUVMAX") max else sum)
  unname(by[raw$patient_id])
}

profile_limits <- function(surv, x, fit) {
  best <- fit$loglik[2]
  drop <- function(b) best - coxph(surv ~ x, init = b, control = coxph.control(iter.max = 0))$loglik[2] - qchisq(.95, 1) / 2
  at <- unname(coef(fit)); far <- 20 * sqrt(fit$var[1])
  c(uniroot(drop, c(at - far, at), tol = 1e-12)$root, uniroot(drop, c(at, at + far), tol = 1e-12)$root)
}

cox_rows <- function(analysis, term, surv, x) {
  fit <- coxph(surv ~ x, ties = "efron", control = coxph.control(eps = 1e-12, iter.max = 100))
  wald <- confint(fit); profile <- profile_limits(surv, x, fit)
  call <- sprintf("coxph(Surv(t, e) ~ %s, ties = 'efron')", term)
  put(analysis, term, "hr", exp(coef(fit)), 1e-6, call)
  put(analysis, term, "wald_lower", exp(wald[1]), 1e-6, call)
  put(analysis, term, "wald_upper", exp(wald[2]), 1e-6, call)
  put(analysis, term, "profile_lower", exp(profile[1]), 1e-5, paste(call, "uniroot on its log-likelihood"))
  put(analysis, term, "profile_upper", exp(profile[2]), 1e-5, paste(call, "uniroot on its log-likelihood"))
  put(analysis, term, "p_likelihood_ratio", pchisq(2 * diff(fit$loglik), 1, lower.tail = FALSE), 1e-6, call)
}

for (end in names(ends)) {
  surv <- ends[[end]]
  put(end, "all", "n", length(surv), 0, "counts")
  put(end, "all", "events", sum(surv[, "status"]), 0, "counts")
  for (metric in METRICS) {
    x <- value_of(metric); analysis <- paste(end, metric)
    cox_rows(analysis, "per_doubling", surv, log2(x))
    high <- as.numeric(x > median(x)); group <- factor(ifelse(high == 1, "HIGH", "LOW"))
    put(analysis, "HIGH", "n", sum(high), 0, "counts")
    cox_rows(analysis, "median_split", surv, high)
    put(analysis, "median_split", "logrank_chi2", survdiff(surv ~ group)$chisq, 1e-6, "survdiff(Surv(t, e) ~ high)")
    c_index <- concordance(surv ~ x, reverse = TRUE)
    put(analysis, "value", "concordance", c_index$concordance, 1e-6, "concordance(Surv(t, e) ~ value, reverse = TRUE)")
    put(analysis, "value", "concordance_se", sqrt(c_index$var), 1e-6, "concordance(Surv(t, e) ~ value, reverse = TRUE)")
    means <- c()
    for (name in levels(group)) {
      fit <- survfit(surv[group == name] ~ 1, conf.type = "log-log")
      limits <- summary(fit)$table[c("median", "0.95LCL", "0.95UCL")]
      call <- "survfit(Surv(t, e) ~ 1, conf.type = 'log-log')"
      for (k in 1:3) put(analysis, name, c("median", "median_lower", "median_upper")[k], limits[k], 1e-6, call)
      at <- summary(fit, times = TIMES, extend = TRUE)
      for (k in seq_along(TIMES)) put(analysis, name, sprintf("survival_%gm", TIMES[k]), at$surv[k], 1e-6, call)
      means[name] <- if (min(surv[group == name, "time"]) < TAU) summary(fit, rmean = TAU)$table["rmean"] else NA
    }
    if (!anyNA(means)) {
      put(analysis, "median_split", "rmst_difference", means["HIGH"] - means["LOW"], 1e-6,
          "summary(survfit(Surv(t, e) ~ high), rmean = 6)")
    }
  }
}
table <- do.call(rbind, rows)
table$value <- sprintf("%.10g", table$value)
cat(names(table), sep = ",", fill = TRUE)
write.table(table, sep = ",", row.names = FALSE, col.names = FALSE, quote = which(names(table) == "source"))

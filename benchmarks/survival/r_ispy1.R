# I-SPY 1 by R, from the cohort's own table: what tests/reference/r_ispy1.csv holds (aggregate statistics only).
# Rscript benchmarks/survival/r_ispy1.R <folder>/patients.csv > tests/reference/r_ispy1.csv
suppressPackageStartupMessages(library(survival))

DAYS_PER_MONTH <- 30.4375
LANDMARK_DAY <- 90      # after day 0 of the table: a fixed landmark, as there are no scan dates
CUT <- 0.7              # a fall of 30 % responds
LIMIT_MM <- 5           # a tumour not seen counts with half of it
TIMES <- c(12, 36, 60)  # months from the landmark
TAU <- 60
MRIS <- c(MRI1 = "MRI_LD_1_3dAC", MRI2 = "MRI_LD_InterReg")
ENDS <- list(RFS = c("RFS", "rfs_ind", "1"), OS = c("survDtD2_tx", "sstat", "8"))
VERSION <- sprintf("R %s.%s, survival %s", R.version$major, R.version$minor, packageVersion("survival"))

rows <- list()
put <- function(dataset, analysis, term, quantity, value, tolerance, call) {
  rows[[length(rows) + 1]] <<- data.frame(dataset, analysis, term, quantity, value = as.numeric(value), tolerance,
                                          source = paste0(VERSION, ": ", call))
}

# ---- tables
size <- function(mm) pmax(mm, LIMIT_MM / 2)
read_cohort <- function(file) {
  raw <- read.csv(file)
  raw <- raw[order(raw$SUBJECTID), ]
  for (mri in names(MRIS)) {
    raw[[paste0("ln_", mri)]] <- log(size(raw[[MRIS[[mri]]]]) / raw$MRI_LD_Baseline)
    # compared as the percent change is, so that a fall of exactly 30 % responds despite rounding
    raw[[paste0("bad_", mri)]] <- as.numeric(exp(raw[[paste0("ln_", mri)]]) > CUT + 1e-11)
  }
  for (end in names(ENDS)) {
    spec <- ENDS[[end]]
    raw[[paste0("t_", end)]] <- (raw[[spec[1]]] - LANDMARK_DAY) / DAYS_PER_MONTH
    raw[[paste0("e_", end)]] <- as.numeric(raw[[spec[2]]] == as.numeric(spec[3]))
  }
  raw
}

outcome <- function(d, end) {
  kept <- d[d[[paste0("t_", end)]] > 0, ]
  kept$surv <- Surv(kept[[paste0("t_", end)]], kept[[paste0("e_", end)]])
  kept
}

# ---- pieces
profile_limits <- function(surv, x, fit) {
  best <- fit$loglik[2]
  drop <- function(b) best - coxph(surv ~ x, init = b, control = coxph.control(iter.max = 0))$loglik[2] - qchisq(.95, 1) / 2
  at <- unname(coef(fit)); far <- 20 * sqrt(fit$var[1])
  c(uniroot(drop, c(at - far, at), tol = 1e-12)$root, uniroot(drop, c(at, at + far), tol = 1e-12)$root)
}

cox_rows <- function(dataset, analysis, term, surv, x) {
  fit <- coxph(surv ~ x, ties = "efron", control = coxph.control(eps = 1e-12, iter.max = 100))
  wald <- confint(fit); profile <- profile_limits(surv, x, fit)
  call <- sprintf("coxph(Surv(t, e) ~ %s, ties = 'efron')", term)
  put(dataset, analysis, term, "hr", exp(coef(fit)), 1e-6, call)
  put(dataset, analysis, term, "wald_lower", exp(wald[1]), 1e-6, call)
  put(dataset, analysis, term, "wald_upper", exp(wald[2]), 1e-6, call)
  put(dataset, analysis, term, "profile_lower", exp(profile[1]), 1e-5, paste(call, "uniroot on its log-likelihood"))
  put(dataset, analysis, term, "profile_upper", exp(profile[2]), 1e-5, paste(call, "uniroot on its log-likelihood"))
  put(dataset, analysis, term, "loglik_gain", fit$loglik[2] - fit$loglik[1], 1e-6, call)
}

curve_rows <- function(dataset, analysis, surv, bad) {
  group <- factor(ifelse(bad == 1, "NON-RESPONDER", "RESPONDER"))
  put(dataset, analysis, "class", "logrank_chi2", survdiff(surv ~ group)$chisq, 1e-6, "survdiff(Surv(t, e) ~ class)")
  means <- c()
  for (name in levels(group)) {
    fit <- survfit(surv[group == name] ~ 1, conf.type = "log-log")
    limits <- summary(fit)$table[c("median", "0.95LCL", "0.95UCL")]
    call <- "survfit(Surv(t, e) ~ 1, conf.type = 'log-log')"
    for (k in 1:3) put(dataset, analysis, name, c("median", "median_lower", "median_upper")[k], limits[k], 1e-6, call)
    at <- summary(fit, times = TIMES, extend = TRUE)
    for (k in seq_along(TIMES)) {
      put(dataset, analysis, name, sprintf("survival_%gm", TIMES[k]), at$surv[k], 1e-6, call)
    }
    # a group whose every time lies beyond TAU: R has no restricted mean of it
    if (min(surv[group == name, "time"]) < TAU) means[name] <- summary(fit, rmean = TAU)$table["rmean"]
  }
  if (length(means) == 2) put(dataset, analysis, "class", "rmst_difference", means["NON-RESPONDER"] - means["RESPONDER"], 1e-6,
      "summary(survfit(Surv(t, e) ~ class), rmean = 60)")
}

concordance_rows <- function(dataset, analysis, both) {
  found <- lapply(names(MRIS), function(mri) {
    x <- both[[paste0("ln_", mri)]]
    concordance(both$surv ~ x, reverse = TRUE, influence = 1)
  })
  names(found) <- names(MRIS)
  call <- "concordance(Surv(t, e) ~ ln ratio, reverse = TRUE, influence = 1)"
  for (mri in names(MRIS)) {
    put(dataset, analysis, mri, "concordance", found[[mri]]$concordance, 1e-6, call)
    put(dataset, analysis, mri, "concordance_se", sqrt(found[[mri]]$var), 1e-6, call)
  }
  gap <- found$MRI2$dfbeta - found$MRI1$dfbeta
  put(dataset, analysis, "MRI2 - MRI1", "concordance", found$MRI2$concordance - found$MRI1$concordance, 1e-6, call)
  put(dataset, analysis, "MRI2 - MRI1", "concordance_se", sqrt(sum(gap^2)), 1e-6, paste(call, "dfbeta"))
}

agreement_rows <- function(dataset, d) {
  both <- d[!is.na(d$ln_MRI1) & !is.na(d$ln_MRI2), ]
  a <- both$bad_MRI1; b <- both$bad_MRI2
  seen <- mean(a == b); chance <- mean(a) * mean(b) + mean(1 - a) * mean(1 - b)
  put(dataset, "agreement", "MRI2 - MRI1", "n", nrow(both), 0, "counts")
  put(dataset, "agreement", "MRI2 - MRI1", "kappa", (seen - chance) / (1 - chance), 1e-9, "Cohen 1960 by hand")
  up <- sum(a == 1 & b == 0); down <- sum(a == 0 & b == 1)
  exact <- binom.test(up, up + down)$p.value
  put(dataset, "agreement", "MRI2 - MRI1", "mcnemar_exact_p", exact, 1e-9, "binom.test(b, b + c)")
  put(dataset, "agreement", "MRI2 - MRI1", "mcnemar_mid_p", exact - dbinom(up, up + down, .5), 1e-9, "binom.test, dbinom")
}

# ---- everyone, and the first 30 subject numbers alone
cohort <- read_cohort(commandArgs(TRUE)[1])
for (dataset in c("everyone", "first30")) {
  d <- if (dataset == "everyone") cohort else cohort[1:30, ]
  put(dataset, "cohort", "all", "n", nrow(d), 0, "counts")
  put(dataset, "cohort", "all", "rfs_beyond_survival", sum(d$RFS > d$survDtD2_tx), 0, "counts")
  for (mri in names(MRIS)) put(dataset, "cohort", mri, "zero_diameters", sum(d[[MRIS[[mri]]]] == 0, na.rm = TRUE), 0, "counts")
  agreement_rows(dataset, d)
  for (end in names(ENDS)) {
    for (mri in names(MRIS)) {
      own <- outcome(d[!is.na(d[[paste0("ln_", mri)]]), ], end)
      analysis <- paste(end, mri)
      bad <- own[[paste0("bad_", mri)]]
      put(dataset, analysis, "all", "n", nrow(own), 0, "counts")
      put(dataset, analysis, "all", "events", sum(own$surv[, "status"]), 0, "counts")
      put(dataset, analysis, "NON-RESPONDER", "n", sum(bad), 0, "counts")
      put(dataset, analysis, "NON-RESPONDER", "events", sum(own$surv[bad == 1, "status"]), 0, "counts")
      events <- tapply(own$surv[, "status"], bad, sum)
      if (length(events) == 2 && all(events > 0)) cox_rows(dataset, analysis, "class", own$surv, bad)
      cox_rows(dataset, analysis, "lnratio", own$surv, own[[paste0("ln_", mri)]])
      curve_rows(dataset, analysis, own$surv, bad)
    }
    both <- outcome(d[!is.na(d$ln_MRI1) & !is.na(d$ln_MRI2), ], end)
    analysis <- paste(end, "both MRI")
    put(dataset, analysis, "all", "n", nrow(both), 0, "counts")
    put(dataset, analysis, "all", "events", sum(both$surv[, "status"]), 0, "counts")
    concordance_rows(dataset, analysis, both)
    for (mri in names(MRIS)) for (kind in c("ln", "bad")) {
      x <- both[[paste0(kind, "_", mri)]]
      fit <- coxph(both$surv ~ x, ties = "efron", control = coxph.control(eps = 1e-12, iter.max = 100))
      put(dataset, analysis, mri, ifelse(kind == "ln", "gain_score", "gain_class"), fit$loglik[2] - fit$loglik[1], 1e-6,
          "coxph(...)$loglik, fitted minus null")
    }
  }
}
table <- do.call(rbind, rows)
table$value <- sprintf("%.10g", table$value)
cat(names(table), sep = ",", fill = TRUE)
write.table(table, sep = ",", row.names = FALSE, col.names = FALSE, quote = which(names(table) == "source"))

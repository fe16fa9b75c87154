# Prints tests/reference/r_discrimination.csv: discrimination and predictive values as R gives them.
# Rscript benchmarks/survival/r_discrimination.R > tests/reference/r_discrimination.csv
suppressMessages({
  library(survival); library(riskRegression); library(pec); library(maxstat); library(Hmisc)
})
versions <- function(packages) {
  paste(c(paste("R", getRversion()), sapply(packages, function(name) paste(name, packageVersion(name)))),
        collapse = ", ")
}
number <- function(x) format(x, digits = 12, scientific = FALSE, trim = TRUE)
emit <- function(dataset, analysis, term, values, source, packages = "survival", tolerance = "1e-8") {
  for (name in names(values)) {
    cat(paste(c(dataset, analysis, term, name, number(values[[name]]), tolerance,
                paste0("\"", versions(packages), ": ", source, "\"")), collapse = ","), "\n", sep = "")
  }
}

# Larger scores are worse in every one of them.
ties <- data.frame(
  time = c(1, 2, 2, 3, 3, 3, 4, 5, 5, 6, 7, 7, 8, 9, 9, 10),
  event = c(1, 1, 0, 1, 0, 1, 1, 0, 1, 1, 0, 1, 1, 0, 1, 0),
  score = c(3, 2, 2, 1, 3, 2, 2, 1, 1, 3, 0, 1, 2, 0, 1, 0),
  other = c(2.5, 1.2, 3.1, 0.4, 2.2, 2.9, 1.8, 0.7, 0.1, 1.4, 2.1, -0.3, 0.9, -1, 0.2, 0.5))
known <- survival::lung[!is.na(survival::lung$ph.ecog), ]
lung_set <- data.frame(time = known$time, event = known$status - 1, score = known$ph.ecog, other = known$age)
veteran_set <- with(veteran, data.frame(time, event = status, score = -karno, other = age))
ovarian_set <- with(ovarian, data.frame(time = futime, event = fustat, score = age, other = ecog.ps))
sets <- list(ties = ties, lung = lung_set, veteran = veteran_set, ovarian = ovarian_set)
times <- list(ties = c(3, 4.5, 6), lung = c(180, 365), veteran = c(30, 90), ovarian = c(300, 500))
limit <- list(ties = 6, lung = 365, veteran = 90, ovarian = 500)

cat("dataset,analysis,term,quantity,value,tolerance,source\n")
for (name in names(sets)) {
  data <- sets[[name]]
  bare <- function(variable) {
    coxph(as.formula(paste("Surv(time, event) ~", variable)), data, init = 1, control = coxph.control(iter.max = 0))
  }
  for (weight in c("n", "n/G2")) {
    analysis <- if (weight == "n") "concordance" else "uno"
    for (variable in c("score", "other")) {
      for (tau in if (weight == "n") list(NULL) else list(NULL, limit[[name]])) {
        found <- concordance(as.formula(paste("Surv(time, event) ~", variable)), data, reverse = TRUE,
                             timewt = weight, ymax = tau)
        values <- c(estimate = coef(found), se = sqrt(vcov(found)))
        if (weight == "n") {
          values <- c(values, concordant = found$count[["concordant"]], discordant = found$count[["discordant"]],
                      tied = found$count[["tied.x"]])
        }
        emit(name, analysis, paste0(variable, if (is.null(tau)) "" else paste0(" tau ", tau)), values,
             paste0("concordance(Surv(time, event) ~ ", variable, ", reverse = TRUE, timewt = '", weight, "'",
                    if (is.null(tau)) "" else paste0(", ymax = ", tau), ")"))
      }
    }
    both <- concordance(bare("score"), bare("other"), timewt = weight)
    contrast <- c(-1, 1)
    delta <- sum(contrast * coef(both))
    se <- sqrt(drop(contrast %*% vcov(both) %*% contrast))
    emit(name, paste0(analysis, "_difference"), "other - score",
         c(estimate = delta, se = se, p = 2 * pnorm(-abs(delta / se))),
         paste0("concordance(fit1, fit2, timewt = '", weight, "'), contrast with its vcov"))
  }

  # A risk between 0 and 1 for the Brier score: any monotone transformation keeps the AUC.
  risk <- lapply(data[c("score", "other")], function(x) plogis((x - mean(x)) / sd(x)))
  scored <- Score(risk, Surv(time, event) ~ 1, data = data, times = times[[name]],
                  metrics = c("auc", "brier"), cens.model = "km", se.fit = TRUE, summary = "ipa")
  call <- "Score(metrics = c('auc', 'brier'), cens.model = 'km')"
  for (variable in c("score", "other")) {
    for (t in times[[name]]) {
      auc <- subset(scored$AUC$score, model == variable & times == t)
      emit(name, "auc", paste0(variable, " at ", t),
           c(estimate = auc$AUC, se = auc$se, lower = auc$lower, upper = auc$upper), call, "riskRegression")
      brier <- subset(scored$Brier$score, model == variable & times == t)
      null <- subset(scored$Brier$score, model == "Null model" & times == t)
      emit(name, "brier", paste0(variable, " at ", t),
           c(estimate = brier$Brier, se = brier$se, lower = brier$lower, upper = brier$upper,
             null = null$Brier, scaled = brier$IPA), call, "riskRegression")
    }
  }
  for (t in times[[name]]) {
    auc <- subset(scored$AUC$contrasts, model == "other" & reference == "score" & times == t)
    emit(name, "auc_difference", paste0("other - score at ", t),
         c(estimate = auc$delta.AUC, se = auc$se, lower = auc$lower, upper = auc$upper, p = auc$p), call, "riskRegression")
  }

  # Brier of a Cox model on the score, its risk by survfit (Efron ties throughout).
  fit <- coxph(Surv(time, event) ~ score, data, x = TRUE, control = coxph.control(eps = 1e-11, toler.chol = 1e-13, iter.max = 100))
  curves <- summary(survfit(fit, newdata = data), times = times[[name]], extend = TRUE)$surv
  for (k in seq_along(times[[name]])) {
    t <- times[[name]][k]
    predicted <- Score(list(cox = 1 - curves[k, ]), Surv(time, event) ~ 1, data = data, times = t,
                       metrics = "brier", cens.model = "km", se.fit = TRUE)
    found <- subset(predicted$Brier$score, model == "cox")
    emit(name, "brier_cox", paste0("at ", t),
         c(estimate = found$Brier, se = found$se),
         "Score of 1 - survfit(coxph(Surv(time, event) ~ score), newdata)$surv", c("survival", "riskRegression"))
    emit(name, "cox_risk", paste0("at ", t), c(first = 1 - curves[[k, 1]], last = 1 - curves[[k, nrow(data)]]),
         "1 - survfit(coxph(Surv(time, event) ~ score), newdata)$surv")
  }
}

# pec knows the same Brier score.
fit <- coxph(Surv(time, event) ~ score, veteran_set, x = TRUE)
by_pec <- pec(list(cox = as.matrix(cbind(0, plogis(-scale(veteran_set$score))))), Surv(time, event) ~ 1,
              data = veteran_set, times = c(0, 90), exact = FALSE, start = NULL, cens.model = "marginal",
              splitMethod = "none", verbose = FALSE)
emit("veteran", "brier", "score at 90", c(estimate = by_pec$AppErr$cox[by_pec$time == 90], null = by_pec$AppErr$Reference[by_pec$time == 90]),
     "pec(cens.model = 'marginal')", "pec")

# Predictive values: positive is a poor Karnofsky index, a poor ECOG status, older age.
gradient <- function(f, x) {
  sapply(seq_along(x), function(k) {
    h <- 1e-6; up <- x; down <- x; up[k] <- x[k] + h; down[k] <- x[k] - h
    (f(up) - f(down)) / (2 * h)
  })
}
positives <- list(veteran = veteran$karno <= 40, lung = known$ph.ecog >= 2, ovarian = ovarian$age > 60)
horizons <- list(veteran = 90, lung = 300, ovarian = 450)
for (name in names(positives)) {
  data <- cbind(sets[[name]], positive = positives[[name]])
  h <- horizons[[name]]
  at <- summary(survfit(Surv(time, event) ~ positive, data, conf.type = "log-log"), times = h)
  call <- paste0("survfit(Surv(time, event) ~ positive, conf.type = 'log-log') at ", h)
  read <- list(ppv = c(1 - at$surv[2], 1 - at$upper[2], 1 - at$lower[2]), npv = c(at$surv[1], at$lower[1], at$upper[1]))
  for (term in names(read)) {
    own <- data[data$positive == (term == "ppv"), ]
    values <- setNames(read[[term]], c("estimate", "lower", "upper"))
    if (any(own$event == 0 & own$time < h)) {
      emit(name, "predictive", term, values, call)
    } else {
      # Nobody censored: a plain proportion, and Kaplan-Meier gives the same estimate.
      k <- if (term == "ppv") sum(own$time <= h) else sum(own$time > h)
      found <- binconf(k, nrow(own), method = "exact")
      stopifnot(all.equal(found[[1]], values[["estimate"]]))
      emit(name, "predictive", term, c(estimate = found[1], lower = found[2], upper = found[3]),
           paste("binconf(method = 'exact') at", h), "Hmisc")
    }
  }
  n <- nrow(data)
  x <- c(share = mean(data$positive), s_pos = at$surv[2], s_neg = at$surv[1])
  variance <- diag(c(x[1] * (1 - x[1]) / n, at$std.err[2]^2, at$std.err[1]^2))
  forms <- list(
    sensitivity = function(x) x[1] * (1 - x[2]) / (x[1] * (1 - x[2]) + (1 - x[1]) * (1 - x[3])),
    specificity = function(x) (1 - x[1]) * x[3] / (x[1] * x[2] + (1 - x[1]) * x[3]))
  for (term in names(forms)) {
    g <- gradient(function(x) qlogis(forms[[term]](x)), x)
    half <- qnorm(0.975) * sqrt(drop(g %*% variance %*% g))
    centre <- qlogis(forms[[term]](x))
    emit(name, "predictive", term, c(estimate = unname(forms[[term]](x)), lower = unname(plogis(centre - half)),
                                     upper = unname(plogis(centre + half))),
         "Bayes' rule on survfit, delta method on the logit, numerical gradient", tolerance = "1e-7")
  }
}
for (k in list(c(7, 9), c(0, 5), c(12, 12))) {
  for (method in c("exact", "wilson")) {
    found <- binconf(k[1], k[2], method = method)
    emit("counts", if (method == "exact") "clopper_pearson" else "wilson", paste(k[1], "of", k[2]),
         c(estimate = found[1], lower = found[2], upper = found[3]), paste0("binconf(method = '", method, "')"), "Hmisc")
  }
}
selected <- maxstat.test(Surv(time, status) ~ karno, veteran, smethod = "LogRank", pmethod = "none")
emit("veteran", "selected_cut", "karno", c(cut = unname(selected$estimate), statistic = unname(selected$statistic)),
     "maxstat.test(smethod = 'LogRank', pmethod = 'none')", "maxstat")

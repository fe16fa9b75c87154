# Reference numbers of R for the Cox core (intervals, weights, residuals, proportional hazards, prior, Firth):
#   Rscript benchmarks/survival/r_cox.R > tests/reference/r_cox.csv
# Data sets of R's survival package; what is derived from them is derived by the same rule in
# tests/survival/test_reference_cox.py.
suppressPackageStartupMessages(library(survival))
options(digits = 15)
version <- paste0("R ", getRversion(), ", survival ", packageVersion("survival"), ": ")
rows <- list()
add <- function(dataset, analysis, term, quantity, value, source, tolerance = 1e-6) {
  rows[[length(rows) + 1]] <<- data.frame(dataset, analysis, term, quantity,
    value = sprintf("%.12g", value), tolerance = format(tolerance), source = paste0(version, source))
}
tight <- coxph.control(eps = 1e-13, toler.chol = 1e-14, iter.max = 100)

lung2 <- subset(lung, !is.na(ph.ecog))
lung2$event <- lung2$status - 1
lung2$row <- seq_len(nrow(lung2)) - 1
lung2$ticks <- ceiling(lung2$time / 60)                          # two-month visits: heavy ties
lung2$start <- floor(lung2$time * (lung2$row %% 4) / 8)          # delayed entry, 0 for every fourth
lung2$case <- 1 + (lung2$age %% 3) / 2                           # weights 1, 1.5, 2
lung2$group <- lung2$row %% 20
heart2 <- heart
heart2$transplant <- as.numeric(heart$transplant) - 1
heart2$case <- 0.5 + heart2$id %% 3
heart2$start <- heart$start
veteran2 <- veteran

# --- coefficients, errors, likelihoods, Wald limits
fitted <- function(dataset, analysis, fit, source, alpha = 0.05) {
  wald <- summary(fit)$coefficients
  error <- if ("robust se" %in% colnames(wald)) "robust se" else "se(coef)"
  for (term in names(coef(fit))) {
    put <- function(quantity, value) add(dataset, analysis, term, quantity, value, source)
    put("coef", coef(fit)[[term]])
    put("se", wald[term, error])
    put("p_wald", wald[term, "Pr(>|z|)"])
    put("loglik", fit$loglik[2])
    put("loglik_null", fit$loglik[1])
    if (error == "robust se") {
      put("lower", exp(coef(fit)[[term]] - qnorm(1 - alpha / 2) * wald[term, error]))
      put("upper", exp(coef(fit)[[term]] + qnorm(1 - alpha / 2) * wald[term, error]))
    }
  }
}
for (ties in c("efron", "breslow")) {
  named <- function(text) paste0("coxph(", text, ", ties = '", ties, "')")
  fitted("lung", paste0("ties_", ties), coxph(Surv(ticks, event) ~ age + sex + ph.ecog, lung2, ties = ties,
    control = tight), named("Surv(ceiling(time / 60), event) ~ age + sex + ph.ecog, lung"))
  fitted("lung", paste0("entry_", ties), coxph(Surv(start, time, event) ~ age + sex + ph.ecog, lung2,
    ties = ties, control = tight), named("Surv(start, time, event) ~ age + sex + ph.ecog, lung"))
  fitted("heart", paste0("counting_", ties), coxph(Surv(start, stop, event) ~ age + surgery + transplant,
    heart2, ties = ties, control = tight), named("Surv(start, stop, event) ~ age + surgery + transplant, heart"))
  fitted("lung", paste0("weighted_", ties), coxph(Surv(ticks, event) ~ age + sex + ph.ecog, lung2,
    weights = case, robust = TRUE, ties = ties, control = tight),
    named("Surv(ceiling(time / 60), event) ~ age + sex + ph.ecog, lung, weights = case, robust = TRUE"))
  fitted("lung", paste0("clustered_", ties), coxph(Surv(ticks, event) ~ age + sex + ph.ecog, lung2,
    cluster = group, ties = ties, control = tight),
    named("Surv(ceiling(time / 60), event) ~ age + sex + ph.ecog, lung, cluster = group"))
  fitted("heart", paste0("everything_", ties), coxph(Surv(start, stop, event) ~ age + transplant +
    strata(surgery), heart2, weights = case, cluster = id, ties = ties, control = tight),
    named("Surv(start, stop, event) ~ age + transplant + strata(surgery), heart, weights = case, cluster = id"))
}

# --- profile limits with intervals: the covariate as an offset, the rest refitted
profile_text <- "offset profile of coxph(Surv(start, stop, event) ~ age + surgery + transplant, heart)"
whole <- coxph(Surv(start, stop, event) ~ age + surgery + transplant, heart2, control = tight)
for (term in names(coef(whole))) {
  others <- setdiff(names(coef(whole)), term)
  drop <- function(b) {
    moved <- transform(heart2, off = b * heart2[[term]])
    formula <- as.formula(paste("Surv(start, stop, event) ~ offset(off) +", paste(others, collapse = " + ")))
    2 * (whole$loglik[2] - tail(coxph(formula, moved, control = tight)$loglik, 1))
  }
  b <- coef(whole)[[term]]
  se <- sqrt(vcov(whole)[term, term])
  cross <- function(range) exp(uniroot(function(x) drop(x) - qchisq(0.95, 1), range, tol = 1e-12)$root)
  add("heart", "profile", term, "lower", cross(c(b - 5 * se, b)), profile_text)
  add("heart", "profile", term, "upper", cross(c(b, b + 5 * se)), profile_text)
  add("heart", "profile", term, "p", pchisq(drop(0), 1, lower.tail = FALSE), profile_text)
}

# --- proportional hazards
zph <- function(dataset, analysis, fit, transform, source) {
  table <- cox.zph(fit, transform = transform)$table
  source <- paste0("cox.zph(", source, ", '", transform, "')")
  for (term in rownames(table)) {
    add(dataset, analysis, term, "chi2", table[term, "chisq"], source)
    add(dataset, analysis, term, "p", table[term, "p"], source)
    add(dataset, analysis, term, "df", table[term, "df"], source)
  }
}
for (transform in c("km", "rank", "identity", "log")) {
  zph("lung", paste0("zph_", transform),
    coxph(Surv(time, event) ~ age + sex + ph.ecog, lung2, control = tight), transform,
    "coxph(Surv(time, event) ~ age + sex + ph.ecog, lung)")
  for (ties in c("efron", "breslow")) {
    zph("lung", paste0("zph_ties_", transform, "_", ties),
      coxph(Surv(ticks, event) ~ age + sex + ph.ecog, lung2, ties = ties, control = tight), transform,
      paste0("coxph(Surv(ceiling(time / 60), event) ~ age + sex + ph.ecog, lung, ties = '", ties, "')"))
    zph("veteran", paste0("zph_", transform, "_", ties),
      coxph(Surv(time, status) ~ trt + karno + age, veteran2, ties = ties, control = tight), transform,
      paste0("coxph(Surv(time, status) ~ trt + karno + age, veteran, ties = '", ties, "')"))
  }
  zph("veteran", paste0("zph_strata_", transform),
    coxph(Surv(time, status) ~ trt + karno + strata(celltype), veteran2, control = tight), transform,
    "coxph(Surv(time, status) ~ trt + karno + strata(celltype), veteran)")
  zph("ovarian", paste0("zph_", transform), coxph(Surv(futime, fustat) ~ age + rx, ovarian, control = tight),
    transform, "coxph(Surv(futime, fustat) ~ age + rx, ovarian)")
}

# --- residuals: sums of squares, and a sum weighted by position that any wrong order would change
residuals_of <- function(dataset, analysis, fit, source) {
  for (type in c("schoenfeld", "scaledsch")) {
    found <- as.matrix(residuals(fit, type))
    colnames(found) <- names(coef(fit))
    quantity <- c(schoenfeld = "residual", scaledsch = "scaled")[[type]]
    text <- paste0("residuals(", source, ", '", type, "')")
    for (term in colnames(found)) {
      add(dataset, analysis, term, paste0(quantity, "_squares"), sum(found[, term]^2), text, 1e-5)
      add(dataset, analysis, term, paste0(quantity, "_ordered"),
        sum(found[, term] * seq_len(nrow(found))) / nrow(found), text)
    }
  }
  for (type in c("martingale", "deviance")) {
    found <- residuals(fit, type)
    text <- paste0("residuals(", source, ", '", type, "')")
    add(dataset, analysis, "all", paste0(type, "_squares"), sum(found^2), text)
    add(dataset, analysis, "all", paste0(type, "_ordered"), sum(found * seq_along(found)) / length(found), text)
  }
}
for (ties in c("efron", "breslow")) {
  residuals_of("lung", paste0("residuals_ties_", ties),
    coxph(Surv(ticks, event) ~ age + sex + ph.ecog, lung2, ties = ties, control = tight),
    paste0("coxph(Surv(ceiling(time / 60), event) ~ age + sex + ph.ecog, lung, ties = '", ties, "')"))
  residuals_of("heart", paste0("residuals_counting_", ties),
    coxph(Surv(start, stop, event) ~ age + transplant + strata(surgery), heart2, ties = ties, control = tight),
    paste0("coxph(Surv(start, stop, event) ~ age + transplant + strata(surgery), heart, ties = '", ties, "')"))
}
residuals_of("ovarian", "residuals", coxph(Surv(futime, fustat) ~ rx, ovarian, control = tight),
  "coxph(Surv(futime, fustat) ~ rx, ovarian)")

# --- each patient left out
for (k in seq_len(nrow(ovarian))) {
  without <- coxph(Surv(futime, fustat) ~ age + rx, ovarian[-k, ], control = tight)
  add("ovarian", "leave_one_out", k - 1, "coef", coef(without)[["rx"]],
    "coxph(Surv(futime, fustat) ~ age + rx, ovarian[-k, ])")
}
for (k in 0:4) {
  without <- coxph(Surv(start, stop, event) ~ transplant, subset(heart2, id %% 5 != k), control = tight)
  add("heart", "leave_cluster_out", k, "coef", coef(without)[["transplant"]],
    "coxph(Surv(start, stop, event) ~ transplant, subset(heart, id %% 5 != k))")
}

# --- normal prior on the log hazard ratio: partial likelihood of coxph at given values, integrate()
posterior <- function(dataset, analysis, formula, data, sd, source, ties = "efron") {
  likelihood <- Vectorize(function(b) {
    coxph(formula, data, init = b, ties = ties, control = coxph.control(iter.max = 0))$loglik[2]
  })
  log_density <- function(b) likelihood(b) - b^2 / (2 * sd^2)
  mode <- optimize(log_density, c(-6, 6) * sd, maximum = TRUE, tol = 1e-9)
  density <- function(b) exp(log_density(b) - mode$objective)
  spread <- 1 / sqrt(-(log_density(mode$maximum + 1e-3) - 2 * mode$objective +
    log_density(mode$maximum - 1e-3)) / 1e-6)
  ends <- mode$maximum + c(-12, 12) * spread
  area <- function(f, from, to) {
    cuts <- seq(from, to, length.out = 13)
    sum(sapply(1:12, function(i) integrate(f, cuts[i], cuts[i + 1], rel.tol = 1e-11)$value))
  }
  total <- area(density, ends[1], ends[2])
  quantile <- function(share) {
    uniroot(function(b) area(density, ends[1], b) / total - share, ends, tol = 1e-11)$root
  }
  mean <- area(function(b) b * density(b), ends[1], ends[2]) / total
  text <- paste0("integrate() over coxph(", source, ", init = b, iter.max = 0)$loglik + dnorm(b, 0, ", sd, ")")
  put <- function(quantity, value) add(dataset, analysis, "x", quantity, value, text)
  put("coef", quantile(0.5))
  put("lower", exp(quantile(0.025)))
  put("upper", exp(quantile(0.975)))
  put("mean", mean)
  put("sd", sqrt(area(function(b) (b - mean)^2 * density(b), ends[1], ends[2]) / total))
  put("probability", 1 - area(density, ends[1], 0) / total)
}
separated <- data.frame(time = 1:6, event = c(1, 1, 1, 0, 0, 0), x = c(1, 1, 1, 0, 0, 0))
posterior("ovarian", "prior", Surv(futime, fustat) ~ rx, ovarian, 0.75, "Surv(futime, fustat) ~ rx, ovarian")
posterior("ovarian", "prior_wide", Surv(futime, fustat) ~ rx, ovarian, 50, "Surv(futime, fustat) ~ rx, ovarian")
posterior("separated", "prior", Surv(time, event) ~ x, separated, 0.75, "Surv(time, event) ~ x, separated")
posterior("lung", "prior_ties", Surv(ticks, event) ~ sex, lung2, 0.3,
  "Surv(ceiling(time / 60), event) ~ sex, lung")
posterior("lung", "prior_age", Surv(time, event) ~ age, lung2, 0.02, "Surv(time, event) ~ age, lung")
posterior("heart", "prior_counting", Surv(start, stop, event) ~ transplant, heart2, 0.75,
  "Surv(start, stop, event) ~ transplant, heart", ties = "breslow")

# --- Firth: half the log-determinant of the information added to the Breslow partial likelihood of coxph
firth <- function(dataset, analysis, formula, data, source) {
  terms <- attr(terms(formula), "term.labels")
  scale <- sapply(data[terms], function(v) diff(range(v)))
  data[terms] <- Map(function(v, s) (v - mean(v)) / s, data[terms], scale)
  penalised <- function(b) {
    if (!all(is.finite(b)) || max(abs(b)) > 40) return(-1e6)  # a wild step of the line search
    fit <- coxph(formula, data, init = b, ties = "breslow", control = coxph.control(iter.max = 0))
    fit$loglik[2] - 0.5 * as.numeric(determinant(vcov(fit))$modulus)
  }
  climb <- function(f, start) {
    for (pass in 1:4) {
      found <- optim(start, f, method = "BFGS",
        control = list(fnscale = -1, reltol = 1e-15, ndeps = rep(1e-4, length(start)), maxit = 500))
      start <- found$par
    }
    found
  }
  best <- climb(penalised, rep(0, length(terms)))
  text <- paste0("optim over coxph(", source, ", init = b, iter.max = 0, ties = 'breslow')$loglik ",
    "- log(det(vcov)) / 2")
  for (k in seq_along(terms)) {
    drop <- function(at) {
      if (length(terms) == 1) return(2 * (best$value - penalised(at)))
      inner <- function(rest) penalised(append(rest, at, k - 1))
      2 * (best$value - climb(inner, best$par[-k])$value)
    }
    cross <- function(range) uniroot(function(x) drop(x) - qchisq(0.95, 1), range, tol = 1e-10)$root / scale[k]
    se <- 1 / sqrt(-(penalised(replace(best$par, k, best$par[k] + 1e-3)) - 2 * best$value +
      penalised(replace(best$par, k, best$par[k] - 1e-3))) / 1e-6)
    put <- function(quantity, value, tolerance) add(dataset, analysis, terms[k], quantity, value, text, tolerance)
    put("coef", best$par[k] / scale[k], 1e-6)
    reach <- function(side) {
      step <- side * 3 * se
      while (drop(best$par[k] + step) < qchisq(0.95, 1)) step <- step * 1.5
      sort(c(best$par[k], best$par[k] + step))
    }
    put("log_lower", cross(reach(-1)), 1e-6)
    put("log_upper", cross(reach(1)), 1e-6)
    put("p", pchisq(drop(0), 1, lower.tail = FALSE), 1e-6)
    put("loglik", best$value + sum(log(scale)), 1e-6)
  }
}
firth("ovarian", "firth", Surv(futime, fustat) ~ age + resid.ds + rx + ecog.ps, ovarian,
  "Surv(futime, fustat) ~ age + resid.ds + rx + ecog.ps, ovarian")
firth("separated", "firth", Surv(time, event) ~ x, separated, "Surv(time, event) ~ x, separated")
firth("lung", "firth_ties", Surv(ticks, event) ~ age + sex, lung2[1:40, ],
  "Surv(ceiling(time / 60), event) ~ age + sex, lung[1:40, ]")
firth("veteran", "firth", Surv(time, status) ~ trt + karno, veteran2[50:90, ],
  "Surv(time, status) ~ trt + karno, veteran[50:90, ]")

write.csv(do.call(rbind, rows), row.names = FALSE)

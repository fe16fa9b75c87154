# Reference numbers of R for the models of notebook 04 (adjusted, stratified, weighted, diagnostics):
#   Rscript benchmarks/survival/r_models.R > tests/reference/r_models.csv
# Data: lung and ovarian of R's survival package. Exposure: lung, men; ovarian, treatment 2.
suppressPackageStartupMessages(library(survival))
options(digits = 15)
version <- paste0("R ", getRversion(), ", survival ", packageVersion("survival"), ": ")
rows <- list()
add <- function(dataset, analysis, term, quantity, value, source, tolerance = 1e-6) {
  rows[[length(rows) + 1]] <<- data.frame(dataset, analysis, term, quantity,
    value = sprintf("%.12g", value), tolerance = format(tolerance), source = paste0(version, source))
}
tight <- coxph.control(eps = 1e-13, toler.chol = 1e-14, iter.max = 100)

lung2 <- transform(lung, event = status - 1, exposed = as.numeric(sex == 1))
ovarian2 <- transform(ovarian, time = futime, event = fustat, exposed = as.numeric(rx == 2))

# --- maximum likelihood with profile limits: the covariate is moved to an offset and the rest refitted
profile_ml <- function(data, terms, strata = NULL, alpha = 0.05) {
  right <- paste(c(terms, if (!is.null(strata)) paste0("strata(", strata, ")")), collapse = " + ")
  fit <- coxph(as.formula(paste("Surv(time, event) ~", right)), data, ties = "efron", control = tight)
  best <- fit$loglik[2]
  out <- list()
  for (term in terms) {
    others <- c("offset(off)", setdiff(terms, term), if (!is.null(strata)) paste0("strata(", strata, ")"))
    formula <- as.formula(paste("Surv(time, event) ~", paste(others, collapse = " + ")))
    drop <- function(b) {
      moved <- data
      moved$off <- b * moved[[term]]
      2 * (best - tail(coxph(formula, moved, ties = "efron", control = tight)$loglik, 1))
    }
    b <- coef(fit)[[term]]
    se <- sqrt(diag(vcov(fit)))[[term]]
    q <- qchisq(1 - alpha, 1)
    lower <- uniroot(function(x) drop(x) - q, c(b - 4 * se, b), tol = 1e-12)$root
    upper <- uniroot(function(x) drop(x) - q, c(b, b + 4 * se), tol = 1e-12)$root
    out[[term]] <- c(estimate = exp(b), lower = exp(lower), upper = exp(upper),
      p = pchisq(drop(0), 1, lower.tail = FALSE), n = fit$n, events = fit$nevent)
  }
  out
}
report <- function(dataset, analysis, found, source) {
  for (term in names(found)) for (quantity in names(found[[term]])) {
    add(dataset, analysis, term, quantity, found[[term]][[quantity]], source)
  }
}
known <- lung2[!is.na(lung2$ph.ecog), ]
names(known)[names(known) == "age"] <- "AGE"
names(known)[names(known) == "ph.ecog"] <- "ECOG"
note <- "(age AGE, ph.ecog ECOG, exposed sex == 1), profile likelihood by uniroot over an offset"
report("lung", "adjusted", profile_ml(known, c("exposed", "AGE", "ECOG")),
  paste("coxph(Surv(time, status) ~ exposed + age + ph.ecog)", note))
report("lung", "unadjusted", profile_ml(known, "exposed"),
  paste("coxph(Surv(time, status) ~ exposed) where ph.ecog is known", note))
report("lung", "singly_ECOG", profile_ml(known, c("exposed", "ECOG"))["exposed"],
  paste("coxph(Surv(time, status) ~ exposed + ph.ecog)", note))
everyone <- lung2
names(everyone)[names(everyone) == "age"] <- "AGE"
names(everyone)[names(everyone) == "ph.ecog"] <- "ECOG"
report("lung", "singly_AGE", profile_ml(everyone, c("exposed", "AGE"))["exposed"],
  paste("coxph(Surv(time, status) ~ exposed + age)", note))

# --- centre: stratified, and one left out
sited <- lung2[!is.na(lung2$inst), ]
report("lung", "stratified", profile_ml(sited, "exposed", "inst"),
  paste("coxph(Surv(time, status) ~ exposed + strata(inst))", note))
test <- survdiff(Surv(time, event) ~ exposed + strata(inst), sited)
add("lung", "logrank_stratified", "exposed", "chi2", test$chisq, "survdiff(Surv(time, status) ~ sex + strata(inst))")
add("lung", "logrank_stratified", "exposed", "p", pchisq(test$chisq, 1, lower.tail = FALSE),
  "survdiff(Surv(time, status) ~ sex + strata(inst))")
for (site in c(1, 12, 22)) {
  report("lung", paste0("without_", site), profile_ml(sited[sited$inst != site, ], "exposed"),
    paste("coxph(Surv(time, status) ~ exposed) without inst", site, note))
}

# --- Firth: the partial likelihood plus half the log determinant of the information, Breslow ties, by optim
firth <- function(data, terms, alpha = 0.05) {
  centre <- colMeans(data[terms])
  formula <- as.formula(paste("Surv(time, event) ~", paste(terms, collapse = " + ")))
  scaled <- data
  for (term in terms) scaled[[term]] <- scaled[[term]] - centre[[term]]
  value <- function(b) {
    fit <- coxph(formula, scaled, init = b, ties = "breslow", control = coxph.control(iter.max = 0))
    fit$loglik[2] - 0.5 * as.numeric(determinant(fit$var)$modulus)
  }
  step <- c(1, rep(0.05, length(terms) - 1))
  climb <- function(start, free) {
    if (!any(free)) return(list(b = start, value = value(start)))
    target <- function(x) { b <- start; b[free] <- x; -value(b) }
    x <- start[free]
    for (round in 1:6) x <- optim(x, target, method = "BFGS",
      control = list(reltol = 1e-16, maxit = 500, parscale = step[free], ndeps = rep(1e-5, sum(free))))$par
    b <- start
    b[free] <- x
    list(b = b, value = -target(x))
  }
  all <- rep(TRUE, length(terms))
  top <- climb(rep(0, length(terms)), all)
  out <- list()
  for (k in seq_along(terms)) {
    free <- all
    free[k] <- FALSE
    drop <- function(at) { start <- top$b; start[k] <- at; 2 * (top$value - climb(start, free)$value) }
    q <- qchisq(1 - alpha, 1)
    width <- step[k] * 6
    out[[terms[k]]] <- c(estimate = exp(top$b[k]),
      lower = exp(uniroot(function(x) drop(x) - q, c(top$b[k] - width, top$b[k]), tol = 1e-9, extendInt = "downX")$root),
      upper = exp(uniroot(function(x) drop(x) - q, c(top$b[k], top$b[k] + width), tol = 1e-9, extendInt = "upX")$root),
      p = pchisq(drop(0), 1, lower.tail = FALSE))
  }
  out
}
names(ovarian2)[names(ovarian2) == "age"] <- "AGE"
names(ovarian2)[names(ovarian2) == "ecog.ps"] <- "ECOG"
found <- firth(ovarian2, c("exposed", "AGE", "ECOG"))
for (term in names(found)) for (quantity in names(found[[term]])) {
  add("ovarian", "adjusted_firth", term, quantity, found[[term]][[quantity]],
    "optim of coxph(iter.max = 0) log-likelihood - log det(var) / 2, Breslow ties; exposed rx == 2, profile by uniroot")
}

# --- proportional hazards, and influence
zph <- function(fit, analysis, source) {
  table <- cox.zph(fit, transform = "km")$table
  for (term in rownames(table)) {
    add("lung", analysis, term, "chi2", table[term, "chisq"], source)
    add("lung", analysis, term, "p", table[term, "p"], source)
  }
}
adjusted <- coxph(Surv(time, event) ~ exposed + AGE + ECOG, known, ties = "efron", control = tight)
single <- coxph(Surv(time, event) ~ exposed, everyone, ties = "efron", control = tight)
zph(adjusted, "ph_adjusted", "cox.zph(coxph(Surv(time, status) ~ exposed + age + ph.ecog), transform = 'km')")
zph(single, "ph_single", "cox.zph(coxph(Surv(time, status) ~ exposed), transform = 'km')")
without <- sapply(seq_len(nrow(everyone)), function(k)
  exp(coef(coxph(Surv(time, event) ~ exposed, everyone[-k, ], ties = "efron", control = tight))))
add("lung", "influence", "exposed", "estimate", exp(coef(single)), "coxph(Surv(time, status) ~ exposed)")
add("lung", "influence", "exposed", "lower", min(without), "smallest of coxph() without one row")
add("lung", "influence", "exposed", "upper", max(without), "largest of coxph() without one row")
martingale <- residuals(single, "martingale")
deviance <- residuals(single, "deviance")
schoenfeld <- residuals(single, "scaledsch")
for (k in c(1, 50, 228)) {
  add("lung", "residuals", k, "MARTINGALE", martingale[[k]], "residuals(coxph(Surv(time, status) ~ exposed), 'martingale')")
  add("lung", "residuals", k, "DEVIANCE", deviance[[k]], "residuals(coxph(Surv(time, status) ~ exposed), 'deviance')")
  add("lung", "residuals", k, "HR_WITHOUT", without[[k]], "coxph(Surv(time, status) ~ exposed) without this row")
}
add("lung", "residuals", "all", "sum_SCHOENFELD", sum(schoenfeld), "sum(residuals(coxph(Surv(time, status) ~ exposed), 'scaledsch'))")
add("lung", "residuals", "all", "sum2_SCHOENFELD", sum(schoenfeld^2), "sum(residuals(..., 'scaledsch')^2)", 1e-5)

# --- a normal prior on the log hazard ratio: the posterior by integrate()
posterior <- function(data, sd) {
  centre <- coef(coxph(Surv(time, event) ~ exposed, data, ties = "efron", control = tight))
  top <- coxph(Surv(time, event) ~ exposed, data, ties = "efron", control = tight)$loglik[2]
  density <- Vectorize(function(b) exp(coxph(Surv(time, event) ~ exposed, data, init = b, ties = "efron",
    control = coxph.control(iter.max = 0))$loglik[2] - top) * dnorm(b, 0, sd))
  whole <- function(a, b) integrate(density, a, b, rel.tol = 1e-11, subdivisions = 2000)$value
  far <- c(-8, 8) * sd
  total <- whole(far[1], centre) + whole(centre, far[2])
  quantile <- function(p) uniroot(function(x) whole(far[1], x) / total - p, far / 3, tol = 1e-10)$root
  c(median = exp(quantile(0.5)), lower = exp(quantile(0.025)), upper = exp(quantile(0.975)),
    above_one = (if (centre > 0) whole(0, centre) + whole(centre, far[2]) else whole(0, far[2])) / total)
}
for (name in c("lung", "ovarian")) {
  found <- posterior(if (name == "lung") everyone else ovarian2, 0.75)
  for (quantity in names(found)) add(name, "prior", "exposed", quantity, found[[quantity]],
    "integrate() of exp(coxph(iter.max = 0) log-likelihood) x dnorm(b, 0, 0.75), Efron ties; exposed as above")
}

# --- inverse probability of being evaluable: those with meal.cal (47 lack it), those with wt.loss (14 lack it)
weighted <- function(data, column, method, cap, analysis, dataset = "lung") {
  data <- data[!is.na(data$ECOG), ]
  data$evaluable <- as.numeric(!is.na(data[[column]]))
  x <- model.matrix(~ AGE + ECOG, data)
  if (method == "ml") {
    model <- glm(evaluable ~ AGE + ECOG, binomial, data, control = glm.control(epsilon = 1e-14, maxit = 100))
    p <- fitted(model)
    source <- paste0("glm(evaluable ~ age + ph.ecog, binomial), evaluable: ", column, " known")
  } else {
    # Firth by optim, then the intercept again so that the probabilities add up (FLIC, Puhr 2017)
    centred <- x
    centred[, -1] <- scale(x[, -1])
    minus <- function(b) {
      p <- plogis(drop(centred %*% b))
      -(sum(dbinom(data$evaluable, 1, p, log = TRUE)) +
        0.5 * as.numeric(determinant(crossprod(centred * sqrt(p * (1 - p))))$modulus))
    }
    b <- rep(0, 3)
    for (round in 1:6) b <- optim(b, minus, method = "BFGS", control = list(reltol = 1e-16, ndeps = rep(1e-5, 3)))$par
    score <- drop(centred[, -1] %*% b[-1])
    p <- fitted(glm(evaluable ~ offset(score), binomial, data, control = glm.control(epsilon = 1e-14)))
    source <- paste0("Firth logistic by optim with intercept correction, evaluable: ", column, " known")
  }
  data$w <- pmin(mean(data$evaluable) / p, cap)
  seen <- data[data$evaluable == 1, ]
  fit <- coxph(Surv(time, event) ~ exposed, seen, weights = w, robust = TRUE, ties = "efron", control = tight)
  table <- summary(fit)
  source <- paste0(source, "; coxph(weights = P(evaluable) / P(evaluable | x), cut at ", cap, ", robust = TRUE)")
  add(dataset, analysis, "exposed", "estimate", table$conf.int[1], source)
  add(dataset, analysis, "exposed", "lower", table$conf.int[3], source)
  add(dataset, analysis, "exposed", "upper", table$conf.int[4], source)
  add(dataset, analysis, "exposed", "p", table$coefficients[6], source)
  add(dataset, analysis, "exposed", "max_weight", max(seen$w), source)
  add(dataset, analysis, "exposed", "sum_weight", sum(seen$w), source, 1e-3)
}
weighted(everyone, "meal.cal", "ml", 10, "ipw")
weighted(everyone, "meal.cal", "ml", 1.05, "ipw_cut")
weighted(everyone, "wt.loss", "firth", 10, "ipw_firth")
# By hand, with weights that matter: the old are seldom evaluable.
k <- 0:79
made <- data.frame(AGE = 40 + (7 * k) %% 23, ECOG = k %% 3, time = 1 + (11 * k) %% 37,
  event = as.numeric(k %% 5 != 0), exposed = as.numeric(k %% 7 < 3))
made$seen <- ifelse(made$AGE > 52 & k %% 4 > 0, NA, 1)
weighted(made, "seen", "ml", 10, "ipw", "made")
weighted(made, "seen", "ml", 2, "ipw_cut", "made")

# --- with and without: standardised mean differences, and the median of those without
seen <- !is.na(everyone$meal.cal)
for (name in c("AGE", "ECOG")) {
  x <- everyone[[name]]
  a <- na.omit(x[seen])
  b <- na.omit(x[!seen])
  add("lung", "missing", name, "smd", (mean(a) - mean(b)) / sqrt((var(a) + var(b)) / 2),
    "(mean(a) - mean(b)) / sqrt((var(a) + var(b)) / 2), a: meal.cal known")
}
women <- 1 - everyone$exposed
a <- mean(women[seen])
b <- mean(women[!seen])
add("lung", "missing", "VISCFL", "smd", (a - b) / sqrt((a * (1 - a) + b * (1 - b)) / 2),
  "(p1 - p2) / sqrt((p1 (1 - p1) + p2 (1 - p2)) / 2), sex == 2 in place of a flag, p1: meal.cal known")
fit <- survfit(Surv(time, event) ~ 1, everyone[!seen, ], conf.type = "log-log")
median <- summary(fit)$table[c("median", "0.95LCL", "0.95UCL")]
for (k in 1:3) add("lung", "missing", "without", c("median", "lower", "upper")[k], median[[k]],
  "survfit(Surv(time, status) ~ 1, conf.type = 'log-log') where meal.cal is missing")

table <- do.call(rbind, rows)
write.csv(table, stdout(), row.names = FALSE, quote = which(names(table) == "source"))

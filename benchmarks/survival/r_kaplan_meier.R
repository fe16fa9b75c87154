# Reference numbers of R for Kaplan-Meier curves, medians, restricted means, delayed entry, time-dependent
# covariates and interval-censored Weibull models:
#   Rscript benchmarks/survival/r_kaplan_meier.R > tests/reference/r_kaplan_meier.csv
suppressPackageStartupMessages(library(survival))

versions <- sprintf("R %s, survival %s", getRversion(), packageVersion("survival"))
types <- c("log-log", "log", "plain", "logit", "arcsin")
cat("dataset,analysis,term,quantity,value,tolerance,source\n")

emit <- function(dataset, analysis, term, quantity, value, call, tolerance = "1e-9") {
  shown <- ifelse(is.na(value), "", sprintf("%.15g", value))
  cat(sprintf('%s,%s,%s,%s,%s,%s,"%s: %s"\n', dataset, analysis, term, quantity, shown, tolerance, versions, call),
      sep = "")
}

# One group of a survfit at given times, or at all of its own.
everything <- c("n_risk", "survival", "se", "lower", "upper")
emit_curve <- function(dataset, analysis, group, fit, call, times = fit$time, what = everything) {
  at <- match(times, fit$time)
  for (name in what) {
    column <- switch(name, n_risk = fit$n.risk, survival = fit$surv, se = fit$surv * fit$std.err,
                     lower = fit$lower, upper = fit$upper)
    emit(dataset, analysis, sprintf("%s@%s", group, format(times, trim = TRUE)), name, column[at], call)
  }
}

emit_median <- function(dataset, analysis, group, fit, call) {
  found <- quantile(fit, 0.5)
  emit(dataset, analysis, group, "median", found$quantile, call)
  emit(dataset, analysis, group, "lower", found$lower, call)
  emit(dataset, analysis, group, "upper", found$upper, call)
}

# Only the limits differ between types.
columns_of <- function(type) if (type == "log-log") everything else c("lower", "upper")

# 1. Interval types, at some event times and the last time of each group.
some_times <- function(fit, shares) {
  dead <- fit$time[fit$n.event > 0]
  unique(c(dead[pmax(1, round(length(dead) * shares))], max(fit$time)))
}
lung$event <- lung$status == 2
for (type in types) {
  call <- sprintf("survfit(Surv(time, status) ~ sex, lung, conf.type = '%s')", type)
  for (sex in 1:2) {
    one <- lung[lung$sex == sex, ]
    fit <- survfit(Surv(time, event) ~ 1, one, conf.type = type)
    times <- some_times(fit, c(0.02, 0.6, 0.95))
    emit_curve("lung", paste0("kaplan_meier_", type), sex, fit, call, times, columns_of(type))
    emit_median("lung", paste0("median_", type), sex, fit, call)
  }
  call <- sprintf("survfit(Surv(futime, fustat) ~ rx, ovarian, conf.type = '%s')", type)
  for (rx in 1:2) {
    fit <- survfit(Surv(futime, fustat) ~ 1, ovarian[ovarian$rx == rx, ], conf.type = type)
    times <- some_times(fit, c(0, 0.5, 1))
    emit_curve("ovarian", paste0("kaplan_meier_", type), rx, fit, call, times, columns_of(type))
    emit_median("ovarian", paste0("median_", type), rx, fit, call)
  }
}

# 2. Tiny data: what happens at S = 0, S = 1, S = 0.5.
tiny <- list(
  "four events" = list(1:4, c(1, 1, 1, 1)),
  "half by a product" = list(1:6, c(1, 1, 1, 0, 0, 0)),
  "half after censoring" = list(1:9, c(0, 1, 1, 0, 0, 0, 1, 0, 0)),
  "half then an event" = list(c(2, 3, 5, 8), c(1, 1, 0, 1)),
  "all censored" = list(1:4, c(0, 0, 0, 0)),
  "one event" = list(5, 1),
  "one censored" = list(5, 0),
  "all tied" = list(c(2, 2, 2), c(1, 1, 1)),
  "tied event and censoring" = list(c(2, 2, 3, 5), c(1, 0, 1, 0)),
  "censored first" = list(1:5, c(0, 1, 1, 0, 1))
)
for (name in names(tiny)) for (type in types) {
  data <- tiny[[name]]
  fit <- survfit(Surv(data[[1]], data[[2]]) ~ 1, conf.type = type)
  call <- sprintf("survfit(Surv(time, event) ~ 1, conf.type = '%s')", type)
  emit_curve(name, paste0("kaplan_meier_", type), "all", fit, call, what = columns_of(type))
  emit_median(name, paste0("median_", type), "all", fit, call)
}

# 3. Restricted means: estimate, error, difference of independent groups.
emit_rmst <- function(dataset, data, tau, call) {
  means <- sapply(1:2, function(group) {
    fit <- survfit(Surv(time, event) ~ 1, data[data$group == group, ])
    summary(fit, rmean = tau)$table[c("rmean", "se(rmean)")]
  })
  for (group in 1:2) {
    emit(dataset, "rmst", group, "estimate", means[1, group], call)
    emit(dataset, "rmst", group, "se", means[2, group], call)
  }
  emit(dataset, "rmst", "2 - 1", "estimate", means[1, 2] - means[1, 1], call)
  emit(dataset, "rmst", "2 - 1", "se", sqrt(sum(means[2, ]^2)), call)
}
emit_rmst("ovarian", data.frame(time = ovarian$futime, event = ovarian$fustat, group = ovarian$rx), 600,
          "summary(survfit(Surv(futime, fustat) ~ rx, ovarian), rmean = 600)$table")
emit_rmst("veteran", data.frame(time = veteran$time, event = veteran$status, group = veteran$trt), 180,
          "summary(survfit(Surv(time, status) ~ trt, veteran), rmean = 180)$table")

# 4. Delayed entry and Simon-Makuch curves.
entry <- c(0, 0, 1, 2, 4, 1)
late <- survfit(Surv(entry, c(3, 5, 2, 6, 7, 5), c(1, 1, 1, 0, 1, 0)) ~ 1, conf.type = "log-log")
emit_curve("late entry", "kaplan_meier_entry", "all", late, "survfit(Surv(entry, time, event) ~ 1)")

periods <- function(time, event, change, state, before) {
  rows <- NULL
  for (i in seq_along(time)) {
    if (!is.na(change[i]) && change[i] < time[i]) {
      if (!is.na(before)) rows <- rbind(rows, data.frame(start = 0, stop = change[i], event = 0, state = before))
      rows <- rbind(rows, data.frame(start = change[i], stop = time[i], event = event[i], state = state[i]))
    } else if (!is.na(before)) {
      rows <- rbind(rows, data.frame(start = 0, stop = time[i], event = event[i], state = before))
    }
  }
  rows
}
emit_states <- function(dataset, data, origin, call) {
  later <- data[data$stop > origin, ]
  later$start <- pmax(later$start, origin)
  for (state in sort(unique(data$state))) {
    fit <- survfit(Surv(start, stop, event) ~ 1, later[later$state == state, ], conf.type = "log-log")
    times <- some_times(fit, c(0, 0.3, 0.6, 1))
    emit_curve(dataset, "simon_makuch", state, fit, sprintf("%s, from %g on", call, origin), times)
  }
  for (ties in c("efron", "breslow")) {
    fit <- coxph(Surv(start, stop, event) ~ state, data, ties = ties, control = coxph.control(1e-12, 1e-14))
    text <- sprintf("coxph(Surv(start, stop, event) ~ state, ties = '%s')", ties)
    emit(dataset, paste0("cox_entry_", ties), "state", "coef", coef(fit), text, "1e-7")
    emit(dataset, paste0("cox_entry_", ties), "state", "se", sqrt(vcov(fit)), text, "1e-7")
    emit(dataset, paste0("cox_entry_", ties), "state", "loglik", fit$loglik[2], text, "1e-7")
  }
  exact <- coxph(Surv(start, stop, event) ~ state, data, ties = "exact")
  emit(dataset, "mantel_byar", "state", "chi2", exact$score,
       "coxph(Surv(start, stop, event) ~ state, ties = 'exact')$score", "1e-8")
}
jumps <- data.frame(start = heart$start, stop = heart$stop, event = heart$event,
                    state = as.character(heart$transplant))
emit_states("heart", jumps, 30, "survfit(Surv(start, stop, event) ~ transplant, heart)")
hand <- list(time = c(9, 12, 3, 20, 15, 8, 30, 4, 9, 6), event = c(1, 1, 1, 0, 1, 1, 0, 0, 1, 1),
             change = c(4, 2, 6, 4, 3, 5, 3, 7, 4, 8),
             state = c("R", "R", "R", "N", "N", "R", "R", "N", "N", "N"))
call <- "survfit(Surv(start, stop, event) ~ state)"
emit_states("ten non_responder", with(hand, periods(time, event, change, state, "N")), 5, call)
emit_states("ten unclassified", with(hand, periods(time, event, change, state, NA)), 5, call)

# 5. Interval-censored Weibull: a grid of visits; some times exact; NA is an open end.
emit_weibull <- function(dataset, lower, upper, exposed, call) {
  fit <- survreg(Surv(ifelse(lower == 0, NA, lower), ifelse(is.finite(upper), upper, NA), type = "interval2") ~
                   exposed, control = survreg.control(rel.tolerance = 1e-14, maxiter = 200))
  b <- coef(fit)[["exposed"]]
  log_scale <- log(fit$scale)
  slope <- c(-exp(-log_scale), b * exp(-log_scale))  # of -b / scale by b and by log(scale)
  covariance <- vcov(fit)[c("exposed", "Log(scale)"), c("exposed", "Log(scale)")]
  se <- sqrt(drop(slope %*% covariance %*% slope))
  emit(dataset, "weibull_interval", "exposed", "coef", -b / fit$scale, call, "1e-6")
  emit(dataset, "weibull_interval", "exposed", "se", se, call, "1e-6")
  emit(dataset, "weibull_interval", "exposed", "shape", 1 / fit$scale, call, "1e-6")
  emit(dataset, "weibull_interval", "exposed", "loglik", fit$loglik[2], call, "1e-6")
}
grid <- function(time, event, exact, width) {
  on_grid <- event & !exact
  list(lower = ifelse(on_grid, width * (ceiling(time / width) - 1), time),
       upper = ifelse(!event, Inf, ifelse(on_grid, width * ceiling(time / width), time)))
}
call <- "survreg(Surv(lower, upper, type = 'interval2') ~ exposed): visits every"
cut <- with(lung, grid(time, event, !is.na(ph.ecog) & ph.ecog == 2, 90))
emit_weibull("lung", cut$lower, cut$upper, as.numeric(lung$sex == 1), paste(call, "90 days, ph.ecog 2 exact"))
cut <- with(veteran, grid(time, status == 1, FALSE, 56))
emit_weibull("veteran", cut$lower, cut$upper, as.numeric(veteran$trt == 2), paste(call, "56 days, none exact"))

# 6. Wilcoxon test of patient means, with ties.
first <- c(56, 56, 57, 61, 55, 56, 58)
second <- c(56, 55, 54, 56, 52, 53)
emit("gaps", "wilcoxon", "two-sided", "p", wilcox.test(first, second, exact = FALSE)$p.value,
     "wilcox.test(first, second, exact = FALSE)")
emit("gaps without ties", "wilcoxon", "two-sided", "p", wilcox.test(first[3:5], second[3:6])$p.value,
     "wilcox.test(first[3:5], second[3:6])")

# Prints tests/reference/r_spline.csv: Cox models of a restricted cubic spline as R gives them.
# Rscript benchmarks/survival/r_spline.R > tests/reference/r_spline.csv
suppressMessages({library(survival); library(Hmisc)})
versions <- paste0("R ", getRversion(), "; ", paste(sapply(
  c("survival", "Hmisc"), function(name) paste(name, packageVersion(name))), collapse = "; "))
cat("dataset,analysis,term,quantity,value,tolerance,source\n")
emit <- function(dataset, analysis, term, quantity, value, source, tolerance = "1e-7") {
  cat(paste(c(dataset, analysis, term, quantity, format(value, digits = 13, trim = TRUE), tolerance,
              paste0("\"", source, " (", versions, ")\"")), collapse = ","), "\n", sep = "")
}
tight <- coxph.control(eps = 1e-13, toler.chol = 1e-14, iter.max = 100)

# The basis, outside the knots too.
x <- c(-3, 0, 0.5, 1, 2.2, 4, 6)
knots <- c(0, 1, 2.5, 4)
basis <- rcspline.eval(x, knots = knots, inclx = TRUE, norm = 2)
for (i in seq_along(x)) for (j in 1:3)
  emit("none", "basis", sprintf("x %g", x[i]), sprintf("column %d", j), basis[i, j],
       "rcspline.eval(x knots=c(0 1 2.5 4) inclx=TRUE norm=2)", "1e-10")

sets <- list(lung.age = with(lung, data.frame(time, event = status - 1, x = age)),
             veteran.karno = with(veteran, data.frame(time, event = status, x = karno)),
             ovarian.age = with(ovarian, data.frame(time = futime, event = fustat, x = age)))
references <- c(lung.age = 60, veteran.karno = 70, ovarian.age = 55)
at <- list(lung.age = c(40, 50, 70, 80), veteran.karno = c(20, 50, 90), ovarian.age = c(40, 60, 72))
quantiles <- list("3" = c(.1, .5, .9), "4" = c(.05, .35, .65, .95))
for (name in names(sets)) {
  data <- sets[[name]]
  place <- strsplit(name, ".", fixed = TRUE)[[1]]
  for (k in names(quantiles)) {
    if (name != "lung.age" && k == "4") next
    term <- paste(place[2], k)
    knots <- quantile(data$x, quantiles[[k]])
    basis <- rcspline.eval(data$x, knots = knots, inclx = TRUE, norm = 2)
    fit <- coxph(Surv(time, event) ~ basis, data, ties = "efron", control = tight)
    line <- coxph(Surv(time, event) ~ x, data, ties = "efron", control = tight)
    call <- "coxph(Surv(time event) ~ rcspline.eval(x knots inclx=TRUE norm=2))"
    for (j in seq_along(knots)) emit(place[1], "fit", term, paste("knot", j), knots[[j]], "quantile(x)")
    for (j in seq_along(coef(fit))) {
      emit(place[1], "fit", term, paste("coef", j), coef(fit)[[j]], call)
      emit(place[1], "fit", term, paste("se", j), sqrt(diag(vcov(fit)))[[j]], call)
    }
    emit(place[1], "fit", term, "loglik", fit$loglik[2], call)
    emit(place[1], "fit", term, "loglik_null", fit$loglik[1], call)
    emit(place[1], "fit", term, "loglik_linear", line$loglik[2], "coxph(Surv(time event) ~ x)")
    compared <- anova(line, fit)
    emit(place[1], "fit", term, "non-linearity chi2", compared$Chisq[2], "anova(line fit)")
    emit(place[1], "fit", term, "non-linearity p", compared[2, 4], "anova(line fit)")
    emit(place[1], "fit", term, "any association chi2", summary(fit)$logtest[[1]], call)
    emit(place[1], "fit", term, "any association p", summary(fit)$logtest[[3]], call)
    away <- rcspline.eval(c(references[[name]], at[[name]]), knots = knots, inclx = TRUE, norm = 2)
    distance <- sweep(away[-1, , drop = FALSE], 2, away[1, ])
    centre <- drop(distance %*% coef(fit))
    spread <- sqrt(diag(distance %*% vcov(fit) %*% t(distance)))
    for (i in seq_along(centre)) {
      here <- sprintf("at %g against %g", at[[name]][i], references[[name]])
      wald <- exp(centre[i] + c(0, -1, 1) * qnorm(.975) * spread[i])
      for (j in 1:3) emit(place[1], "curve", term, paste(here, c("estimate", "lower", "upper")[j]), wald[j], call)
    }
  }
}

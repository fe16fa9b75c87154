# Prints tests/reference/r_cutpoint.csv: the maximally selected log-rank statistic as R's maxstat gives it.
# Rscript benchmarks/survival/r_cutpoint.R > tests/reference/r_cutpoint.csv
suppressMessages({library(survival); library(exactRankTests); library(maxstat)})
versions <- paste0("R ", getRversion(), "; ", paste(sapply(
  c("survival", "maxstat", "exactRankTests"), function(name) paste(name, packageVersion(name))), collapse = "; "))
cat("dataset,analysis,term,quantity,value,tolerance,source\n")
emit <- function(dataset, analysis, term, quantity, value, source, tolerance = "1e-9") {
  cat(paste(c(dataset, analysis, term, quantity, format(value, digits = 14, trim = TRUE), tolerance,
              paste0("\"", source, " (", versions, ")\"")), collapse = ","), "\n", sep = "")
}

# Twelve patients with ties in the time and in the score.
small <- data.frame(time = c(1, 2, 2, 3, 3, 4, 5, 6, 6, 8, 9, 11), event = c(1, 1, 0, 1, 1, 0, 1, 1, 0, 1, 0, 1),
                    score = c(5, 4, 5, 3, 4, 4, 2, 3, 1, 2, 1, 2))
sets <- list(veteran.karno = with(veteran, data.frame(time, event = status, score = karno)),
             veteran.age = with(veteran, data.frame(time, event = status, score = age)),
             lung.age = with(lung, data.frame(time, event = status - 1, score = age)),
             ovarian.age = with(ovarian, data.frame(time = futime, event = fustat, score = age)),
             small.score = small)
set.seed(1)
for (name in names(sets)) {
  data <- sets[[name]]
  place <- strsplit(name, ".", fixed = TRUE)[[1]]
  for (share in list(c(.1, .9), c(.25, .75))) {
    term <- sprintf("%s %.2f-%.2f", place[2], share[1], share[2])
    run <- function(pmethod, ...) maxstat.test(Surv(time, event) ~ score, data, smethod = "LogRank",
                                               pmethod = pmethod, minprop = share[1], maxprop = share[2], ...)
    call <- sprintf("maxstat.test(smethod='LogRank' pmethod='%s' minprop=%g maxprop=%g)", "%s", share[1], share[2])
    keep <- function(method, quantity, value, tolerance = "1e-9")
      emit(place[1], method, term, quantity, value, sprintf(call, c(lausen92 = "Lau92", lausen94 = "Lau94",
           hothorn_lausen_maxstat = "HL", permutation = "condMC")[[method]]), tolerance)
    for (method in list(c("lausen92", "Lau92"), c("lausen94", "Lau94"), c("hothorn_lausen_maxstat", "HL"))) {
      found <- run(method[2])
      keep(method[1], "statistic", found$statistic)
      keep(method[1], "cut", found$estimate)
      # gamma(n + 1) overflows in pmaxstat above 170 patients. A p is at most 1, an approximation is not.
      if (is.finite(found$p.value)) keep(method[1], "p", min(found$p.value, 1))
    }
    # One million random allocations: three standard errors of their share, and of ours.
    p <- run("condMC", B = 1e6)$p.value
    keep("permutation", "p", p, sprintf("%.2g", 3 * sqrt(p * (1 - p) * (1e-6 + 1e-4)) + 1e-4))
  }
}
for (k in seq_along(scores <- cscores(Surv(small$time, small$event), type = "LogRank")))
  emit("small", "scores", k, "score", scores[k], "cscores(Surv(time, event), type='LogRank')")
scores <- cscores(Surv(lung$time, lung$status - 1), type = "LogRank")
emit("lung", "scores", "all", "sum", sum(scores), "cscores(Surv(time, event), type='LogRank')")
emit("lung", "scores", "all", "sum of squares", sum(scores^2), "cscores(Surv(time, event), type='LogRank')")

# The bound itself, where R's differs in nothing: consecutive cuts, no statistic equal to b, no sum of 0.
scores <- cscores(Surv(ovarian$futime, ovarian$fustat), type = "LogRank")
scores <- round((scores - min(scores)) * 26 / max(scores - min(scores)))
for (b in c(2.3, 2.7, 3.1, 3.5))
  emit("ovarian", "bound", "cuts 12 to 18", sprintf("b %.1f", b), pmaxstat(b, scores, 12:18), "pmaxstat(b scores 12:18)")

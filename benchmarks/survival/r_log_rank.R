# Prints tests/reference/r_log_rank.csv: log-rank tests as R's survival and coin give them.
# Rscript benchmarks/survival/r_log_rank.R > tests/reference/r_log_rank.csv
suppressMessages({library(survival); library(coin)})
versions <- paste0("R ", getRversion(), "; ", paste(sapply(
  c("survival", "coin"), function(name) paste(name, packageVersion(name))), collapse = "; "))
cat("dataset,analysis,term,quantity,value,tolerance,source\n")
emit <- function(dataset, analysis, term, quantity, value, source, tolerance = "1e-9") {
  cat(paste(c(dataset, analysis, term, quantity, format(value, digits = 14, trim = TRUE), tolerance,
              paste0("\"", source, " (", versions, ")\"")), collapse = ","), "\n", sep = "")
}

lung2 <- with(lung, data.frame(lung, event = status - 1))
veteran2 <- with(veteran, data.frame(veteran, event = status))
ovarian2 <- with(ovarian, data.frame(ovarian, time = futime, event = fustat))
# The same patients with tied times.
coarse <- transform(ovarian2, time = ceiling(time / 100))
sets <- list(lung = lung2, veteran = veteran2, ovarian = ovarian2, ovarian_coarse = coarse)

asymptotic <- function(name, group, strata = NULL) {
  right <- if (is.null(strata)) group else sprintf("%s + strata(%s)", group, strata)
  fit <- survdiff(as.formula(paste("Surv(time, event) ~", right)), sets[[name]])
  term <- if (is.null(strata)) group else paste(group, strata, sep = "|")
  analysis <- if (is.null(strata)) "logrank" else "logrank_stratified"
  emit(name, analysis, term, "chi2", fit$chisq, sprintf("survdiff(Surv ~ %s)", right))
  emit(name, analysis, term, "p", fit$pvalue, sprintf("survdiff(Surv ~ %s)", right))
}
for (case in list(c("lung", "sex"), c("lung", "ph.ecog"), c("veteran", "celltype"), c("veteran", "trt"),
                  c("ovarian", "rx"), c("ovarian_coarse", "rx"), c("lung", "sex", "ph.ecog"),
                  c("veteran", "trt", "celltype"), c("veteran", "celltype", "trt"), c("ovarian_coarse", "rx", "resid.ds")))
  asymptotic(case[1], case[2], if (length(case) > 2) case[3])

# coin's scores are mid-ranks by default and have the opposite sign.
for (name in c("ovarian", "ovarian_coarse")) {
  data <- transform(sets[[name]], rx = factor(rx))
  scores <- -logrank_trafo(with(data, Surv(time, event)), ties.method = "mid-ranks")
  for (i in c(1, 5, 10, 26))
    emit(name, "scores", i, "score", scores[i], "-logrank_trafo(ties.method='mid-ranks')")
  test <- logrank_test(Surv(time, event) ~ rx, data, distribution = "exact", ties.method = "mid-ranks")
  emit(name, "logrank_exact", "rx", "p", c(pvalue(test)),
       "logrank_test(distribution='exact' ties.method='mid-ranks')")
}

set.seed(1)
draws <- 4e5
sampled <- approximate(nresample = draws)
permuted <- function(name, analysis, term, test, source) {
  p <- c(pvalue(test))
  # Four standard errors of two Monte Carlo estimates, of `draws` here and 20,000 in the test.
  emit(name, analysis, term, "p", p, source, signif(4 * sqrt(p * (1 - p) * (1 / draws + 1 / 20000)), 2))
}
data <- transform(coarse, rx = factor(rx), resid.ds = factor(resid.ds))
# Scores within the block, as survdiff compares within it: coin's default scores patients as if in one block.
within <- function(data) trafo(data, block = factor(coarse$resid.ds), surv_trafo = function(y)
  logrank_trafo(y, ties.method = "mid-ranks"))
permuted("ovarian_coarse", "logrank_stratified_permutation", "rx|resid.ds",
         independence_test(Surv(time, event) ~ rx | resid.ds, data, ytrafo = within, distribution = sampled),
         "independence_test(ytrafo = logrank_trafo within block; approximate)")
permuted("ovarian_coarse", "logrank_permutation", "rx",
         logrank_test(Surv(time, event) ~ rx, data, distribution = sampled), "logrank_test(approximate)")
permuted("veteran", "logrank_permutation", "trt",
         logrank_test(Surv(time, event) ~ factor(trt), veteran2, distribution = sampled), "logrank_test(approximate)")
old <- transform(subset(veteran2, age > 64), celltype = factor(celltype))
permuted("veteran_over_64", "logrank_permutation", "celltype",
         logrank_test(Surv(time, event) ~ celltype, old, distribution = sampled),
         "logrank_test(Surv ~ celltype; subset age > 64; approximate)")

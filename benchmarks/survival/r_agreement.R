# Numbers of R for tests/reference/r_agreement.csv: Rscript benchmarks/survival/r_agreement.R
# Two raters of the same patients: Karnofsky by the physician and by the patient, survival::lung (complete pairs).
suppressMessages({
  library(psych)
  library(survival)
})
known <- subset(lung, !is.na(ph.karno) & !is.na(pat.karno))
classes <- sort(unique(c(known$ph.karno, known$pat.karno)))
rows <- list()
add <- function(dataset, analysis, term, quantity, value, source, tolerance = 1e-8) {
  rows[[length(rows) + 1]] <<- data.frame(
    dataset = dataset, analysis = analysis, term = term, quantity = quantity,
    value = format(value, digits = 15), tolerance = tolerance,
    source = paste0("R ", getRversion(), ", ", source)
  )
}
psych_version <- paste0("psych ", packageVersion("psych"))

# Gwet's AC1 as irrCAC::gwet.ac1.raw computes it (unweighted): linearised variance, t with n - 1 df.
gwet <- function(first, second) {
  q <- sort(unique(c(first, second)))
  agree <- sapply(q, function(class) (first == class) + (second == class))
  n <- nrow(agree)
  pi <- colMeans(agree / 2)
  pa <- rowSums(agree * (agree - 1)) / 2
  pe <- sum(pi * (1 - pi)) / (length(q) - 1)
  ac1 <- (mean(pa) - pe) / (1 - pe)
  own_pe <- as.vector(agree %*% (1 - pi)) / 2 / (length(q) - 1)
  own <- (pa - pe) / (1 - pe) - 2 * (1 - ac1) * (own_pe - pe) / (1 - pe)
  se <- sqrt(sum((own - ac1)^2) / (n * (n - 1)))
  half <- qt(0.975, n - 1) * se
  c(estimate = ac1, lower = max(ac1 - half, -1), upper = min(ac1 + half, 1))
}
classify <- list(
  karno = function(x) x,
  karno_below_80 = function(x) as.numeric(x < 80)
)
for (term in names(classify)) {
  first <- classify[[term]](known$ph.karno)
  second <- classify[[term]](known$pat.karno)
  levels <- sort(unique(c(first, second)))
  both <- table(factor(first, levels), factor(second, levels))
  found <- cohen.kappa(matrix(both, length(levels)))
  call <- paste0(psych_version, ": cohen.kappa(table(ph, pat)), normal limits from var.kappa")
  half <- qnorm(0.975) * sqrt(found$var.kappa)
  add("lung", "kappa", term, "estimate", found$kappa, call)
  add("lung", "kappa", term, "lower", found$kappa - half, call)
  add("lung", "kappa", term, "upper", found$kappa + half, call)
  ac1 <- gwet(first, second)
  for (name in names(ac1)) {
    add("lung", "gwet_ac1", term, name, ac1[[name]], "the formulas of irrCAC::gwet.ac1.raw, written out")
  }
}
below <- sapply(list(known$ph.karno, known$pat.karno), function(x) x < 80)
only <- c(sum(below[, 1] & !below[, 2]), sum(!below[, 1] & below[, 2]))
exact <- binom.test(only[1], sum(only))$p.value
add("lung", "mcnemar", "karno_below_80", "only_first", only[1], "count")
add("lung", "mcnemar", "karno_below_80", "only_second", only[2], "count")
add("lung", "mcnemar", "karno_below_80", "p_exact", exact, "stats: binom.test(only first, discordant)")
add("lung", "mcnemar", "karno_below_80", "p_mid", exact - dbinom(only[1], sum(only), 0.5),
    "stats: binom.test() less dbinom() of the observed split")
# Few discordant pairs, split 1 to 7.
tail <- binom.test(1, 8)$p.value
add("split_1_7", "mcnemar", "1 against 7", "p_exact", tail, "stats: binom.test(1, 8)")
add("split_1_7", "mcnemar", "1 against 7", "p_mid", tail - dbinom(1, 8, 0.5), "stats: binom.test() less dbinom()")

difference <- known$pat.karno - known$ph.karno
ba <- c(bias = mean(difference), sd = sd(difference),
        lower = mean(difference) - qnorm(0.975) * sd(difference),
        upper = mean(difference) + qnorm(0.975) * sd(difference),
        bias_lower = t.test(difference)$conf.int[1], bias_upper = t.test(difference)$conf.int[2])
for (name in names(ba)) {
  add("lung", "bland_altman", "karno", name, ba[[name]], "stats: mean, sd, t.test of pat - ph")
}

shrout <- matrix(c(9, 2, 5, 8, 6, 1, 3, 2, 8, 4, 6, 8, 7, 1, 2, 6, 10, 5, 6, 9, 6, 2, 4, 7), ncol = 4, byrow = TRUE)
tables <- list(lung = as.matrix(known[, c("ph.karno", "pat.karno")]), shrout_fleiss = shrout)
models <- c(icc_one_way = "ICC1", icc_agreement = "ICC2", icc_consistency = "ICC3")
for (dataset in names(tables)) {
  found <- ICC(tables[[dataset]], lmer = FALSE)$results
  for (term in names(models)) {
    row <- found[found$type == models[[term]], ]
    call <- paste0(psych_version, ": ICC(x, lmer = FALSE)")
    add(dataset, "icc", term, "estimate", row$ICC, call)
    add(dataset, "icc", term, "lower", row[["lower bound"]], call)
    add(dataset, "icc", term, "upper", row[["upper bound"]], call)
    add(dataset, "icc", term, "p", row$p, call)
  }
}
write.csv(do.call(rbind, rows), stdout(), row.names = FALSE, quote = TRUE)

# Rscript curve.R time.csv event.csv exposed.csv moved.csv permutations
# Times survival::coxph.fit over a specification curve (patients x specifications) under the first permutations
# of the rows of exposure; prints seconds a fit, the mean median of abs(ln HR) and the mean of Stouffer's Z over
# the permutations, and versions.
suppressMessages(library(survival))
given <- commandArgs(trailingOnly = TRUE)
read <- function(file) as.matrix(read.csv(file, header = FALSE))
time <- read(given[1]); event <- read(given[2]); exposed <- read(given[3]); moved <- read(given[4]) + 1
permutations <- seq_len(as.integer(given[5])); specifications <- seq_len(ncol(time))
tasks <- expand.grid(k = specifications, b = permutations)
data <- Map(function(k, b) {
  x <- exposed[moved[b, ], k]
  inside <- !is.na(x) & !is.na(time[, k])
  list(x = matrix(x[inside]), y = Surv(time[inside, k], event[inside, k]))
}, tasks$k, tasks$b)
fit <- function(one, control) suppressWarnings(
  coxph.fit(one$x, one$y, NULL, NULL, NULL, control, NULL, "efron", NULL, resid = FALSE))
usual <- coxph.control()
for (one in head(data, 50)) fit(one, usual)  # byte-compiled before it is timed
started <- Sys.time()
for (one in data) fit(one, usual)
seconds <- as.numeric(difftime(Sys.time(), started, units = "secs"))
tight <- coxph.control(eps = 1e-14, toler.chol = 1e-15, iter.max = 50)
found <- lapply(data, fit, tight)
coef <- matrix(sapply(found, function(f) f$coefficients), length(specifications))
z <- sign(coef) * matrix(sapply(found, function(f) sqrt(max(2 * diff(f$loglik), 0))), length(specifications))
cat(seconds / length(data), "\n", sep = "")
cat(format(mean(apply(abs(coef), 2, median)), digits = 17), " ",
    format(mean(colSums(z) / sqrt(nrow(z))), digits = 17), "\n", sep = "")
cat("R ", as.character(getRversion()), ", survival ", as.character(packageVersion("survival")), "\n", sep = "")

# Prints tests/reference/r_cox_batch.csv: R's Cox model of the repeated rows of resamples of veteran.
# Rscript benchmarks/survival/r_cox_batch.R > tests/reference/r_cox_batch.csv
library(survival)
versions <- sprintf("R %s; survival %s", getRversion(), packageVersion("survival"))
cat("dataset,analysis,term,quantity,value,tolerance,source\n")
# Resample b draws patient i this often; no random numbers, so that any language can repeat it.
patient <- seq_len(nrow(veteran))
drawn <- function(b) ((patient * patient + 3 * b * patient + 5 * b) %% 11) %% 3
for (ties in c("efron", "breslow")) for (model in c("karno", "karno + age + trt")) for (b in 1:8) {
  rows <- veteran[rep(patient, drawn(b)), ]
  fit <- coxph(as.formula(paste("Surv(time, status) ~", model)), rows, ties = ties,
               control = coxph.control(eps = 1e-14, toler.chol = 1e-15, iter.max = 50))
  call <- sprintf("\"coxph(Surv ~ %s; resample %d; ties='%s') (%s)\"", model, b, ties, versions)
  found <- c(coef(fit), loglik_null = fit$loglik[1], loglik = fit$loglik[2])
  for (name in names(found))
    cat(paste("veteran", ties, paste(model, b), name, format(found[[name]], digits = 15), "1e-9", call, sep = ","), "\n", sep = "")
}

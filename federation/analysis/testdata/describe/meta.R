# Writes meta.json: what R's package metafor says of trials, with its search for Paule and
# Mandel's estimate let run to the last digits. Run in this folder: Rscript meta.R
suppressMessages(library(metafor))
num <- function(v) sprintf("%.17g", v)
list_of <- function(v) paste0("[", paste(v, collapse = ", "), "]")
answer <- function(name, m, tables = FALSE) paste0('"', name, '": {"sites": ', m$k, ', "estimate": ', num(m$beta[1]), ', "se": ', num(m$se), ', "lower": ', num(m$ci.lb), ', "upper": ', num(m$ci.ub),
  ', "statistic": ', num(m$zval), ', "p": ', num(m$pval),
  if (!tables) paste0(', "heterogeneity": {"tau2": ', num(if (m$method == "FE" || m$method == "EE") 0 else m$tau2), ', "i2": ', num(m$I2), ', "q": ', num(m$QE), ', "p": ', num(m$QEp), "}"), "}")
case <- function(name, a, n, c, m) {
  e <- escalc(measure = "RR", ai = a, n1i = n, ci = c, n2i = m)
  exact <- list(tol = 1e-15, maxiter = 100000)
  fit <- function(method, ...) rma(yi, vi, data = e, method = method, control = if (method == "PM") exact, ...)
  parts <- c(answer("fixed", rma(yi, vi, data = e, method = "FE")), answer("DL", fit("DL")), answer("REML", fit("REML")), answer("PM", fit("PM")),
    answer("REML adjusted", fit("REML", test = "knha")), answer("DL adjusted", fit("DL", test = "knha")),
    answer("MH ratio", rma.mh(measure = "RR", ai = a, n1i = n, ci = c, n2i = m, correct = FALSE), TRUE),
    answer("MH odds", rma.mh(measure = "OR", ai = a, n1i = n, ci = c, n2i = m, correct = FALSE), TRUE),
    answer("Peto", rma.peto(ai = a, n1i = n, ci = c, n2i = m), TRUE))
  paste0('{"name": "', name, '", "trials": ', list_of(paste0('{"events": ', a, ', "persons": ', n, ', "controlEvents": ', c, ', "controlPersons": ', m, "}")),
    ',\n "effects": ', list_of(paste0('{"estimate": ', num(e$yi), ', "se": ', num(sqrt(e$vi)), "}")), ',\n "answers": {', paste(parts, collapse = ",\n  "), "}}")
}
b <- dat.bcg
cases <- c(case("BCG", b$tpos, b$tpos + b$tneg, b$cpos, b$cpos + b$cneg),
  with(subset(dat.yusuf1985, table == "6" & ai > 0 & ci > 0), case("beta blockers", ai, n1i, ci, n2i)))
writeLines(paste0("[\n", paste(cases, collapse = ",\n"), "\n]"), "meta.json")

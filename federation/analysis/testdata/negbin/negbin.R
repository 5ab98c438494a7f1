# Writes cases.json: what R's glm.nb, of package MASS, says of each model, and the
# declaration of its columns. Run in this folder: Rscript negbin.R
# Rscript negbin.R FORMULA FILE... writes to standard output that of one model for each file.
suppressPackageStartupMessages(library(MASS))
options(contrasts = c("contr.treatment", "contr.treatment"), warn = 1)
num <- function(v) ifelse(is.finite(v), sprintf("%.17g", v), "null")
str <- function(s) paste0('"', gsub('"', '\\\\"', s), '"')
list_of <- function(v) paste0("[", paste(v, collapse = ", "), "]")

declare <- function(d, name) {
  v <- d[[name]]
  if (is.factor(v)) return(paste0('{"name": ', str(name), ', "kind": "factor", "levels": ', list_of(str(levels(v))), "}"))
  v <- v[!is.na(v)]
  low <- if (min(v) >= 0) min(v) / 2 else min(v) * 2
  paste0('{"name": ', str(name), ', "kind": "numeric", "low": ', num(low), ', "high": ', num(if (max(v) <= 1) 1 else max(v) * 1.5), "}")
}

# At their default epsilons R ends some digits before the maximum, and its standard error of
# theta is the one at the theta before the last step.
precise <- glm.nb
environment(precise) <- list2env(list(theta.ml = function(...) theta.ml(..., eps = 1e-11)), parent = asNamespace("MASS"))

case <- function(name, file, d, formula, link = "log", weights = NULL) {
  f <- as.formula(formula)
  used <- unique(c(all.vars(f), weights))
  d$.w <- if (is.null(weights)) 1 else d[[weights]]
  call <- bquote(precise(f, d, link = .(as.name(link)), control = glm.control(epsilon = 1e-12, maxit = 100)))
  if (!is.null(weights)) call$weights <- quote(.w)
  m <- eval(call)
  s <- coef(summary(m))
  rows <- sapply(names(coef(m)), function(n) {
    v <- if (n %in% rownames(s)) s[n, ] else rep(NA, 4)
    paste0('{"name": ', str(n), ', "estimate": ', num(coef(m)[[n]]), ', "se": ', num(v[2]), ', "statistic": ', num(v[3]), ', "p": ', num(v[4]), "}")
  })
  paste0('{"name": ', str(name), ', "file": ', str(file), ', "formula": ', str(formula),
    ', "link": ', str(link), ', "weights": ', str(if (is.null(weights)) "" else weights),
    ',\n "columns": ', list_of(sapply(used, function(n) declare(d, n))),
    ',\n "n": ', sum(m$prior.weights > 0), ', "omitted": ', length(m$na.action),
    ', "converged": ', tolower(m$converged && is.null(m$th.warn)), ', "dispersion": 1, "deviance": ', num(m$deviance), ', "df": ', m$df.residual,
    ', "nullDeviance": ', num(m$null.deviance), ', "nullDf": ', m$df.null, ', "aic": ', num(AIC(m)),
    ', "theta": ', num(m$theta), ', "thetaSe": ', num(m$SE.theta), ', "logLikelihood": ', num(m$twologlik / 2),
    ',\n "coefficients": [', paste(rows, collapse = ",\n  "), "]}")
}

read <- function(file) read.csv(file, stringsAsFactors = TRUE, na.strings = "", check.names = FALSE)

given <- commandArgs(TRUE)
if (length(given) > 0) {
  writeLines(list_of(sapply(given[-1], function(file) case("", file, read(file), given[1]))))
  quit()
}
quine <- read("quine.csv")
epil <- read("epil.csv")
warpbreaks <- read("warpbreaks.csv")
small <- read("small.csv")
cases <- c(
  case("quine", "quine.csv", quine, "Days ~ Eth + Sex + Age + Lrn"),
  case("quine crossed, with empty cells", "quine.csv", quine, "Days ~ Eth + Sex + Age*Lrn"),
  case("quine intercept only", "quine.csv", quine, "Days ~ 1"),
  case("quine square root", "quine.csv", quine, "Days ~ Eth + Sex + Age", "sqrt"),
  case("quine identity", "quine.csv", quine, "Days ~ Age", "identity"),
  case("epil", "epil.csv", epil, "y ~ log(base)*trt + log(age) + V4"),
  case("epil with offset", "epil.csv", epil, "y ~ trt + V4 + offset(log(base))"),
  case("epil with weights", "epil.csv", epil, "y ~ trt + log(base)", weights = "age"),
  case("epil without intercept", "epil.csv", epil, "y ~ trt - 1 + V4"),
  case("warpbreaks, nearly Poisson", "warpbreaks.csv", warpbreaks, "breaks ~ wool*tension"),
  case("small with offset", "small.csv", small, "y ~ x + offset(log(days))")
)
writeLines(paste0("[\n", paste(cases, collapse = ",\n"), "\n]"), "cases.json")

# Writes cases.json: what R says of each model, and the declaration of its columns.
# Run in this folder: Rscript glm.R
# Rscript glm.R FORMULA FAMILY WEIGHTS FILE... writes to standard output that of one model for
# each file, with a column of weights if that is not empty. FAMILY is a call, as binomial("log").
options(contrasts = c("contr.treatment", "contr.treatment"), warn = 1)
num <- function(v) ifelse(is.finite(v), sprintf("%.17g", v), "null")
str <- function(s) paste0('"', gsub('"', '\\\\"', s), '"')
list_of <- function(v) paste0("[", paste(v, collapse = ", "), "]")

declare <- function(d, name) {
  v <- d[[name]]
  if (is.factor(v)) return(paste0('{"name": ', str(name), ', "kind": "factor", "levels": ', list_of(str(levels(v))), "}"))
  if (is.logical(v)) return(paste0('{"name": ', str(name), ', "kind": "logical"}'))
  v <- v[!is.na(v)]
  low <- if (min(v) >= 0) min(v) / 2 else min(v) * 2
  paste0('{"name": ', str(name), ', "kind": "numeric", "low": ', num(low), ', "high": ', num(if (max(v) <= 1) 1 else max(v) * 1.5), "}")
}

case <- function(name, file, d, formula, family, weights = NULL) {
  f <- as.formula(formula)
  used <- unique(c(all.vars(f), weights))
  d$.w <- if (is.null(weights)) 1 else d[[weights]]
  warned <- character()
  m <- withCallingHandlers(
    if (is.null(weights)) glm(f, family, d) else glm(f, family, d, weights = .w),
    warning = function(w) { if (grepl("^glm.fit", conditionMessage(w))) warned <<- c(warned, conditionMessage(w)); # not of fractional counts
      invokeRestart("muffleWarning") })
  s <- coef(summary(m))
  # Of weights that are 0 glm takes the logarithm, so that its AIC is infinite; lm leaves them out.
  aic <- if (family$family == "gaussian" && any(m$prior.weights == 0)) AIC(lm(f, d, weights = .w)) else AIC(m)
  rows <- sapply(names(coef(m)), function(n) {
    v <- if (n %in% rownames(s)) s[n, ] else rep(NA, 4)
    paste0('{"name": ', str(n), ', "estimate": ', num(coef(m)[[n]]), ', "se": ', num(v[2]), ', "statistic": ', num(v[3]), ', "p": ', num(v[4]), "}")
  })
  paste0('{"name": ', str(name), ', "file": ', str(file), ', "formula": ', str(formula),
    ', "family": ', str(family$family), ', "link": ', str(family$link), ', "weights": ', str(if (is.null(weights)) "" else weights),
    ',\n "columns": ', list_of(sapply(used, function(n) declare(d, n))),
    ',\n "n": ', sum(m$prior.weights > 0), ', "omitted": ', length(m$na.action),
    ', "dispersion": ', num(summary(m)$dispersion), ', "deviance": ', num(m$deviance), ', "df": ', m$df.residual,
    ', "nullDeviance": ', num(m$null.deviance), ', "nullDf": ', m$df.null, ', "aic": ', num(aic),
    ', "iterations": ', m$iter, ', "converged": ', tolower(m$converged), ', "warnings": ', list_of(if (length(warned)) str(warned)),
    ',\n "coefficients": [', paste(rows, collapse = ",\n  "), "]}")
}

read <- function(file, factors = FALSE) read.csv(file, stringsAsFactors = factors, na.strings = "", check.names = FALSE)
factors <- function(d, ...) { for (n in c(...)) d[[n]] <- factor(d[[n]]); d }
given <- commandArgs(TRUE)
if (length(given) > 0) {
  said <- sapply(given[-(1:3)], function(file)
    case("", file, read(file, TRUE), given[1], eval(parse(text = given[2])), if (given[3] != "") given[3]))
  writeLines(list_of(said))
  quit()
}
cnsim <- read("cnsim.csv.gz")
expand <- read("expand.csv.gz")
birthwt <- factors(read("birthwt.csv"), "race"); birthwt$low <- birthwt$low == 1
mtcars <- factors(read("mtcars.csv"), "cyl", "gear"); mtcars$am <- mtcars$am == 1
warpbreaks <- factors(read("warpbreaks.csv"), "wool", "tension")
infert <- read("infert.csv")
esoph <- factors(read("esoph.csv"), "agegp", "alcgp")
longley <- read("longley.csv")
small <- factors(read("small.csv"), "g"); small$z <- small$z == 1

cases <- c(
  case("cnsim logistic with interaction", "cnsim.csv.gz", cnsim, "DIS_DIAB ~ GENDER*PM_BMI_CONTINUOUS + LAB_HDL", binomial()),
  case("cnsim gaussian", "cnsim.csv.gz", cnsim, "LAB_TSC ~ LAB_TRIG", gaussian()),
  case("survival poisson", "expand.csv.gz", expand, "survtime ~ time.id + female", poisson()),
  case("infert", "infert.csv", infert, "case ~ spontaneous + induced", binomial()),
  case("birthwt", "birthwt.csv", birthwt, "low ~ age + lwt + race + smoke + ptl + ht + ui", binomial()),
  case("birthwt log link", "birthwt.csv", birthwt, "low ~ lwt", binomial("log")),
  case("birthwt with weights", "birthwt.csv", birthwt, "low ~ lwt*race", binomial(), "ptw"),
  case("warpbreaks", "warpbreaks.csv", warpbreaks, "breaks ~ wool*tension", poisson()),
  case("warpbreaks main effects", "warpbreaks.csv", warpbreaks, "breaks ~ wool + tension", poisson()),
  case("warpbreaks square root", "warpbreaks.csv", warpbreaks, "breaks ~ wool*tension", poisson("sqrt")),
  case("warpbreaks identity", "warpbreaks.csv", warpbreaks, "breaks ~ wool + tension", poisson("identity")),
  case("mtcars", "mtcars.csv", mtcars, "mpg ~ wt + hp", gaussian()),
  case("mtcars with weights", "mtcars.csv", mtcars, "mpg ~ wt + am", gaussian(), "qsec"),
  case("mtcars without intercept", "mtcars.csv", mtcars, "log(mpg) ~ cyl*wt + I(hp^2) + gear - 1", gaussian()),
  case("mtcars slopes only", "mtcars.csv", mtcars, "mpg ~ 0 + wt + cyl:am", gaussian()),
  case("mtcars collinear", "mtcars.csv", mtcars, "mpg ~ wt + wt2 + hp + cyl + cyl4", gaussian()),
  case("mtcars crossed", "mtcars.csv", mtcars, "am ~ (wt + sqrt(hp))^2", binomial()),
  case("longley", "longley.csv", longley, "TOTEMP ~ GNPDEFL + GNP + UNEMP + ARMED + POP + YEAR", gaussian()),
  case("rates by offset", "esoph.csv", esoph, "ncases ~ agegp + alcgp + offset(log(persons))", poisson()),
  case("rates without intercept", "esoph.csv", esoph, "ncases ~ agegp + offset(log(persons)) - 1", poisson()),
  case("intercept only with offset", "esoph.csv", esoph, "ncases ~ 1 + offset(log(persons))", poisson()),
  case("shares with weights", "esoph.csv", esoph, "share ~ agegp + alcgp", binomial(), "persons"),
  case("separation", "small.csv", small, "z ~ x", binomial()),
  case("quasi-separation", "small.csv", small, "z ~ g", binomial()),
  case("saturated", "small.csv", small, "y ~ g*z + x + I(x^2) + I(x^3) + log(x) + exp(x)", gaussian()),
  case("everybody the same", "small.csv", small, "one ~ x", binomial())
)
writeLines(paste0("[\n", paste(cases, collapse = ",\n"), "\n]"), "cases.json")

# Writes cases.json: what R's lmer, of package lme4, says of each model with a random
# intercept for the column site, and the declaration of its columns; and the tables, of data
# sets of R. Run in this folder: Rscript mixed.R
# Rscript mixed.R FORMULA CRITERION FILE... writes to standard output that of one model for
# each file.
suppressPackageStartupMessages(library(lme4))
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

# The ratio of standard deviations where the derivative of the criterion is zero, to all
# digits: lmer's own search ends some before. Searle, Casella and McCulloch (1992), section 6.
precise <- function(m, criterion) {
  x <- getME(m, "X"); y <- getME(m, "y") - getME(m, "offset"); zz <- tcrossprod(as.matrix(getME(m, "Z")))
  n <- nrow(x)
  slope <- function(log_ratio) {
    v <- solve(diag(n) + exp(log_ratio) * zz)
    p <- v - v %*% x %*% solve(crossprod(x, v %*% x), crossprod(x, v))
    df <- if (criterion == "REML") n - ncol(x) else n
    (sum((if (criterion == "REML") p else v) * zz) - df * drop(crossprod(y, p %*% zz %*% p %*% y)) / drop(crossprod(y, p %*% y))) * exp(log_ratio)
  }
  if (slope(-40) >= 0) return(0)
  about <- 2 * log(getME(m, "theta"))
  found <- uniroot(slope, about + c(-0.01, 0.01), extendInt = "upX", tol = 1e-14)$root
  stopifnot(abs(exp(found / 2) - getME(m, "theta")) < 1e-3)
  exp(found / 2)
}

case <- function(name, file, d, formula, criterion = "REML") {
  f <- as.formula(formula)
  used <- all.vars(f)
  noted <- character()
  quiet <- function(e) withCallingHandlers(e, message = function(w) { noted <<- c(noted, trimws(conditionMessage(w))); invokeRestart("muffleMessage") })
  with_site <- update(f, . ~ . + (1 | site))
  m <- quiet(lmer(with_site, d, REML = criterion == "REML"))
  complete <- d[complete.cases(d[used]), ]
  parts <- suppressMessages(lFormula(with_site, complete, REML = criterion == "REML"))
  deviance <- do.call(mkLmerDevfun, parts)
  theta <- precise(m, criterion)
  best <- list(par = theta, fval = deviance(theta), conv = 0, message = "")
  m <- mkMerMod(environment(deviance), best, parts$reTrms, parts$fr)
  s <- coef(summary(m))
  rows <- sapply(colnames(model.matrix(terms(f), complete)), function(n) {
    v <- if (n %in% rownames(s)) s[n, ] else rep(NA, 3)
    paste0('{"name": ', str(n), ', "estimate": ', num(v[1]), ', "se": ', num(v[2]), ', "statistic": ', num(v[3]), "}")
  })
  paste0('{"name": ', str(name), ', "file": ', str(file), ', "formula": ', str(formula), ', "criterion": ', str(criterion),
    ',\n "columns": ', list_of(sapply(c(used, "site"), function(n) declare(d, n))),
    ',\n "n": ', nrow(complete), ', "omitted": ', nrow(d) - nrow(complete), ', "sites": ', length(unique(complete$site)),
    ', "siteVariance": ', num(sigma(m)^2 * theta^2), ', "residualVariance": ', num(sigma(m)^2),
    ', "logLikelihood": ', num(as.numeric(logLik(m))), ', "aic": ', num(AIC(m)), ', "warnings": ', list_of(if (length(noted)) str(noted)),
    ',\n "coefficients": [', paste(rows, collapse = ",\n  "), "]}")
}

read <- function(file) {
  d <- read.csv(file, stringsAsFactors = TRUE, na.strings = "", check.names = FALSE)
  d$site <- factor(d$site, levels = unique(d$site))
  d
}

given <- commandArgs(TRUE)
if (length(given) > 0) {
  writeLines(list_of(sapply(given[-(1:2)], function(file) case("", file, read(file), given[1], given[2]))))
  quit()
}
table <- function(file, site, ...) { write.csv(data.frame(site = site, ...), file, row.names = FALSE, quote = FALSE); read(file) }
sleep <- with(sleepstudy, table("sleepstudy.csv", Subject, Reaction = Reaction, Days = Days))
dyestuff <- with(Dyestuff, table("dyestuff.csv", Batch, Yield = Yield))
dyestuff2 <- with(Dyestuff2, table("dyestuff2.csv", Batch, Yield = Yield))
cake2 <- with(cake[cake$recipe != "C", ], table("cake.csv", paste0(recipe, replicate), angle = angle, recipe = as.character(recipe), degrees = temp))
penicillin <- with(Penicillin, table("penicillin.csv", paste0("plate", plate), diameter = diameter, sample = sample))
small <- read("small.csv")
cases <- c(
  case("sleepstudy", "sleepstudy.csv", sleep, "Reaction ~ Days"),
  case("sleepstudy by likelihood", "sleepstudy.csv", sleep, "Reaction ~ Days + I(Days^2)", "ML"),
  case("sleepstudy intercept only", "sleepstudy.csv", sleep, "Reaction ~ 1"),
  case("sleepstudy with offset", "sleepstudy.csv", sleep, "Reaction ~ offset(Days)"),
  case("dyestuff", "dyestuff.csv", dyestuff, "Yield ~ 1"),
  case("dyestuff by likelihood", "dyestuff.csv", dyestuff, "Yield ~ 1", "ML"),
  case("dyestuff2, singular", "dyestuff2.csv", dyestuff2, "Yield ~ 1"),
  case("dyestuff2, singular by likelihood", "dyestuff2.csv", dyestuff2, "Yield ~ 1", "ML"),
  case("cake", "cake.csv", cake2, "angle ~ recipe*degrees"),
  case("cake without intercept", "cake.csv", cake2, "angle ~ recipe + degrees - 1", "ML"),
  case("penicillin", "penicillin.csv", penicillin, "diameter ~ sample"),
  case("small", "small.csv", small, "y ~ x + g"),
  case("small by likelihood", "small.csv", small, "y ~ x*g", "ML"),
  case("small collinear", "small.csv", small, "y ~ x + x2")
)
writeLines(paste0("[\n", paste(cases, collapse = ",\n"), "\n]"), "cases.json")

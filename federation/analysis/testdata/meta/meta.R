# Writes cases.json: what R's package metafor says of the estimates of several sites, each
# made by glm, or of two means, from the site's own rows. The tolerance for Paule and
# Mandel's estimate is set to 1e-15. Run in this folder: Rscript meta.R
# Rscript meta.R FORMULA FAMILY TERM FILE... writes to standard output that of each file, whose
# rows are of the sites in column site; of the difference of two means if FAMILY is "".
suppressMessages(library(metafor))
num <- function(v) sprintf("%.17g", v)
list_of <- function(v) paste0("[", paste(v, collapse = ", "), "]")
answer <- function(name, m) paste0('"', name, '": {"sites": ', m$k, ', "estimate": ', num(m$beta[1]), ', "se": ', num(m$se), ', "lower": ', num(m$ci.lb), ', "upper": ', num(m$ci.ub),
  ', "statistic": ', num(m$zval), ', "p": ', num(m$pval),
  ', "heterogeneity": {"tau2": ', num(if (m$method %in% c("FE", "EE")) 0 else m$tau2), ', "i2": ', num(m$I2), ', "q": ', num(m$QE), ', "p": ', num(m$QEp), "}}")
declare <- function(d, columns, logical) paste0("[", paste(sapply(columns, function(n) {
  if (n %in% logical) return(paste0('{"name": "', n, '", "kind": "logical"}'))
  if (is.character(d[[n]])) return(paste0('{"name": "', n, '", "kind": "factor", "levels": ', list_of(paste0('"', sort(unique(d[[n]])), '"')), "}"))
  v <- d[[n]][!is.na(d[[n]])]
  paste0('{"name": "', n, '", "kind": "numeric", "low": ', num(min(v) - 1), ', "high": ', num(max(v) * 1.5 + 1), "}")
}), collapse = ", "), "]")
case <- function(file, site, yi, vi, d, columns, formula = "", family = "", term = "", logical = character()) {
  exact <- list(tol = 1e-15, maxiter = 100000)
  parts <- c(answer("", rma(yi, vi, method = "FE")), answer("DL", rma(yi, vi, method = "DL")), answer("DL adjusted", rma(yi, vi, method = "DL", test = "knha")),
    answer("REML", rma(yi, vi, method = "REML")), answer("REML adjusted", rma(yi, vi, method = "REML", test = "knha")),
    answer("PM", rma(yi, vi, method = "PM", control = exact)), answer("PM adjusted", rma(yi, vi, method = "PM", control = exact, test = "knha")))
  paste0('{"file": "', file, '", "formula": "', formula, '", "family": "', family, '", "term": "', term, '", "sites": ', list_of(site - 1),
    ',\n "columns": ', declare(d, columns, logical), ',\n "answers": {', paste(parts, collapse = ",\n  "), "}}")
}
read <- function(file) read.csv(file, na.strings = "")
# A site has an estimate of a term if no other columns of its design matrix determine the term's:
# without the factor's first level, glm's contrast of that name would be with another one.
estimable <- function(formula, part, term) {
  x <- model.matrix(formula, part)
  qr(x)$rank > qr(x[, colnames(x) != term, drop = FALSE])$rank
}
models <- function(file, site, formula, family, term, logical = character(), d = read(file.path("..", file))) {
  s <- site(d)
  common <- d; common[] <- lapply(d, function(v) if (is.character(v)) factor(v) else v) # the levels of all sites
  parts <- Filter(function(part) estimable(as.formula(formula), part, term), split(common, s))
  fits <- lapply(parts, function(part) summary(glm(as.formula(formula), family, part))$coefficients)
  estimates <- do.call(rbind, lapply(fits, function(f) f[rownames(f) == term, 1:2]))
  case(file, s, estimates[, 1], estimates[, 2]^2, d, all.vars(as.formula(formula)), formula, family, term, logical)
}
means <- function(file, site, value, by, d = read(file.path("..", file))) {
  s <- site(d)
  e <- do.call(rbind, lapply(split(d, s), function(part) {
    v <- split(part[[value]], part[[by]])
    c(mean(v[[2]]) - mean(v[[1]]), var(v[[1]]) / length(v[[1]]) + var(v[[2]]) / length(v[[2]]))
  }))
  case(file, s, e[, 1], e[, 2], d, c(value, by))
}
given <- commandArgs(TRUE)
if (length(given) > 0) {
  at <- function(d) match(d$site, unique(d$site))
  writeLines(list_of(sapply(given[-(1:3)], function(file) {
    names <- all.vars(as.formula(given[1]))
    if (given[2] == "") means("", at, names[1], names[2], read(file)) else models("", at, given[1], given[2], given[3], d = read(file))
  })))
  quit()
}
turn <- function(k) function(d) (seq_len(nrow(d)) - 1) %% k + 1
# Six sites, of which the last has nobody of the reference H, and the fifth nobody of L.
lacking <- function(d) { s <- turn(6)(d); s[s == 6 & d$tension == "H"] <- 1; s[s == 5 & d$tension == "L"] <- 2; s }
writeLines(paste0("[\n", paste(c(
  models("glm/birthwt.csv", turn(4), "low ~ lwt + smoke", "binomial", "smoke", "low"),
  models("glm/mtcars.csv", function(d) match(d$cyl, c(4, 6, 8)), "mpg ~ wt", "gaussian", "wt"),
  models("glm/warpbreaks.csv", function(d) match(d$tension, c("L", "M", "H")), "breaks ~ wool", "poisson", "woolB"),
  means("glm/warpbreaks.csv", function(d) match(d$tension, c("L", "M", "H")), "breaks", "wool"),
  means("glm/warpbreaks.csv", turn(5), "breaks", "wool"),
  models("glm/warpbreaks.csv", lacking, "breaks ~ wool + tension", "poisson", "tensionM"),
  models("glm/warpbreaks.csv", lacking, "breaks ~ wool + tension", "poisson", "tensionL"),
  models("glm/warpbreaks.csv", lacking, "breaks ~ wool + tension", "poisson", "woolB")), collapse = ",\n"), "\n]"), "cases.json")

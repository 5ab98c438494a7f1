# Writes crosstab.json: what R says of tables of counts. Run in this folder: Rscript crosstab.R
# Rscript crosstab.R COLUMNS FILE... writes to standard output those of each file, of two or
# three columns parted by commas.
# fisher.test finds the odds ratio and its limits to four digits only, so that they are
# sought again here, from the same equations.
num <- function(v) ifelse(is.finite(v), sprintf("%.17g", v), "null")
str <- function(s) paste0('"', s, '"')
list_of <- function(v) paste0("[", paste(v, collapse = ", "), "]")
test <- function(name, t, p = t$p.value) if (is.null(t)) NULL else
  paste0(str(name), ': {"statistic": ', num(if (is.null(t$statistic)) NA else t$statistic[[1]]), ', "df": ', num(if (is.null(t$parameter)) NA else t$parameter[[1]]), ', "p": ', num(p), "}")
ratio <- function(name, v) paste0(str(name), ': {"estimate": ', num(v[1]), ', "lower": ', num(v[2]), ', "upper": ', num(v[3]), "}")

conditional <- function(t) {
  m <- sum(t[, 1]); n <- sum(t[, 2]); k <- sum(t[1, ]); x <- t[1, 1]
  support <- max(0, k - n):min(k, m)
  logdc <- dhyper(support, m, n, k, log = TRUE)
  d <- function(l) { d <- logdc + l * support; d <- exp(d - max(d)); d / sum(d) }
  root <- function(f) exp(uniroot(f, c(-50, 50), tol = 1e-15, maxiter = 10000)$root)
  c(if (x == min(support)) 0 else if (x == max(support)) Inf else root(function(l) sum(d(l) * support) - x),
    if (x == min(support)) 0 else root(function(l) sum(d(l)[support >= x]) - 0.025),
    if (x == max(support)) Inf else root(function(l) sum(d(l)[support <= x]) - 0.025))
}

case <- function(name, t) {
  dims <- names(dimnames(t))
  full <- t
  parts <- c()
  if (length(dim(t)) == 2) {
    t <- t[rowSums(t) > 0, colSums(t) > 0]
    parts <- c(test("chiSquared", suppressWarnings(chisq.test(t, correct = FALSE))))
    f <- tryCatch(fisher.test(t, workspace = 2e7), error = function(e) NULL)
    parts <- c(parts, test("fisher", f))
    if (all(dim(t) == 2)) parts <- c(parts, test("yates", suppressWarnings(chisq.test(t))), ratio("oddsRatio", conditional(t)))
  } else {
    t <- t[apply(t, 1, sum) > 0, apply(t, 2, sum) > 0, apply(t, 3, sum) > 1]
    parts <- test("cmh", mantelhaen.test(t, correct = FALSE))
    if (all(dim(t)[1:2] == 2)) {
      m <- mantelhaen.test(t)
      parts <- c(parts, test("cmhCorrected", m), ratio("commonOddsRatio", c(m$estimate, m$conf.int)))
    }
  }
  counts <- as.vector(aperm(full, rev(seq_along(dim(full)))))
  factors <- sapply(seq_along(dims), function(i) paste0('{"name": ', str(dims[i]), ', "levels": ', list_of(str(dimnames(full)[[i]])), "}"))
  paste0('{"name": ', str(name), ', "factors": ', list_of(factors), ', "n": ', sum(full), ', "counts": ', list_of(counts), ",\n ", paste(parts, collapse = ",\n "), "}")
}
tab <- function(counts, dim, names) {
  t <- aperm(array(counts, rev(dim)), rev(seq_along(dim)))
  dimnames(t) <- setNames(lapply(dim, function(n) letters[seq_len(n)]), names)
  t
}
given <- commandArgs(TRUE)
if (length(given) > 0) {
  writeLines(list_of(sapply(given[-1], function(file) case("", table(read.csv(file)[strsplit(given[1], ",")[[1]]])))))
  quit()
}
cnsim <- read.csv("../glm/cnsim.csv.gz")
esoph_like <- tab(c(1, 2, 1, 0, 3, 3, 6, 1, 10, 10, 14, 9, 6, 7, 12, 11), c(4, 4), c("income", "satisfaction"))
set.seed(1)
cases <- c(
  case("cnsim", table(gender = cnsim$GENDER, diabetes = cnsim$DIS_DIAB)),
  case("admissions", UCBAdmissions),
  case("admissions by gender", apply(UCBAdmissions, 1:2, sum)),
  case("departments within gender", aperm(UCBAdmissions, c(1, 3, 2))),
  case("job satisfaction", esoph_like),
  case("hair and eyes within sex", HairEyeColor),
  case("tea", tab(c(3, 1, 1, 3), c(2, 2), c("guess", "truth"))),
  case("nobody in a cell", tab(c(0, 7, 9, 5), c(2, 2), c("a", "b"))),
  case("nobody in another cell", tab(c(8, 7, 0, 5), c(2, 2), c("a", "b"))),
  case("small differences", tab(c(10, 10, 10, 11), c(2, 2), c("a", "b"))),
  case("a level of nobody", tab(c(5, 0, 9, 3, 0, 1, 7, 0, 2), c(3, 3), c("a", "b"))),
  case("three by five", tab(c(4, 3, 2, 0, 6, 2, 1, 3, 3, 5, 1, 2, 6, 4, 1), c(3, 5), c("a", "b"))),
  case("ties", tab(c(2, 3, 1, 3, 2, 1, 1, 1, 4), c(3, 3), c("a", "b"))),
  case("strata of one and of none", tab(as.vector(rbind(c(5, 1, 0, 9), c(3, 0, 0, 4), c(8, 0, 0, 2), c(6, 0, 0, 11))), c(2, 2, 4), c("a", "b", "s"))),
  case("strata without a level", tab(c(5, 4, 3, 0, 2, 6, 8, 0, 1, 0, 9, 4), c(2, 3, 2), c("a", "b", "s")))
)
writeLines(paste0("[\n", paste(cases, collapse = ",\n"), "\n]"), "crosstab.json")

# Writes cases.json: R's model matrices of a small table. Run in this folder: Rscript matrix.R
options(contrasts = c("contr.treatment", "contr.treatment"))
d <- data.frame(a = factor(c("p", "q", "r", "p", "q", "r", "p", "q")), b = factor(c("u", "u", "v", "v", "u", "u", "v", "v")),
  l = c(TRUE, FALSE, TRUE, TRUE, FALSE, FALSE, TRUE, FALSE), x = c(1.5, 2, 3.25, 4, 5, 6.5, 7, 8), z = c(4, 1, 3, 2, 8, 5, 7, 6), y = 1:8)
formulas <- c("y ~ x", "y ~ a", "y ~ a + b", "y ~ a*b", "y ~ a:b", "y ~ a:b - 1", "y ~ a + a:b", "y ~ b + a:b", "y ~ x:a", "y ~ x + x:a",
  "y ~ a + x:a - 1", "y ~ 0 + a + b", "y ~ b + a - 1", "y ~ x + a - 1", "y ~ a*l*x", "y ~ (a + b + x)^2", "y ~ (a + b + l)^3 - a:b:l", "y ~ a/x", "y ~ (a + b)/x",
  "y ~ l", "y ~ l - 1", "y ~ x:z + x", "y ~ b:a + a", "y ~ z + a:b + x", "y ~ log(x)*a + I(x^2) + sqrt(z)", "y ~ log2(x) + log10(z) + exp(x)",
  "y ~ factor(a) + x", "y ~ factor(l):x", "y ~ 1", "y ~ 0 + x", "y ~ a:l + x:b", "y ~ x + offset(z) + a", "~ a*b - a", "y ~ -1 + x:a:b", "y ~ x - 1 + 1", "y ~ a - 0", "y ~ (x + z):(a + b)")
q <- function(s) paste0('"', s, '"')
j <- function(v) paste0("[", paste(v, collapse = ", "), "]")
one <- function(f) {
  m <- model.matrix(as.formula(f), d)
  t <- terms(as.formula(f))
  paste0('{"formula": ', q(f), ', "terms": ', j(q(attr(t, "term.labels"))[seq_along(attr(t, "term.labels"))]), ', "intercept": ', if (attr(t, "intercept")) "true" else "false",
    ', "names": ', j(q(colnames(m))), ',\n "rows": ', j(apply(m, 1, function(r) j(sprintf("%.17g", r)))), "}")
}
writeLines(paste0("[\n", paste(sapply(formulas, one), collapse = ",\n"), "\n]"), "cases.json")

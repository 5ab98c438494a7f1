# Writes print.json: how R prints the coefficients of the models in analysis/testdata, and
# how format and format.pval write some numbers. Run in this folder: Rscript print.R
library(jsonlite)
options(digits = 7, OutDec = ".", useFancyQuotes = FALSE, width = 200)

number <- function(v) if (is.null(v)) NA_real_ else v
matrixOf <- function(list, columns) {
  m <- t(sapply(list, function(x) sapply(columns, function(column) number(x[[column]]))))
  rownames(m) <- sapply(list, function(x) x$name)
  m
}
printed <- function(m) capture.output(printCoefmat(m, digits = 4, signif.stars = TRUE, na.print = "NA", P.values = TRUE, has.Pvalue = TRUE))

glm <- read_json("../../analysis/testdata/glm/cases.json")
coefficients <- lapply(glm, function(case) {
  m <- matrixOf(case$coefficients, c("estimate", "se", "statistic", "p"))
  letter <- if (case$family == "gaussian") "t" else "z"
  colnames(m) <- c("Estimate", "Std. Error", paste(letter, "value"), paste0("Pr(>|", letter, "|)"))
  list(kind = unbox("glm"), name = unbox(case$name), printed = printed(m))
})
cox <- Filter(function(case) case$kind == "cox", read_json("../../analysis/testdata/survival/cases.json"))
hazards <- lapply(cox, function(case) {
  m <- matrixOf(case$hazards$coefficients, c("estimate", "se", "statistic", "p"))
  b <- cbind(m[, 1, drop = FALSE], exp(m[, 1]), m[, 2:4, drop = FALSE])
  colnames(b) <- c("coef", "exp(coef)", "se(coef)", "z", "Pr(>|z|)")
  ratios <- cbind(exp(m[, 1]), exp(-m[, 1]), exp(m[, 1] - qnorm(.975) * m[, 2]), exp(m[, 1] + qnorm(.975) * m[, 2]))
  dimnames(ratios) <- list(rownames(m), c("exp(coef)", "exp(-coef)", "lower .95", "upper .95"))
  options(digits = 4)
  intervals <- capture.output(print(ratios))
  options(digits = 7)
  list(kind = unbox("cox"), name = unbox(case$name), printed = printed(b), intervals = intervals)
})

set.seed(1)
formats <- lapply(1:300, function(i) {
  digits <- sample(1:7, 1)
  x <- signif(rnorm(sample(1:5, 1)) * 10^runif(1, -8, 8) * 10^sample(0:3, 1), sample(1:9, 1))
  if (i %% 10 == 0) x <- c(x, 0)
  if (i %% 15 == 0) x <- x * 1e100
  list(digits = unbox(digits), x = I(x), text = I(trimws(format(x, digits = digits))))
})
ps <- lapply(1:200, function(i) {
  digits <- sample(1:5, 1)
  p <- 10^runif(sample(1:5, 1), -sample(c(2, 5, 20, 40), 1), 0)
  if (i %% 7 == 0) p <- c(p, 0)
  if (i %% 11 == 0) p <- 0
  list(digits = unbox(digits), p = I(p), text = I(trimws(format.pval(p, digits = digits))))
})
write_json(list(coefficients = c(coefficients, hazards), formats = formats, ps = ps), "print.json", digits = NA, pretty = FALSE)

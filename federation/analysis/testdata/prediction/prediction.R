# Writes cases.json: a logistic model fitted by glm to the rows with train = 1, and how it
# predicts the others: the area by pROC, the rest in base R. Run in this folder:
# Rscript prediction.R
# Rscript prediction.R FORMULA GROUPS FILE... writes to standard output that of each file.
suppressMessages(library(pROC))
num <- function(v) sprintf("%.17g", v)
list_of <- function(v) paste0("[", paste(v, collapse = ", "), "]")
case <- function(file, formula, groups) {
  d <- read.csv(file); if (!is.null(d$race)) d$race <- factor(d$race)
  m <- glm(as.formula(formula), binomial, d[d$train == 1, ])
  test <- d[d$train == 0, ]
  y <- test[[all.vars(as.formula(formula))[1]]]
  p <- predict(m, test, type = "response"); l <- predict(m, test)
  cuts <- quantile(p, seq_len(groups - 1) / groups)
  g <- factor(findInterval(p, cuts), 0:(groups - 1))
  one <- function(f) { s <- coef(summary(f)); s <- s[nrow(s), ]; paste0('{"estimate": ', num(s[1]), ', "se": ', num(s[2]), "}") }
  coefs <- coef(summary(m))
  declared <- sapply(names(d), function(n) paste0('{"name": "', n, '", ', if (n == "race") '"kind": "factor", "levels": ["1", "2", "3"]}'
    else if (all(d[[n]] %in% 0:1)) '"kind": "logical"}' else paste0('"kind": "numeric", "low": ', num(min(d[[n]]) - 1), ', "high": ', num(max(d[[n]]) * 1.5), "}")))
  ends <- c(0, cuts, 1)
  rows <- sapply(seq_len(groups), function(k) paste0('{"low": ', num(ends[k]), ', "high": ', num(ends[k + 1]), ', "n": ', sum(g == k - 1), ', "events": ', sum(y[g == k - 1]), ', "expected": ', num(sum(p[g == k - 1])), "}"))
  rows <- rows[table(g) > 0]
  paste0('{"file": "prediction/', file, '", "formula": "', formula, '", "wanted": ', groups, ', "declared": ', list_of(declared),
    ',\n "model": {"coefficients": ', list_of(paste0('{"name": "', rownames(coefs), '", "estimate": ', num(coefs[, 1]), ', "se": ', num(coefs[, 2]), "}")), "}",
    ',\n "n": ', length(y), ', "cases": ', sum(y), ', "auc": {"value": ', num(as.numeric(auc(y, p, quiet = TRUE, direction = "<"))), '}, "brier": ', num(mean((y - p)^2)), ', "meanRisk": ', num(mean(p)),
    ',\n "intercept": ', one(glm(y ~ offset(l), family = binomial)), ', "slope": ', one(glm(y ~ l, family = binomial)), ',\n "groups": ', list_of(rows), "}")
}
given <- commandArgs(TRUE)
if (length(given) > 0) {
  writeLines(list_of(sapply(given[-(1:2)], function(file) case(file, given[1], as.numeric(given[2])))))
  quit()
}
writeLines(paste0("[\n", paste(c(
  case("pima.csv", "type ~ glu + bmi + ped + age", 10),
  case("birthwt.csv", "low ~ age + lwt + race + smoke + ht + ui", 5),
  case("birthwt.csv", "low ~ smoke + ht", 3)), collapse = ",\n"), "\n]"), "cases.json")

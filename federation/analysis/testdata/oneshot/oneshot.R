# Writes cases.json: ODAL's formula in base R, as package pda is not in Debian: the mean of
# the sites' own glm fits, weighted by inverse variances, and the surrogate's maximum by
# Newton's steps. Also the fit to all rows. Run in this folder: Rscript oneshot.R
# Rscript oneshot.R FORMULA LEAD FILE... writes to standard output that of each file with the
# columns of lung.
num <- function(v) sprintf("%.17g", v)
list_of <- function(v) paste0("[", paste(v, collapse = ", "), "]")
case <- function(d, formula, lead) {
  f <- as.formula(formula)
  tight <- glm.control(epsilon = 1e-14, maxit = 100)
  fits <- lapply(split(d, d$site), function(part) coef(summary(glm(f, binomial, part)))[, 1:2])
  weights <- sapply(fits, function(b) 1 / b[, 2]^2); estimates <- sapply(fits, function(b) b[, 1])
  start <- rowSums(weights * estimates) / rowSums(weights)
  x <- model.matrix(f, d); y <- d[[all.vars(f)[1]]]
  score <- function(b, i) colMeans((y[i] - plogis(drop(x[i, ] %*% b))) * x[i, ])
  info <- function(b, i) { mu <- plogis(drop(x[i, ] %*% b)); crossprod(x[i, ] * mu * (1 - mu), x[i, ]) / length(mu) }
  all <- rep(TRUE, nrow(d)); own <- d$site == lead
  b <- start
  for (k in 1:100) {
    i <- info(b, own) + info(start, all) - info(start, own)
    g <- score(b, own) + score(start, all) - score(start, own) - drop((info(start, all) - info(start, own)) %*% (b - start))
    b <- b + solve(i, g)
  }
  se <- sqrt(diag(solve(info(b, own) + info(start, all) - info(start, own))) / nrow(d))
  pooled <- coef(glm(f, binomial, d, control = tight))
  table_of <- function(b, s) list_of(paste0('{"name": "', names(b), '", "estimate": ', num(b), ', "se": ', num(s), "}"))
  paste0('{"formula": "', formula, '", "lead": "', lead, '", "n": ', nrow(d), ', "sites": ', length(fits), ',\n "initial": ', table_of(start, 1 / sqrt(rowSums(weights))),
    ',\n "coefficients": ', table_of(b, se), ',\n "pooled": ', list_of(num(pooled)), "}")
}
given <- commandArgs(TRUE)
if (length(given) > 0) {
  writeLines(list_of(sapply(given[-(1:2)], function(file) case(read.csv(file), given[1], given[2]))))
  quit()
}
lung <- read.csv("lung.csv")
writeLines(paste0("[\n", paste(c(
  case(lung, "died ~ age + sex", "a"), case(lung, "died ~ age + sex", "c"), case(lung, "died ~ log(age) + sex", "b")), collapse = ",\n"), "\n]"), "cases.json")

# Writes cases.json: ODAL's formula in base R, as package pda is not in Debian: the mean of
# the sites' own glm fits, weighted by inverse variances, and the surrogate's maximum by
# Newton's steps, of one lead, or of all sites ("") weighted by their rows. Also Cochran's Q of the
# sites' fits and the fit to all rows.
# Run in this folder: Rscript oneshot.R
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
  all <- rep(TRUE, nrow(d)); b <- 0; i <- 0
  leads <- if (lead == "") unique(d$site) else lead
  for (one in leads) {
    own <- d$site == one; share <- sum(own) / sum(d$site %in% leads)
    a <- start
    for (k in 1:100) {
      g <- score(a, own) + score(start, all) - score(start, own) - drop((info(start, all) - info(start, own)) %*% (a - start))
      a <- a + solve(info(a, own) + info(start, all) - info(start, own), g)
    }
    b <- b + share * a; i <- i + share * (info(a, own) + info(start, all) - info(start, own))
  }
  se <- sqrt(diag(solve(i)) / nrow(d))
  q <- rowSums(weights * (estimates - start)^2); df <- length(fits) - 1
  different <- paste0('{"tau2": 0, "q": ', num(q), ', "i2": ', num(100 * pmax(1 - df / q, 0)), ', "p": ', num(pchisq(q, df, lower.tail = FALSE)), "}")
  pooled <- coef(glm(f, binomial, d, control = tight))
  table_of <- function(b, s) list_of(paste0('{"name": "', names(b), '", "estimate": ', num(b), ', "se": ', num(s), ', "statistic": ', num(b / s), ', "p": ', num(2 * pnorm(-abs(b / s))), "}"))
  paste0('{"formula": "', formula, '", "lead": "', lead, '", "n": ', nrow(d), ', "sites": ', length(fits), ',\n "initial": ', table_of(start, 1 / sqrt(rowSums(weights))),
    ',\n "heterogeneity": ', list_of(different), ',\n "coefficients": ', table_of(b, se), ',\n "pooled": ', list_of(num(pooled)), "}")
}
given <- commandArgs(TRUE)
if (length(given) > 0) {
  writeLines(list_of(sapply(given[-(1:2)], function(file) case(read.csv(file), given[1], given[2]))))
  quit()
}
lung <- read.csv("lung.csv")
writeLines(paste0("[\n", paste(c(
  case(lung, "died ~ age + sex", "a"), case(lung, "died ~ age + sex", "c"), case(lung, "died ~ log(age) + sex", "b"), case(lung, "died ~ age + sex", "")), collapse = ",\n"), "\n]"), "cases.json")

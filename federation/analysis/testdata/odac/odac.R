# Writes cases.json: ODAC's formula in R: the mean of the sites' own coxph fits, weighted by
# inverse variances, and the maximum of the surrogate by Newton's steps, of each site, averaged by
# their rows. With "site" instead of "" risk sets are of one site (ODACH). Event times are merged
# until they have MERGE events, as the comment of Cox says, 0 for none. Also Cochran's Q of the
# sites' fits and coxph of all rows.
# Run in this folder: Rscript odac.R
# Rscript odac.R FORMULA TIES BY MERGE FILE... writes to standard output that of each file with the
# columns time, died, age, sex and site.
suppressPackageStartupMessages(library(survival))
num <- function(v) sprintf("%.17g", v)
list_of <- function(v) paste0("[", paste(v, collapse = ", "), "]")

# Who is at risk at each event, by weight: a column for each event of each group.
draws_of <- function(d, group, m, ties) {
  draws <- list(); times <- 0
  for (g in unique(group)) {
    of <- group == g
    count <- table(d$time[of & d$died]); u <- as.numeric(names(count))
    if (length(u) == 0) next
    if (m == 0) {
      for (i in seq_along(u)) for (l in seq_len(count[[i]]) - 1)
        draws <- c(draws, list((of & d$time >= u[i]) - (if (ties == "efron") l / count[[i]] else 0) * (of & d$died & d$time == u[i])))
      times <- times + length(u)
      next
    }
    bin <- integer(length(u)); b <- 1; n <- 0
    for (i in seq_along(u)) { bin[i] <- b; n <- n + count[[i]]; if (n >= m) { b <- b + 1; n <- 0 } }
    if (n > 0) bin[bin == b] <- b - 1
    first <- tapply(u, bin, min); first[1] <- 0; times <- times + length(first)
    outlast <- of & d$time > max(u)
    set <- cbind(sapply(first, function(t) of & d$time >= t), if (sum(outlast) >= m) outlast else FALSE)
    for (k in seq_along(first)) {
      deaths <- sum(count[bin == k])
      for (l in seq_len(deaths) - 1) {
        share <- if (ties == "efron") l / deaths else 0
        draws <- c(draws, list(set[, k] * (1 - share) + set[, k + 1] * share))
      }
    }
  }
  list(w = do.call(cbind, draws), times = times)
}
# The score and information of the mean log partial likelihood.
derivatives <- function(b, x, died, w) {
  r <- exp(drop(x %*% b)); total <- colSums(w * r); mean <- crossprod(w * r, x) / total
  list(score = (colSums(x[died, , drop = FALSE]) - colSums(mean)) / nrow(x),
    info = (crossprod(x, x * drop(w %*% (1 / total)) * r) - crossprod(mean)) / nrow(x))
}

case <- function(name, d, formula, ties, by = "", m = 0) {
  f <- as.formula(formula); d$died <- d$died == 1
  fits <- lapply(split(d, d$site), function(part) summary(coxph(f, part, ties = ties))$coefficients)
  weights <- sapply(fits, function(b) 1 / b[, "se(coef)"]^2); estimates <- sapply(fits, function(b) b[, "coef"])
  start <- rowSums(weights * estimates) / rowSums(weights)
  x <- model.matrix(f, d)[, -1]; x <- sweep(x, 2, colMeans(x))
  whole <- draws_of(d, if (by == "") rep(1, nrow(d)) else d[[by]], if (by == "") m else 0, ties)
  all <- derivatives(start, x, d$died, whole$w)
  b <- 0; i <- 0
  for (one in unique(d$site)) {
    own <- d$site == one; w <- draws_of(d[own, ], rep(1, sum(own)), 0, ties)$w
    at <- function(a) derivatives(a, x[own, ], d$died[own], w)
    from <- at(start); a <- start
    for (k in 1:100) {
      here <- at(a)
      g <- here$score + all$score - from$score - drop((all$info - from$info) %*% (a - start))
      a <- a + solve(here$info + all$info - from$info, g)
    }
    share <- mean(own); b <- b + share * a; i <- i + share * (at(a)$info + all$info - from$info)
  }
  se <- sqrt(diag(solve(i)) / nrow(d))
  q <- rowSums(weights * (estimates - start)^2); df <- length(fits) - 1
  different <- paste0('{"tau2": 0, "q": ', num(q), ', "i2": ', num(100 * pmax(1 - df / q, 0)), ', "p": ', num(pchisq(q, df, lower.tail = FALSE)), "}")
  pooled <- coef(coxph(if (by == "") f else update(f, ~ . + strata(site)), d, ties = ties))
  table_of <- function(b, s) list_of(paste0('{"name": "', names(b), '", "estimate": ', num(b), ', "se": ', num(s), ', "statistic": ', num(b / s), ', "p": ', num(2 * pnorm(-abs(b / s))), "}"))
  paste0('{"name": "', name, '", "merge": ', m, ', "formula": "', formula, '", "ties": "', ties, '", "bySite": ', tolower(by != ""), ', "n": ', nrow(d), ', "events": ', sum(d$died),
    ', "times": ', if (by == "") whole$times else 0, ', "sites": ', length(fits), ',\n "initial": ', table_of(start, 1 / sqrt(rowSums(weights))),
    ',\n "heterogeneity": ', list_of(different), ',\n "coefficients": ', table_of(b, se), ',\n "pooled": ', list_of(num(pooled)), "}")
}
given <- commandArgs(TRUE)
if (length(given) > 0) {
  writeLines(list_of(sapply(given[-(1:4)], function(file) case("", read.csv(file), given[1], given[2], given[3], as.numeric(given[4])))))
  quit()
}
lung <- read.csv("../survival/lung.csv")
lung <- data.frame(time = lung$time, died = lung$status, age = lung$age, sex = lung$sex, site = rep(c("a", "b", "c"), c(86, 83, 59)))
model <- "Surv(time, died) ~ age + sex"
writeLines(paste0("[\n", paste(c(
  case("lung", lung, model, "efron"), case("lung breslow", lung, model, "breslow"),
  case("lung within sites", lung, model, "efron", "site"), case("lung breslow within sites", lung, model, "breslow", "site"),
  case("lung merged", lung, model, "efron", m = 11), case("lung merged breslow", lung, model, "breslow", m = 11),
  case("lung by square", lung, "Surv(time, died) ~ age + I(age^2) + sex", "efron")), collapse = ",\n"), "\n]"), "cases.json")

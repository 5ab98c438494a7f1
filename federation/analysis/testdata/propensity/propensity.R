# Writes cases.json: effects of smoking in birthwt by base R's glm, with weights made here
# from the fitted score, and robust variances of package sandwich; pairs are found here, site
# by site, by the rule that the method states. Run in this folder: Rscript propensity.R
# Rscript propensity.R OUTCOME FAMILY ADJUSTMENT ESTIMAND FILE... writes to standard output that of
# each file with the columns of birthwt: weights cut off at their 0.95 quantile, four strata, or
# pairs of three sites that take rows in turn.
suppressMessages(library(sandwich))
num <- function(v) ifelse(is.finite(v), sprintf("%.17g", v), "null")
list_of <- function(v) paste0("[", paste(v, collapse = ", "), "]")
read <- function(file) { d <- read.csv(file); d$race <- factor(d$race); d }
d <- read("birthwt.csv")
t <- d$smoke

# Highest score first; each the nearest left, of its own site.
match_in <- function(l, rows, caliper) {
  treated <- rows[t[rows] == 1]; treated <- treated[order(-l[treated], treated)]
  free <- rows[t[rows] == 0]; free <- free[order(l[free], free)]
  pairs <- list()
  for (i in treated) {
    if (!length(free)) break
    up <- which(l[free] >= l[i])[1]; down <- tail(which(l[free] < l[i]), 1)
    best <- if (is.na(up) || length(down) && l[i] - l[free[down]] < l[free[up]] - l[i]) down else up
    if (caliper > 0 && abs(l[free[best]] - l[i]) > caliper) next
    pairs[[length(pairs) + 1]] <- c(i, free[best])
    free <- free[-best]
  }
  pairs
}

case <- function(treatment, outcome, family, adjustment, estimand, stabilized = FALSE, truncate = 0, strata = 0, caliper = 0, sites = 1) {
  score <- glm(as.formula(treatment), binomial, d)
  e <- fitted(score); l <- predict(score)
  site <- (seq_len(nrow(d)) - 1) %% sites
  cuts <- numeric(); counts <- NULL; limit <- NA; pair <- rep(NA, nrow(d))
  if (adjustment == "weighting") {
    w <- if (estimand == "ATE") ifelse(t == 1, 1 / e, 1 / (1 - e)) else ifelse(t == 1, 1, e / (1 - e))
    if (stabilized) w <- w * ifelse(t == 1, mean(t), 1 - mean(t))
    varies <- estimand == "ATE" | t == 0
    if (truncate > 0) { cuts <- quantile(w[varies], truncate); w[varies] <- pmin(w[varies], cuts) }
  } else if (adjustment == "strata") {
    cuts <- quantile(if (estimand == "ATE") e else e[t == 1], seq_len(strata - 1) / strata)
    s <- findInterval(e, cuts) + 1
    counts <- table(factor(s, seq_len(strata)), t)
    here <- counts[cbind(s, t + 1)]; arm <- table(t)[t + 1]
    w <- as.vector(if (estimand == "ATE") rowSums(counts)[s] / nrow(d) * arm / here else counts[s, 2] / sum(t) * arm / here)
  } else {
    limit <- if (caliper > 0) caliper * sd(l) else 0
    found <- unlist(lapply(split(seq_len(nrow(d)), site), function(rows) match_in(l, rows, limit)), recursive = FALSE)
    for (k in seq_along(found)) pair[found[[k]]] <- k
    w <- as.numeric(!is.na(pair))
  }
  d$w <- w
  m <- suppressWarnings(glm(as.formula(outcome), family, d, weights = w))
  v <- if (adjustment == "matching") {
    used <- d[w > 0, ]; m <- glm(as.formula(outcome), family, used)
    vcovCL(m, pair[w > 0], type = "HC0", cadjust = FALSE)
  } else sandwich(m)
  x <- model.matrix(score)[, -1]
  mean_w <- function(z, k) sum(w[t == k] * z[t == k]) / sum(w[t == k])
  balance <- sapply(colnames(x), function(n) {
    z <- x[, n]; level <- all(z %in% 0:1)
    var_of <- function(z) if (level) mean(z) * (1 - mean(z)) else var(z)
    s <- if (estimand == "ATE") sqrt((var_of(z[t == 1]) + var_of(z[t == 0])) / 2) else sqrt(var_of(z[t == 1]))
    paste0('{"name": "', n, '", "before": ', num((mean(z[t == 1]) - mean(z[t == 0])) / s), ', "after": ', num((mean_w(z, 1) - mean_w(z, 0)) / s), "}")
  })
  arm <- function(k) paste0('{"n": ', sum(t == k), ', "used": ', sum(w[t == k] > 0), ', "effective": ', num(sum(w[t == k])^2 / sum(w[t == k]^2)), "}")
  table_of <- function(m, v) list_of(paste0('{"name": "', names(coef(m)), '", "estimate": ', num(coef(m)), ', "se": ', num(sqrt(diag(v))), "}"))
  paste0('{"treatment": "', treatment, '", "model": "', outcome, '", "family": "', family, '", "adjustment": "', adjustment, '", "estimand": "', estimand,
    '", "stabilized": ', tolower(stabilized), ', "truncate": ', truncate, ', "strataWanted": ', strata, ', "caliperWanted": ', caliper, ', "sites": ', sites,
    ',\n "cuts": ', list_of(num(cuts)), ', "caliper": ', num(if (caliper > 0) limit else NA), ', "strata": ', if (is.null(counts)) "null" else list_of(paste0('{"untreated": ', counts[, 1], ', "treated": ', counts[, 2], "}")),
    ', "untreated": ', arm(0), ', "treated": ', arm(1), ',\n "balance": ', list_of(balance),
    ',\n "score": {"coefficients": ', table_of(score, vcov(score)), '},\n "outcome": {"coefficients": ', table_of(m, v), "}}")
}
score <- "smoke ~ age + lwt + race + ht + ui"
given <- commandArgs(TRUE)
if (length(given) > 0) {
  writeLines(list_of(sapply(given[-(1:4)], function(file) {
    d <<- read(file); t <<- d$smoke
    switch(given[3], weighting = case(score, given[1], given[2], "weighting", given[4], truncate = 0.95),
      strata = case(score, given[1], given[2], "strata", given[4], strata = 4),
      matching = case(score, given[1], given[2], "matching", given[4], caliper = 0.2, sites = 3))
  })))
  quit()
}
writeLines(paste0("[\n", paste(c(
  case(score, "bwt ~ smoke", "gaussian", "weighting", "ATE"),
  case(score, "low ~ smoke + age", "binomial", "weighting", "ATE", stabilized = TRUE, truncate = 0.95),
  case(score, "low ~ smoke", "binomial", "weighting", "ATT"),
  case(score, "bwt ~ smoke", "gaussian", "weighting", "ATT", truncate = 0.9),
  case(score, "bwt ~ smoke + lwt", "gaussian", "strata", "ATE", strata = 4),
  case(score, "low ~ smoke", "binomial", "strata", "ATT", strata = 3),
  case(score, "bwt ~ smoke", "gaussian", "matching", "ATT", caliper = 0.2, sites = 3),
  case(score, "low ~ smoke + ht", "binomial", "matching", "ATT")), collapse = ",\n"), "\n]"), "cases.json")

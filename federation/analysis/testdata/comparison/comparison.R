# Writes cases.json: hormonal treatment in rotterdam by R's package survival, with weights and
# strata made here from the fitted score; pairs are found here, site by site, and times merged
# by the rules that the methods state. Run in this folder: Rscript comparison.R
# Rscript comparison.R ADJUSTMENT ESTIMAND TIES FILE... writes to standard output that of each file
# with the columns of rotterdam: weights, three strata, or pairs of three sites that take rows in
# turn.
suppressMessages(library(survival))
num <- function(v) ifelse(is.finite(v), sprintf("%.17g", v), "null")
list_of <- function(v) paste0("[", paste(v, collapse = ", "), "]")
read <- function(file) { d <- read.csv(file); d$size <- factor(d$size); d }
all <- read("rotterdam.csv")

# Highest score first; each the nearest left, of its own site.
match_in <- function(l, t, rows, caliper) {
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

# The last point of the merged times of each row.
merged <- function(time, event, t, least) {
  fine <- function(rows) all(sapply(list(event & t, event & !t, !event & t, !event & !t), function(k) { n <- sum(k[rows]); n == 0 || n >= least }))
  out <- numeric(length(time)); open <- logical(length(time)); before <- list()
  for (point in sort(unique(time))) {
    open <- open | time == point
    if (fine(open)) { before[[length(before) + 1]] <- open; open <- open & FALSE }
  }
  while (any(open)) {
    open <- open | before[[length(before)]]; before[[length(before)]] <- NULL
    if (fine(open)) { before[[length(before) + 1]] <- open; open <- open & FALSE }
  }
  for (rows in before) out[rows] <- max(time[rows])
  out
}

hazard <- function(m) {
  v <- summary(m)$coefficients; robust <- "robust se" %in% colnames(v)
  ci <- exp(confint(m))
  paste0('{"log": ', num(v[1, "coef"]), ', "se": ', num(v[1, "se(coef)"]), ', "robust": ', if (robust) num(v[1, "robust se"]) else "null",
    ', "ratio": ', num(v[1, "exp(coef)"]), ', "low": ', num(ci[1]), ', "high": ', num(ci[2]), ', "p": ', num(2 * pnorm(-abs(v[1, "z"]))), "}")
}

arm <- function(d, k, horizon) {
  d <- d[d$hormon == k, ]; n <- sum(d$died); limits <- poisson.test(n, sum(d$days))$conf.int
  s <- survfit(Surv(days, died) ~ 1, d, conf.type = "log"); m <- summary(s, rmean = horizon)$table
  paste0('{"rate": {"n": ', nrow(d), ', "events": ', n, ', "time": ', sum(d$days), ', "estimate": ', num(n / sum(d$days)),
    ', "exact": {"lower": ', num(limits[1]), ', "upper": ', num(limits[2]), '}}, "survival": {"median": ', num(m["median"]), ', "mean": ', num(m["rmean"]),
    ', "curve": ', list_of(paste0('{"time": ', s$time, ', "survival": ', num(s$surv), "}")), "}}")
}

compared <- function(d, ties, horizon, m = coxph(Surv(days, died) ~ hormon, d, ties = ties)) {
  share <- mean(d$hormon)
  paste0('{"untreated": ', arm(d, 0, horizon), ', "treated": ', arm(d, 1, horizon),
    ', "detectable": ', num(exp((qnorm(0.975) + qnorm(0.8)) / sqrt(sum(d$died) * share * (1 - share)))), ', "hazard": ', hazard(m), "}")
}

case <- function(adjustment, estimand, ties = "efron", width = 30, horizon = 3600, stabilized = FALSE, truncate = 0, strata = 0, caliper = 0, by_pair = FALSE, sites = 1, least = 0) {
  d <- all; treatment <- "hormon ~ age + meno + size + nodes"
  d$died <- d$died & ceiling(d$days / width) * width <= horizon
  d$days <- pmin(ceiling(d$days / width) * width, horizon)
  score <- glm(as.formula(treatment), binomial, d)
  e <- fitted(score); l <- predict(score); t <- d$hormon
  site <- (seq_len(nrow(d)) - 1) %% sites
  if (adjustment == "weighting") {
    w <- if (estimand == "ATE") ifelse(t == 1, 1 / e, 1 / (1 - e)) else ifelse(t == 1, 1, e / (1 - e))
    if (stabilized) w <- w * ifelse(t == 1, mean(t), 1 - mean(t))
    varies <- estimand == "ATE" | t == 0
    if (truncate > 0) w[varies] <- pmin(w[varies], quantile(w[varies], truncate))
    d$w <- w; d$time <- if (least > 0) merged(d$days, d$died, t == 1, least) else d$days
    m <- coxph(Surv(time, died) ~ hormon, d, weights = w, robust = TRUE, ties = ties)
    adjusted <- paste0('{"hazard": ', hazard(m), "}")
    times <- length(unique(d$time[d$died]))
  } else if (adjustment == "strata") {
    cuts <- quantile(if (estimand == "ATE") e else e[t == 1], seq_len(strata - 1) / strata)
    d$stratum <- findInterval(e, cuts)
    m <- coxph(Surv(days, died) ~ hormon + strata(stratum), d, ties = ties)
    adjusted <- paste0('{"hazard": ', hazard(m), "}")
    times <- nrow(unique(d[d$died, c("stratum", "days")]))
  } else {
    found <- unlist(lapply(split(seq_len(nrow(d)), site), function(rows) match_in(l, t, rows, caliper * sd(l))), recursive = FALSE)
    d$pair <- NA; for (k in seq_along(found)) d$pair[found[[k]]] <- k
    used <- d[!is.na(d$pair), ]
    m <- if (by_pair) coxph(Surv(days, died) ~ hormon + strata(pair), used, ties = ties) else coxph(Surv(days, died) ~ hormon, used, cluster = pair, ties = ties)
    adjusted <- compared(used, ties, horizon, m)
    times <- if (by_pair) 0 else length(unique(used$days[used$died]))
  }
  paste0('{"question": {"treatment": "', treatment, '", "outcome": "Surv(days, died) ~ hormon", "ties": "', ties, '", "grid": {"width": ', width, ', "horizon": ', horizon,
    '}, "adjustment": "', adjustment, '", "estimand": "', estimand, '", "stabilized": ', tolower(stabilized), ', "truncate": ', truncate, ', "strata": ', strata,
    ', "caliper": ', caliper, ', "byPair": ', tolower(by_pair), '}, "sites": ', sites, ', "least": ', least, ', "times": ', times,
    ',\n "crude": ', if (least > 0) "null" else compared(d, ties, horizon), ',\n "adjusted": ', adjusted, "}")
}
given <- commandArgs(TRUE)
if (length(given) > 0) {
  writeLines(list_of(sapply(given[-(1:3)], function(file) {
    all <<- read(file)
    switch(given[1], weighting = case("weighting", given[2], given[3], width = 90),
      strata = case("strata", given[2], given[3], width = 90, strata = 3),
      matching = case("matching", given[2], given[3], width = 90, caliper = 0.2, sites = 3))
  })))
  quit()
}
writeLines(paste0("[\n", paste(c(
  case("weighting", "ATE"),
  case("weighting", "ATT", ties = "breslow", truncate = 0.95),
  case("weighting", "ATE", width = 90, stabilized = TRUE, truncate = 0.99),
  case("weighting", "ATE", stabilized = TRUE, least = 11),
  case("strata", "ATT", strata = 5),
  case("strata", "ATE", strata = 2, ties = "breslow", width = 90),
  case("matching", "ATT", caliper = 0.2, sites = 3),
  case("matching", "ATT", width = 365, horizon = 3650, caliper = 0.2, by_pair = TRUE, sites = 3)), collapse = ",\n"), "\n]"), "cases.json")

# Writes cases.json: what R's package survival says of each question, and the
# declaration of its columns. Run in this folder: Rscript survival.R
# Rscript survival.R TERMS STRATUM TIES FILE... writes to standard output the hazards by start,
# stop and event in each file, of times in days up to 100, within the levels of a column if
# STRATUM is not empty; without TIES, the curves by the one term, and the log-rank test.
suppressPackageStartupMessages(library(survival))
options(warn = 1)
num <- function(v) ifelse(is.finite(v), sprintf("%.17g", v), "null")
str <- function(s) paste0('"', gsub('"', '\\\\"', s), '"')
list_of <- function(v) paste0("[", paste(v, collapse = ", "), "]")
pairs_of <- function(...) { v <- list(...); paste0("{", paste0(str(names(v)), ": ", unlist(v), collapse = ", "), "}") }
test_of <- function(statistic, df) pairs_of(statistic = num(statistic), df = df, p = num(pchisq(statistic, df, lower.tail = FALSE)))

declare <- function(d, name, surv) {
  v <- d[[name]]
  if (is.factor(v)) return(paste0('{"name": ', str(name), ', "kind": "factor", "levels": ', list_of(str(levels(v))), "}"))
  if (is.logical(v)) return(paste0('{"name": ', str(name), ', "kind": "logical"}'))
  v <- v[!is.na(v)]
  low <- if (name %in% surv) 0 else if (min(v) >= 0) min(v) / 2 else min(v) * 2
  paste0('{"name": ', str(name), ', "kind": "numeric", "low": ', num(low), ', "high": ', num(if (max(v) <= 1) 1 else max(v) * 1.5), "}")
}

# The grid of times: up to the next point, and censored at the horizon.
on_grid <- function(d, surv, width, horizon) {
  to <- function(t) { k <- t / width; ifelse(abs(k - round(k)) < 1e-6, round(k), ceiling(k)) * width }
  stop <- surv[length(surv) - 1]; event <- surv[length(surv)]
  end <- to(horizon)
  d <- d[if (length(surv) == 3) d[[surv[1]]] < d[[stop]] else TRUE, ]
  d[[event]] <- d[[event]] & to(d[[stop]]) <= end
  d[[stop]] <- pmin(to(d[[stop]]), end)
  # rounded to 9 digits so that equal points are equal
  d[[stop]] <- round(d[[stop]], 9)
  if (length(surv) == 3) {
    d[[surv[1]]] <- round(pmin(to(d[[surv[1]]]), end), 9)
    same <- d[[surv[1]]] >= d[[stop]]
    d[[surv[1]]][same & d[[event]]] <- d[[stop]][same & d[[event]]] - width / 2 # in the risk set of its event
    d <- d[!(same & !d[[event]]), ]
  }
  d
}

# The fit with event times merged until they have m events; see the comment of Cox. Each
# event is a draw from a risk set in which persons have weights.
merged <- function(x, d, surv, stratum, m, ties) {
  stop <- d[[surv[length(surv) - 1]]]; event <- d[[surv[length(surv)]]]
  start <- if (length(surv) == 3) d[[surv[1]]] else rep(-1, nrow(d))
  start[start == 0] <- -1
  groups <- if (is.null(stratum)) rep(1, nrow(d)) else as.integer(d[[stratum]])
  draws <- list(); times <- 0
  for (g in unique(groups)) {
    count <- table(stop[groups == g & event]); u <- as.numeric(names(count))
    bin <- integer(length(u)); b <- 1; n <- 0
    for (i in seq_along(u)) { bin[i] <- b; n <- n + count[[i]]; if (n >= m) { b <- b + 1; n <- 0 } }
    if (n > 0) bin[bin == b] <- b - 1
    first <- tapply(u, bin, min); first[1] <- 0; last <- tapply(u, bin, max); times <- times + length(first)
    set <- sapply(seq_along(first), function(k) groups == g & ((start < first[k] & stop >= first[k]) | (event & stop >= first[k] & stop <= last[k])))
    outlast <- groups == g & start <= max(u) & stop > max(u)
    set <- cbind(set, if (sum(outlast) >= m) outlast else FALSE)
    for (k in seq_along(first)) {
      deaths <- sum(count[bin == k])
      for (l in seq_len(deaths) - 1) {
        share <- if (ties == "efron") l / deaths else 0
        draws <- c(draws, list(set[, k] * (1 - share) + if (share > 0) set[, k + 1] * share else 0))
      }
    }
  }
  w <- do.call(cbind, draws)
  x <- scale(x, scale = FALSE)
  at <- function(b) {
    r <- exp(drop(x %*% b)); total <- colSums(w * r)
    mean <- crossprod(w * r, x) / total
    square <- crossprod(x, x * drop(w %*% (1 / total)) * r)
    list(loglik = sum(x[event, ] %*% b) - sum(log(total)), u = colSums(x[event, , drop = FALSE]) - colSums(mean), i = square - crossprod(mean))
  }
  b <- rep(0, ncol(x)); now <- null <- at(b); iter <- 0
  repeat {
    b <- b + solve(now$i, now$u); before <- now; now <- at(b); iter <- iter + 1
    if (abs(1 - before$loglik / now$loglik) <= 1e-9) break
  }
  se <- sqrt(diag(solve(now$i)))
  list(coef = setNames(b, colnames(x)), table = cbind(coef = b, "se(coef)" = se, z = b / se, "Pr(>|z|)" = 2 * pnorm(-abs(b / se))),
    loglik = c(null$loglik, now$loglik), wald.test = drop(b %*% now$i %*% b), score = drop(null$u %*% solve(null$i, null$u)), iter = iter, times = times)
}

head_of <- function(name, kind, file, formula, used, d, surv, width, horizon)
  paste0('{"name": ', str(name), ', "kind": ', str(kind), ', "file": ', str(file), ', "formula": ', str(formula),
    ', "grid": ', pairs_of(width = num(width), horizon = num(horizon)),
    ',\n "columns": ', list_of(sapply(used, function(n) declare(d, n, surv[-length(surv)]))), ',\n ')

km <- function(name, file, d, time, event, arm = NULL, stratum = NULL, width = 1, horizon, restriction = horizon) {
  surv <- c(time, event)
  used <- c(surv, arm, stratum)
  e <- on_grid(d, surv, width, horizon)
  right <- if (is.null(arm)) "1" else arm
  left <- paste0("Surv(", time, ", ", event, ") ~ ")
  fit <- survfit(as.formula(paste0(left, right)), e)
  table <- summary(fit, rmean = restriction)$table
  if (is.null(arm)) table <- t(as.matrix(table))
  from <- cumsum(c(1, fit$strata)) ; n <- if (is.null(arm)) length(fit$time) else fit$strata
  arms <- sapply(seq_along(n), function(i) {
    at <- from[i] + seq(1, n[i], by = 1 + n[i] %/% 100) - 1 # of long curves some
    points <- paste0("{", '"time": ', num(fit$time[at]), ', "atRisk": ', fit$n.risk[at], ', "events": ', fit$n.event[at],
      ', "censored": ', fit$n.censor[at], ', "survival": ', num(fit$surv[at]), ', "se": ', num(fit$surv[at] * fit$std.err[at]),
      ', "low": ', num(fit$lower[at]), ', "high": ', num(fit$upper[at]), "}")
    pairs_of(name = str(if (is.null(arm)) "" else sub("^[^=]*=", "", names(n)[i])), n = table[i, "records"], events = table[i, "events"],
      median = num(table[i, "median"]), medianLow = num(table[i, "0.95LCL"]), medianHigh = num(table[i, "0.95UCL"]),
      mean = num(table[i, "rmean"]), meanSe = num(table[i, "se(rmean)"]), curve = paste0("[\n   ", paste(points, collapse = ",\n   "), "]"))
  })
  rank <- "null"
  strata <- if (is.null(stratum)) "" else paste0(" + strata(", stratum, ")")
  if (!is.null(arm)) {
    s <- survdiff(as.formula(paste0(left, right, strata)), e)
    sums <- function(v) if (is.matrix(v)) rowSums(v) else v
    rank <- sub("}$", paste0(', "observed": ', list_of(num(sums(s$obs))), ', "expected": ', list_of(num(sums(s$exp))), "}"), test_of(s$chisq, sum(sums(s$exp) > 0) - 1)) # as survdiff prints it
  }
  paste0(head_of(name, "km", file, paste0(left, right, strata), used, d, surv, width, horizon), '"survival": ',
    pairs_of(n = sum(table[, "records"]), omitted = sum(!complete.cases(d[used])), restriction = num(restriction),
      arms = paste0("[\n  ", paste(arms, collapse = ",\n  "), "]"), logRank = rank), "}")
}

cox <- function(name, file, d, surv, right, ties = "efron", stratum = NULL, others = NULL, width = 1, horizon, merge = 0) {
  f <- as.formula(paste("~", right))
  used <- unique(c(surv, all.vars(f), stratum))
  complete <- droplevels(d[complete.cases(d[used]), used]) # coxph keeps levels that nobody has
  e <- on_grid(complete, surv, width, horizon)
  strata <- if (is.null(stratum)) "" else paste0(" + strata(", stratum, ")")
  formula <- paste0("Surv(", paste(surv, collapse = ", "), ") ~ ", right, strata)
  warned <- character()
  m <- withCallingHandlers(coxph(as.formula(formula), e, ties = ties),
    warning = function(w) { warned <<- c(warned, trimws(gsub("variable  ", "variable ", gsub(" ;", ";", conditionMessage(w))))); invokeRestart("muffleWarning") })
  table <- summary(m)$coefficients
  if (merge > 0) {
    fit <- merged(model.matrix(m), e, surv, stratum, merge, ties)
    m$loglik <- fit$loglik; m$wald.test <- fit$wald.test; m$score <- fit$score; m$iter <- fit$iter
    rownames(fit$table) <- rownames(table); table <- fit$table
  }
  rows <- sapply(names(coef(m)), function(n) {
    v <- table[n, ]
    pairs_of(name = str(n), estimate = num(v[["coef"]]), se = num(if (is.na(v[["coef"]])) NA else v[["se(coef)"]]), statistic = num(v[["z"]]), p = num(v[["Pr(>|z|)"]]))
  })
  stop <- e[[surv[length(surv) - 1]]]; event <- e[[surv[length(surv)]]]
  times <- unique(paste(stop, if (is.null(stratum)) "" else e[[stratum]])[event])
  if (merge > 0) times <- seq_len(fit$times)
  df <- sum(!is.na(coef(m)))
  paste0(head_of(name, "cox", file, formula, used, d, surv, width, horizon), '"merge": ', merge, ', "hazards": ',
    pairs_of(ties = str(ties), n = if (length(surv) == 3) sum(complete[[surv[1]]] < complete[[surv[2]]]) else nrow(complete),
      omitted = nrow(d) - nrow(complete), events = sum(event), times = length(times),
      nullLogLikelihood = num(m$loglik[1]), logLikelihood = num(m$loglik[2]),
      likelihoodRatio = test_of(2 * diff(m$loglik), df), wald = test_of(m$wald.test, df), score = test_of(m$score, df),
      iterations = m$iter, converged = tolower(!any(grepl("Ran out", warned))), warnings = list_of(if (length(warned)) str(warned)),
      coefficients = paste0("[\n  ", paste(rows, collapse = ",\n  "), "]")), "}")
}

read <- function(file) read.csv(file, stringsAsFactors = FALSE, na.strings = "", check.names = FALSE)
factors <- function(d, ...) { for (n in c(...)) d[[n]] <- factor(d[[n]]); d }
died <- function(d, name) { d[[name]] <- d[[name]] == 1; d }
given <- commandArgs(TRUE)
if (length(given) > 0) {
  stratum <- if (given[2] != "") given[2]
  said <- sapply(given[-(1:3)], function(file) {
    d <- died(factors(read(file), "g", "s"), "event")
    if (given[3] == "") km("", file, d, "stop", "event", given[1], stratum, horizon = 100)
    else cox("", file, d, c("start", "stop", "event"), given[1], given[3], stratum, horizon = 100)
  })
  writeLines(list_of(said))
  quit()
}
lung <- died(factors(read("lung.csv"), "sex", "inst"), "status")
lung_numbers <- died(factors(read("lung.csv"), "inst"), "status")
veteran <- died(factors(read("veteran.csv"), "trt", "celltype"), "status")
veteran_numbers <- died(factors(read("veteran.csv"), "celltype"), "status")
aml <- died(factors(read("aml.csv"), "x"), "status")
heart <- died(factors(read("heart.csv"), "transplant"), "event")
colon <- died(factors(read("colon.csv"), "rx"), "status")
collapse <- died(factors(read("collapse.csv.gz"), "female", "study"), "status")
expand <- died(factors(read("expand.csv.gz"), "female", "study"), "status")
small <- died(factors(read("small.csv"), "g", "s"), "event")
alone <- died(factors(read("alone.csv"), "g"), "event")
right <- c("time", "status")

cases <- c(
  km("lung", "lung.csv", lung, "time", "status", horizon = 1100, restriction = 365),
  km("lung by sex", "lung.csv", lung, "time", "status", "sex", horizon = 1100, restriction = 365),
  km("lung by sex to half a year", "lung.csv", lung, "time", "status", "sex", horizon = 182),
  km("lung by weeks", "lung.csv", lung, "time", "status", "sex", width = 7, horizon = 1099),
  km("aml", "aml.csv", aml, "time", "status", "x", horizon = 161),
  km("veteran by treatment", "veteran.csv", veteran, "time", "status", "trt", horizon = 1000),
  km("veteran by cell type within treatment", "veteran.csv", veteran, "time", "status", "celltype", "trt", horizon = 1000),
  km("collapse", "collapse.csv.gz", collapse, "time", "status", "female", width = 0.001, horizon = 10),
  km("collapse within studies", "collapse.csv.gz", collapse, "time", "status", "female", "study", width = 0.01, horizon = 10),
  km("small", "small.csv", small, "stop", "event", "g", "s", horizon = 40),

  cox("lung", "lung.csv", lung_numbers, right, "age + sex", horizon = 1100),
  cox("lung breslow", "lung.csv", lung_numbers, right, "age + sex", "breslow", horizon = 1100),
  cox("lung three", "lung.csv", lung, right, "age + sex + ph.ecog", horizon = 1100),
  cox("lung within institutions", "lung.csv", lung, right, "age + sex", "breslow", "inst", horizon = 1100),
  cox("lung institutions", "lung.csv", lung, right, "age + sex + inst", horizon = 1100),
  cox("lung by months", "lung.csv", lung, right, "age * sex", width = 30, horizon = 1100),
  cox("lung to half a year", "lung.csv", lung, right, "age + I(age^2) + sex", horizon = 182),
  cox("lung merged", "lung.csv", lung_numbers, right, "age + sex", horizon = 1100, merge = 11),
  cox("lung merged breslow", "lung.csv", lung_numbers, right, "age + sex", "breslow", horizon = 1100, merge = 11),
  cox("lung with offset", "lung.csv", lung_numbers, right, "sex + offset(age)", horizon = 1100),
  cox("veteran", "veteran.csv", veteran_numbers, right, "trt + karno + celltype", horizon = 1000),
  cox("veteran merged within treatment", "veteran.csv", veteran, right, "karno + celltype", stratum = "trt", horizon = 1000, merge = 4),
  cox("colon", "colon.csv", colon, right, "rx + age + sex + nodes", horizon = 3400),
  cox("heart", "heart.csv", heart, c("start", "stop", "event"), "age + year + surgery + transplant", width = 0.5, horizon = 1800),
  cox("heart breslow", "heart.csv", heart, c("start", "stop", "event"), "age + transplant", "breslow", width = 0.5, horizon = 1800),
  cox("heart merged", "heart.csv", heart, c("start", "stop", "event"), "age + year + transplant", width = 0.5, horizon = 1800, merge = 5),
  cox("collapse", "collapse.csv.gz", collapse, right, "age.60 + female + bmi.26", width = 0.001, horizon = 10),
  cox("collapse breslow", "collapse.csv.gz", collapse, right, "age.60 + female + bmi.26", "breslow", width = 0.001, horizon = 10),
  cox("collapse within studies", "collapse.csv.gz", collapse, right, "age.60 + female + bmi.26", stratum = "study", width = 0.001, horizon = 10),
  cox("expand", "expand.csv.gz", expand, c("start", "stop", "status"), "age.60 + female", width = 0.001, horizon = 10),
  cox("monotone", "small.csv", small, c("stop", "event"), "m + x", horizon = 40),
  cox("monotone spells", "small.csv", small, c("start", "stop", "event"), "m + x", horizon = 40),
  cox("collinear", "small.csv", small, c("stop", "event"), "x + x2 + one + g", horizon = 40),
  cox("alone in a level", "alone.csv", alone, c("start", "stop", "event"), "x*g", "breslow", horizon = 100),
  cox("same within strata", "small.csv", small, c("stop", "event"), "x + g", stratum = "g", horizon = 40),
  cox("stratum without events", "small.csv", small, c("start", "stop", "event"), "x", stratum = "s", horizon = 40)
)
writeLines(paste0("[\n", paste(cases, collapse = ",\n"), "\n]"), "cases.json")

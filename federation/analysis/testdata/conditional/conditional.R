# Writes cases.json: what R's package survival says of conditional likelihoods, and the
# declaration of their columns; and itp.csv and meningitis.csv, which are itpdat.txt and
# amdat.txt cut into intervals. Run in this folder: Rscript conditional.R
# Rscript conditional.R FORMULA TIES FILE... writes to standard output that of one model for
# each file, of a case series if TIES is empty.
suppressPackageStartupMessages(library(survival))
options(contrasts = c("contr.treatment", "contr.treatment"), warn = 1)
num <- function(v) ifelse(is.finite(v), sprintf("%.17g", v), "null")
str <- function(s) paste0('"', gsub('"', '\\\\"', s), '"')
list_of <- function(v) paste0("[", paste(v, collapse = ", "), "]")
pairs_of <- function(...) { v <- list(...); paste0("{", paste0(str(names(v)), ": ", unlist(v), collapse = ", "), "}") }
test_of <- function(statistic, df) pairs_of(statistic = num(statistic), df = df, p = num(pchisq(statistic, df, lower.tail = FALSE)))

declare <- function(d, name) {
  v <- d[[name]]
  if (is.factor(v)) return(paste0('{"name": ', str(name), ', "kind": "factor", "levels": ', list_of(str(levels(v))), "}"))
  if (is.logical(v)) return(paste0('{"name": ', str(name), ', "kind": "logical"}'))
  v <- v[!is.na(v)]
  low <- if (min(v) >= 0) min(v) / 2 else min(v) * 2
  paste0('{"name": ', str(name), ', "kind": "numeric", "low": ', num(low), ', "high": ', num(if (max(v) <= 1) 1 else max(v) * 1.5), "}")
}

case <- function(name, file, d, formula, ties = "") {
  f <- as.formula(formula)
  used <- all.vars(f)
  strata <- regmatches(formula, gregexpr("(?<=strata\\()[^)]*", formula, perl = TRUE))[[1]]
  set <- strata[1] # of a case series
  if (ties != "") d[[used[1]]] <- d[[used[1]]] == 1
  complete <- droplevels(d[complete.cases(d[used]), used]) # clogit keeps levels that nobody has
  y <- as.numeric(complete[[used[1]]])
  e <- complete
  if (ties == "") { # a set for each event, as the data of package SCCS are
    copies <- ave(y, e[[set]], FUN = sum)
    e <- e[rep(seq_along(y), copies), ]
    e$.copy <- sequence(copies)
    at <- unlist(lapply(split(y, complete[[set]]), cumsum))
    from <- numeric(length(y)); from[order(complete[[set]])] <- at
    upto <- rep(from, copies)
    e[[used[1]]] <- e$.copy <= upto & e$.copy > upto - rep(y, copies)
    e[[set]] <- paste(e[[set]], e$.copy)
    p <- glm(update(f, as.formula(paste("~ . - strata(", set, ") + factor(", set, ")"))), poisson, complete, control = glm.control(1e-12, 100))
  }
  warned <- character()
  m <- withCallingHandlers(clogit(f, e, method = if (ties == "") "exact" else ties),
    warning = function(w) { warned <<- c(warned, trimws(gsub("variable  ", "variable ", gsub(" ;", ";", conditionMessage(w))))); invokeRestart("muffleWarning") })
  table <- summary(m)$coefficients
  if (ties == "") { # a Poisson regression with a factor of persons says the same
    same <- summary(p)$coefficients[rownames(table), 1:2]
    stopifnot(all.equal(unname(same), unname(table[, c("coef", "se(coef)")]), tolerance = 1e-5))
  }
  rows <- sapply(names(coef(m)), function(n) {
    v <- table[n, ]
    pairs_of(name = str(n), estimate = num(v[["coef"]]), se = num(if (is.na(v[["coef"]])) NA else v[["se(coef)"]]), statistic = num(v[["z"]]), p = num(v[["Pr(>|z|)"]]))
  })
  sets <- interaction(complete[strata], drop = TRUE)
  size <- table(sets); events <- tapply(y, sets, sum)
  df <- sum(!is.na(coef(m)))
  paste0('{"name": ', str(name), ', "file": ', str(file),
    ',\n "columns": ', list_of(sapply(used, function(n) declare(d, n))), ',\n ',
    sub("^\\{", "", pairs_of(formula = str(formula), ties = str(ties), n = nrow(complete), omitted = nrow(d) - nrow(complete),
      sets = length(size), informative = sum(size > 1 & events > 0 & (ties != "exact" | events < size)), events = sum(y),
      nullLogLikelihood = num(m$loglik[1]), logLikelihood = num(m$loglik[2]),
      likelihoodRatio = test_of(2 * diff(m$loglik), df), wald = test_of(m$wald.test, df), score = test_of(m$score, df),
      iterations = m$iter, converged = tolower(!any(grepl("Ran out", warned))), warnings = list_of(if (length(warned)) str(warned)),
      coefficients = paste0("[\n  ", paste(rows, collapse = ",\n  "), "]"))))
}

read <- function(file) read.csv(file, stringsAsFactors = TRUE, na.strings = "", check.names = FALSE)

# A row for each interval between the first days of ages and of times since exposure.
intervals <- function(d, event, ages, since) {
  rows <- lapply(split(d, d$case), function(p) {
    one <- p[1, ]
    cuts <- sort(unique(c(one$sta, ages, one$mmr + since)))
    first <- cuts[cuts >= one$sta & cuts <= one$end]
    last <- c(first[-1] - 1, one$end)
    data.frame(person = one$case, events = sapply(seq_along(first), function(i) sum(p[[event]] >= first[i] & p[[event]] <= last[i])),
      days = last - first + 1, age = findInterval(first, ages), risk = findInterval(first, one$mmr + since) %% length(since))
  })
  d <- do.call(rbind, rows)
  d$age <- letters[d$age + 1]
  d$risk <- c("none", paste0("risk", seq_along(since[-1])))[d$risk + 1]
  d
}

given <- commandArgs(TRUE)
if (length(given) > 0) {
  writeLines(list_of(sapply(given[-(1:2)], function(file) case("", file, read(file), given[1], given[2]))))
  quit()
}
infert <- read("infert.csv")
small <- read("small.csv")
itpdat <- read.delim("itpdat.txt")
itp <- intervals(itpdat, "itp", c(427, 488, 549, 610, 671), c(0, 15, 29, 43))
write.csv(itp, "itp.csv", row.names = FALSE, quote = FALSE)
meningitis <- intervals(read.delim("amdat.txt"), "am", 548, c(15, 36))
write.csv(meningitis, "meningitis.csv", row.names = FALSE, quote = FALSE)
itp$age <- factor(itp$age); itp$risk <- factor(itp$risk)
meningitis$age <- factor(meningitis$age); meningitis$risk <- factor(meningitis$risk)
cases <- c(
  case("purpura", "itp.csv", itp, "events ~ risk + age + offset(log(days)) + strata(person)"),
  case("purpura without ages", "itp.csv", itp, "events ~ risk + offset(log(days)) + strata(person)"),
  case("meningitis", "meningitis.csv", meningitis, "events ~ risk + age + offset(log(days)) + strata(person)"),
  case("infert", "infert.csv", infert, "case ~ spontaneous + induced + strata(stratum)", "exact"),
  case("infert crossed", "infert.csv", infert, "case ~ factor(education)*spontaneous + I(induced^2) + strata(stratum)", "exact"),
  case("infert in large sets", "infert.csv", infert, "case ~ age + spontaneous + induced + education + strata(parity)", "exact"),
  case("infert in large sets efron", "infert.csv", infert, "case ~ age + spontaneous + induced + education + strata(parity)", "efron"),
  case("infert in large sets breslow", "infert.csv", infert, "case ~ age + spontaneous + induced + education + strata(parity)", "breslow"),
  case("infert crossed sets", "infert.csv", infert, "case ~ age + spontaneous + induced + strata(education) + strata(parity)", "exact"),
  case("small crossed sets", "small.csv", small, "case ~ x + g + strata(set) + strata(one)", "efron"),
  case("small", "small.csv", small, "case ~ x + strata(set)", "exact"),
  case("small efron", "small.csv", small, "case ~ x + strata(set)", "efron"),
  case("small breslow", "small.csv", small, "case ~ x + strata(set)", "breslow"),
  case("small with offset", "small.csv", small, "case ~ g + offset(x) + strata(set)", "exact"),
  case("small, same within sets", "small.csv", small, "case ~ one + x + strata(set)", "exact"),
  case("small, collinear", "small.csv", small, "case ~ x + x:one + one:g + strata(set)", "efron"),
  case("separation", "small.csv", small, "case ~ m + x + strata(set)", "exact"),
  case("separation breslow", "small.csv", small, "case ~ m + x + strata(set)", "breslow")
)
writeLines(paste0("[\n", paste(cases, collapse = ",\n"), "\n]"), "cases.json")

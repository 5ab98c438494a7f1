# Writes rates.json and histogram.json: what R says of events in time, of shares, and of
# values between breaks. Run in this folder: Rscript rates.R
# Rscript rates.R EVENTS TIME BY FILE... writes to standard output the rates of each file, or the
# shares without TIME. Rscript rates.R histogram VALUE BREAKS FILE... counts the values between
# breaks parted by commas.
# binom.test and poisson.test of R are by qbeta and qgamma, which have all digits.
num <- function(v) ifelse(is.finite(v), sprintf("%.17g", v), "null")
str <- function(s) paste0('"', s, '"')
list_of <- function(v) paste0("[", paste(v, collapse = ", "), "]")
limits <- function(v) paste0('{"lower": ', num(v[1]), ', "upper": ', num(v[2]), "}")
incidence <- function(events, time) { t <- poisson.test(sum(events), sum(time))
  paste0('{"n": ', length(events), ', "events": ', sum(events), ', "time": ', num(sum(time)), ', "estimate": ', num(t$estimate), ', "exact": ', limits(t$conf.int), "}") }
prevalence <- function(x) { b <- binom.test(sum(x), length(x)); w <- suppressWarnings(prop.test(sum(x), length(x), correct = FALSE))
  paste0('{"n": ', length(x), ', "events": ', sum(x), ', "estimate": ', num(b$estimate), ', "exact": ', limits(b$conf.int), ', "wilson": ', limits(w$conf.int), "}") }
case <- function(file, d, events, time, by) {
  all <- nrow(d)
  d <- na.omit(d[, c(events, time, by)])
  g <- factor(d[[by]])
  of <- function(i) if (is.null(time)) prevalence(d[[events]][i]) else incidence(d[[events]][i], d[[time]][i])
  paste0('{"file": ', str(file), ', "event": ', str(events), ', "at": ', if (is.null(time)) '""' else str(time),
    ', "by": {"name": ', str(by), ', "kind": "factor", "levels": ', list_of(str(levels(g))), '},\n "n": ', nrow(d), ', "omitted": ', all - nrow(d),
    ', "all": ', of(seq_len(nrow(d))), ',\n "groups": ', list_of(sapply(levels(g), function(l) sub("^\\{", paste0('{"level": ', str(l), ", "), of(which(g == l))))), "}")
}
histogram <- function(file, v, value, breaks) {
  n <- sum(is.na(v)); v <- v[!is.na(v)]
  inside <- v[v >= min(breaks) & v <= max(breaks)]
  h <- hist(inside, breaks, plot = FALSE)
  bins <- paste0('{"low": ', num(breaks[-length(breaks)]), ', "high": ', num(breaks[-1]), ', "count": ', h$counts, ', "density": ', num(h$density), "}")
  paste0('{"file": ', str(file), ', "name": ', str(value), ', "breaks": ', list_of(num(breaks)), ', "n": ', length(inside), ', "outside": ', length(v) - length(inside),
    ', "omitted": ', n, ', "bins": ', list_of(bins), "}")
}
given <- commandArgs(TRUE)
if (length(given) > 0) {
  writeLines(list_of(sapply(given[-(1:3)], function(file) { d <- read.csv(file)
    if (given[1] == "histogram") histogram("", d[[given[2]]], given[2], as.numeric(strsplit(given[3], ",")[[1]]))
    else case("", d, given[1], if (given[2] != "") given[2], given[3]) })))
  quit()
}
cnsim <- read.csv("../glm/cnsim.csv.gz")
infert <- read.csv("../glm/infert.csv")
esoph <- read.csv("../glm/esoph.csv")
cases <- c(
  case("glm/esoph.csv", esoph, "ncases", "persons", "agegp"),
  case("glm/esoph.csv", esoph, "ncases", "persons", "alcgp"),
  case("glm/infert.csv", infert, "case", NULL, "induced"),
  case("glm/cnsim.csv.gz", cnsim, "DIS_DIAB", NULL, "GENDER")
)
writeLines(paste0("[\n", paste(cases, collapse = ",\n"), "\n]"), "rates.json")

mtcars <- read.csv("../glm/mtcars.csv")
cases <- c(
  histogram("glm/cnsim.csv.gz", cnsim$LAB_TSC, "LAB_TSC", seq(0, 12, 0.5)),
  histogram("glm/cnsim.csv.gz", cnsim$LAB_TSC, "LAB_TSC", c(3, 5, 5.5, 8)),
  histogram("glm/mtcars.csv", mtcars$qsec, "qsec", c(14.5, 15.41, 17.02, 18, 22.9))
)
writeLines(paste0("[\n", paste(cases, collapse = ",\n"), "\n]"), "histogram.json")

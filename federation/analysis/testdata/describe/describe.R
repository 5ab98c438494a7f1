# Writes describe.json: what R and its package e1071 say of columns. Run in this folder:
# Rscript describe.R
# Rscript describe.R COLUMNS BY FILE... writes to standard output that of each file: of columns
# parted by commas, pairwise, by the levels of another.
suppressMessages(library(e1071))
num <- function(v) ifelse(is.finite(v), sprintf("%.17g", v), "null")
str <- function(s) paste0('"', s, '"')
list_of <- function(v) paste0("[", paste(v, collapse = ", "), "]")
shape <- function(f, x) { s <- sapply(1:3, function(t) tryCatch(f(x, type = t), error = function(e) NA)); if (length(x) < 2 || sd(x) == 0) s <- rep(NA, 3)
  paste0('{"type1": ', num(s[1]), ', "type2": ', num(s[2]), ', "type3": ', num(s[3]), "}") }
moment <- function(x) { x <- x[!is.na(x)]
  paste0('"n": ', length(x), ', "mean": ', num(mean(x)), ', "variance": ', num(var(x)), ', "sd": ', num(sd(x)),
    ', "skewness": ', shape(skewness, x), ', "kurtosis": ', shape(kurtosis, x)) }
case <- function(file, d, columns, by, pairwise) {
  d <- d[, c(columns, by), drop = FALSE]
  whole <- d
  all <- nrow(d)
  if (!pairwise) d <- na.omit(d)
  g <- if (is.null(by)) NULL else factor(d[[by]])
  described <- sapply(columns, function(n) {
    t <- if (nlevels(g) == 2) t.test(d[[n]] ~ g)
    paste0('{"name": ', str(n), ', "all": {', moment(d[[n]]), "}",
      if (!is.null(g)) paste0(', "groups": ', list_of(sapply(levels(g), function(l) paste0('{"level": ', str(l), ", ", moment(d[[n]][which(g == l)]), "}")))),
      if (!is.null(t)) paste0(', "welch": {"estimate": ', num(t$estimate[[1]] - t$estimate[[2]]), ', "lower": ', num(t$conf.int[1]), ', "upper": ', num(t$conf.int[2]),
        ', "statistic": ', num(t$statistic), ', "df": ', num(t$parameter), ', "p": ', num(t$p.value), "}"), "}") })
  use <- if (pairwise) "pairwise.complete.obs" else "complete.obs"
  pairs <- c()
  for (i in seq_along(columns)) for (j in seq_len(i - 1)) { a <- d[[columns[j]]]; b <- d[[columns[i]]]
    pairs <- c(pairs, paste0('{"first": ', str(columns[j]), ', "second": ', str(columns[i]), ', "n": ', sum(!is.na(a) & !is.na(b)),
      ', "covariance": ', num(cov(a, b, use = use)), ', "correlation": ', num(cor(a, b, use = use)), "}")) }
  declare <- sapply(columns, function(n) { v <- range(whole[[n]], na.rm = TRUE); paste0('{"name": ', str(n), ', "kind": "numeric", "low": ', num(min(0, 2 * v[1])), ', "high": ', num(1.5 * v[2]), "}") })
  paste0('{"file": ', str(file), ', "values": ', list_of(declare), ', "by": ', if (is.null(by)) "null" else paste0('{"name": ', str(by), ', "kind": "factor", "levels": ', list_of(str(levels(g))), "}"),
    ', "pairwise": ', tolower(pairwise), ',\n "n": ', nrow(d), ', "omitted": ', all - nrow(d), ',\n "columns": ', list_of(described), ',\n "pairs": ', list_of(pairs), "}")
}
given <- commandArgs(TRUE)
if (length(given) > 0) {
  writeLines(list_of(sapply(given[-(1:2)], function(file) case("", read.csv(file), strsplit(given[1], ",")[[1]], given[2], TRUE))))
  quit()
}
cnsim <- read.csv("../glm/cnsim.csv.gz")
mtcars <- read.csv("../glm/mtcars.csv")
longley <- read.csv("../glm/longley.csv")
labs <- c("LAB_TSC", "LAB_TRIG", "LAB_HDL", "PM_BMI_CONTINUOUS")
cases <- c(
  case("glm/cnsim.csv.gz", cnsim, "LAB_TSC", NULL, FALSE),
  case("glm/cnsim.csv.gz", cnsim, labs, NULL, FALSE),
  case("glm/cnsim.csv.gz", cnsim, labs, "GENDER", TRUE),
  case("glm/mtcars.csv", mtcars, c("mpg", "wt", "hp"), "cyl", FALSE),
  case("glm/mtcars.csv", mtcars, c("mpg", "wt", "qsec"), "am", TRUE),
  case("glm/longley.csv", longley, c("TOTEMP", "GNP", "UNEMP", "POP", "YEAR"), NULL, FALSE)
)
writeLines(paste0("[\n", paste(cases, collapse = ",\n"), "\n]"), "describe.json")

# Writes characterize.json: the cells of a first table by R. Run in this folder:
# Rscript characterize.R
# Rscript characterize.R VARIABLES ARM FILE... writes to standard output those of each file, of
# variables parted by commas, of which g is a factor.
num <- function(v) ifelse(is.finite(v), sprintf("%.17g", v), "null")
str <- function(s) paste0('"', s, '"')
list_of <- function(v) paste0("[", paste(v, collapse = ", "), "]")
group <- function(v) {
  n <- sum(!is.na(v)); start <- paste0('{"n": ', n, ', "missing": ', sum(is.na(v)))
  if (is.factor(v)) return(paste0(start, ', "counts": ', list_of(table(v)), ', "shares": ', list_of(num(table(v) / n)), "}"))
  p <- c(0.25, 0.5, 0.75)
  paste0(start, ', "mean": ', num(mean(v, na.rm = TRUE)), ', "sd": ', num(sd(v, na.rm = TRUE)),
    ', "quartiles": ', list_of(paste0('{"p": ', p, ', "value": ', num(quantile(v, p, na.rm = TRUE, names = FALSE)), "}")), "}")
}
difference <- function(a, b) {
  a <- a[!is.na(a)]; b <- b[!is.na(b)]
  if (!is.factor(a)) return((mean(a) - mean(b)) / sqrt((var(a) + var(b)) / 2))
  used <- (table(a) + table(b)) > 0
  p <- (table(a) / length(a))[used][-1]; q <- (table(b) / length(b))[used][-1]
  if (length(p) == 1) return(as.numeric((p - q) / sqrt((p * (1 - p) + q * (1 - q)) / 2)))
  s <- function(p) diag(as.vector(p)) - outer(as.vector(p), as.vector(p))
  t <- as.vector(p - q)
  sqrt(drop(t %*% solve((s(p) + s(q)) / 2, t)))
}
declare <- function(d, name) { v <- d[[name]]
  if (is.factor(v)) paste0('{"name": ', str(name), ', "kind": "factor", "levels": ', list_of(str(levels(v))), "}")
  else paste0('{"name": ', str(name), ', "kind": "numeric", "low": ', num(min(0, 2 * min(v, na.rm = TRUE))), ', "high": ', num(2 * max(v, na.rm = TRUE)), "}") }
case <- function(file, d, variables, arm) {
  all <- nrow(d); d <- d[!is.na(d[[arm]]), ]; g <- d[[arm]]
  rows <- sapply(variables, function(n) { v <- d[[n]]
    paste0('{"name": ', str(n), if (is.factor(v)) paste0(', "levels": ', list_of(str(levels(v)))), ', "all": ', group(v),
      ', "arms": ', list_of(sapply(levels(g), function(l) group(v[g == l]))),
      if (nlevels(g) == 2) paste0(', "difference": ', num(difference(v[g == levels(g)[1]], v[g == levels(g)[2]]))), "}") })
  paste0('{"file": ', str(file), ', "declared": ', list_of(sapply(variables, function(n) declare(d, n))), ', "by": ', declare(d, arm),
    ',\n "arm": ', str(arm), ', "n": ', nrow(d), ', "omitted": ', all - nrow(d), ', "sizes": ', list_of(table(g)), ',\n "variables": ', list_of(paste0("\n  ", rows)), "}")
}
factors <- function(d, ...) { for (n in c(...)) d[[n]] <- factor(d[[n]]); d }
given <- commandArgs(TRUE)
if (length(given) > 0) {
  writeLines(list_of(sapply(given[-(1:2)], function(file) case("", factors(read.csv(file), "g", given[2]), strsplit(given[1], ",")[[1]], given[2]))))
  quit()
}
cnsim <- factors(read.csv("../glm/cnsim.csv.gz"), "DIS_DIAB", "GENDER")
mtcars <- factors(read.csv("../glm/mtcars.csv"), "cyl", "gear", "am")
esoph <- factors(read.csv("../glm/esoph.csv"), "agegp", "alcgp")
cases <- c(
  case("glm/cnsim.csv.gz", cnsim, c("LAB_TSC", "GENDER", "LAB_HDL"), "DIS_DIAB"),
  case("glm/mtcars.csv", mtcars, c("mpg", "cyl", "hp", "gear"), "am"),
  case("glm/mtcars.csv", mtcars, c("am", "mpg"), "cyl"),
  case("glm/esoph.csv", esoph, c("agegp"), "alcgp")
)
writeLines(paste0("[\n", paste(cases, collapse = ",\n"), "\n]"), "characterize.json")

# Writes quantiles.json: R's quantiles of type 7. Run in this folder: Rscript quantiles.R
# Rscript quantiles.R VALUE BY FILE... writes to standard output those of each file.
num <- function(v) ifelse(is.finite(v), sprintf("%.17g", v), "null")
str <- function(s) paste0('"', s, '"')
list_of <- function(v) paste0("[", paste(v, collapse = ", "), "]")
p <- c(0, 0.05, 0.1, 0.25, 1/3, 0.5, 0.75, 0.9, 0.95, 1)
of <- function(v) list_of(num(quantile(v, p, na.rm = TRUE, names = FALSE)))
case <- function(file, d, value, by) {
  d <- d[, c(value, by)]
  all <- nrow(d)
  d <- na.omit(d)
  g <- factor(d[[by]])
  paste0('{"file": ', str(file), ', "value": ', str(value), ', "by": {"name": ', str(by), ', "kind": "factor", "levels": ', list_of(str(levels(g))), "}",
    ', "probabilities": ', list_of(num(p)), ', "n": ', nrow(d), ', "omitted": ', all - nrow(d),
    ',\n "all": ', of(d[[value]]), ', "groups": ', list_of(sapply(levels(g), function(l) of(d[[value]][g == l]))), "}")
}
given <- commandArgs(TRUE)
if (length(given) > 0) {
  writeLines(list_of(sapply(given[-(1:2)], function(file) case("", read.csv(file), given[1], given[2]))))
  quit()
}
cnsim <- read.csv("../glm/cnsim.csv.gz")
mtcars <- read.csv("../glm/mtcars.csv")
infert <- read.csv("../glm/infert.csv")
esoph <- read.csv("../glm/esoph.csv")
cases <- c(
  case("glm/cnsim.csv.gz", cnsim, "LAB_TSC", "GENDER"),
  case("glm/mtcars.csv", mtcars, "mpg", "cyl"),
  case("glm/infert.csv", infert, "induced", "case"),
  case("glm/esoph.csv", esoph, "share", "agegp")
)
writeLines(paste0("[\n", paste(cases, collapse = ",\n"), "\n]"), "quantiles.json")

# Writes cases.json: what R's prcomp says of each table, the sign of each component turned
# so that its largest loading is positive. Run in this folder: Rscript pca.R
# Rscript pca.R COLUMNS SCALE FILE... writes to standard output that of each file, of columns
# parted by commas, scaled if SCALE is TRUE.
num <- function(v) sprintf("%.17g", v)
list_of <- function(v) paste0("[", paste(v, collapse = ", "), "]")
case <- function(file, columns, scale) {
  d <- na.omit(read.csv(file, na.strings = "")[columns])
  m <- prcomp(d, scale. = scale)
  s <- summary(m)$importance
  share <- m$sdev^2 / sum(m$sdev^2)
  declared <- sapply(columns, function(n) paste0('{"name": "', n, '", "kind": "numeric", "low": ', num(min(d[[n]]) - 1), ', "high": ', num(max(d[[n]]) * 1.5 + 1), "}"))
  parts <- sapply(seq_along(m$sdev), function(k) {
    v <- m$rotation[, k]; v <- v * sign(v[which.max(abs(v))])
    paste0('{"sd": ', num(m$sdev[k]), ', "proportion": ', num(share[k]), ', "cumulative": ', num(sum(share[1:k])), ', "loadings": ', list_of(num(v)), "}")
  })
  centers <- sapply(seq_along(columns), function(j) paste0('{"name": "', columns[j], '", "center": ', num(m$center[j]),
    if (scale) paste0(', "scale": ', num(m$scale[j])), "}"))
  paste0('{"file": "', sub("^../", "", file), '", "scale": ', tolower(scale), ', "declared": ', list_of(declared), ', "n": ', nrow(d),
    ',\n "columns": ', list_of(centers), ',\n "components": [', paste(parts, collapse = ",\n  "), "]}")
}
given <- commandArgs(TRUE)
if (length(given) > 0) {
  writeLines(list_of(sapply(given[-(1:2)], function(file) case(file, strsplit(given[1], ",")[[1]], given[2] == "TRUE"))))
  quit()
}
arrests <- c("Murder", "Assault", "UrbanPop", "Rape")
cars <- c("mpg", "hp", "wt", "qsec")
writeLines(paste0("[\n", paste(c(
  case("../pca/usarrests.csv", arrests, TRUE), case("../pca/usarrests.csv", arrests, FALSE),
  case("../glm/mtcars.csv", cars, TRUE), case("../glm/mtcars.csv", cars, FALSE),
  case("../glm/longley.csv", c("GNPDEFL", "GNP", "UNEMP", "ARMED", "POP", "YEAR"), TRUE),
  case("../glm/longley.csv", c("GNPDEFL", "GNP", "UNEMP", "ARMED", "POP", "YEAR"), FALSE),
  case("../glm/cnsim.csv.gz", c("LAB_TSC", "LAB_HDL", "LAB_TRIG", "PM_BMI_CONTINUOUS"), TRUE)), collapse = ",\n"), "\n]"), "cases.json")

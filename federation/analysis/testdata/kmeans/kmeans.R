# Writes cases.json: what R's kmeans, with Lloyd's algorithm, says of each table and starting
# centres. Run in this folder: Rscript kmeans.R
# Rscript kmeans.R COLUMNS STARTS FILE... writes to standard output that of each file, of columns
# parted by commas and scaled, from the numbers of the starting centres, one after another.
num <- function(v) sprintf("%.17g", v)
list_of <- function(v) paste0("[", paste(v, collapse = ", "), "]")
rows_of <- function(m) list_of(apply(m, 1, function(r) list_of(num(r))))
case <- function(file, columns, starts, scale = FALSE, steps = 10) {
  d <- na.omit(read.csv(file, na.strings = "")[columns])
  x <- as.matrix(d); if (scale) x <- scale(x)
  starts <- matrix(starts, ncol = length(columns), byrow = TRUE)
  m <- suppressWarnings(kmeans(x, starts, iter.max = steps, algorithm = "Lloyd"))
  declared <- sapply(columns, function(n) paste0('{"name": "', n, '", "kind": "numeric", "low": ', num(min(d[[n]]) - 1), ', "high": ', num(max(d[[n]]) * 1.5 + 1), "}"))
  clusters <- sapply(seq_len(nrow(starts)), function(k) paste0('{"n": ', m$size[k], ', "center": ', list_of(num(m$centers[k, ])), ', "withinSs": ', num(m$withinss[k]), "}"))
  paste0('{"file": "', sub("^../", "", file), '", "declared": ', list_of(declared), ', "starts": ', rows_of(starts), ', "scale": ', tolower(scale), ', "steps": ', steps, ', "n": ', nrow(d),
    ', "iterations": ', m$iter, ', "converged": ', tolower(m$iter <= steps), ', "withinSs": ', num(m$tot.withinss), ', "betweenSs": ', num(m$betweenss), ', "totalSs": ', num(m$totss),
    ',\n "clusters": [', paste(clusters, collapse = ",\n  "), "]}")
}
given <- commandArgs(TRUE)
if (length(given) > 0) {
  parted <- strsplit(given[1:2], ",")
  writeLines(list_of(sapply(given[-(1:2)], function(file) case(file, parted[[1]], as.numeric(parted[[2]]), scale = TRUE, steps = 19))))
  quit()
}
flowers <- c("Sepal.Length", "Sepal.Width", "Petal.Length", "Petal.Width")
writeLines(paste0("[\n", paste(c(
  case("../kmeans/iris.csv", flowers, c(5, 3, 1, 0, 6, 3, 4, 1, 7, 3, 6, 2)),
  case("../kmeans/iris.csv", flowers, c(-1, 0, -1, -1, 0, 0, 0, 0, 1, 0, 1, 1), scale = TRUE, steps = 19),
  case("../kmeans/iris.csv", flowers, c(5, 3, 1, 0, 6, 3, 4, 1, 7, 3, 6, 2), steps = 2),
  case("../kmeans/iris.csv", "Petal.Length", c(1, 2, 6)),
  case("../pca/usarrests.csv", c("Murder", "Assault"), c(4, 50, 8, 150, 12, 250, 14, 330))), collapse = ",\n"), "\n]"), "cases.json")

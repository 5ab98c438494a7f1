# Prints values of data sets that come with R and what R says of their outliers, one
# JSON object a line. Run: Rscript outliers.R > outliers.ndjson
sets <- list(
  rivers = rivers, precip = as.numeric(precip), islands = as.numeric(islands), ozone = na.omit(airquality$Ozone),
  wind = airquality$Wind, horsepower = mtcars$hp, eruptions = faithful$eruptions, magnitude = quakes$mag,
  depth = quakes$depth, discoveries = as.numeric(discoveries), sepal = iris$Sepal.Width, sunspots = as.numeric(sunspot.year),
  weight = ChickWeight$weight, stations = quakes$stations, equal = c(rep(5, 15), 9))
num <- function(x) paste(format(as.numeric(x), digits = 15, trim = TRUE), collapse = ",")
for (name in names(sets)) {
  x <- as.numeric(sets[[name]])
  five <- fivenum(x)
  tukey <- sapply(c(1.5, 3), function(k) length(boxplot.stats(x, coef = k)$out))
  z <- abs(x - median(x)) / mad(x)
  cat(sprintf('{"name":"%s","values":[%s],"fivenum":[%s],"mad":%s,"tukey1.5":%d,"tukey3":%d,"robustz3.5":%d}\n',
    name, num(x), num(five), num(mad(x)), tukey[1], tukey[2], if (mad(x) > 0) sum(z > 3.5) else -1L))
}

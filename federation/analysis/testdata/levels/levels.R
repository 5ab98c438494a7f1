# Writes levels.csv, R's warpbreaks with columns that follow from the row's number, and cases.json:
# what R says of models with a factor of which some levels are declared that nobody has, among them
# the first, and one (L) that only rows with a missing value have. glm, lm, glm.nb and lmer leave such
# levels out themselves; coxph and clogit get droplevels(na.omit(data)), what a factor is that is made
# of the complete rows. Run in this folder: Rscript levels.R
suppressPackageStartupMessages({ library(survival); library(MASS); library(lme4) })
options(contrasts = c("contr.treatment", "contr.treatment"), warn = 1)
d <- data.frame(breaks = warpbreaks$breaks, wool = as.character(warpbreaks$wool), tension = as.character(warpbreaks$tension))
i <- seq_len(nrow(d))
d$x <- ifelse(d$tension == "L", NA, i^2 %% 11)
d$event <- as.integer(i %% 4 > 0)
d$case <- as.integer(i %% 3 == 0)
d$set <- i %% 5
d$grade <- ifelse(d$breaks > 30, "high", ifelse(d$breaks > 20, "fair", "low"))
write.csv(d, "levels.csv", row.names = FALSE, quote = FALSE, na = "")
levels_of <- list(tension = c("none", "L", "M", "H", "spare"), wool = c("A", "C", "B"), grade = c("never", "low", "fair", "high"))
for (n in names(levels_of)) d[[n]] <- factor(d[[n]], levels = levels_of[[n]])
num <- function(v) ifelse(is.finite(v), sprintf("%.17g", v), "null")
case <- function(kind, formula, fit, family = "") {
  f <- as.formula(formula)
  b <- if (kind == "mixed-model") fixef(fit) else coef(fit)
  s <- if (kind %in% c("cox", "conditional-logistic")) sqrt(diag(vcov(fit))) else coef(summary(fit))[, 2]
  se <- setNames(rep(NA, length(b)), names(b)); se[if (is.null(names(s))) !is.na(b) else names(s)] <- s
  rows <- paste0('{"name": "', names(b), '", "estimate": ', num(b), ', "se": ', num(se), "}")
  paste0('{"kind": "', kind, '", "formula": "', formula, '", "family": "', family, '",\n "coefficients": [', paste(rows, collapse = ",\n  "), "]}")
}
fit <- function(formula, family) case("glm", formula, glm(as.formula(formula), family, d), family$family)
dropped <- function(names) droplevels(na.omit(d[names]))
writeLines(paste0('[\n', paste(c(
  fit("breaks ~ x + tension", poisson()),
  fit("breaks ~ x + wool*tension", gaussian()),
  fit("breaks ~ tension - 1 + x", poisson()),
  fit("breaks ~ wool + x:tension", gaussian()),
  fit("grade ~ x + wool", binomial()),
  case("negative-binomial", "breaks ~ x + wool + tension", glm.nb(breaks ~ x + wool + tension, d, control = glm.control(1e-14, 100))),
  case("mixed-model", "breaks ~ x + tension", lmer(breaks ~ x + tension + (1 | set), d, control = lmerControl(optCtrl = list(xtol_abs = 1e-12, ftol_abs = 1e-14)))),
  case("cox", "Surv(breaks, event) ~ x + wool + tension", coxph(Surv(breaks, event) ~ x + wool + tension, dropped(c("breaks", "event", "x", "wool", "tension")))),
  case("conditional-logistic", "case ~ x + tension + strata(set)", clogit(case ~ x + tension + strata(set), dropped(c("case", "x", "tension", "set"))))
), collapse = ",\n"), '\n]'), "cases.json")

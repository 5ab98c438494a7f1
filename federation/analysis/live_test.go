package analysis_test

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"math"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/trialmesh/trialmesh/federation/analysis"
)

// oracle is what R says of one question.
type oracle interface {
	method(t require.TestingT) analysis.Iteration
	equal(t require.TestingT, result any)
}

// sited is an oracle of a table whose last column says at which site each row is.
type sited interface {
	declared() []analysis.Column
}

// live is a method with made-up data. To add one, let its script in testdata take args and
// then names of tables, and write a list of their cases to standard output.
type live struct {
	name   string
	script string
	args   []string // as the script's first lines say
	said   func(t *testing.T, raw []byte) []oracle
	draw   func(r *rand.Rand) [][]string // makes a table up
	deal   dealing
}

// dealing says at which of some sites each row is.
type dealing func(t require.TestingT, r *rand.Rand, sites int, of oracle, columns []analysis.Column, rows [][]float64) func(row int) int

// liveTables is how many tables are drawn for each method, if nothing else is asked for.
const liveTables = 8

var lives = []live{
	{"logistic", "glm/glm.R", []string{"y ~ x*g + I(z^2)", "binomial()", ""}, read[glmCase], byRow(chance), anyhow},
	{"logistic with weights", "glm/glm.R", []string{"y ~ x + g", "binomial()", "w"}, read[glmCase], byRow(chance), anyhow},
	{"logistic, separated", "glm/glm.R", []string{"y ~ x + g", "binomial()", ""}, read[glmCase], separated, anyhow},
	{"binomial log", "glm/glm.R", []string{"y ~ g", "binomial('log')", ""}, read[glmCase], byRow(chance), anyhow},
	{"poisson", "glm/glm.R", []string{"y ~ x + g + log(z)", "poisson()", ""}, read[glmCase], byRow(count), anyhow},
	{"poisson with offset and weights", "glm/glm.R", []string{"y ~ x*s + offset(log(z))", "poisson()", "w"}, read[glmCase], byRow(count), anyhow},
	{"poisson square root", "glm/glm.R", []string{"y ~ g*s", "poisson('sqrt')", ""}, read[glmCase], byRow(count), anyhow},
	{"poisson identity", "glm/glm.R", []string{"y ~ g", "poisson('identity')", ""}, read[glmCase], byRow(several), anyhow},
	{"gaussian", "glm/glm.R", []string{"y ~ x*z + g - 1", "gaussian()", ""}, read[glmCase], byRow(normal), anyhow},
	{"gaussian with weights", "glm/glm.R", []string{"y ~ x*g*s + offset(z)", "gaussian()", "w"}, read[glmCase], byRow(normal), anyhow},
	{"gaussian, nearly collinear", "glm/glm.R", []string{"y ~ a + b + c + d", "gaussian()", ""}, read[glmCase], trending, anyhow},
	{"negative binomial", "negbin/negbin.R", []string{"y ~ x + g + offset(log(z))"}, read[negBinCase], byRow(overdispersed), anyhow},
	{"cox efron", "survival/survival.R", []string{"x + g", "", "efron"}, read[survivalCase], drawSpells, anyhow},
	{"cox breslow", "survival/survival.R", []string{"x*g", "", "breslow"}, read[survivalCase], drawSpells, anyhow},
	{"cox within strata", "survival/survival.R", []string{"x + z + g", "s", "efron"}, read[survivalCase], drawSpells, anyhow},
	{"curves", "survival/survival.R", []string{"g", "", ""}, read[survivalCase], drawSpells, anyhow},
	{"curves within strata", "survival/survival.R", []string{"g", "s", ""}, read[survivalCase], drawSpells, anyhow},
	{"clogit exact", "conditional/conditional.R", []string{"y ~ x + g + offset(z) + strata(set)", "exact"}, read[conditionalCase], drawSets(chance), wholeSets},
	{"clogit efron", "conditional/conditional.R", []string{"y ~ x*g + strata(set)", "efron"}, read[conditionalCase], drawSets(chance), wholeSets},
	{"clogit breslow", "conditional/conditional.R", []string{"y ~ x + I(z^2) + strata(set)", "breslow"}, read[conditionalCase], drawSets(chance), wholeSets},
	{"case series", "conditional/conditional.R", []string{"y ~ x + g + offset(log(z)) + strata(set)", ""}, read[conditionalCase], drawSets(count), wholeSets},
	{"mixed", "mixed/mixed.R", []string{"y ~ x + g + offset(z)", "REML"}, read[mixedCase], drawSites, asDrawn},
	{"mixed by likelihood", "mixed/mixed.R", []string{"y ~ x*g", "ML"}, read[mixedCase], drawSites, asDrawn},

	{"table of two", "describe/crosstab.R", []string{"s,y"}, read[crossTabCase], byRow(chance), anyhow},
	{"table of three by two", "describe/crosstab.R", []string{"g,y"}, read[crossTabCase], byRow(chance), anyhow},
	{"tables of two within strata", "describe/crosstab.R", []string{"s,y,g"}, read[crossTabCase], byRow(chance), anyhow},
	{"tables of three within strata", "describe/crosstab.R", []string{"g,y,s"}, read[crossTabCase], byRow(chance), anyhow},
	{"moments", "describe/describe.R", []string{"x,z,y", "s"}, read[describeCase], byRow(normal), anyhow},
	{"quantiles", "describe/quantiles.R", []string{"x", "g"}, read[quantilesCase], byRow(normal), anyhow},
	{"quantiles of ties", "describe/quantiles.R", []string{"y", "g"}, read[quantilesCase], byRow(count), anyhow},
	{"histogram", "describe/rates.R", []string{"histogram", "z", "0.25,0.3,0.55,0.8,1.2,1.25,2"}, read[histogramCase], byRow(normal), anyhow},
	{"first table", "describe/characterize.R", []string{"x,z,g", "s"}, read[characterizeCase], byRow(normal), anyhow},
	{"incidence", "describe/rates.R", []string{"w", "z", "g"}, read[ratesCase], byRow(normal), anyhow},
	{"prevalence", "describe/rates.R", []string{"y", "", "g"}, read[ratesCase], byRow(chance), anyhow},
	{"components", "pca/pca.R", []string{"x,z,y", "TRUE"}, read[pcaCase], byRow(normal), anyhow},
	{"components, nearly collinear", "pca/pca.R", []string{"a,b,c,d", "FALSE"}, read[pcaCase], trending, anyhow},
	{"clusters", "kmeans/kmeans.R", []string{"x,z", "-1,0,1,0,0,1"}, read[kmeansCase], byRow(normal), anyhow},

	{"meta-analysis of slopes", "meta/meta.R", []string{"y ~ x", "gaussian", "x"}, by("REML adjusted"), drawSites, asDrawn},
	{"meta-analysis by moments", "meta/meta.R", []string{"y ~ x", "gaussian", "x"}, by("DL"), drawSites, asDrawn},
	{"meta-analysis by Paule and Mandel", "meta/meta.R", []string{"y ~ x", "gaussian", "x"}, by("PM adjusted"), drawSites, asDrawn},
	{"meta-analysis of a level", "meta/meta.R", []string{"y ~ x + g", "gaussian", "gc"}, by("DL"), drawSites, asDrawn},
	{"meta-analysis of a fixed effect", "meta/meta.R", []string{"y ~ x", "gaussian", "x"}, by(""), drawSites, asDrawn},

	{"weights of all", "propensity/propensity.R", []string{"low ~ smoke + age", "binomial", "weighting", "ATE"}, read[propensityCase], births, anyhow},
	{"weights of the treated", "propensity/propensity.R", []string{"bwt ~ smoke", "gaussian", "weighting", "ATT"}, read[propensityCase], births, anyhow},
	{"strata of the score", "propensity/propensity.R", []string{"bwt ~ smoke + lwt", "gaussian", "strata", "ATE"}, read[propensityCase], births, anyhow},
	{"pairs", "propensity/propensity.R", []string{"bwt ~ smoke", "gaussian", "matching", "ATT"}, read[propensityCase], births, inTurn},
	{"comparison by weights", "comparison/comparison.R", []string{"weighting", "ATE", "efron"}, read[comparisonCase], treated, anyhow},
	{"comparison within strata", "comparison/comparison.R", []string{"strata", "ATT", "breslow"}, read[comparisonCase], treated, anyhow},
	{"comparison of pairs", "comparison/comparison.R", []string{"matching", "ATT", "efron"}, read[comparisonCase], treated, inTurn},
	{"prediction", "prediction/prediction.R", []string{"y ~ x + z", "4"}, read[predictionCase], trained, anyhow},
	{"one shot of hazards", "odac/odac.R", []string{"Surv(time, died) ~ age + sex", "efron", "", "0"}, read[oneShotHazardsCase], spellSites, asDrawn},
	{"one shot of hazards within sites", "odac/odac.R", []string{"Surv(time, died) ~ age + sex", "breslow", "site", "0"}, read[oneShotHazardsCase], spellSites, asDrawn},
	{"one shot of merged hazards", "odac/odac.R", []string{"Surv(time, died) ~ age + sex", "efron", "", "6"}, read[oneShotHazardsCase], spellSites, asDrawn},
	{"one shot", "oneshot/oneshot.R", []string{"died ~ age + sex", "a"}, read[oneShotCase], ledSites, asDrawn},
}

// TestRSaysTheSameOfMadeUpData, if TRIALMESH_R is a seed for them, any number, or a seed and how
// many tables each method gets, as 7,100. With -artifacts the tables are kept. It needs
// Rscript and R's packages survival, MASS, lme4, metafor, e1071, sandwich and pROC: on Debian
// r-base-core and r-cran- with each name in lower case.
func TestRSaysTheSameOfMadeUpData(t *testing.T) {
	text := os.Getenv("TRIALMESH_R")
	if text == "" {
		t.Skip("TRIALMESH_R is no seed")
	}
	text, many, given := strings.Cut(text, ",")
	seed, err := strconv.ParseUint(text, 10, 64)
	require.NoError(t, err)
	tables := liveTables
	if given {
		tables, err = strconv.Atoi(many)
		require.NoError(t, err)
	}
	for i, l := range lives {
		t.Run(l.name, func(t *testing.T) {
			t.Parallel()
			l.check(t, rand.New(rand.NewPCG(seed, uint64(i))), tables)
		})
	}
}

func (l live) check(t *testing.T, r *rand.Rand, tables int) {
	t.Helper()
	folder := t.ArtifactDir()
	var files []string
	for i := range tables {
		file := filepath.Join(folder, strconv.Itoa(i)+".csv")
		var table bytes.Buffer
		require.NoError(t, csv.NewWriter(&table).WriteAll(l.draw(r)))
		require.NoError(t, os.WriteFile(file, table.Bytes(), 0o600))
		files = append(files, file)
	}
	command := exec.CommandContext(t.Context(), "Rscript", slices.Concat([]string{filepath.Base(l.script)}, l.args, files)...)
	command.Dir = filepath.Join("testdata", filepath.Dir(l.script))
	var complaints bytes.Buffer
	command.Stderr = &complaints
	raw, err := command.Output()
	require.NoError(t, err, complaints.String())
	said := l.said(t, raw)
	require.Len(t, said, len(files))
	for i, of := range said {
		columns := of.method(t).Columns()
		if of, ok := of.(sited); ok {
			columns = of.declared()
		}
		rows := fileRows(t, files[i], columns)
		frames := split(t, columns, rows, maxDrawnSites, l.deal(t, r, 2+r.IntN(maxDrawnSites-1), of, columns, rows))
		t.Run(filepath.Base(files[i]), func(t *testing.T) {
			outcome, err := analysis.Local(of.method(t), frames...)
			require.NoError(t, err)
			of.equal(t, outcome.Result)
		})
	}
}

// maxDrawnSites bounds the sites of a made-up table.
const maxDrawnSites = 20

// anyhow deals at random; or but one person to one site; or by a factor, so that sites lack
// its levels; or almost each person to another site.
func anyhow(_ require.TestingT, r *rand.Rand, sites int, _ oracle, columns []analysis.Column, rows [][]float64) func(row int) int {
	deal := make([]int, len(rows))
	factor := slices.IndexFunc(columns, func(c analysis.Column) bool { return c.Kind == analysis.Factor })
	how, alone := r.IntN(4), r.IntN(len(rows))
	for i, row := range rows {
		switch {
		case how == 0 && i != alone:
			deal[i] = 1
		case how == 1 && factor >= 0 && !math.IsNaN(row[factor]):
			deal[i] = int(row[factor])
		case how == 2:
			deal[i] = i % maxDrawnSites
		case how == 3:
			deal[i] = r.IntN(sites)
		}
	}
	return func(row int) int { return deal[row] }
}

func wholeSets(t require.TestingT, r *rand.Rand, sites int, of oracle, columns []analysis.Column, rows [][]float64) func(row int) int {
	deal := make([]int, len(rows))
	for i := range deal {
		deal[i] = r.IntN(sites)
	}
	set := setOf(t, of.(conditionalCase).Formula, columns, rows)
	return func(row int) int { return deal[int(set(row))] }
}

func asDrawn(_ require.TestingT, _ *rand.Rand, _ int, _ oracle, _ []analysis.Column, rows [][]float64) func(row int) int {
	return siteOf(rows)
}

// inTurn deals to the three sites within which the scripts find pairs.
func inTurn(require.TestingT, *rand.Rand, int, oracle, []analysis.Column, [][]float64) func(row int) int {
	return func(row int) int { return row % 3 }
}

// read reads the cases that R wrote.
func read[C oracle](t *testing.T, raw []byte) []oracle {
	t.Helper()
	var cases []C
	require.NoError(t, json.Unmarshal(raw, &cases))
	said := make([]oracle, len(cases))
	for i, c := range cases {
		said[i] = c
	}
	return said
}

// by reads cases that are to be answered by an estimator.
func by(estimator string) func(t *testing.T, raw []byte) []oracle {
	return func(t *testing.T, raw []byte) []oracle {
		t.Helper()
		var cases []metaRoundsCase
		require.NoError(t, json.Unmarshal(raw, &cases))
		var said []oracle
		for _, c := range cases {
			said = append(said, estimated{c, estimator})
		}
		return said
	}
}

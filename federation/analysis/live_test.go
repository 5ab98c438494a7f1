package analysis_test

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/trialmesh/trialmesh/federation/analysis"
)

// oracle is what R says of one model.
type oracle interface {
	declared() []analysis.Column
	method(t require.TestingT) analysis.Iteration
	equal(t require.TestingT, result any)
}

// live is a method with made-up data. To add one, let its script in testdata take args and
// then names of tables, and write a list of their cases to standard output.
type live struct {
	name   string
	script string
	args   []string // of which the first is the formula, or its terms
	said   func(t *testing.T, raw []byte) []oracle

	draw func(r *rand.Rand) [][]string // makes a table up

	// deal says at which of some sites each row is.
	deal func(t require.TestingT, r *rand.Rand, sites int, of oracle, rows [][]float64) func(row int) int
}

// liveTables is how many tables are drawn for each method.
const liveTables = 8

var lives = []live{
	{"logistic", "glm/glm.R", []string{"y ~ x*g + I(z^2)", "binomial"}, read[glmCase], byRow(chance), anyhow},
	{"poisson", "glm/glm.R", []string{"y ~ x + g + log(z)", "poisson"}, read[glmCase], byRow(count), anyhow},
	{"gaussian", "glm/glm.R", []string{"y ~ x*z + g - 1", "gaussian"}, read[glmCase], byRow(normal), anyhow},
	{"negative binomial", "negbin/negbin.R", []string{"y ~ x + g + offset(log(z))"}, read[negBinCase], byRow(overdispersed), anyhow},
	{"cox efron", "survival/survival.R", []string{"x + g", "efron"}, read[survivalCase], drawSpells, anyhow},
	{"cox breslow", "survival/survival.R", []string{"x*g", "breslow"}, read[survivalCase], drawSpells, anyhow},
	{"clogit exact", "conditional/conditional.R", []string{"y ~ x + g + offset(z) + strata(set)", "exact"}, read[conditionalCase], drawSets(chance), wholeSets},
	{"clogit efron", "conditional/conditional.R", []string{"y ~ x*g + strata(set)", "efron"}, read[conditionalCase], drawSets(chance), wholeSets},
	{"clogit breslow", "conditional/conditional.R", []string{"y ~ x + I(z^2) + strata(set)", "breslow"}, read[conditionalCase], drawSets(chance), wholeSets},
	{"mixed", "mixed/mixed.R", []string{"y ~ x + g + offset(z)", "REML"}, read[mixedCase], drawSites, asDrawn},
	{"mixed by likelihood", "mixed/mixed.R", []string{"y ~ x*g", "ML"}, read[mixedCase], drawSites, asDrawn},
	{"case series", "conditional/conditional.R", []string{"y ~ x + g + offset(log(z)) + strata(set)", ""}, read[conditionalCase], drawSets(count), wholeSets},
}

// TestRSaysTheSameOfMadeUpData, if TRIALMESH_R is a seed for them, any number. It needs
// Rscript and R's packages survival, MASS and lme4: on Debian r-base-core, r-cran-survival,
// r-cran-mass and r-cran-lme4.
func TestRSaysTheSameOfMadeUpData(t *testing.T) {
	text := os.Getenv("TRIALMESH_R")
	if text == "" {
		t.Skip("TRIALMESH_R is no seed")
	}
	seed, err := strconv.ParseUint(text, 10, 64)
	require.NoError(t, err)
	for i, l := range lives {
		t.Run(l.name, func(t *testing.T) {
			t.Parallel()
			l.check(t, rand.New(rand.NewPCG(seed, uint64(i))))
		})
	}
}

func (l live) check(t *testing.T, r *rand.Rand) {
	t.Helper()
	folder := t.TempDir()
	var files []string
	for i := range liveTables {
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
		rows := fileRows(t, files[i], of.declared())
		sites := 2 + r.IntN(19)
		frames := split(t, of.declared(), rows, maxDrawnSites, l.deal(t, r, sites, of, rows))
		outcome, err := analysis.Local(of.method(t), frames...)
		require.NoError(t, err)
		of.equal(t, outcome.Result)
	}
}

// maxDrawnSites bounds the sites of a made-up table.
const maxDrawnSites = 20

func anyhow(_ require.TestingT, r *rand.Rand, sites int, _ oracle, rows [][]float64) func(row int) int {
	deal := make([]int, len(rows))
	for i := range deal {
		deal[i] = r.IntN(sites)
	}
	return func(row int) int { return deal[row] }
}

func wholeSets(t require.TestingT, r *rand.Rand, sites int, of oracle, rows [][]float64) func(row int) int {
	deal := anyhow(t, r, sites, of, rows)
	set := setOf(t, of.(conditionalCase).Formula, of.declared(), rows)
	return func(row int) int { return deal(int(set(row))) }
}

func asDrawn(_ require.TestingT, _ *rand.Rand, _ int, _ oracle, rows [][]float64) func(row int) int {
	return siteOf(rows)
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

// covariates returns x, z above 0 and the factor g as fields, and a predictor.
func covariates(r *rand.Rand) (fields []string, predictor float64) {
	x, z, g := r.NormFloat64(), 0.1+2*r.Float64(), r.IntN(3)
	fields = []string{fmt.Sprintf("%.3f", x), fmt.Sprintf("%.4f", z), string("abc"[g])}
	if r.IntN(30) == 0 {
		fields[0] = ""
	}
	return fields, 0.5*x - 0.3*z + 0.4*float64(g)
}

// byRow draws a table of x, z, g and a response.
func byRow(response func(r *rand.Rand, predictor float64) string) func(r *rand.Rand) [][]string {
	return func(r *rand.Rand) [][]string {
		table := [][]string{{"x", "z", "g", "y"}}
		for range 60 + r.IntN(140) {
			fields, predictor := covariates(r)
			table = append(table, append(fields, response(r, predictor)))
		}
		return table
	}
}

// drawSets draws 20 to 60 sets of 1 to 6 rows.
func drawSets(response func(r *rand.Rand, predictor float64) string) func(r *rand.Rand) [][]string {
	return func(r *rand.Rand) [][]string {
		table := [][]string{{"set", "x", "z", "g", "y"}}
		for set := range 20 + r.IntN(40) {
			for range 1 + r.IntN(6) {
				fields, predictor := covariates(r)
				table = append(table, append(append([]string{strconv.Itoa(set)}, fields...), response(r, predictor-0.5)))
			}
		}
		return table
	}
}

// drawSpells draws a table of x, z, g, whole days start and stop, and event.
func drawSpells(r *rand.Rand) [][]string {
	table := [][]string{{"x", "z", "g", "start", "stop", "event"}}
	for range 60 + r.IntN(140) {
		fields, predictor := covariates(r)
		start := r.IntN(20)
		stop := start + 1 + int(min(r.ExpFloat64()*20*math.Exp(-predictor), 70))
		table = append(table, append(fields, strconv.Itoa(start), strconv.Itoa(stop), strconv.Itoa(r.IntN(2))))
	}
	return table
}

// drawSites draws 5 to 20 sites, of which some vary and some do not.
func drawSites(r *rand.Rand) [][]string {
	table := [][]string{{"x", "z", "g", "y", "site"}}
	spread := float64(r.IntN(3))
	for site := range 5 + r.IntN(maxDrawnSites-4) {
		intercept := spread * r.NormFloat64()
		for range 1 + r.IntN(20) {
			fields, predictor := covariates(r)
			table = append(table, append(fields, normal(r, predictor+intercept), string(rune('a'+site))))
		}
	}
	return table
}

func chance(r *rand.Rand, predictor float64) string {
	if r.Float64() < 1/(1+math.Exp(-predictor)) {
		return "1"
	}
	return "0"
}

func normal(r *rand.Rand, predictor float64) string {
	return fmt.Sprintf("%.4f", predictor+r.NormFloat64())
}

// count draws of a Poisson distribution: the arrivals before time 1.
func count(r *rand.Rand, predictor float64) string {
	n := -1
	for time := 0.0; time < 1; n++ {
		time += r.ExpFloat64() / math.Exp(predictor)
	}
	return strconv.Itoa(n)
}

// overdispersed draws a count of a mean that varies.
func overdispersed(r *rand.Rand, predictor float64) string {
	return count(r, 1+predictor+math.Log(r.ExpFloat64()))
}

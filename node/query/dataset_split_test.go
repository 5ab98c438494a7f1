package query_test

import (
	"fmt"
	"log/slog"
	"math"
	"math/rand/v2"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/trialmesh/trialmesh/federation/analysis"
	"github.com/trialmesh/trialmesh/localstore/omop"
	"github.com/trialmesh/trialmesh/localstore/sqldb/sqltest"
	"github.com/trialmesh/trialmesh/node/audit"
	"github.com/trialmesh/trialmesh/node/dataset"
	"github.com/trialmesh/trialmesh/node/mapping"
	protocol "github.com/trialmesh/trialmesh/protocol/query"
)

// fileSites are nodes that know the persons p0, p1 and so on, and load files for them.
type fileSites []struct {
	*clinic
	files *dataset.Service
}

func newFileSites(t *testing.T, sites, persons int) fileSites {
	t.Helper()
	out := make(fileSites, sites)
	for i := range out {
		c := newClinic(t, sqltest.SQLite(t))
		var b omop.Batch
		for p := range persons {
			b.Persons = append(b.Persons, omop.Person{Key: mapping.PersonKey(fmt.Sprint("p", p)), Pointer: "p", GenderConceptID: female, YearOfBirth: 1950})
		}
		c.put(t, b)
		trail, err := audit.Open(t.Context(), c.db, slog.New(slog.DiscardHandler))
		require.NoError(t, err)
		out[i].clinic = c
		out[i].files = dataset.New(dataset.Config{DB: c.db, Store: c.cfg.Datasets, People: c.store, Trail: trail, Now: func() time.Time { return time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC) }})
	}
	return out
}

// answer loads each site's rows of a file as its biobank, asks, and pools.
func (s fileSites) answer(t *testing.T, question protocol.Analysis, files []string) any {
	t.Helper()
	frames := make([]*analysis.Frame, len(files))
	for i, text := range files {
		_, err := s[i].files.Load(t.Context(), biobank(), strings.NewReader("id,grade,crp,smoker\n"+text), false)
		require.NoError(t, err)
		answer, err := s[i].engine.Evaluate(t.Context(), protocol.Request{Dataset: "biobank", Analysis: question}, all{})
		require.NoError(t, err)
		frames[i] = answer.Frame.Values
	}
	return pooled(t, question, frames)
}

func pooled(t *testing.T, question protocol.Analysis, frames []*analysis.Frame) any {
	t.Helper()
	method, err := analysis.InRounds(question, 0)
	require.NoError(t, err)
	outcome, err := analysis.Local(method, frames...)
	require.NoError(t, err)
	return outcome.Result
}

// questions about the biobank, of methods that leave out who misses a value and of such that
// take each column for itself.
func questions() []protocol.Analysis {
	columns := []protocol.Column{
		{Name: "smoker", Kind: protocol.LogicalValues, Domain: "Observation"},
		{Name: "crp", Kind: protocol.NumericValues, Domain: "Measurement", High: 500, Unit: "mg/L"},
		{Name: "grade", Kind: protocol.FactorValues, Domain: "ConditionOccurrence", Levels: []string{"low", "high"}},
	}
	for i := range columns {
		columns[i].From, columns[i].Dataset = protocol.FromDataset, "biobank"
	}
	return []protocol.Analysis{
		{Kind: protocol.GLM, Columns: columns, Specs: protocol.Specs{GLM: &protocol.GLMSpec{Formula: "smoker ~ crp * grade", Family: protocol.Binomial}}},
		{Kind: protocol.Quantiles, Columns: columns[1:], Specs: protocol.Specs{Quantiles: &protocol.QuantilesSpec{Values: []string{"crp"}, By: "grade", Probabilities: []float64{0.25, 0.5, 0.9}}}},
		{Kind: protocol.Characterize, Columns: columns, Specs: protocol.Specs{Characterize: &protocol.CharacterizeSpec{Variables: []string{"crp", "smoker"}, Arm: "grade"}}},
	}
}

// TestASplitFileAnswersAsTheWhole: however the rows of a file lie in the data sets of 2 to 20
// nodes, among them empty ones, such of one person and such without a level, each answer is
// to the last bit that of the values as they were before they were written to any file.
func TestASplitFileAnswersAsTheWhole(t *testing.T) {
	t.Parallel()
	const persons, most = 40, 20
	sites := newFileSites(t, most, persons)
	r := rand.New(rand.NewPCG(1, 2))
	for split := range 8 {
		lines, rows := drawBiobank(r, persons)
		files := make([]string, 2+r.IntN(most-1))
		for i, line := range lines {
			at := r.IntN(len(files))
			switch {
			case split == 0: // by grade
				at = strings.Count(line, "high")
			case split == 1 && i > 0: // one alone
				at = 1
			}
			files[at] += line
		}
		question := questions()[split%3]
		whole, err := analysis.NewFrame(analysis.ColumnsOf(question.Columns))
		require.NoError(t, err)
		for _, row := range rows {
			require.NoError(t, whole.Append(row[len(row)-len(question.Columns):]))
		}
		require.Equal(t, pooled(t, question, []*analysis.Frame{whole}), sites.answer(t, question, files))
	}
}

// drawBiobank draws a row for each person, as a line of a file and as smoker, crp and grade.
func drawBiobank(r *rand.Rand, persons int) (lines []string, rows [][]float64) {
	for p := range persons {
		row := []float64{float64(r.IntN(2)), math.Exp(2 + r.NormFloat64()), float64(r.IntN(2))}
		fields := []string{fmt.Sprint("p", p), []string{"low", "high"}[int(row[2])], strconv.FormatFloat(row[1], 'g', -1, 64), fmt.Sprint(row[0])}
		if missing := r.IntN(12); missing < len(row) {
			row[missing], fields[len(row)-missing] = math.NaN(), ""
		}
		lines, rows = append(lines, strings.Join(fields, ",")+"\n"), append(rows, row)
	}
	return lines, rows
}

package report_test

import (
	"bytes"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"math"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/trialmesh/trialmesh/localstore/sqldb/sqltest"
	"github.com/trialmesh/trialmesh/node/report"
)

func html(t testing.TB, r report.Report) string {
	t.Helper()
	var page bytes.Buffer
	require.NoError(t, report.WritePage(&page, report.Page{Name: "st-anna", Report: &r, Standalone: true}))
	return page.String()
}

// shows reports whether a page, too long to be printed by a failure, has a text.
func shows(page, text string) bool { return strings.Contains(page, text) }

func TestThePageHasATableBehindEachPlot(t *testing.T) {
	t.Parallel()
	s := newSite(t, sqltest.SQLite(t))
	s.measure(references(t))
	r := s.report()
	text := html(t, r)
	require.Equal(t, 1+len(r.Variables), strings.Count(text, "<svg"))
	require.Equal(t, len(r.Variables), strings.Count(text, "<summary>Rows by value"))
	require.True(t, shows(text, "This report stays at the site"))
	for _, refused := range []string{"NaN", "ZgotmplZ", "<script", "javascript:", "http:", "https:"} {
		require.False(t, shows(text, refused), refused)
	}
	for _, c := range r.Checks {
		require.True(t, shows(text, "<code>"+c.ID+"</code>"), c.ID)
	}
	for _, plot := range regexp.MustCompile(`(?s)<svg.*?</svg>`).FindAllString(text, -1) {
		wellFormed(t, plot)
	}

	var served bytes.Buffer
	require.NoError(t, report.WritePage(&served, report.Page{Report: &r}))
	require.False(t, shows(served.String(), "<style"), "the security policy forbids it")
	require.True(t, shows(served.String(), `href="`+report.StylePath+`"`))
}

func wellFormed(t testing.TB, text string) {
	t.Helper()
	for dec := xml.NewDecoder(strings.NewReader(text)); ; {
		_, err := dec.Token()
		if errors.Is(err, io.EOF) {
			return
		}
		require.NoError(t, err, text)
	}
}

// TestBinsHoldAllRows states laws of histograms of any numbers: bins and what is beyond
// hold each valid row once, and nothing in a report is no number.
func TestBinsHoldAllRows(t *testing.T) {
	t.Parallel()
	s := newSite(t, sqltest.SQLite(t))
	numbers := rapid.SliceOfN(rapid.OneOf(
		rapid.Float64Range(-1e3, 1e3), rapid.Float64Range(-1, 1), rapid.Float64Range(-math.MaxFloat64, math.MaxFloat64),
		rapid.Map(rapid.IntRange(-20, 20), func(n int) float64 { return float64(n) / 10 }),
	), 20, 40)
	rapid.Check(t, func(rt *rapid.T) {
		var variables []reference
		for i := range 6 {
			variables = append(variables, reference{Name: fmt.Sprint("x", i, "-"), Values: numbers.Draw(rt, "numbers")})
		}
		s.empty()
		s.measure(variables)
		r := s.report()
		require.Len(rt, r.Variables, len(variables))
		require.False(rt, shows(html(t, r), "NaN"))
		for _, d := range r.Variables {
			if len(d.Bins) == 0 {
				continue // too large to be told apart
			}
			sum := d.Below + d.Above
			for i, b := range d.Bins {
				sum += b.Rows
				require.Less(rt, b.From, b.To)
				if i > 0 {
					require.InDelta(rt, d.Bins[i-1].To, b.From, (b.To-b.From)*1e-6)
				}
			}
			require.EqualValues(rt, len(variables[d.Concept-firstConcept].Values), sum)
			require.LessOrEqual(rt, len(d.Bins), 100)
		}
	})
}

package report

import (
	"encoding/csv"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/trialmesh/trialmesh/protocol/query"
)

// Row is one figure of a result in long form, as CSV and Parquet have it. The columns are
// the fields, in their order and in lower case.
type Row struct {
	// Section is the part of the result: question, node, cell, model, coefficient, test,
	// curve and so on.
	Section string

	// Name is of what in the section: a coefficient, a variable, a stratum, an arm. Group
	// is the level or the second variable, At a place on an axis: a time, a probability,
	// the lower end of a range.
	Name  string
	Group string
	At    *float64

	// Figure is what the number is: n, estimate, se, p and so on.
	Figure string

	// Value is the number. If State is "bounded" it is not known, but lies from Low to High.
	Value, Low, High *float64

	// State is "" for a number or text that is there, "withheld" where it may not be
	// shown, "bounded" where only limits are, and "absent" where there is none: R's NA.
	State string

	Text string // a figure that is no number
}

// The states.
const (
	withheld = "withheld"
	bounded  = "bounded"
	absent   = "absent"
)

// columns are the names of a row's cells.
var columns = []string{"section", "name", "group", "at", "figure", "value", "low", "high", "state", "text"}

// rows collects rows.
type rows []Row

// number adds a figure to what at says it is of.
func (r *rows) number(at Row, figure string, v *float64) {
	at.Figure, at.Value = figure, v
	if !finite(v) {
		at.Value, at.State = nil, absent
	}
	*r = append(*r, at)
}

// noise adds the standard deviation of noise, where there is some.
func (r *rows) noise(at Row, figure string, v *float64) {
	if v != nil {
		r.number(at, figure, v)
	}
}

func (r *rows) float(at Row, figure string, v float64) { r.number(at, figure, &v) }

func (r *rows) count(at Row, figure string, n int64) { r.float(at, figure, float64(n)) }

func (r *rows) between(at Row, figure string, low, high *float64) {
	at.Figure, at.Low, at.High, at.State = figure, low, high, bounded
	*r = append(*r, at)
}

func (r *rows) withheld(at Row, figure string) {
	at.Figure, at.State = figure, withheld
	*r = append(*r, at)
}

func (r *rows) text(at Row, figure, text string) {
	if text != "" {
		at.Figure, at.Text = figure, text
		*r = append(*r, at)
	}
}

// warnings adds what a method warns of.
func (r *rows) warnings(list []string) {
	for _, w := range list {
		r.text(Row{Section: "model"}, "warning", w)
	}
}

// size adds how many persons are in a result, and how many were left out.
func (r *rows) size(n int64, left query.LeftOut) {
	model := Row{Section: "model"}
	r.count(model, "n", n)
	r.omitted(model, left)
}

func (r *rows) omitted(at Row, left query.LeftOut) {
	if left.OmittedBelow > 0 {
		low, high := 1.0, float64(left.OmittedBelow-1)
		r.between(at, "omitted", &low, &high)
		return
	}
	r.count(at, "omitted", omitted(left))
}

// omitted is how many were left out, if it may be shown.
func omitted(left query.LeftOut) int64 {
	if left.Omitted == nil {
		return 0
	}
	return *left.Omitted
}

// leftOut says how many were left out and why, "" for nobody.
func leftOut(left query.LeftOut, why string) string {
	switch n := omitted(left); {
	case left.OmittedBelow > 0:
		return fmt.Sprintf("fewer than %d left out %s", left.OmittedBelow, why)
	case n > 0:
		return fmt.Sprintf("%d left out %s", n, why)
	}
	return ""
}

// writeCSV writes rows as RFC 4180 has them, in UTF-8, with a header.
func writeCSV(out io.Writer, list rows) error {
	w := csv.NewWriter(out)
	if err := w.Write(columns); err != nil {
		return err
	}
	for _, r := range list {
		if err := w.Write([]string{
			harmless(r.Section), harmless(r.Name), harmless(r.Group), digits(r.At), harmless(r.Figure),
			digits(r.Value), digits(r.Low), digits(r.High), r.State, harmless(r.Text),
		}); err != nil {
			return err
		}
	}
	w.Flush()
	return w.Error()
}

// digits writes a number so that it reads back as the same one, nothing for none.
func digits(v *float64) string {
	if v == nil {
		return ""
	}
	return strconv.FormatFloat(*v, 'g', -1, 64)
}

// harmless puts an apostrophe before text that a spreadsheet would take for a formula.
//
// Source: OWASP, "CSV Injection".
func harmless(text string) string {
	text = utf8Text(text)
	if strings.IndexAny(text, "=+-@\t\r\n＝＋－＠") == 0 {
		return "'" + text
	}
	return text
}

// utf8Text replaces what readers of CSV and Parquet stumble over.
func utf8Text(text string) string {
	return strings.ToValidUTF8(strings.ReplaceAll(text, "\x00", "\uFFFD"), "\uFFFD")
}

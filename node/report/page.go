package report

import (
	"bytes"
	_ "embed"
	"fmt"
	"html/template"
	"io"
	"time"
)

// maxPlots is how many variables a page draws; the JSON has all.
const maxPlots = 60

//go:embed page.html
var pageSource string

// Style is the stylesheet of the page.
//
//go:embed page.css
var Style []byte

// StylePath is where a page that is served finds its stylesheet.
const StylePath = "/quality.css"

// Page is what [WritePage] shows.
type Page struct {
	Name   string  // of the node; may be empty
	Report *Report // nil if none was made yet
	Loads  []Load  // the latest ones; may be none

	// Standalone makes the page one file, with its stylesheet in it. A page that is
	// served may not have it there.
	Standalone bool
}

var page = template.Must(template.New("page").Funcs(template.FuncMap{
	"at":      func(t time.Time) string { return t.UTC().Format("2006-01-02 15:04:05 MST") },
	"count":   grouped,
	"number":  short,
	"percent": percent,
	"bars":    barPlot,
	"style":   func() template.CSS { return template.CSS(Style) }, //nolint:gosec // it is ours
	"px":      func(v float64) string { return fmt.Sprintf("%.1f", v) },
	"sum":     func(a, b int64) string { return grouped(a + b) },
	"int":     func(n int) string { return grouped(int64(n)) },
}).Parse(pageSource))

// WritePage writes a report as HTML with plots, whole or, with an error of the
// template, not at all. It runs no script and loads nothing but the stylesheet at
// [StylePath].
func WritePage(w io.Writer, p Page) error {
	var buf bytes.Buffer
	if err := page.Execute(&buf, p); err != nil {
		return err
	}
	_, err := w.Write(buf.Bytes())
	return err
}

// percent writes a share so that what is little does not look like nothing.
func percent(v float64) string {
	switch {
	case v == 0 || v == 100:
		return fmt.Sprintf("%.0f %%", v)
	case v < 0.01:
		return "< 0.01 %"
	case v > 99.99:
		return "> 99.99 %"
	}
	return fmt.Sprintf("%.2f %%", v)
}

// Failed returns the checks that failed, the graver ones first.
func (p Page) Failed() []Check {
	var list []Check
	for _, severity := range []Severity{Reject, Flag, Log} {
		for _, c := range p.Report.Checks {
			if !c.Passed && c.Severity == severity {
				list = append(list, c)
			}
		}
	}
	return list
}

// Of returns the checks of a category.
func (p Page) Of(category Category) []Check {
	var list []Check
	for _, c := range p.Report.Checks {
		if c.Category == category {
			list = append(list, c)
		}
	}
	return list
}

// Drawn returns the variables that are drawn.
func (p Page) Drawn() []Distribution {
	return p.Report.Variables[:min(maxPlots, len(p.Report.Variables))]
}

// Left returns how many variables are not drawn.
func (p Page) Left() int { return len(p.Report.Variables) - len(p.Drawn()) + p.Report.Unshown }

// Plot returns what is drawn of a distribution, nil if there is nothing.
func (d Distribution) Plot() *histogram {
	if d.Spread == nil || len(d.Bins) == 0 {
		return nil
	}
	h := d.plot()
	return &h
}

// Title names a variable.
func (d Distribution) Title() string {
	name := d.Name
	if name == "" {
		name = fmt.Sprintf("concept %d", d.Concept)
	}
	switch {
	case d.Unit == 0:
		return name + ", without a unit"
	case d.UnitName == "":
		return fmt.Sprintf("%s, unit %d", name, d.Unit)
	}
	return name + ", " + d.UnitName
}

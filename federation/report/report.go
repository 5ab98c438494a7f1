// Package report shows the result of a question to people and to their programs: as a table
// that reads like R's, as rows of figures in CSV and Parquet, as a page, and as a figure.
//
// [Render] is the one entry. What each type of result looks like stands in a file of its own
// and in one line of the table views: a new type is a file and a line. A report invents
// nothing: a number that is withheld is called so wherever it would stand, and a number of
// which only limits are known comes as its limits.
//
// It lives beside package analysis, which makes the results, and not in protocol, because it
// needs libraries for fonts and Parquet, and because nothing of it crosses an organization's
// border.
package report

import (
	"encoding/json"
	"fmt"
	"io"
	"reflect"
	"slices"
	"strings"

	"github.com/trialmesh/trialmesh/federation/report/figure"
	"github.com/trialmesh/trialmesh/protocol/problem"
	"github.com/trialmesh/trialmesh/protocol/query"
)

// Format is how a report is written.
type Format string

// The formats.
const (
	Table   Format = "table" // text for a terminal
	JSON    Format = "json"
	CSV     Format = "csv"     // a [Row] a line
	Parquet Format = "parquet" // the same rows
	HTML    Format = "html"    // a page that loads nothing
	SVG     Format = "svg"     // a figure
	PNG     Format = "png"     // the same figure
)

// Formats returns all of them.
func Formats() []Format { return []Format{Table, JSON, CSV, Parquet, HTML, SVG, PNG} }

// Binary reports whether a format is not for a terminal.
func (f Format) Binary() bool { return f == Parquet || f == PNG }

// drawing is a figure that is not drawn yet.
type drawing interface{ Draw() *figure.Figure }

// view is how a type of result is shown. The functions take a value of the type.
type view struct {
	name   string // with its article
	blocks func(any) []block
	rows   func(any) rows
	figure func(any) drawing // nil if none can be drawn; it returns nil if there is nothing to draw
}

// views has a line for each type of result.
var views = map[reflect.Type]view{
	of[query.Regression]():          {"a regression", show(regressionBlocks), list(regressionRows), draw(regressionFigure)},
	of[query.Hazards]():             {"a proportional hazards model", show(hazardsBlocks), list(hazardsRows), draw(hazardsFigure)},
	of[query.Conditional]():         {"a conditional regression", show(conditionalBlocks), list(conditionalRows), draw(conditionalFigure)},
	of[query.OneShot]():             {"a one-shot regression", show(oneShotBlocks), figures, draw(oneShotFigure)},
	of[query.OneShotHazards]():      {"a one-shot hazards model", show(oneShotHazardsBlocks), figures, draw(oneShotHazardsFigure)},
	of[query.Survival]():            {"a survival estimate", show(survivalBlocks), list(survivalRows), draw(survivalFigure)},
	of[query.ContingencyTable]():    {"a cross-tabulation", show(crossTabBlocks), list(crossTabRows), nil},
	of[query.Description]():         {"a description", show(descriptionBlocks), list(descriptionRows), nil},
	of[query.QuantileTable]():       {"a table of quantiles", show(quantilesBlocks), list(quantilesRows), nil},
	of[query.FrequencyTable]():      {"a histogram", show(histogramBlocks), list(histogramRows), draw(histogramFigure)},
	of[query.Characterization]():    {"a first table", show(characterizationBlocks), list(characterizationRows), nil},
	of[query.Rates]():               {"a table of rates", show(ratesBlocks), list(ratesRows), draw(ratesFigure)},
	of[query.MetaAnalysis]():        {"a meta-analysis", show(metaBlocks), list(metaRows), draw(metaFigure)},
	of[query.NegativeBinomial]():    {"a negative binomial regression", show(negativeBinomialBlocks), figures, draw(negativeBinomialFigure)},
	of[query.Mixed]():               {"a mixed model", show(mixedBlocks), figures, draw(mixedFigure)},
	of[query.PrincipalComponents](): {"principal components", show(componentsBlocks), figures, nil},
	of[query.Clusters]():            {"a clustering", show(clustersBlocks), figures, nil},
	of[query.PropensityEffect]():    {"an adjusted effect", show(propensityBlocks), figures, draw(propensityFigure)},
	of[query.Prediction]():          {"a prediction", show(predictionBlocks), figures, draw(predictionFigure)},
	of[query.Comparison]():          {"a comparison", show(comparisonBlocks), list(comparisonRows), draw(comparisonFigure)},
	of[timedRates]():                {"a table of rates", show(timedRatesBlocks), list(timedRatesRows), draw(timedRatesFigure)},
	of[statedMeta]():                {"a meta-analysis", show(statedMetaBlocks), list(statedMetaRows), draw(statedMetaFigure)},
	of[measuredFrequencies]():       {"a histogram", show(measuredBlocks), list(measuredRows), draw(measuredFigure)},
	of[timedSurvival]():             {"a survival estimate", show(timedSurvivalBlocks), list(timedSurvivalRows), draw(timedSurvivalFigure)},
	of[timedComparison]():           {"a comparison", show(timedComparisonBlocks), list(timedComparisonRows), draw(timedComparisonFigure)},
	of[Attrition]():                 {"an attrition", show(attritionBlocks), list(attritionRows), draw(attritionFigure)},
}

func of[T any]() reflect.Type { return reflect.TypeFor[T]() }

func show[T any](f func(T) []block) func(any) []block { return func(v any) []block { return f(v.(T)) } }

func list[T any](f func(T) rows) func(any) rows { return func(v any) rows { return f(v.(T)) } }

func draw[T any](f func(T) drawing) func(any) drawing { return func(v any) drawing { return f(v.(T)) } }

// Render writes a result in a format. A result is an [Answer], an [Attrition] or, without
// what was asked, one of package query: Regression, Survival and so on. What cannot be
// written in a format is an error that names the formats in which it can.
func Render(out io.Writer, result any, format Format) error {
	v, err := viewOf(result)
	if err != nil {
		return err
	}
	switch format {
	case Table:
		return writeText(out, v.blocks(result))
	case JSON:
		return json.NewEncoder(out).Encode(result)
	case CSV:
		return writeCSV(out, v.rows(result))
	case Parquet:
		return writeParquet(out, v.rows(result))
	case HTML:
		var drawn drawing
		if v.figure != nil {
			drawn = v.figure(result)
		}
		return writeHTML(out, titleOf(result, v), v.blocks(result), drawn)
	case SVG, PNG:
		return v.draw(out, result, format)
	}
	return problem.New(problem.Invalid, fmt.Sprintf("no format %.20q; known are %s", format, words(Formats())))
}

func (v view) draw(out io.Writer, result any, format Format) error {
	if v.figure == nil {
		return problem.New(problem.Invalid, fmt.Sprintf("%s cannot be drawn; ask for %s", v.name, words(v.formats())))
	}
	drawn := v.figure(result)
	switch {
	case drawn == nil:
		return problem.New(problem.Invalid, fmt.Sprintf("there is nothing in %s to draw; ask for %s", v.name, words(view{}.formats())))
	case format == SVG:
		return drawn.Draw().SVG(out)
	}
	return drawn.Draw().PNG(out)
}

// formats returns those that there are for the type.
func (v view) formats() []Format {
	return slices.DeleteFunc(Formats(), func(f Format) bool { return v.figure == nil && (f == SVG || f == PNG) })
}

func viewOf(result any) (view, error) {
	if a, ok := result.(Answer); ok {
		return a.view(), nil
	}
	t := reflect.TypeOf(result)
	if v, known := views[t]; known {
		return v, nil
	}
	if t == nil || t.Kind() != reflect.Struct {
		return view{}, fmt.Errorf("report: a %T is no result", result)
	}
	return plain(t), nil
}

// titleOf is the title of a page.
func titleOf(result any, v view) string {
	if a, ok := result.(Answer); ok && a.Request.Purpose != "" {
		return a.Request.Purpose
	}
	_, noun, _ := strings.Cut(v.name, " ")
	return strings.ToUpper(noun[:1]) + noun[1:]
}

func words(list []Format) string {
	texts := make([]string, len(list))
	for i, f := range list {
		texts[i] = string(f)
	}
	return strings.Join(texts, ", ")
}

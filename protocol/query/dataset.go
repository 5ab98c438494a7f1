package query

import (
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// ValueKind is a type of a data set's column.
type ValueKind string

// The types.
const (
	NumericValues ValueKind = "numeric" // within low and high, in a unit
	FactorValues  ValueKind = "factor"  // one of some levels
	LogicalValues ValueKind = "logical"
)

// Limits of data sets.
const (
	MaxLevels = 50
	MaxText   = 64 // bytes of the name of a column or level, or of a unit
)

var datasetName = regexp.MustCompile(`^[a-z][a-z0-9_-]{0,39}$`)

// ValidDataset reports whether a text can name a data set: up to 40 lower-case letters,
// digits, hyphens and underscores, a letter first.
func ValidDataset(name string) bool { return datasetName.MatchString(name) }

// CheckType reports the first thing that is wrong with the type of a data set's column,
// beginning with the field's name: its kind, and levels, or bounds and unit.
func (c Column) CheckType() error {
	switch {
	case c.Kind != NumericValues && c.Kind != FactorValues && c.Kind != LogicalValues:
		return errors.New("kind: numeric, factor or logical")
	case c.Kind != FactorValues && c.Levels != nil:
		return errors.New("levels: only a factor has them")
	case c.Kind != NumericValues && (c.Low != 0 || c.High != 0 || c.Unit != ""):
		return errors.New("low: only a numeric column has low, high and unit")
	case c.Kind == NumericValues && (!(c.Low < c.High) || !Scalable(c.Low, c.High)):
		return errors.New("low: must lie below high, and the larger of them in magnitude within 1e-9 and 1e9")
	case c.Unit != "" && !ValidText(c.Unit):
		return fmt.Errorf("unit: one printable line of up to %d bytes", MaxText)
	case c.Kind == FactorValues && (len(c.Levels) < 2 || len(c.Levels) > MaxLevels):
		return fmt.Errorf("levels: 2 to %d", MaxLevels)
	}
	if _, known := domainScopes[c.Domain]; !known {
		return errors.New("domain: that whose consent covers the column: one of " + domainNames())
	}
	for i, level := range c.Levels {
		if !ValidText(level) || slices.Contains(c.Levels[:i], level) {
			return fmt.Errorf("levels[%d]: one printable line of up to %d bytes that stands once", i, MaxText)
		}
	}
	return nil
}

// ValidText reports whether a text can be the name of a data set's column or level: one
// printable line without spaces at its ends.
func ValidText(text string) bool {
	return text != "" && len(text) <= MaxText && utf8.ValidString(text) && strings.TrimSpace(text) == text &&
		!strings.ContainsFunc(text, func(c rune) bool { return !unicode.IsPrint(c) })
}

// DatasetColumn is the name of the column in its data set.
func (c Column) DatasetColumn() string {
	if c.From == FromDataset && c.Column == "" {
		return c.Name
	}
	return c.Column
}

func (c Column) validateDataset(bad func(string) error) error {
	switch {
	case !ValidDataset(c.Dataset):
		return bad("dataset: the name of a data set, lower-case letters, digits, hyphens and underscores")
	case c.Column != "" && !ValidText(c.Column):
		return bad(fmt.Sprintf("column: its name in the data set, one line of up to %d bytes", MaxText))
	case c.Concepts != nil || c.Window != nil || c.Take != "":
		return bad("from: a column of a data set has neither concepts nor window nor take")
	}
	if err := c.CheckType(); err != nil {
		return bad(err.Error())
	}
	return nil
}

// ofDataset reports whether anything is set that only a column of a data set has.
func (c Column) ofDataset() bool {
	return c.Dataset != "" || c.Column != "" || c.Kind != "" || c.Levels != nil
}

// datasetWords says what a column of a data set holds.
func (c Column) datasetWords() string {
	of := fmt.Sprintf("column %q of the data set %s", c.DatasetColumn(), c.Dataset)
	switch c.Kind {
	case NumericValues:
		unit := c.Unit
		if unit != "" {
			unit = " " + unit
		}
		return fmt.Sprintf("%s, numeric between %g and %g%s (%s)", of, c.Low, c.High, unit, c.Domain)
	case FactorValues:
		return fmt.Sprintf("%s, one of %s (%s)", of, strings.Join(c.Levels, ", "), c.Domain)
	}
	return fmt.Sprintf("%s, yes or no (%s)", of, c.Domain)
}

// domainNames lists the domains that a scope of consent covers.
func domainNames() string {
	var names []string
	for _, domain := range slices.Sorted(maps.Keys(domainScopes)) {
		names = append(names, string(domain))
	}
	return strings.Join(names, ", ")
}

// validateDataset checks a question over a data set alone: nobody enters anything, so that
// nothing can be relative to the day.
func (r Request) validateDataset() error {
	switch {
	case len(r.Cohort) > 0:
		return invalid("dataset: a question has a cohort or a data set, not both; columns may be of a data set either way")
	case !ValidDataset(r.Dataset):
		return invalid("dataset: the name of a data set, lower-case letters, digits, hyphens and underscores")
	case slices.Contains(r.Analysis.By, ByAgeGroup):
		return invalid("analysis.by: age groups are those on the day of entry, which only a cohort has; ask over a cohort, or with the age as a column of the data set")
	}
	if r.Analysis.Kind == CaseSeries {
		return invalid("analysis.kind: a case series needs observation periods, which only a cohort has; ask over a cohort")
	}
	for i, c := range r.Analysis.Columns {
		switch c.From {
		case FromAge, FromAgeGroup, FromFollowUp, FromOutcome:
			return invalid(fmt.Sprintf("analysis.columns[%d].from: %s needs the day of entry, which only a cohort has; ask over a cohort, or with a column of the data set", i, c.From))
		}
		if c.Window != nil {
			return invalid(fmt.Sprintf("analysis.columns[%d].window: is relative to the day of entry, which only a cohort has; leave it out or ask over a cohort", i))
		}
	}
	return nil
}

// Datasets returns the names of the data sets that the question reads, sorted.
func (r Request) Datasets() []string {
	var names []string
	if r.Dataset != "" {
		names = append(names, r.Dataset)
	}
	for _, c := range r.Analysis.Columns {
		if c.From == FromDataset {
			names = append(names, c.Dataset)
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

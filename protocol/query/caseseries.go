package query

import (
	"fmt"
	"slices"
	"strings"
)

// CaseSeriesSpec asks how much more often persons have events in some periods after an
// exposure than in the rest of their own observed time: a self-controlled case series.
type CaseSeriesSpec struct {
	// Events and Exposures name two columns from days.
	Events    string `json:"events"`
	Exposures string `json:"exposures"`

	// Risks are 1 to MaxRisks periods around the day of an exposure, in rising order and apart
	// from each other. Where those of two exposures meet, a day is of the later exposure's.
	Risks []RiskPeriod `json:"risks"`

	// Ages, in completed years and rising, are where another group of ages begins. Seasons
	// tells the quarters of the year apart.
	Ages    []int `json:"ages,omitempty"`
	Seasons bool  `json:"seasons,omitempty"`

	// Window bounds the days that are observed, from entry. They are those of the observation
	// period that the entry is in.
	Window *Window `json:"window,omitempty"`

	// First counts only a person's first event in the observed days.
	First bool `json:"first,omitempty"`
}

// RiskPeriod is a range of days relative to that of an exposure, both ends included.
type RiskPeriod struct {
	Name string `json:"name"`
	Window
}

// Limits of a case series.
const (
	MaxRisks      = 10
	MaxAgeCuts    = 10
	baselineLevel = "baseline"
)

// RiskLevels are the levels of a day by exposure, the first one the reference.
func (s *CaseSeriesSpec) RiskLevels() []string {
	levels := []string{baselineLevel}
	for _, r := range s.Risks {
		levels = append(levels, r.Name)
	}
	return levels
}

// AgeLevels are groups of completed years, "0-17", "18-64", "65+"; nil without ages.
func (s *CaseSeriesSpec) AgeLevels() []string {
	if len(s.Ages) == 0 {
		return nil
	}
	var levels []string
	from := 0
	for _, age := range s.Ages {
		levels = append(levels, fmt.Sprintf("%d-%d", from, age-1))
		from = age
	}
	return append(levels, fmt.Sprintf("%d+", from))
}

// SeasonLevels are the quarters of the year; nil without seasons.
func (s *CaseSeriesSpec) SeasonLevels() []string {
	if !s.Seasons {
		return nil
	}
	return []string{"Jan-Mar", "Apr-Jun", "Jul-Sep", "Oct-Dec"}
}

func (s *CaseSeriesSpec) columns() ([]string, error) {
	bad := func(what string) error { return invalid("analysis.selfControlledCaseSeries." + what) }
	switch {
	case s.Events == "" || s.Exposures == "" || s.Events == s.Exposures:
		return nil, bad("events: the names of two columns, of the events and of the exposures")
	case len(s.Risks) == 0 || len(s.Risks) > MaxRisks:
		return nil, bad(fmt.Sprintf("risks: 1 to %d periods", MaxRisks))
	case len(s.Ages) > MaxAgeCuts:
		return nil, bad(fmt.Sprintf("ages: at most %d", MaxAgeCuts))
	}
	for i, r := range s.Risks {
		at := fmt.Sprintf("risks[%d].", i)
		if !ValidText(r.Name) || slices.Index(s.RiskLevels(), r.Name) <= i {
			return nil, bad(at + fmt.Sprintf("name: one printable line of up to %d bytes that stands once, and not %q", MaxText, baselineLevel))
		}
		if err := r.validate(func(what string) error { return bad(at + what) }); err != nil {
			return nil, err
		}
		if i > 0 && r.From <= s.Risks[i-1].To {
			return nil, bad(at + "from: the periods have to rise, each after the end of the one before")
		}
	}
	for i, age := range s.Ages {
		if age < 1 || age > MaxAge || i > 0 && age <= s.Ages[i-1] {
			return nil, bad(fmt.Sprintf("ages[%d]: completed years from 1 to %d, rising", i, MaxAge))
		}
	}
	return []string{s.Events, s.Exposures}, s.Window.validate(bad)
}

func (s *CaseSeriesSpec) answeredBy(o Outcome) bool {
	return o.Conditional != nil && o.Conditional.Ties == ""
}

func (s *CaseSeriesSpec) words() string {
	text := "Self-controlled case series: how often " + s.Events + " are in"
	for i, r := range s.Risks {
		text += []string{" ", ", "}[min(i, 1)] + fmt.Sprintf("%s (days %d to %d from one of %s)", r.Name, r.From, r.To, s.Exposures)
	}
	text += ", and in the rest of each person's time"
	if s.Window != nil {
		text += fmt.Sprintf(" in days %d to %d from entry", s.Window.From, s.Window.To)
	}
	if len(s.Ages) > 0 {
		text += ", by age (" + strings.Join(s.AgeLevels(), ", ") + ")"
	}
	if s.Seasons {
		text += ", by quarter of the year"
	}
	if s.First {
		text += "; only the first of " + s.Events + " counts"
	}
	return text
}

package report

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"

	"go.yaml.in/yaml/v3"
)

// SettingsFile is the name of a site's settings in the node's directory.
const SettingsFile = "quality.yaml"

// Settings are what a site changes of the checks.
type Settings struct {
	// Checks change thresholds and severities by rule, for example "no-unit", or for
	// one table, "measurement.no-unit", which goes first.
	Checks map[string]Change `yaml:"checks"`

	// Outliers are the rules of variables that Variables does not name. Defaults to
	// Tukey's outer fences, flagged, and a robust z-score of 3.5, logged.
	Outliers []OutlierRule `yaml:"outliers"`

	// Least is of how many values outliers are looked for, 5 to 1,000,000. Defaults
	// to 30.
	Least int64 `yaml:"least"`

	// Variables are the rules of single variables.
	Variables []VariableRules `yaml:"variables"`
}

// Change is what a site changes of a check; what it leaves out stays.
type Change struct {
	Threshold *float64 `yaml:"threshold"` // percent, 0 to 100
	Severity  Severity `yaml:"severity"`
}

// VariableRules are the rules of one variable.
type VariableRules struct {
	Concept  int64         `yaml:"concept"`
	Unit     *int64        `yaml:"unit"`     // concept, 0 for none; any if absent
	Outliers []OutlierRule `yaml:"outliers"` // none: no outliers are looked for
}

// DefaultSettings are those of a site without a file.
func DefaultSettings() Settings {
	return Settings{
		Outliers: []OutlierRule{{iqr, 3, Flag}, {robustZ, 3.5, Log}},
		Least:    30,
	}
}

// ReadSettings reads the file at path, the defaults if there is none. Its errors name
// the file and what to change.
func ReadSettings(path string) (Settings, error) {
	raw, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return DefaultSettings(), nil
	}
	if err != nil {
		return Settings{}, err
	}
	s, err := ParseSettings(raw)
	if err != nil {
		return Settings{}, fmt.Errorf("%s: %w", path, err)
	}
	return s, nil
}

// ParseSettings reads settings; what they leave out is as in [DefaultSettings].
func ParseSettings(raw []byte) (Settings, error) {
	s := DefaultSettings()
	dec := yaml.NewDecoder(bytes.NewReader(raw))
	dec.KnownFields(true)
	if err := dec.Decode(&s); err != nil && !errors.Is(err, io.EOF) {
		return Settings{}, err
	}
	return s, s.validate()
}

func (s Settings) validate() error {
	for name, c := range s.Checks {
		rule := name[strings.LastIndexByte(name, '.')+1:]
		if _, known := byName(rule); !known {
			return fmt.Errorf("checks: there is no rule %q", rule)
		}
		if c.Threshold != nil && !(*c.Threshold >= 0 && *c.Threshold <= 100) {
			return fmt.Errorf("checks: %s: threshold: 0 to 100 percent", name)
		}
		if rule == iqr || rule == robustZ {
			return fmt.Errorf("checks: %s: set it under outliers or variables", name)
		}
		if c.Severity != "" && !c.Severity.known() {
			return fmt.Errorf("checks: %s: severity: log, flag or reject", name)
		}
	}
	if s.Least < 5 || s.Least > 1_000_000 {
		return errors.New("least: 5 to 1000000 values")
	}
	if err := validRules("outliers", s.Outliers); err != nil {
		return err
	}
	for i, v := range s.Variables {
		where := fmt.Sprintf("variables: entry %d", i+1)
		if v.Concept <= 0 {
			return fmt.Errorf("%s: concept: the standard concept of the variable is missing", where)
		}
		if err := validRules(where, v.Outliers); err != nil {
			return err
		}
	}
	return nil
}

func (s Severity) known() bool { return s == Log || s == Flag || s == Reject }

func validRules(where string, rules []OutlierRule) error {
	seen := map[string]bool{}
	for _, r := range rules {
		switch {
		case r.Method != iqr && r.Method != robustZ:
			return fmt.Errorf("%s: method: iqr or robust-z", where)
		case !(r.Limit > 0 && r.Limit <= 100):
			return fmt.Errorf("%s: limit: over 0 to 100", where)
		case !r.Severity.known():
			return fmt.Errorf("%s: severity: log, flag or reject", where)
		case seen[r.Method]:
			return fmt.Errorf("%s: method %s is named twice", where, r.Method)
		}
		seen[r.Method] = true
	}
	return nil
}

// outliers returns the rules of a variable: of its unit, else of its concept, else of
// all.
func (s Settings) outliers(concept, unit int64) []OutlierRule {
	rules := s.Outliers
	for _, v := range s.Variables {
		switch {
		case v.Concept != concept:
		case v.Unit == nil:
			rules = v.Outliers
		case *v.Unit == unit:
			return v.Outliers
		}
	}
	return rules
}

// change applies what the site has changed of a check named rule.
func (s Settings) change(c Check, rule string) Check {
	for _, name := range []string{rule, c.Table + "." + rule} {
		by := s.Checks[name]
		if by.Threshold != nil {
			c.Threshold = *by.Threshold
		}
		if by.Severity != "" {
			c.Severity = by.Severity
		}
	}
	return c
}

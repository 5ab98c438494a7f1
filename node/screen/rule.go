package screen

import (
	"bytes"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/url"
	"strings"
	"unicode"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"

	"github.com/trialmesh/trialmesh/protocol/canonical"
	"github.com/trialmesh/trialmesh/protocol/cohort"
	"github.com/trialmesh/trialmesh/protocol/trial"
)

// Limits of a rule, in bytes and entries.
const (
	MaxRule     = 1 << 20
	maxCriteria = 50
	maxTitle    = 300
	maxName     = 200
	maxLink     = 2000
)

// Example is a rule with all settings explained.
//
//go:embed example.yaml
var Example string

// Rule says whom a trial may be for. It comes from [Parse].
type Rule struct {
	// Trial is its id in the network, where it has one: consents are looked up by it.
	Trial trial.ID `json:"trial"`
	Title string   `json:"title"`

	// Contact is whom a clinician asks, in words; Link an https address about the trial.
	Contact string `json:"contact"`
	Link    string `json:"link"`

	// Criteria hold all together, 1 to 50, one of them at least no exclusion.
	Criteria []Criterion `json:"criteria"`
}

// Criterion is a cohort that a patient has to be in, or must not be in.
type Criterion struct {
	Name    string `json:"name"`
	Exclude bool   `json:"exclude,omitempty"`

	// Cohort is an OHDSI cohort definition as package protocol/cohort reads it.
	Cohort json.RawMessage `json:"cohort"`
}

// Parse reads a rule as YAML or JSON. The error says what to change.
func Parse(text []byte) (Rule, error) {
	if len(text) > MaxRule {
		return Rule{}, fmt.Errorf("screening rule: over %d bytes", MaxRule)
	}
	raw, err := asJSON(text)
	if err != nil {
		return Rule{}, fmt.Errorf("screening rule: %w", err)
	}
	var r Rule
	decoder := json.NewDecoder(bytes.NewReader(raw))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&r); err != nil {
		return Rule{}, fmt.Errorf("screening rule: %s", strings.TrimPrefix(err.Error(), "json: "))
	}
	if _, err := r.compile(); err != nil {
		return Rule{}, fmt.Errorf("screening rule: %w", err)
	}
	return r, nil
}

// asJSON returns the canonical JSON of one document of either form. JSON indented with
// tabs is no YAML, so it has a way of its own.
func asJSON(text []byte) ([]byte, error) {
	if bytes.HasPrefix(bytes.TrimSpace(text), []byte("{")) {
		return canonical.Fields(text)
	}
	decoder := yaml.NewDecoder(bytes.NewReader(text))
	var document any
	if err := decoder.Decode(&document); err != nil {
		if errors.Is(err, io.EOF) {
			return nil, errors.New("it is empty")
		}
		return nil, err
	}
	if err := decoder.Decode(new(yaml.Node)); !errors.Is(err, io.EOF) {
		return nil, errors.New("more than one YAML document")
	}
	raw, err := json.Marshal(document)
	if err != nil {
		return nil, errors.New("a name is no text")
	}
	return canonical.Fields(raw)
}

// compile checks the rule and returns the cohorts of its criteria.
func (r Rule) compile() ([]cohort.Definition, error) {
	link, err := url.Parse(r.Link)
	switch {
	case !r.Trial.Valid():
		return nil, errors.New("trial: want 3 to 64 lower-case letters, digits and dashes, beginning with a letter")
	case !isLine(r.Title, maxTitle):
		return nil, fmt.Errorf("title: want one line of 1 to %d bytes", maxTitle)
	case !isLine(r.Contact, maxTitle):
		return nil, fmt.Errorf("contact: want one line of 1 to %d bytes", maxTitle)
	case err != nil || link.Scheme != "https" || link.Host == "" || link.User != nil || !isLine(r.Link, maxLink):
		return nil, errors.New("link: want an https address")
	case len(r.Criteria) == 0 || len(r.Criteria) > maxCriteria:
		return nil, fmt.Errorf("criteria: want 1 to %d", maxCriteria)
	}
	seen, wanted := map[string]bool{}, 0
	cohorts := make([]cohort.Definition, len(r.Criteria))
	for i, c := range r.Criteria {
		if !isLine(c.Name, maxName) || seen[c.Name] {
			return nil, fmt.Errorf("criteria[%d].name: want one line of 1 to %d bytes that no other has", i, maxName)
		}
		seen[c.Name] = true
		if !c.Exclude {
			wanted++
		}
		if len(c.Cohort) == 0 {
			return nil, fmt.Errorf("criteria[%d].cohort: is missing", i)
		}
		if cohorts[i], err = cohort.Read(c.Cohort); err != nil {
			return nil, fmt.Errorf("criteria[%d].%w", i, err)
		}
		if err := cohorts[i].Evaluable(); err != nil {
			return nil, fmt.Errorf("criteria[%d].%w", i, err)
		}
	}
	if wanted == 0 {
		return nil, errors.New("criteria: all of them exclude; want one that a patient has to meet")
	}
	return cohorts, nil
}

// isLine reports whether text is one printable line of 1 to most bytes.
func isLine(text string, most int) bool {
	return strings.TrimSpace(text) != "" && len(text) <= most && utf8.ValidString(text) && !strings.ContainsFunc(text, func(c rune) bool { return !unicode.IsPrint(c) })
}

package cdshooks

import (
	"crypto/rand"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/trialmesh/trialmesh/node/screen"
)

// card is a card of an answer.
type card struct {
	UUID        string       `json:"uuid"`
	Summary     string       `json:"summary"`
	Indicator   string       `json:"indicator"`
	Detail      string       `json:"detail"`
	Source      source       `json:"source"`
	Suggestions []suggestion `json:"suggestions"`
	Behavior    string       `json:"selectionBehavior"`
	Overrides   []coding     `json:"overrideReasons"`
	Links       []link       `json:"links"`
}

type source struct {
	Label string `json:"label"`
}

// suggestion has no action: to take it is to say that one will do it.
type suggestion struct {
	Label string `json:"label"`
	UUID  string `json:"uuid"`
}

type coding struct {
	Code    string `json:"code"`
	System  string `json:"system"`
	Display string `json:"display"`
}

type link struct {
	Label string `json:"label"`
	URL   string `json:"url"`
	Type  string `json:"type"`
}

// maxSummary is the most characters of a summary: fewer than 140.
const maxSummary = 139

// overrideSystem is the code system of [overrides].
const overrideSystem = "urn:trialmesh:cds-hooks:override-reason"

// overrides are why a clinician may put a card away. Codes are stored: they are appended
// and never reused.
var overrides = []coding{
	{"not-eligible", overrideSystem, "The patient is not eligible"},
	{"declined", overrideSystem, "The patient does not want to take part"},
	{"known", overrideSystem, "The patient was asked before, or takes part"},
	{"not-now", overrideSystem, "Not appropriate for this patient now"},
}

// cardOf writes the card of a match.
func (s *service) cardOf(m screen.Match) card {
	return card{
		UUID: newUUID(), Indicator: "info", Source: source{s.cfg.Name},
		Summary:     cut("May be eligible: "+m.Rule.Title, maxSummary),
		Detail:      detail(m),
		Suggestions: []suggestion{{"Speak with the patient about this trial", newUUID()}}, Behavior: "at-most-one",
		Overrides: overrides,
		Links:     []link{{"About the trial", m.Rule.Link, "absolute"}},
	}
}

// detail says in Markdown how each criterion stands: its name, as the rule has it, and
// no day, value or code of the record.
func detail(m screen.Match) string {
	var met, absent, open []string
	for i, c := range m.Rule.Criteria {
		name := plain(c.Name)
		switch result := m.Results[i]; {
		case result == screen.NoRecords:
			open = append(open, name+": the site has no record of that kind")
		case result == screen.ShortHistory:
			open = append(open, name+": the time on record is too short")
		case c.Exclude:
			absent = append(absent, name)
		case result == screen.MetByDraft:
			met = append(met, name+" (by an order in draft)")
		default:
			met = append(met, name)
		}
	}
	var b strings.Builder
	fmt.Fprintf(&b, "**%s** (%s)\n", plain(m.Rule.Title), plain(string(m.Rule.Trial)))
	for _, part := range []struct {
		head  string
		lines []string
	}{
		{"Met, by what the site has on record:", met},
		{"Exclusions that are not on record:", absent},
		{"Cannot be told here, please check:", open},
	} {
		if len(part.lines) > 0 {
			fmt.Fprintf(&b, "\n%s\n\n- %s\n", part.head, strings.Join(part.lines, "\n- "))
		}
	}
	if m.Granted {
		b.WriteString("\nThe patient's consent to this trial is on record.\n")
	} else {
		b.WriteString("\nNo consent to this trial is on record: the patient is to be asked.\n")
	}
	fmt.Fprintf(&b, "\nContact: %s\n", plain(m.Rule.Contact))
	return b.String()
}

// markup is what has a meaning in GitHub Flavored Markdown or HTML. Autolinks of bare
// addresses stay, as they show where they lead.
const markup = "\\`*_{}[]<>()#+!|~&"

// plain is text that Markdown shows as it is.
func plain(text string) string {
	var b strings.Builder
	for _, c := range text {
		if strings.ContainsRune(markup, c) {
			b.WriteByte('\\')
		}
		b.WriteRune(c)
	}
	return b.String()
}

// cut shortens text to at most so many characters.
func cut(text string, most int) string {
	if utf8.RuneCountInString(text) <= most {
		return text
	}
	return string([]rune(text)[:most-1]) + "…"
}

// newUUID is a random UUID, RFC 9562 section 5.4.
func newUUID() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}

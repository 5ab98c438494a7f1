package consent

import (
	"encoding/json"
	"fmt"
	"math/bits"

	"github.com/trialmesh/trialmesh/protocol/problem"
)

// Scope is one thing a participant may permit, as a bit of a [Mask] and of the
// consent tree: 0 to 63. Bits are appended and never reused.
type Scope uint8

// What may be looked at.
const (
	Demographics  Scope = 0
	Conditions    Scope = 1
	Medications   Scope = 2
	Measurements  Scope = 3
	Procedures    Scope = 4
	Immunizations Scope = 5
	Allergies     Scope = 6
	Visits        Scope = 7
	Observations  Scope = 8
)

// What it may be used for.
const (
	// Statistics is use in sums over many people.
	Statistics Scope = 32
	// RecordAccess is use of single records inside the site.
	RecordAccess Scope = 33
)

var scopeNames = map[Scope]string{
	Demographics: "demographics", Conditions: "conditions", Medications: "medications",
	Measurements: "measurements", Procedures: "procedures", Immunizations: "immunizations",
	Allergies: "allergies", Visits: "visits", Observations: "observations",
	Statistics: "statistics", RecordAccess: "record-access",
}

// MaxScopes is how many scopes a mask and a consent leaf hold.
const MaxScopes = 64

func (s Scope) String() string {
	if name, known := scopeNames[s]; known {
		return name
	}
	return fmt.Sprintf("scope-%d", uint8(s))
}

// MarshalText writes the scope's name.
func (s Scope) MarshalText() ([]byte, error) {
	if _, known := scopeNames[s]; !known {
		return nil, fmt.Errorf("consent: scope %d has no name", uint8(s))
	}
	return []byte(s.String()), nil
}

// UnmarshalText reads a scope's name; an unknown one refuses.
func (s *Scope) UnmarshalText(text []byte) error {
	for scope, name := range scopeNames {
		if name == string(text) {
			*s = scope
			return nil
		}
	}
	return problem.New(problem.Invalid, "consent: unknown scope name")
}

// Mask is a set of scopes; its JSON form is a list of names, ascending by bit.
type Mask uint64

// MaskOf returns the set of the given scopes.
func MaskOf(scopes ...Scope) Mask {
	var m Mask
	for _, s := range scopes {
		m |= 1 << s
	}
	return m
}

// Covers reports whether m holds every scope of need.
func (m Mask) Covers(need Mask) bool { return m&need == need }

// Scopes returns the members, ascending.
func (m Mask) Scopes() []Scope {
	scopes := make([]Scope, 0, bits.OnesCount64(uint64(m)))
	for rest := m; rest != 0; rest &= rest - 1 {
		scopes = append(scopes, Scope(bits.TrailingZeros64(uint64(rest))))
	}
	return scopes
}

// MarshalJSON writes the names.
func (m Mask) MarshalJSON() ([]byte, error) { return json.Marshal(m.Scopes()) }

// UnmarshalJSON reads a list of names.
func (m *Mask) UnmarshalJSON(raw []byte) error {
	var scopes []Scope
	if err := json.Unmarshal(raw, &scopes); err != nil {
		return err
	}
	*m = MaskOf(scopes...)
	return nil
}

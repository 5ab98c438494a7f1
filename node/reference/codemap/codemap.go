// Package codemap holds a site's own maps: which standard concept a code means that the
// vocabulary does not map.
//
// A [Map] is one version of them, resolved against the vocabulary that is loaded; it is
// what package mapping asks after the vocabulary. A [Store] keeps every version, in the
// columns of OMOP's SOURCE_TO_CONCEPT_MAP, and lists what is not mapped yet. Nothing here
// is about a person; [Store.Unmapped] says how it keeps texts about one out.
package codemap

import (
	"github.com/trialmesh/trialmesh/localstore/sqldb"
	"github.com/trialmesh/trialmesh/localstore/vocab"
	"github.com/trialmesh/trialmesh/node/mapping"
)

// Anywhere is the source vocabulary of codes and texts that came without a system. An
// entry of it counts for a code of any system that has no entry of its own, but for no
// unit: those are of UCUM.
const Anywhere = "None"

// Entry is a row of SOURCE_TO_CONCEPT_MAP of OMOP CDM 5.4.
type Entry struct {
	Code          string
	Vocabulary    string // OMOP's name of the code's system, else the system as sent, else [Anywhere]
	Description   string
	SourceConcept int64
	Target        int64  // 0 for a code that is known to have no standard concept
	TargetIn      string // vocabulary of the target
	From, To      sqldb.Date
	Invalid       string // D deleted, U replaced, empty for an entry that is used
}

// Map is one version of the site's maps.
type Map struct {
	Version int // 0 for none
	targets map[code][]vocab.Concept
}

type code struct{ vocabulary, code string }

// Standard returns the standard concepts that a code means at this site, none if it is
// not mapped. Validity of an entry is that of OMOP's own relationships: it is used
// unless it has a reason to be invalid, whatever the day of the record. The result is
// shared: callers do not change it.
func (m *Map) Standard(vocabulary, text string) []vocab.Concept {
	if found, ok := m.targets[code{vocabulary, text}]; ok || vocabulary == mapping.UCUM { // a code is no unit
		return found
	}
	return m.targets[code{Anywhere, text}]
}

// resolve makes a Map of entries and the concepts of their targets. A target that is not
// there or not standard any more counts for nothing; an entry without one, of concept 0,
// says that the code has none, so that no entry for any vocabulary is used for it.
func resolve(version int, entries []Entry, concepts map[int64]vocab.Concept) *Map {
	m := &Map{Version: version, targets: make(map[code][]vocab.Concept, len(entries))}
	for _, e := range entries {
		if key := (code{e.Vocabulary, e.Code}); e.Target == 0 && e.Invalid == "" && m.targets[key] == nil {
			m.targets[key] = nil
		}
		if c, ok := concepts[e.Target]; ok && c.Standard && e.Invalid == "" {
			key := code{e.Vocabulary, e.Code}
			m.targets[key] = append(m.targets[key], c)
		}
	}
	return m
}

package query

import (
	"regexp"

	"github.com/trialmesh/trialmesh/protocol/message"
	"github.com/trialmesh/trialmesh/protocol/problem"
)

// Part says that a request is one question of a saved study; see package study. The
// researcher signs it with the request. Hub and nodes take no request that is not exactly
// the study's question, and verification finds none.
type Part struct {
	Name     string         `json:"name"`
	Version  string         `json:"version"`
	Study    message.Digest `json:"study"`    // its digest, as of study.Study.Digest
	Question string         `json:"question"` // its name in the study
}

var (
	partName    = regexp.MustCompile(`^[a-z0-9][a-z0-9-]{0,62}$`)
	partVersion = regexp.MustCompile(`^[0-9a-z][0-9a-z.-]{0,31}$`)
)

// PartName reports whether a study or a question of one may have a name: 1 to 63
// lower-case letters, digits and dashes, no dash first.
func PartName(text string) bool { return partName.MatchString(text) }

// PartVersion reports whether a study may have a version: 1 to 32 lower-case letters,
// digits, dots and dashes, beginning with a letter or a digit.
func PartVersion(text string) bool { return partVersion.MatchString(text) }

// Validate reports the first thing that is wrong with the form of p.
func (p Part) Validate() error {
	if !PartName(p.Name) || !PartVersion(p.Version) || !PartName(p.Question) || p.Study.IsZero() {
		return problem.New(problem.Invalid, "query: study: the name, version or digest of a study, or its question's name, is malformed")
	}
	return nil
}

// String names the study as people write it, NAME@VERSION.
func (p Part) String() string { return p.Name + "@" + p.Version }

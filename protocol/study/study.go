// Package study bundles questions under a name and a version.
//
// A [Study] is what a researcher writes down before asking: cohorts, and the
// questions about them. It is signed as [KindStudy] and registered at the hub, where
// a version never changes. A study authorizes nothing by itself: each question is
// asked by a signed request of its own, made by [Study.Request], that names the study
// and its digest. [Study.Check] is the one place that compares a request with the
// question it says it is, for hub, nodes and verifiers alike, so what names a study is
// exactly what the study says.
package study

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/trialmesh/trialmesh/protocol/canonical"
	"github.com/trialmesh/trialmesh/protocol/identity"
	"github.com/trialmesh/trialmesh/protocol/message"
	"github.com/trialmesh/trialmesh/protocol/problem"
	"github.com/trialmesh/trialmesh/protocol/query"
	"github.com/trialmesh/trialmesh/protocol/spelling"
	"github.com/trialmesh/trialmesh/protocol/trial"
)

// KindStudy is the kind of a signed study.
const KindStudy message.Kind = "study.definition"

// Limits of a study.
const (
	MaxQuestions = 100
	MaxSize      = 512 << 10 // bytes of canonical JSON
	maxTitle     = 300
)

// Study is a bundle of questions to the nodes of one trial.
type Study struct {
	// Name is like "bp-outcomes", of the form [query.PartName] knows. All versions of
	// a name are of one author.
	Name string `json:"name"`

	// Version is like "1" or "2026.1", of the form [query.PartVersion] knows.
	Version string `json:"version"`

	Title string   `json:"title"`
	Trial trial.ID `json:"trial"`

	// Purpose is that of every question that states none of its own.
	Purpose string `json:"purpose,omitempty"`

	// Cohorts are OHDSI cohort definitions by the names the questions use, each used
	// at least once. Names are of the form of the study's. A study over data sets alone
	// has none.
	Cohorts map[string]json.RawMessage `json:"cohorts,omitempty"`

	// Questions are 1 to [MaxQuestions], in the order in which they are asked.
	Questions []Question `json:"questions"`
}

// Question is one question of a study.
type Question struct {
	Name     string         `json:"name"`              // of the form of the study's, once in a study
	Cohort   string         `json:"cohort,omitempty"`  // one of the study's
	Dataset  string         `json:"dataset,omitempty"` // in place of a cohort, as in query.Request
	Analysis query.Analysis `json:"analysis"`
	Purpose  string         `json:"purpose,omitempty"` // the study's if empty
}

// ErrQuestion refuses a request that names a study and is not its question.
var ErrQuestion = problem.Refusal("study.question", "the request is not the question of the study that it names: ask it with study run, or without naming a study")

// Validate reports the first thing that is wrong with the study, the questions as
// the nodes would read them included.
func (s Study) Validate() error {
	switch {
	case !query.PartName(s.Name):
		return invalid("name: 1 to 63 lower-case letters, digits and dashes, no dash first")
	case !query.PartVersion(s.Version):
		return invalid("version: 1 to 32 lower-case letters, digits, dots and dashes, a letter or digit first")
	case s.Title == "" || len(s.Title) > maxTitle:
		return invalid(fmt.Sprintf("title: 1 to %d bytes", maxTitle))
	case !s.Trial.Valid():
		return invalid("trial: the id of the trial whose nodes are asked")
	case len(s.Questions) == 0 || len(s.Questions) > MaxQuestions:
		return invalid(fmt.Sprintf("questions: 1 to %d", MaxQuestions))
	}
	raw, err := canonical.Marshal(s)
	if err != nil {
		return invalid("a cohort is malformed")
	}
	if len(raw) > MaxSize {
		return invalid(fmt.Sprintf("%d bytes, limit %d: make two of it", len(raw), MaxSize))
	}
	digest := message.Sum(raw)
	unused := maps.Clone(s.Cohorts)
	seen := make(map[string]bool)
	for i, q := range s.Questions {
		if !query.PartName(q.Name) || seen[q.Name] {
			return invalid(fmt.Sprintf("questions[%d]: name: 1 to 63 lower-case letters, digits and dashes, once in the study", i))
		}
		seen[q.Name] = true
		delete(unused, q.Cohort)
		if err := s.validate(q, digest); err != nil {
			return fmt.Errorf("study: question %s: %w", q.Name, err)
		}
	}
	if len(unused) > 0 {
		return invalid("cohorts: no question is about one of them")
	}
	return nil
}

func (s Study) validate(q Question, digest message.Digest) error {
	switch {
	case q.Dataset != "" && q.Cohort != "":
		return invalid("cohort, dataset: a question is about one of them")
	case q.Dataset == "" && (!query.PartName(q.Cohort) || s.Cohorts[q.Cohort] == nil):
		return invalid("cohort: the name of one of the study's cohorts, or a dataset in its place" +
			spelling.Hint(q.Cohort, slices.Sorted(maps.Keys(s.Cohorts))...))
	}
	return s.request(q, digest).Validate()
}

// Digest identifies what the study says: the SHA-256 of its canonical JSON.
func (s Study) Digest() (message.Digest, error) {
	raw, err := canonical.Marshal(s)
	return message.Sum(raw), err
}

// String names the study as people write it, NAME@VERSION.
func (s Study) String() string { return s.Name + "@" + s.Version }

// Request returns a question of the study by its name, as it is signed and asked.
func (s Study) Request(question string) (query.Request, error) {
	i := slices.IndexFunc(s.Questions, func(q Question) bool { return q.Name == question })
	if i < 0 {
		return query.Request{}, ErrQuestion
	}
	digest, err := s.Digest()
	if err != nil {
		return query.Request{}, err
	}
	return s.request(s.Questions[i], digest), nil
}

func (s Study) request(q Question, digest message.Digest) query.Request {
	r := query.Request{
		Trial: s.Trial, Cohort: s.Cohorts[q.Cohort], Dataset: q.Dataset, Analysis: q.Analysis, Purpose: q.Purpose,
		Study: &query.Part{Name: s.Name, Version: s.Version, Study: digest, Question: q.Name},
	}
	if r.Purpose == "" {
		r.Purpose = s.Purpose
	}
	return r
}

// Check returns [ErrQuestion] unless r is exactly the question of this study that
// it says it is, purpose and digest of the study included.
func (s Study) Check(r query.Request) error {
	if r.Study == nil {
		return ErrQuestion
	}
	want, err := s.Request(r.Study.Question)
	if err != nil {
		return err
	}
	wanted, err := canonical.Marshal(want)
	if err != nil {
		return err
	}
	got, err := canonical.Marshal(r)
	if err != nil || !bytes.Equal(got, wanted) {
		return ErrQuestion
	}
	return nil
}

// Verify returns [ErrQuestion] unless e is a study that one of these researchers signed, of
// which r is exactly the question that it says it is. It reads no clock: what a study says
// does not run out.
func Verify(e message.Envelope, r query.Request, researchers []identity.DID) error {
	s, err := message.Replay[Study](e, KindStudy)
	if err != nil || !slices.Contains(researchers, e.Issuer) {
		return ErrQuestion
	}
	return s.Check(r)
}

// ParseRef reads NAME@VERSION; version is empty for NAME alone.
func ParseRef(text string) (name, version string, err error) {
	name, version, versioned := strings.Cut(text, "@")
	if !query.PartName(name) || versioned && !query.PartVersion(version) {
		return "", "", problem.New(problem.Invalid, "study: a name is like bp-outcomes, or bp-outcomes@1 with its version")
	}
	return name, version, nil
}

func invalid(detail string) error {
	return problem.New(problem.Invalid, "study: "+detail)
}

// Package schedule asks one question again and again at times that are fixed in advance.
//
// A [Plan] says what is asked, and when. The researcher signs every occurrence of it in
// advance, as an ordinary request that is issued at its due time and expires with
// [Window] and the deadline after it, so that nodes by themselves refuse one that comes
// early, late or twice: whoever keeps the schedule can neither add an occurrence nor bring
// one forward. A [Schedule] is the plan with these signatures, signed as [KindSchedule];
// start with [Sign] and [Schedule.Envelopes]. The
// package starts nothing and reads no clock; DESIGN.md has the reasons.
package schedule

import (
	"fmt"
	"io"
	"time"

	"github.com/trialmesh/trialmesh/protocol/canonical"
	"github.com/trialmesh/trialmesh/protocol/cron"
	"github.com/trialmesh/trialmesh/protocol/identity"
	"github.com/trialmesh/trialmesh/protocol/message"
	"github.com/trialmesh/trialmesh/protocol/problem"
	"github.com/trialmesh/trialmesh/protocol/query"
)

// KindSchedule is the kind of a signed [Schedule].
const KindSchedule message.Kind = "schedule.definition"

// Limits of a schedule.
const (
	MinOccurrences = 2
	MaxOccurrences = query.MaxOccurrences

	// Window is how long after its due time an occurrence may still be asked.
	Window = 24 * time.Hour

	MinGap      = time.Hour                // between two due times
	MaxSpan     = 5 * 366 * 24 * time.Hour // from First to the last due time
	MaxDeadline = 14 * 24 * time.Hour

	// MaxSize bounds the canonical plan, and MaxSigned what its requests have together, in
	// bytes: every replica of a hub verifies them.
	MaxSize   = 512 << 10
	MaxSigned = 16 << 20
)

// Plan says what is asked, and when.
type Plan struct {
	// Name is like "glucose-monthly", of the form [query.PartName] knows, once at a hub.
	Name string `json:"name"`

	// Question is what is asked each time. It names neither a study nor a schedule.
	Question query.Request `json:"question"`

	// Cron says when, in UTC, as package cron reads it: "0 6 1 * *".
	Cron string `json:"cron"`

	// First is the time before which nothing is due, in whole seconds.
	First time.Time `json:"first"`

	// Occurrences is how often, [MinOccurrences] to [MaxOccurrences].
	Occurrences int `json:"occurrences"`

	// DeadlineSeconds is how long each may take, 1 s to [MaxDeadline] and no longer than
	// until the next.
	DeadlineSeconds int `json:"deadlineSeconds"`
}

// Schedule is a plan with the signatures under the requests of its occurrences.
type Schedule struct {
	Plan       Plan        `json:"plan"`
	Signatures []Signature `json:"signatures"` // one for each occurrence, in their order
}

// Signature is what the envelope of an occurrence has that does not follow from the plan.
type Signature struct {
	Nonce     string `json:"nonce"`
	Signature []byte `json:"signature"`
}

// ErrSignatures refuses a schedule of which an occurrence is not signed.
var ErrSignatures = problem.Refusal("schedule.signature", "an occurrence of the schedule is not signed by who signed the schedule")

// Sign signs every occurrence of a plan. rand is for the nonces.
func Sign(key identity.Key, p Plan, rand io.Reader) (Schedule, error) {
	if err := p.Validate(); err != nil {
		return Schedule{}, err
	}
	due, digest, err := p.fixed()
	if err != nil {
		return Schedule{}, err
	}
	s := Schedule{Plan: p, Signatures: make([]Signature, 0, len(due))}
	for i, at := range due {
		e, err := message.Seal(key, query.KindRequest, p.request(digest, i+1), at, p.Deadline()+Window, rand)
		if err != nil {
			return Schedule{}, err
		}
		s.Signatures = append(s.Signatures, Signature{e.Nonce, e.Signature})
	}
	return s, nil
}

// Validate reports the first thing that is wrong with the plan, the question as the nodes
// would read it included.
func (p Plan) Validate() error {
	if !query.PartName(p.Name) {
		return invalid("name: 1 to 63 lower-case letters, digits and dashes, no dash first")
	}
	if p.Question.Study != nil || p.Question.Schedule != nil {
		return invalid("question: it names a study or a schedule already")
	}
	if err := p.Question.Validate(); err != nil {
		return fmt.Errorf("schedule: %w", err)
	}
	raw, err := canonical.Marshal(p)
	switch {
	case err != nil:
		return invalid("question: its cohort is malformed")
	case len(raw) > MaxSize:
		return invalid(fmt.Sprintf("%d bytes, limit %d", len(raw), MaxSize))
	case p.Occurrences < MinOccurrences || p.Occurrences > MaxOccurrences:
		return invalid(fmt.Sprintf("occurrences: %d to %d", MinOccurrences, MaxOccurrences))
	case len(raw)*p.Occurrences > MaxSigned:
		return invalid(fmt.Sprintf("the question has %d bytes, too many for %d occurrences: ask for %d", len(raw), p.Occurrences, MaxSigned/len(raw)))
	case p.DeadlineSeconds < 1 || p.DeadlineSeconds > int(MaxDeadline/time.Second):
		return invalid("deadline: 1 s to 14 days")
	case !p.First.Equal(p.First.Truncate(time.Second)):
		return invalid("first: in whole seconds")
	}
	due, err := p.Due()
	if err != nil {
		return err
	}
	for i, at := range due[1:] {
		if gap := at.Sub(due[i]); gap < MinGap || gap < p.Deadline() {
			return invalid(fmt.Sprintf("occurrences %d and %d are %s apart: an hour at least, and no less than the deadline", i+1, i+2, gap))
		}
	}
	return nil
}

// Due returns when the occurrences are due, in UTC.
func (p Plan) Due() ([]time.Time, error) {
	times, err := cron.Parse(p.Cron, time.UTC)
	if err != nil {
		return nil, invalid("cron: " + err.Error())
	}
	if p.Occurrences < 0 || p.Occurrences > MaxOccurrences {
		return nil, invalid(fmt.Sprintf("occurrences: %d to %d", MinOccurrences, MaxOccurrences))
	}
	due := make([]time.Time, 0, p.Occurrences)
	for at := p.First.Add(-1); len(due) < p.Occurrences; due = append(due, at) {
		if at = times.Next(at); at.IsZero() || at.Sub(p.First) > MaxSpan {
			return nil, invalid(fmt.Sprintf("cron: only %d of %d occurrences are due within five years of the first", len(due), p.Occurrences))
		}
	}
	return due, nil
}

// Deadline is how long each occurrence may take from when it is asked.
func (p Plan) Deadline() time.Duration { return time.Duration(p.DeadlineSeconds) * time.Second }

// Digest identifies what the plan says: the SHA-256 of its canonical JSON.
func (p Plan) Digest() (message.Digest, error) {
	p.First = p.First.UTC()
	raw, err := canonical.Marshal(p)
	return message.Sum(raw), err
}

func (p Plan) fixed() ([]time.Time, message.Digest, error) {
	due, err := p.Due()
	if err != nil {
		return nil, message.Digest{}, err
	}
	digest, err := p.Digest()
	return due, digest, err
}

func (p Plan) request(digest message.Digest, number int) query.Request {
	r := p.Question
	r.Schedule = &query.Occurrence{Name: p.Name, Schedule: digest, Number: number}
	return r
}

// Envelopes returns the requests of all occurrences as issuer signed them, or
// [ErrSignatures] if issuer did not.
func (s Schedule) Envelopes(issuer identity.DID) ([]message.Envelope, error) {
	due, digest, err := s.Plan.fixed()
	if err != nil {
		return nil, err
	}
	if len(s.Signatures) != len(due) {
		return nil, ErrSignatures
	}
	list := make([]message.Envelope, 0, len(due))
	for i, at := range due {
		e, err := s.envelope(issuer, digest, i, at)
		if err != nil {
			return nil, err
		}
		if e.Check(query.KindRequest) != nil {
			return nil, ErrSignatures
		}
		list = append(list, e)
	}
	return list, nil
}

// Envelope returns the request of an occurrence, from 1, of a schedule whose
// [Schedule.Envelopes] were checked before. It verifies nothing.
func (s Schedule) Envelope(issuer identity.DID, number int) (message.Envelope, error) {
	due, digest, err := s.Plan.fixed()
	if err != nil {
		return message.Envelope{}, err
	}
	if number < 1 || number > min(len(due), len(s.Signatures)) {
		return message.Envelope{}, invalid("it has no such occurrence")
	}
	return s.envelope(issuer, digest, number-1, due[number-1])
}

func (s Schedule) envelope(issuer identity.DID, digest message.Digest, i int, due time.Time) (message.Envelope, error) {
	raw, err := canonical.Marshal(s.Plan.request(digest, i+1))
	return message.Envelope{
		Version: message.Version, Kind: query.KindRequest, Issuer: issuer, Issued: due, Expires: due.Add(s.Plan.Deadline() + Window),
		Nonce: s.Signatures[i].Nonce, Body: raw, Signature: s.Signatures[i].Signature,
	}, err
}

func invalid(detail string) error { return problem.New(problem.Invalid, "schedule: "+detail) }

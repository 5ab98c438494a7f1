// Package version says which protocol versions a program speaks, and what each brought.
//
// A program speaks two versions: its own and the one before, so that hub and nodes need not
// be updated in one moment. A [Range] is what a program says of itself when a connection
// comes up; [Range.Knows] is asked before anything is sent that not everybody in the range
// of this program understands, and [Party.Check] refuses a program it has no version in
// common with. The table of features is the list of constants of type [Feature].
//
// A change that adds a message, a step, a kind of analysis or a field gets a line in the
// table, with the number of the next release; [Newest] grows with the release and not with
// the change. When [Oldest] has reached a line, the line goes, and the guards with it.
package version

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/trialmesh/trialmesh/protocol/problem"
)

// Version counts releases that differ in what they say to each other, from 1.
type Version int

// The versions that this program speaks.
const (
	Newest Version = 2
	Oldest Version = Newest - 1
)

// Feature is something that not every program understands that may be met: the version
// that brought it.
type Feature Version

// The table: what each version brought that is said to others.
const (
	// Basics are what the oldest programs that are met understand.
	Basics = Feature(Oldest)

	// Cancellation is query.StepCancel.
	Cancellation Feature = 2

	// Specs are all kinds of analysis but count and moments, with their parameters in a
	// field of the kind's name.
	Specs Feature = 2

	// Studies is the field study of a question, Schedules the field schedule.
	Studies   Feature = 2
	Schedules Feature = 2

	// Attritions is the field attrition of a count.
	Attritions Feature = 2

	// Datasets is the field dataset of a question, in place of a cohort.
	Datasets Feature = 2

	// Results is the field proof of a question.
	Results Feature = 2

	// Cosignatures is cosign.AddProtocol and what belongs to it.
	Cosignatures Feature = 2
)

// Range is the versions that a program speaks.
type Range struct {
	Oldest Version `json:"oldest"`
	Newest Version `json:"newest"`
}

// Spoken returns what this program speaks.
func Spoken() Range { return Range{Oldest, Newest} }

// Unsaid is what a program speaks that says nothing of versions, as those of the first.
var Unsaid = Range{1, 1}

// highest bounds what a program may say of itself.
const highest = 9999

// greeting stands before the versions in a greeting.
const greeting = "trialmesh/"

// Greeting is what a program says of itself, for example "trialmesh/1-2".
func (r Range) Greeting() string { return fmt.Sprintf("%s%d-%d", greeting, r.Oldest, r.Newest) }

// FromGreeting is the inverse of [Range.Greeting]. Any other text is [Unsaid].
func FromGreeting(text string) Range {
	versions, ours := strings.CutPrefix(text, greeting)
	oldest, newest, both := strings.Cut(versions, "-")
	from, err := strconv.Atoi(oldest)
	to, errTo := strconv.Atoi(newest)
	if !ours || !both || err != nil || errTo != nil || from < 1 || to < from || to > highest {
		return Unsaid
	}
	return Range{Version(from), Version(to)}
}

// Knows reports whether a program that speaks r understands a feature.
func (r Range) Knows(f Feature) bool { return r.Newest >= Version(f) }

// String lists the versions, newest first: "4 and 3".
func (r Range) String() string {
	switch r.Newest - r.Oldest {
	case 0:
		return strconv.Itoa(int(r.Newest))
	case 1:
		return fmt.Sprintf("%d and %d", r.Newest, r.Oldest)
	}
	return fmt.Sprintf("%d to %d", r.Newest, r.Oldest)
}

// Rule is the rule of every refusal for a version.
const Rule = "protocol.version"

// Party is a program with the versions it speaks.
type Party struct {
	Name   string // "hub", "node"
	Speaks Range
}

// Check returns nil if two programs have a version in common, and otherwise the refusal,
// from the point of view of p. It says which of them to update.
func (p Party) Check(other Party) error {
	late := other
	switch {
	case other.Speaks.Oldest > p.Speaks.Newest:
		late = p
	case other.Speaks.Newest >= p.Speaks.Oldest:
		return nil
	}
	return problem.Refusal(Rule, fmt.Sprintf("this %s speaks protocol %s, the %s speaks %s: update the %s",
		p.Name, p.Speaks, other.Name, other.Speaks, late.Name))
}

// Lacks is the refusal of what a program does not understand yet.
func (p Party) Lacks(f Feature) error {
	return problem.Refusal(Rule, fmt.Sprintf("the %s speaks protocol %s, and this needs %d: update the %s", p.Name, p.Speaks, f, p.Name))
}

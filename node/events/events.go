// Package events is what a site knows about its people, in columns, as questions read it.
//
// A [Source] hands out the people and, per domain, the events of some concepts with the
// columns that are asked for: a cohort touches nothing else. It is one consistent state.
package events

import (
	"context"
	"math"
	"time"

	"github.com/trialmesh/trialmesh/protocol/cohort"
)

// Day is a calendar day, counted from 1970-01-01. NoDay is an absent one.
type Day int32

// String is YYYY-MM-DD, empty for NoDay.
func (d Day) String() string {
	if d == NoDay {
		return ""
	}
	return time.Unix(int64(d)*86400, 0).UTC().Format(time.DateOnly)
}

// Absent values.
const (
	NoDay  Day   = math.MinInt32
	NoYear int32 = math.MinInt32
	Null   int64 = math.MinInt64
)

// Source is one state of a site's people and events. It is safe for concurrent use.
type Source interface {
	// People returns the columns of the person and the observation period tables.
	People() *People

	// Events returns the events of a domain that have one of the concepts, nil for all,
	// with the columns asked for. An event that the quality checks found invalid is not
	// among them. The slices are shared: nobody changes them. Those of all events are
	// asked for where few people are looked at: they should cost no copy. What is too much
	// for the source's memory is refused with [ErrTooMany].
	Events(ctx context.Context, d cohort.Domain, concepts []int64, columns ...Column) (*Events, error)
}

// Parted is a [Source] whose events can be read of some of its people at a time, so that
// memory need not grow with the site.
type Parted interface {
	Source

	// Most returns as how many events of a domain that have one of the concepts, nil for
	// all, there may be at most.
	Most(d cohort.Domain, concepts []int64) (int, error)

	// Between returns the source with the events of the people from one ordinal up to,
	// excluding, another. All people are still there.
	Between(first, end uint32) Source
}

// People are persons in the order of their numbers. A person's index here is their
// ordinal, by which all else refers to them.
type People struct {
	ID                                        []int64 // person_id, ascending
	YearOfBirth                               []int32 // NoYear if absent
	BirthMonth, BirthDay                      []int8  // 0 if absent
	Gender, Race, Ethnicity                   []int64
	GenderSource, RaceSource, EthnicitySource []int64 // source concepts

	// The observation periods of person i are those from Periods[i] up to Periods[i+1]
	// of the slices that follow, by start.
	Periods                []int32
	PeriodStart, PeriodEnd []Day
	PeriodID, PeriodType   []int64
}

// Events are events of one domain in the order of person, start and id. All slices have
// one value for every event.
type Events struct {
	Person []uint32 // ordinal
	Start  []Day
	End    []Day // as OMOP has it, NoDay if the table's end column is absent
	ID     []int64
	Visit  []int64 // visit_occurrence_id, Null for none
	Domain []int64 // the standard concept of the domain

	Columns map[Column]Vector
}

// Column is an attribute of an event by the name of its OMOP column, such as
// value_as_number. Attributes of what an event refers to have the table's name before
// them: visit_occurrence.visit_concept_id (of a visit of the same person),
// provider.specialty_concept_id, care_site.place_of_service_concept_id, and
// visit_occurrence.visit_occurrence_id and care_site.care_site_id, which are absent if
// there is no such visit or care site.
type Column string

// Vector is one column of events. One of the slices is set.
type Vector struct {
	Int    []int64   // Null for absent
	Number []float64 // NaN for absent
	Text   []string
	Absent []bool // which texts are absent, nil if none is
}

// Vocabulary answers what a concept set asks. Concepts come in any order and may repeat.
type Vocabulary interface {
	// Known returns those of the concepts that the vocabulary has, also invalid ones.
	Known(ctx context.Context, concepts []int64) ([]int64, error)

	// Descendants returns the valid descendants of the concepts.
	Descendants(ctx context.Context, concepts []int64) ([]int64, error)

	// MapTo returns the concepts that map to one of the concepts by a valid relationship.
	MapTo(ctx context.Context, concepts []int64) ([]int64, error)
}

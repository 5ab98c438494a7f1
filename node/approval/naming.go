package approval

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/trialmesh/trialmesh/localstore/vocab"
	"github.com/trialmesh/trialmesh/protocol/cohort"
	"github.com/trialmesh/trialmesh/protocol/problem"
	"github.com/trialmesh/trialmesh/protocol/query"
)

// Names is what the site calls concepts.
type Names interface {
	// Concepts returns those of the concepts that the site's vocabulary has, also
	// invalid ones.
	Concepts(ctx context.Context, ids []int64) (map[int64]vocab.Concept, error)
}

// Vocabulary is what the site calls concepts, and what sets of them come to.
type Vocabulary interface {
	Names

	// Reach counts the site's standard concepts that a concept set comes to, each once.
	// What the vocabulary cannot tell is a refusal of type problem.Error.
	Reach(ctx context.Context, set cohort.ConceptSet) (int, error)
}

// Reading is a question as the site reads it: nothing in it rests on what the researcher
// calls a concept.
type Reading struct {
	// Words say in plain English what is asked. What is the researcher's own is quoted.
	Words string

	// Places are where the question names concepts.
	Places []Place

	// Otherwise and Unknown count, over all places, the concepts that the researcher
	// calls otherwise than the site does, and those that its vocabulary does not have.
	Otherwise, Unknown int
}

// Place is where a question names concepts.
type Place struct {
	What string // "concept set", "column", "variable" or "criteria"
	Name string // the researcher's, of a concept set or a column

	// Concepts are at most 100, those that need a look first. More counts the others.
	Concepts []Concept
	More     int

	// Reach is how many of the site's standard concepts the place comes to, each once,
	// with descendants and without what is excluded. Refusal says why that cannot be told.
	Reach   int
	Refusal string
}

// Concept is a concept of a question as the site's vocabulary has it.
type Concept struct {
	vocab.Concept // only the ID of one that the vocabulary does not have

	Known     bool
	Theirs    string // what the researcher calls it, if anything
	Otherwise bool   // that is not what the site calls it

	Excluded, Descendants, Mapped bool // as in cohort.Item
}

// maxShown is how many concepts of a place are shown.
const maxShown = 100

// maxTheirs is how much of a name of the researcher's is shown.
const maxTheirs = 100 // runes

// theirs is a text of the researcher's on one line: long ones are cut, white space is one
// space.
func theirs(text string) string {
	text = strings.Join(strings.Fields(text), " ")
	if runes := []rune(text); len(runes) > maxTheirs {
		return string(runes[:maxTheirs]) + "…"
	}
	return text
}

// Read reads a question by the site's vocabulary.
func Read(ctx context.Context, v Vocabulary, r query.Request) (Reading, error) {
	var d cohort.Definition
	var err error
	if r.Dataset == "" {
		if d, err = r.Definition(); err != nil {
			return Reading{}, err
		}
	}
	sets := placesOf(d, r.Analysis)
	var ids []int64
	for _, set := range sets {
		for _, item := range set.Items {
			ids = append(ids, item.Concept)
		}
	}
	known, err := v.Concepts(ctx, distinct(ids))
	if err != nil {
		return Reading{}, err
	}
	reading := Reading{Places: make([]Place, len(sets))}
	for i, set := range sets {
		place := Place{What: set.what, Name: theirs(set.Name)}
		if place.Reach, err = v.Reach(ctx, set.ConceptSet); err != nil {
			var refusal *problem.Error
			if !errors.As(err, &refusal) {
				return Reading{}, err
			}
			place.Refusal = refusal.Public
		}
		for _, item := range set.Items {
			c := conceptOf(known, item)
			if c.Otherwise {
				reading.Otherwise++
			}
			if !c.Known {
				reading.Unknown++
			}
			place.Concepts = append(place.Concepts, c)
		}
		slices.SortStableFunc(place.Concepts, func(a, b Concept) int { return a.urgency() - b.urgency() })
		place.More = max(0, len(place.Concepts)-maxShown)
		place.Concepts = place.Concepts[:len(place.Concepts)-place.More]
		reading.Places[i] = place
	}
	reading.Words = r.Analysis.WordsNamed(func(id int64) string { return nameOf(known, id, "") }) + ".\n"
	if r.Dataset != "" {
		reading.Words += everybodyIn(r.Dataset)
		return reading, nil
	}
	reading.Words += d.ExplainNamed(func(id int64, theirs string) string { return nameOf(known, id, theirs) })
	return reading, nil
}

// named is a place's concepts as a set.
type named struct {
	what string
	cohort.ConceptSet
}

// placesOf returns where a question names concepts. The researcher gives those of variable
// and columns no names.
func placesOf(d cohort.Definition, a query.Analysis) []named {
	var places []named
	for _, set := range d.Used() {
		places = append(places, named{"concept set", set})
	}
	if items := d.Mentioned(); len(items) > 0 {
		places = append(places, named{"criteria", cohort.ConceptSet{Items: items}})
	}
	if a.Variable != nil {
		places = append(places, named{"variable", cohort.ConceptSet{Items: []cohort.Item{{Concept: a.Variable.Concept}}}})
	}
	for _, c := range a.Columns {
		if len(c.Concepts) == 0 {
			continue
		}
		set := cohort.ConceptSet{Name: c.Name}
		for _, id := range c.Concepts {
			set.Items = append(set.Items, cohort.Item{Concept: id})
		}
		places = append(places, named{"column", set})
	}
	return places
}

func conceptOf(known map[int64]vocab.Concept, item cohort.Item) Concept {
	c := Concept{Theirs: theirs(item.Name), Excluded: item.Excluded, Descendants: item.Descendants, Mapped: item.Mapped}
	c.Concept, c.Known = known[item.Concept]
	c.ID = item.Concept
	c.Otherwise = c.Known && otherwise(c.Name, item.Name)
	return c
}

// otherwise reports whether the researcher gives a concept another name than the site.
// Case and white space make none.
func otherwise(site, researcher string) bool {
	researcher = strings.Join(strings.Fields(researcher), " ")
	return researcher != "" && !strings.EqualFold(strings.Join(strings.Fields(site), " "), researcher)
}

// urgency orders what a person has to look at first.
func (c Concept) urgency() int {
	switch {
	case c.Otherwise:
		return 0
	case !c.Known:
		return 1
	}
	return 2
}

// nameOf says what a concept is to the site, and what the researcher calls it where that is
// something else.
func nameOf(known map[int64]vocab.Concept, id int64, called string) string {
	c, is := known[id]
	text := fmt.Sprintf("%s (%d)", c.Name, id)
	if !is {
		text = fmt.Sprintf("concept %d, unknown here", id)
	}
	if called = theirs(called); called != "" && (!is || otherwise(c.Name, called)) {
		text += ", called " + strconv.Quote(called) + " by the researcher"
	}
	return text
}

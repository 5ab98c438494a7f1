package members

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/trialmesh/trialmesh/node/events"
	"github.com/trialmesh/trialmesh/protocol/cohort"
)

// Errors of a definition that circe-be makes no SQL of.
var (
	errNoField = errors.New("cannot be evaluated: the reference's query fails on it; remove it")
	errEmpty   = errors.New("has no value: give it one or remove it")
)

// plan is a definition made ready for one source.
type plan struct {
	sets     map[int]concepts
	known    map[int]bool // ids of the sets, also where they are not resolved
	people   *events.People
	requests []*request
	criteria []*criterion
	byText   map[string]*criterion

	primary             []*criterion
	primaryLimit        cohort.Limit
	priorDays, postDays events.Day

	additional *group // nil for none
	qualified  cohort.Limit
	rules      []*group
	limit      cohort.Limit
	exit       exit
	censoring  []*criterion
	pad        events.Day
	from, to   events.Day // of the censor window, NoDay for none

	once, again int // values that were read, see repeatedValues
}

// request is what is asked of the source: events of some concepts with some columns.
type request struct {
	index   int
	domain  cohort.Domain
	all     bool // of any concept
	of      concepts
	columns []events.Column
	vectors []*events.Vector // of columns
	events  *events.Events
}

// column returns the vector of a column, which has its values once the plan is bound.
func (r *request) column(c events.Column) *events.Vector {
	if i := slices.Index(r.columns, c); i >= 0 {
		return r.vectors[i]
	}
	v := new(events.Vector)
	r.columns, r.vectors = append(r.columns, c), append(r.vectors, v)
	return v
}

// compile makes a plan. Without a vocabulary its concept sets are empty.
func compile(ctx context.Context, d cohort.Definition, v events.Vocabulary) (*plan, error) {
	p := &plan{
		sets: map[int]concepts{}, known: map[int]bool{}, byText: map[string]*criterion{}, people: new(events.People),
		primaryLimit: d.Primary.Limit, qualified: cohort.All, limit: d.ExpressionLimit,
		priorDays: events.Day(d.Primary.PriorDays), postDays: events.Day(d.Primary.PostDays),
		pad: events.Day(d.EraPad), from: events.NoDay, to: events.NoDay,
	}
	if len(d.Rules) > cohort.MaxRules {
		return nil, fmt.Errorf("there are %d inclusion rules: at most %d can be told apart", len(d.Rules), cohort.MaxRules)
	}
	for _, set := range d.ConceptSets {
		p.known[set.ID] = true
		if v == nil {
			continue
		}
		var err error
		if p.sets[set.ID], err = resolve(ctx, v, set); err != nil {
			return nil, fmt.Errorf("concept set %d: %w", set.ID, err)
		}
	}
	var err error
	if p.primary, err = p.all(d.Primary.Criteria); err != nil {
		return nil, fmt.Errorf("primary criteria: %w", err)
	}
	if d.Additional != nil {
		p.qualified = d.QualifiedLimit // which circe-be heeds only beside additional criteria
		if p.additional, err = p.group(*d.Additional); err != nil {
			return nil, fmt.Errorf("additional criteria: %w", err)
		}
	}
	for _, rule := range d.Rules {
		g, err := p.group(rule.Group)
		if err != nil {
			return nil, fmt.Errorf("inclusion rule %q: %w", rule.Name, err)
		}
		p.rules = append(p.rules, g)
	}
	if err := p.compileExit(d.End); err != nil {
		return nil, err
	}
	if p.censoring, err = p.all(d.Censoring); err != nil {
		return nil, fmt.Errorf("censoring criteria: %w", err)
	}
	for text, to := range map[string]*events.Day{d.CensorWindow.Start: &p.from, d.CensorWindow.End: &p.to} {
		if text == "" {
			continue
		}
		if *to, err = day(text); err != nil {
			return nil, fmt.Errorf("censor window: %w", err)
		}
	}
	return p, nil
}

func (p *plan) all(list []cohort.Criterion) ([]*criterion, error) {
	var compiled []*criterion
	for _, c := range list {
		one, err := p.criterion(c, "")
		if err != nil {
			return nil, err
		}
		compiled = append(compiled, one)
	}
	return compiled, nil
}

// set returns a concept set that a criterion names.
func (p *plan) set(id int) (concepts, error) {
	if !p.known[id] {
		return concepts{}, fmt.Errorf("there is no concept set %d", id)
	}
	return p.sets[id], nil
}

// request returns what to ask for the events of a domain with the concepts of a set, nil
// for all. The same is asked once.
func (p *plan) request(d cohort.Domain, set *int) (*request, error) {
	r := &request{index: len(p.requests), domain: d, all: set == nil}
	if set != nil {
		var err error
		if r.of, err = p.set(*set); err != nil {
			return nil, err
		}
	}
	for _, other := range p.requests {
		if other.domain == d && other.all == r.all && slices.Equal(other.of.sorted, r.of.sorted) {
			return other, nil
		}
	}
	p.requests = append(p.requests, r)
	return r, nil
}

// criterion makes a criterion ready, once if it stands there more often. Count is the column
// of which different values are counted, empty if it is events.
func (p *plan) criterion(c cohort.Criterion, count string) (*criterion, error) {
	text, err := json.Marshal(c)
	if err != nil {
		return nil, err
	}
	key := count + " " + string(text)
	if known := p.byText[key]; known != nil {
		return known, nil
	}
	made, err := p.compileCriterion(c, count)
	if err != nil {
		return nil, err
	}
	made.index = len(p.criteria)
	p.criteria = append(p.criteria, made)
	p.byText[key] = made
	return made, nil
}

// Bounds of what requests for different concept sets that overlap may read again, so that
// memory does not grow with the number of sets: repeated values, which are events times
// columns, and times as many values as are read once. What is read once is no more than the
// site holds.
const (
	repeatedValues = 64 << 20
	repeatedTimes  = 2
	ownColumns     = 6 // of an event that no request names
)

// bind reads from the source what the plan asks for.
func (p *plan) bind(ctx context.Context, s events.Source) error {
	*p.people = *s.People()
	for _, r := range p.requests { // what there was goes before there is more
		if r.domain != cohort.ObservationPeriod {
			r.events = nil
		}
		for _, v := range r.vectors {
			*v = events.Vector{}
		}
	}
	seen := map[cohort.Domain]map[int64]struct{}{} // the concepts that were read
	for _, r := range p.requests {
		switch {
		case r.domain == cohort.ObservationPeriod:
			if r.events == nil { // those of all people, for every part
				r.events = periods(p.people)
			}
		case !r.all && len(r.of.sorted) == 0:
			r.events = &events.Events{}
		default:
			var err error
			if r.events, err = s.Events(ctx, r.domain, r.concepts(), r.columns...); err != nil {
				return fmt.Errorf("%s: %w", r.domain, err)
			}
			if r.all {
				break // costs no copy
			}
			values := len(r.events.Person) * (len(r.columns) + ownColumns)
			if p.met(seen, r) {
				p.again += values
			} else {
				p.once += values
			}
			if p.again > repeatedValues+repeatedTimes*p.once {
				return ErrWork
			}
		}
		for i, c := range r.columns {
			v, ok := r.events.Columns[c]
			if !ok && len(r.events.Person) > 0 {
				return fmt.Errorf("%s: the source has no column %s", r.domain, c)
			}
			*r.vectors[i] = v
		}
	}
	return nil
}

// met reports whether a concept of the request was read for an earlier one, and notes them.
func (p *plan) met(seen map[cohort.Domain]map[int64]struct{}, r *request) bool {
	of := seen[r.domain]
	if of == nil {
		of = map[int64]struct{}{}
		seen[r.domain] = of
	}
	before := len(of)
	for _, id := range r.of.sorted {
		of[id] = struct{}{}
	}
	return len(of)-before < len(r.of.sorted)
}

// periods are the observation periods as events.
func periods(people *events.People) *events.Events {
	n := len(people.PeriodStart)
	e := &events.Events{
		Person: make([]uint32, n), Start: people.PeriodStart, End: people.PeriodEnd, ID: people.PeriodID, Visit: make([]int64, n), Domain: people.PeriodType,
		Columns: map[events.Column]events.Vector{"period_type_concept_id": {Int: people.PeriodType}},
	}
	for i := range people.ID {
		for j := people.Periods[i]; j < people.Periods[i+1]; j++ {
			e.Person[j], e.Visit[j] = uint32(i), events.Null
		}
	}
	return e
}

package wearable

import (
	"slices"

	"github.com/trialmesh/trialmesh/connectors/source/fhir"
	"github.com/trialmesh/trialmesh/connectors/source/observation"
)

// most is how many points are held back before they are handed on.
const most = 10_000

// batch gathers the series of one payload.
type batch struct {
	*reader
	at         string // the payload, such as payloads[3]
	understood bool   // something of the payload is known
	stop       error  // errStopped once the caller has had enough

	columns map[variable]*column
	order   []variable
	points  int
	said    map[said]bool
}

// said is a problem that is told once a payload.
type said struct {
	rule fhir.Rule
	what string
}

// column is a series and what it has for each time.
type column struct {
	*observation.Series
	seen map[int64]float64
}

func newBatch(r *reader, at string) *batch {
	return &batch{reader: r, at: at, columns: map[variable]*column{}, said: map[said]bool{}}
}

// put takes the number at n as the value of v at a time. Nothing is taken if n is
// absent, null (which is counted), or no such value.
func (b *batch) put(v variable, at int64, n node) bool {
	if n.present && n.v == nil || n.missing {
		b.column(v).Missing++
	}
	x, ok := n.number(v.unit)
	switch {
	case !ok || n.missing:
		return false
	case x < 0 && !v.signed:
		b.problem(fhir.RuleInvalidNumber, n.path, "want 0 or more")
		return false
	case x == 0 && v.unworn:
		b.column(v).Missing++
		return false
	}
	return b.add(v, at, x, n.path)
}

// span takes the number at n as the value of v over an interval, and the length of
// that beside it.
func (b *batch) span(v variable, s interval, n node) {
	if b.put(v, s.from, n) {
		b.length(v, s, n)
	}
}

// length takes the length of an interval, once for what the interval is of.
func (b *batch) length(v variable, s interval, n node) {
	of := v.lengths()
	if s.of != "" {
		of.code = s.of
		if _, known := b.column(of).seen[s.from]; known {
			return
		}
	}
	b.add(of, s.from, float64(s.to-s.from)/1000, n.path)
}

// lasted takes the length of an interval as the value of v, which is in minutes.
func (b *batch) lasted(v variable, s interval, n node) {
	if b.add(v, s.from, float64(s.to-s.from)/60_000, n.path) {
		b.length(v, s, n)
	}
}

// add appends a point, unless there is one for that time.
func (b *batch) add(v variable, at int64, x float64, path string) bool {
	c := b.column(v)
	switch first, twice := c.seen[at]; {
	case twice && first == x:
		b.once(RuleRepeatedPoint, path, v.code)
		return false
	case twice:
		b.problem(RuleConflict, path, "the first value counts")
		return false
	}
	c.seen[at] = x
	c.Times, c.Values = append(c.Times, at), append(c.Values, x)
	if b.points++; b.points >= most {
		b.flush()
	}
	return true
}

func (b *batch) column(v variable) *column {
	c := b.columns[v]
	if c == nil {
		c = &column{&observation.Series{
			Source: b.header.Wearable, Person: b.header.Patient, System: v.system, Code: v.code, Unit: v.unit,
		}, map[int64]float64{}}
		b.columns[v] = c
		b.order = append(b.order, v)
	}
	return c
}

// flush hands on what has been gathered.
func (b *batch) flush() {
	for _, v := range b.order {
		if b.stop == nil && !b.yield(fhir.Record{Type: observation.Type, Path: b.at, Resource: b.columns[v].Series}, nil) {
			b.stop = errStopped
		}
	}
	clear(b.columns)
	b.order, b.points = slices.Delete(b.order, 0, len(b.order)), 0
}

func (b *batch) problem(rule fhir.Rule, path, detail string) {
	if b.stop == nil && !b.yield(fhir.Record{}, &fhir.Problem{Rule: rule, Path: path, Detail: detail}) {
		b.stop = errStopped
	}
}

// once reports a problem the first time that the payload has it with what.
func (b *batch) once(rule fhir.Rule, path, what string) {
	if key := (said{rule, what}); !b.said[key] && len(b.said) < 100 {
		b.said[key] = true
		b.problem(rule, path, "")
	}
}

// ownedBy reports whether a part of the document is of the user that its other parts
// are of, as far as the maker says.
func (b *batch) ownedBy(n node) bool {
	id, ok := n.id()
	switch {
	case !ok || id == b.user:
		return true
	case b.user == "":
		b.user = id
		return true
	}
	b.problem(RuleSeveralUsers, n.path, "a document is of one person; send the others in documents of their own")
	return false
}

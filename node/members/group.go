package members

import (
	"errors"
	"fmt"
	"slices"

	"github.com/trialmesh/trialmesh/node/events"
	"github.com/trialmesh/trialmesh/protocol/cohort"
)

// group is a group of criteria made ready.
type group struct {
	kind         cohort.GroupType
	count        int
	correlated   []*correlated
	demographics [][]test
	groups       []*group
	parts        int
}

// correlated is a criterion that is counted around an event.
type correlated struct {
	criterion  *criterion
	start, end *window // end is nil for any
	sameVisit  bool
	anyTime    bool // also outside the observation period
	kind       cohort.OccurrenceType
	count      int
}

// window is a span of days around an event.
type window struct {
	low, high endpoint
	indexEnd  bool // from the end of the group's event
	eventEnd  bool // to the end of the criterion's
}

// endpoint is one end of a window.
type endpoint struct {
	kind endpointKind
	days int
}

type endpointKind uint8

const (
	unbounded endpointKind = iota
	days                   // from the event
	periodStart
	periodEnd
)

// span is an observation period.
type span struct{ start, end events.Day }

func (s span) has(d events.Day) bool { return s.start <= d && d <= s.end }

// anchor is the event that a group is about. Spans are the observation periods that it
// begins in: the reference's query has a row for each.
type anchor struct {
	person     uint32
	start, end events.Day
	visit      int64
	spans      []span
}

func empty(g cohort.Group) bool {
	return len(g.Criteria)+len(g.Demographics)+len(g.Groups) == 0
}

func (p *plan) group(g cohort.Group) (*group, error) {
	made := &group{kind: g.Type, count: g.Count, parts: len(g.Criteria) + len(g.Demographics) + len(g.Groups)}
	switch g.Type {
	case cohort.AllOf, cohort.AnyOf, cohort.AtLeast, cohort.AtMost:
	default:
		if made.parts > 0 {
			return nil, fmt.Errorf("a group is of type %q, which is none of ALL, ANY, AT_LEAST, AT_MOST", g.Type)
		}
	}
	for _, c := range g.Criteria {
		one, err := p.correlated(c)
		if err != nil {
			return nil, err
		}
		made.correlated = append(made.correlated, one)
	}
	for _, d := range g.Demographics {
		_, tests, err := p.filters(cohort.Person, d.Filters, nil)
		if err != nil {
			return nil, err
		}
		made.demographics = append(made.demographics, tests)
	}
	for _, sub := range g.Groups {
		one, err := p.group(sub)
		if err != nil {
			return nil, err
		}
		made.groups = append(made.groups, one)
	}
	return made, nil
}

func (p *plan) correlated(c cohort.Correlated) (*correlated, error) {
	count := ""
	if c.Occurrence.Distinct {
		if count = c.Occurrence.CountColumn; count == "" {
			count = "DOMAIN_CONCEPT"
		}
	}
	if c.Occurrence.Type < cohort.Exactly || c.Occurrence.Type > cohort.AtLeastTimes {
		return nil, errors.New("an occurrence is none of exactly (0), at most (1), at least (2)")
	}
	criterion, err := p.criterion(c.Criterion, count)
	if err != nil {
		return nil, err
	}
	made := &correlated{criterion: criterion, sameVisit: c.SameVisit, anyTime: c.IgnoreObservationPeriod, kind: c.Occurrence.Type, count: c.Occurrence.Count}
	// Circe's default is the start of both events, but for the end window the end of the
	// criterion's.
	made.start = windowOf(c.Start, c.IgnoreObservationPeriod, false)
	if c.End != nil {
		made.end = windowOf(*c.End, c.IgnoreObservationPeriod, true)
	}
	return made, nil
}

func windowOf(w cohort.Window, anyTime, eventEnd bool) *window {
	made := &window{indexEnd: w.UseIndexEnd != nil && *w.UseIndexEnd, eventEnd: eventEnd}
	if w.UseEventEnd != nil {
		made.eventEnd = *w.UseEventEnd
	}
	for from, to := range map[*cohort.Endpoint]*endpoint{&w.Start: &made.low, &w.End: &made.high} {
		switch {
		case from.Days != nil:
			*to = endpoint{days, from.Coeff * *from.Days}
		case anyTime:
		case from.Coeff == -1:
			to.kind = periodStart
		default:
			to.kind = periodEnd
		}
	}
	if made.low.kind == unbounded && made.high.kind == unbounded {
		return nil
	}
	return made
}

// The days beyond all others.
const (
	dawn events.Day = -1 << 30
	dusk events.Day = 1 << 30
)

// bounds returns the days between which the event has to be. Not ok: it has to be near a day
// that is absent.
func (w *window) bounds(a *anchor, s span) (low, high events.Day, ok bool) {
	base := a.start
	if w.indexEnd {
		base = a.end
	}
	low, high = dawn, dusk
	for _, e := range []struct {
		endpoint
		to *events.Day
	}{{w.low, &low}, {w.high, &high}} {
		switch e.kind {
		case days:
			if base == events.NoDay {
				return 0, 0, false
			}
			*e.to = events.Day(min(max(int64(base)+int64(e.days), int64(dawn)), int64(dusk)))
		case periodStart:
			*e.to = s.start
		case periodEnd:
			*e.to = s.end
		}
	}
	return low, high, true
}

// holds reports whether a group holds for an event. The reference counts rows: with one for
// each observation period, parts count as often.
func (w *worker) holds(g *group, a *anchor) bool {
	if g.parts == 0 {
		return true
	}
	n := len(a.spans)
	one := n == 1 // what is certain need not be counted to the end
	sum := 0
	left := g.parts
	for i := 0; i < g.parts; i++ {
		sum += w.part(g, i, a)
		left--
		if !one {
			continue
		}
		switch g.kind {
		case cohort.AllOf:
			if sum < g.parts-left {
				return false
			}
		case cohort.AnyOf:
			if sum > 0 {
				return true
			}
		case cohort.AtMost:
			if sum > g.count {
				return false
			}
		}
	}
	total := sum * n
	switch g.kind {
	case cohort.AllOf:
		return sum > 0 && total == g.parts
	case cohort.AnyOf:
		return total > 0
	case cohort.AtLeast:
		return (sum > 0 || g.count == 0) && total >= g.count
	}
	return total <= g.count
}

// part returns how often a part of a group counts: criteria first, then demographics, then
// groups.
func (w *worker) part(g *group, i int, a *anchor) int {
	w.spend(1)
	var holds bool
	switch {
	case i < len(g.correlated):
		holds = w.counts(g.correlated[i], a)
	case i < len(g.correlated)+len(g.demographics):
		holds = true
		w.demographic = subject{person: a.person, start: a.start, end: a.end}
		w.spend(len(g.demographics[i-len(g.correlated)]))
		for _, t := range g.demographics[i-len(g.correlated)] {
			holds = holds && t(&w.demographic)
		}
	default:
		sub := g.groups[i-len(g.correlated)-len(g.demographics)]
		if sub.parts == 0 {
			return len(a.spans)
		}
		holds = w.holds(sub, a)
	}
	if holds {
		return 1
	}
	return 0
}

// counts reports whether there are as many events around an event as there must be.
func (w *worker) counts(c *correlated, a *anchor) bool {
	rows := w.rows(c.criterion, a.person)
	distinct := c.criterion.value != nil
	optional := c.kind == cohort.AtMostTimes || c.count == 0 // a left join
	enough := c.count + 1
	if c.kind == cohort.AtLeastTimes {
		enough = c.count
	}
	w.values = w.values[:0]
	count := 0
	for _, s := range a.spans {
		low, high := dawn, dusk
		if !c.anyTime {
			low, high = s.start, s.end
		}
		endLow, endHigh, onEnd := dawn, dusk, false
		possible := true
		for _, win := range []*window{c.start, c.end} {
			if win == nil {
				continue
			}
			l, h, ok := win.bounds(a, s)
			possible = possible && ok
			if win.eventEnd {
				endLow, endHigh, onEnd = max(endLow, l), min(endHigh, h), true
			} else {
				low, high = max(low, l), min(high, h)
			}
		}
		if !possible {
			continue
		}
		i := after(rows, low)
		from := i
		for ; i < len(rows) && rows[i].start <= high; i++ {
			r := &rows[i]
			switch {
			case onEnd && (r.end < endLow || r.end > endHigh):
			case c.sameVisit && (r.visit == events.Null || r.visit != a.visit):
			default:
				count++
				if distinct && r.value != events.Null {
					w.values = append(w.values, r.value)
				}
			}
			if !distinct && len(a.spans) == 1 && count >= enough {
				break
			}
		}
		w.spend(i - from + 1)
	}
	if !optional && count == 0 {
		return false
	}
	switch {
	case distinct:
		slices.Sort(w.values)
		count = len(slices.Compact(w.values))
	case optional:
		count *= len(a.spans)
	}
	switch c.kind {
	case cohort.Exactly:
		return count == c.count
	case cohort.AtMostTimes:
		return count <= c.count
	}
	return count >= c.count
}

// after returns the first of the rows that starts on the day or later.
func after(rows []row, d events.Day) int {
	if len(rows) <= few {
		for i := range rows {
			if rows[i].start >= d {
				return i
			}
		}
		return len(rows)
	}
	i, _ := slices.BinarySearchFunc(rows, d, func(r row, d events.Day) int { return sign(r.start, d) })
	return i
}

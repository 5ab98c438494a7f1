package members

import (
	"errors"
	"fmt"
	"slices"

	"github.com/trialmesh/trialmesh/node/events"
	"github.com/trialmesh/trialmesh/protocol/cohort"
)

// exit is an end strategy made ready.
type exit struct {
	offset *cohort.DateOffset // nil for none
	era    *cohort.CustomEra  // nil for none
	drugs  concepts           // of the era
	source *events.Vector     // their source concepts
	taken  *request           // all exposures to drugs
	rule   criterion          // how an exposure ends
}

func (p *plan) compileExit(e cohort.EndStrategy) error {
	p.exit = exit{offset: e.Offset, era: e.Era}
	if e.Era == nil {
		return nil
	}
	if e.Offset != nil {
		return errors.New("end strategy: there are two: choose the date offset or the custom era")
	}
	set, err := p.set(e.Era.ConceptSet)
	if err != nil {
		return fmt.Errorf("end strategy: %w", err)
	}
	// A drug counts by its standard or its source concept: all exposures are looked at, of
	// the people that are left.
	r, err := p.request(cohort.DrugExposure, nil)
	if err != nil {
		return err
	}
	p.exit.drugs, p.exit.taken, p.exit.source = set, r, r.column(drugSource)
	p.exit.rule = criterion{end: orSupply, supply: r.column(daysSupply)}
	return nil
}

// end returns the first of the days on which an entry can end, none before it began.
func (w *worker) end(id uint32, e *entered) (events.Day, bool) {
	x := &w.p.exit
	end, found := events.NoDay, false
	offer := func(d events.Day) {
		if d >= e.start && (!found || d < end) { // an absent day is before all others
			end, found = d, true
		}
	}
	if x.offset == nil {
		offer(e.span[0].end)
	} else {
		from := e.start
		if x.offset.FromEnd {
			from = e.end
		}
		if d := plus(from, x.offset.Days); d != events.NoDay {
			offer(min(d, e.span[0].end))
		}
	}
	if x.era != nil {
		eras := w.erasOf(id)
		w.spend(len(eras))
		for _, era := range eras {
			if era.has(e.start) {
				offer(era.end)
			}
		}
	}
	w.spend(len(w.p.censoring))
	for _, c := range w.p.censoring {
		rows := w.rows(c, id)
		if i := after(rows, e.start); i < len(rows) && rows[i].start <= e.span[0].end {
			offer(rows[i].start)
		}
	}
	return end, found
}

// erasOf returns a person's eras of exposure, once for each person.
func (w *worker) erasOf(id uint32) []span {
	if w.erasDone {
		return w.eras
	}
	x := &w.p.exit
	w.eras, w.erasDone = w.eras[:0], true
	all := x.taken.events
	low, high := w.rangeOf(x.taken, id)
	w.spend(high - low)
	for i := low; i < high; i++ {
		if !x.drugs.has(all.Domain[i]) && !x.drugs.has(x.source.Int[i]) {
			continue
		}
		start, end := all.Start[i], x.rule.endOfRow(all, i)
		if x.era.DaysSupply != nil {
			end = start + events.Day(*x.era.DaysSupply)
		}
		w.eras = append(w.eras, span{start, end + events.Day(x.era.GapDays+x.era.Offset)})
	}
	slices.SortStableFunc(w.eras, func(a, b span) int { return sign(a.start, b.start) })
	n := 0
	for _, s := range w.eras {
		if n > 0 && w.eras[n-1].end >= s.start {
			w.eras[n-1].end = max(w.eras[n-1].end, s.end)
			continue
		}
		w.eras[n] = s
		n++
	}
	w.eras = w.eras[:n]
	for i := range w.eras {
		w.eras[i].end -= events.Day(x.era.GapDays)
	}
	return w.eras
}

package mapping

import "github.com/trialmesh/trialmesh/localstore/omop"

// Periods appends an observation period for every person with a valid event in b,
// from the first to the last. It is called once, when the quality checks have
// marked what does not count; the store joins the periods of several batches.
func Periods(b *omop.Batch) {
	spans := map[omop.Key]int{} // index in b.Periods
	note := func(r omop.Record, start, end omop.Date) {
		if r.Invalid {
			return
		}
		end = max(start, end)
		i, ok := spans[r.Person]
		if !ok {
			spans[r.Person] = len(b.Periods)
			b.Periods = append(b.Periods, omop.ObservationPeriod{Person: r.Person, Start: start, End: end, TypeConceptID: fromEHR})
			return
		}
		p := &b.Periods[i]
		p.Start, p.End = min(p.Start, start), max(p.End, end)
	}
	for _, r := range b.Visits {
		note(r.Record, r.Start, r.End)
	}
	for _, r := range b.Conditions {
		note(r.Record, r.Start, r.Start)
	}
	for _, r := range b.Drugs {
		note(r.Record, r.Start, r.Start)
	}
	for _, r := range b.Procedures {
		note(r.Record, r.Start, r.Start)
	}
	for _, r := range b.Measurements {
		note(r.Record, r.Start, r.Start)
	}
	for _, r := range b.Observations {
		note(r.Record, r.Start, r.Start)
	}
	for _, r := range b.Devices {
		note(r.Record, r.Start, r.Start)
	}
	for _, r := range b.Specimens {
		note(r.Record, r.Start, r.Start)
	}
	for _, r := range b.VisitDetails {
		note(r.Record, r.Start, r.Start)
	}
}

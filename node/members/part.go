package members

import (
	"context"

	"github.com/trialmesh/trialmesh/node/events"
	"github.com/trialmesh/trialmesh/protocol/cohort"
)

// defaultPart is the default of [Options.Part].
const defaultPart = 8 << 20

// partPeople is how many people a part has at least, however many events they have.
const partPeople = 1024

// inParts evaluates people part by part: of each only its events are in memory.
func (p *plan) inParts(ctx context.Context, s events.Parted, o Options) (Result, error) {
	people := len(s.People().ID)
	parts, err := p.parts(s, o.Part)
	if err != nil {
		return Result{}, err
	}
	r := p.begin(o)
	width := max(people, 1)
	if parts > 1 {
		// A power of two, so that they begin where those of the source do, if it has such:
		// what two of ours share of one is read twice.
		for width = partPeople; 2*width <= people/parts; {
			width *= 2
		}
	}
	for first := 0; first == 0 || first < people; first += width {
		end := min(first+width, people)
		from := events.Source(s)
		if first > 0 || end < people {
			from = s.Between(uint32(first), uint32(end)) //nolint:gosec // persons of a site
		}
		if err := p.bind(ctx, from); err != nil {
			return Result{}, err
		}
		if err := r.run(ctx, uint32(first), uint32(end)); err != nil { //nolint:gosec // likewise
			return Result{}, err
		}
	}
	return r.result, nil
}

// parts returns in how many parts what the plan asks for is read, most values of it at once.
func (p *plan) parts(s events.Parted, most int) (int, error) {
	if most <= 0 {
		most = defaultPart
	}
	values := 0
	for _, r := range p.requests {
		if r.domain == cohort.ObservationPeriod || !r.all && len(r.of.sorted) == 0 {
			continue
		}
		n, err := s.Most(r.domain, r.concepts())
		if err != nil {
			return 0, err
		}
		values += n * (len(r.columns) + ownColumns)
	}
	return 1 + values/most, nil
}

// concepts are those that the request is about, nil for all.
func (r *request) concepts() []int64 {
	if r.all {
		return nil
	}
	return r.of.sorted
}

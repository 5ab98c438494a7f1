package members

import (
	"context"
	"runtime"
	"slices"
	"sort"
	"sync"
	"sync/atomic"
)

// chunk is how many people a worker takes at a time.
const chunk = 4096

// pace is how many steps a worker takes between two looks at the context and the budget.
const pace = 1 << 14

// budget is what the workers of an evaluation share.
type budget struct {
	ctx   context.Context
	end   context.CancelCauseFunc
	steps int64
	spent atomic.Int64
}

// stopped is what a worker panics with, out of however deep a group, when the evaluation
// has to end. [rest] recovers it.
type stopped struct{}

// spend counts steps. It panics with stopped when there may be no more.
func (w *worker) spend(steps int) {
	if w.left -= steps; w.left < 0 {
		w.look()
	}
}

func (w *worker) look() {
	if w.budget.spent.Add(int64(pace-w.left)) > w.budget.steps {
		w.budget.end(ErrWork)
	}
	w.left = pace
	if w.budget.ctx.Err() != nil {
		panic(stopped{})
	}
}

// rest ends a worker that was stopped.
func rest() {
	if r := recover(); r != nil && r != (stopped{}) {
		panic(r)
	}
}

// part is what is found of a chunk's people.
type part struct {
	entries []Entry
	persons int
	passed  []Passed
}

// running is an evaluation under way, and what it has found so far.
type running struct {
	p       *plan
	options Options
	budget  *budget
	result  Result
}

func (p *plan) begin(o Options) *running {
	r := &running{p: p, options: o, budget: &budget{steps: o.Work}}
	if r.budget.steps <= 0 {
		r.budget.steps = DefaultWork
	}
	if o.Attrition {
		r.result.Attrition = newAttrition(len(p.rules))
	}
	return r
}

// run evaluates those of the people from first up to end who may be looked at. They come
// after all that it has evaluated before.
func (r *running) run(ctx context.Context, first, end uint32) error {
	chunks := (int(end-first) + chunk - 1) / chunk
	workers := r.options.Workers
	if workers <= 0 {
		workers = runtime.GOMAXPROCS(0)
	}
	workers = max(min(workers, chunks), 1)
	parts := make([]part, chunks)
	var next atomic.Int64
	var group sync.WaitGroup
	limits := r.budget
	limits.ctx, limits.end = context.WithCancelCause(ctx)
	defer limits.end(nil)
	all := make([]*worker, workers)
	for i := range all {
		w := r.p.worker(r.options)
		w.budget, w.left, all[i] = limits, pace, w
		group.Go(func() {
			defer rest()
			for limits.ctx.Err() == nil {
				n := int(next.Add(1)) - 1
				if n >= chunks {
					return
				}
				low := first + uint32(n)*chunk
				parts[n] = w.chunk(low, min(low+chunk, end))
			}
		})
	}
	group.Wait()
	if err := context.Cause(limits.ctx); err != nil {
		return err
	}
	total := 0
	for _, part := range parts {
		total += len(part.entries)
	}
	r.result.Entries = slices.Grow(r.result.Entries, total)
	for _, part := range parts {
		r.result.Entries = append(r.result.Entries, part.entries...)
		r.result.Persons += part.persons
		r.result.Passed = append(r.result.Passed, part.passed...)
	}
	for _, w := range all {
		limits.spent.Add(int64(pace - w.left))
		if r.options.Attrition {
			r.result.Attrition.merge(w.attrition)
		}
	}
	return nil
}

// chunk evaluates the people from low to below high who have a primary event.
func (w *worker) chunk(low, high uint32) part {
	for i, r := range w.p.requests {
		of := r.events.Person
		w.cursors[i] = sort.Search(len(of), func(j int) bool { return of[j] >= low })
	}
	w.entries, w.persons, w.passed = w.entries[:0], 0, w.passed[:0]
	for id := w.next(low); id < high; id = w.next(id + 1) {
		if w.options.Permit == nil || w.options.Permit(id) {
			w.person(id)
		}
	}
	return part{slices.Clone(w.entries), w.persons, slices.Clone(w.passed)}
}

// next returns the first person from id on with an event of the primary criteria's concepts.
func (w *worker) next(id uint32) uint32 {
	least := ^uint32(0)
	w.spend(len(w.p.primary))
	for _, c := range w.p.primary {
		low, _ := w.rangeOf(c.request, id)
		if of := c.request.events.Person; low < len(of) {
			least = min(least, of[low])
		}
	}
	return least
}

package hub

import (
	"cmp"
	"errors"

	"github.com/trialmesh/trialmesh/hub/registry"
)

// Queue bounds the questions that wait and run, in all and of each researcher.
// A field that is 0 has its default.
type Queue struct {
	// Running is how many questions are driven at once, 1 to 1000. Defaults to 64.
	Running int

	// RunningEach is how many of one researcher, 1 to Running. Defaults to 8.
	RunningEach int

	// Open is how many may be open, those that wait included, 1 to 100,000. Whoever
	// has none open may ask one all the same. Defaults to 10,000.
	Open int

	// OpenEach is how many of one researcher, 1 to Open. Defaults to 1000.
	OpenEach int
}

func (q Queue) withDefaults() Queue {
	q.Running = cmp.Or(q.Running, 64)
	q.RunningEach = cmp.Or(q.RunningEach, min(8, q.Running))
	q.Open = cmp.Or(q.Open, registry.DefaultQueue.All)
	q.OpenEach = cmp.Or(q.OpenEach, min(registry.DefaultQueue.Each, q.Open))
	return q
}

func (q Queue) validate() error {
	within := func(n, most int) bool { return n >= 1 && n <= most }
	switch {
	case !within(q.Running, 1000):
		return errors.New("queue: running: 1 to 1000")
	case !within(q.RunningEach, q.Running):
		return errors.New("queue: running for each researcher: 1 to those running in all")
	case !within(q.Open, 100_000):
		return errors.New("queue: open: 1 to 100000")
	case !within(q.OpenEach, q.Open):
		return errors.New("queue: open for each researcher: 1 to those open in all")
	}
	return nil
}

func (q Queue) limits() registry.QueueLimits {
	return registry.QueueLimits{Each: q.OpenEach, All: q.Open}
}

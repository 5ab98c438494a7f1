package bench

import (
	"context"
	"fmt"
	"math"
	"runtime"
	"runtime/metrics"
	"time"

	"github.com/trialmesh/trialmesh/node/eventindex"
	"github.com/trialmesh/trialmesh/node/members"
	"github.com/trialmesh/trialmesh/protocol/cohort"
)

// Bars of the question that reads everybody.
const (
	partsBar     = 256 // MiB, whatever the number of people
	partsTimeBar = 1.25
)

// everything is a question about all that was measured and dispensed.
const everything = `{"ConceptSets":[],"PrimaryCriteria":{"CriteriaList":[{"Measurement":{"ValueAsNumber":{"Op":"gt","Value":150}}}],
	"ObservationWindow":{"PriorDays":0,"PostDays":0},"PrimaryCriteriaLimit":{"Type":"First"}},
	"InclusionRules":[{"name":"dispensed","expression":{"Type":"ALL","CriteriaList":[{"Criteria":{"DrugExposure":{"DaysSupply":{"Op":"gte","Value":30}}},
	"StartWindow":{"Start":{"Days":365,"Coeff":-1},"End":{"Days":0,"Coeff":1}},"Occurrence":{"Type":2,"Count":2}}],"DemographicCriteriaList":[],"Groups":[]}}]}`

// inParts asks a question of the index that reads all events of two domains, part by part
// as a node does and, beside it, all at once.
func inParts(ctx context.Context, x *eventindex.Index) ([]Figure, error) {
	d, err := cohort.Read([]byte(everything))
	if err != nil {
		return nil, err
	}
	state, err := x.Snapshot(ctx)
	if err != nil {
		return nil, err
	}
	defer state.Close()
	var seconds, mib [2]float64
	var persons [2]int
	for i, part := range []int{0, math.MaxInt} {
		var took, most []float64
		for range rounds {
			begun := time.Now()
			used, err := heap(func() error {
				found, err := members.Evaluate(ctx, d, state, itself{}, members.Options{Part: part})
				persons[i] = found.Persons
				return err
			})
			if err != nil {
				return nil, err
			}
			took, most = append(took, time.Since(begun).Seconds()), append(most, used)
		}
		seconds[i], mib[i] = Median(took), Median(most)
	}
	if persons[0] != persons[1] {
		return nil, fmt.Errorf("%d persons were found part by part, %d at once", persons[0], persons[1])
	}
	const at = "all people at once"
	return []Figure{
		NewFigure("cohort-index-memory", mib[0], "MiB").Beside(at, mib[1]).AtMost(partsBar),
		NewFigure("cohort-index-question", seconds[0], "s").Beside(at, seconds[1]).AtMost(partsTimeBar * seconds[1]),
	}, nil
}

// heap returns by how many MiB the heap grew at most while fn ran.
func heap(fn func() error) (float64, error) {
	sample := []metrics.Sample{{Name: "/memory/classes/heap/objects:bytes"}}
	read := func() float64 {
		metrics.Read(sample)
		return float64(sample[0].Value.Uint64()) / (1 << 20)
	}
	runtime.GC()
	before := read()
	most, done, stopped := before, make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		for {
			select {
			case <-done:
				return
			case <-time.After(time.Millisecond):
				most = max(most, read())
			}
		}
	}()
	err := fn()
	close(done)
	<-stopped
	return most - before, err
}

package query

import (
	"context"
	"fmt"
	"sync"

	"github.com/trialmesh/trialmesh/localstore/omop"
	"github.com/trialmesh/trialmesh/localstore/sqldb"
)

// One measurement is asked about in many cohorts. Its values are found by looking at all that
// was ever measured of it, and stay what they are until the tables change.

// maxLatest bounds the values in memory, some 40 MiB.
const maxLatest = 1 << 20

// latest are everybody's latest values of what was asked about in one state of the tables.
type latest struct {
	mu     sync.Mutex
	state  omop.State
	of     map[string]map[omop.PersonID]float64
	values int // of all in of
	most   int
}

func newLatest() *latest { return &latest{most: maxLatest} }

// get returns everyone's latest value, who has one, as tx sees it. It is not to be changed.
func (l *latest) get(ctx context.Context, tx *sqldb.Tx, s *omop.Store, q omop.Quantity) (map[omop.PersonID]float64, error) {
	state, err := s.State(ctx, tx)
	if err != nil {
		return nil, err
	}
	key := fmt.Sprint(q)
	if values, known := l.recall(state, key); known {
		return values, nil
	}
	values := make(map[omop.PersonID]float64)
	for value, err := range s.Values(ctx, tx, q) {
		if err != nil {
			return nil, err
		}
		values[value.Person] = value.Number
	}
	l.keep(state, key, values)
	return values, nil
}

func (l *latest) recall(state omop.State, key string) (values map[omop.PersonID]float64, known bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if state == l.state {
		values, known = l.of[key]
	}
	return values, known
}

// keep remembers values in place of those of another state, or of all others if they are too
// many together.
func (l *latest) keep(state omop.State, key string, values map[omop.PersonID]float64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(values) > l.most {
		return
	}
	if state != l.state || l.values+len(values) > l.most {
		l.state, l.of, l.values = state, make(map[string]map[omop.PersonID]float64), 0
	}
	if _, known := l.of[key]; !known {
		l.of[key], l.values = values, l.values+len(values)
	}
}

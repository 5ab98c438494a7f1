package analysis

import (
	"fmt"

	"github.com/trialmesh/trialmesh/protocol/query"
)

// Method is one analysis: what a site does, and how long its words are. Pooling
// gives each method's own result type and is not part of it.
type Method interface {
	Words() int
	Tabulate(rows Rows) (Table, error)
}

// For returns the method of a question: a [Count] or a [Moments]. Node and hub
// both use it, so that they agree on the layout of the words.
func For(a query.Analysis) (Method, error) {
	if err := a.Validate(); err != nil {
		return nil, err
	}
	by := make([]Stratifier, len(a.By))
	for i, s := range a.By {
		by[i] = Stratifier{Name: string(s), Levels: s.Names()}
	}
	switch a.Kind {
	case query.Count:
		return Count{By: by}, nil
	case query.Moments:
		return Moments{By: by, Low: a.Variable.Low, High: a.Variable.High}, nil
	}
	return nil, fmt.Errorf("analysis: no method for %q", a.Kind)
}

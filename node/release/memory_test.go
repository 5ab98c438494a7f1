package release

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/trialmesh/trialmesh/federation/analysis"
	"github.com/trialmesh/trialmesh/localstore/omop"
	"github.com/trialmesh/trialmesh/localstore/sqldb"
	"github.com/trialmesh/trialmesh/localstore/sqldb/sqltest"
	"github.com/trialmesh/trialmesh/protocol/disclosure"
	"github.com/trialmesh/trialmesh/protocol/message"
)

// TestMemoryChangesNoDecision asks the same of two processes of one site by turns, of which
// each remembers what both decided, and of a gate that reads everything again.
func TestMemoryChangesNoDecision(t *testing.T) {
	t.Parallel()
	for name, database := range map[string]func(testing.TB) *sqldb.DB{"sqlite": sqltest.SQLite, "postgres": sqltest.Postgres} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			gates := make([]*Gate, 3)
			for i, db := range []*sqldb.DB{database(t), nil, database(t)} {
				if db == nil {
					db = gates[0].db
				}
				var err error
				gates[i], err = Open(t.Context(), db)
				require.NoError(t, err)
			}
			gates[2].memory.most = 0
			released, refused := 0, 0
			r := rand.New(rand.NewPCG(1, 2))
			for sequence := range int64(25) {
				for i := range 2 + r.IntN(4) {
					a := drawCount(t, r, sequence)
					q := Question{Same: message.Sum([]byte(fmt.Sprint(sequence, i))), Trial: "glucose-1", Researcher: "did:key:zR", Policy: disclosure.Default()}
					q.ID, q.Policy.MaxQuestions = message.Sum([]byte(fmt.Sprint("id", sequence, i))), 0
					now := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
					out, err := gates[i%2].Release(t.Context(), q, a, now)
					again, same := gates[2].Release(t.Context(), q, a, now)
					require.Equal(t, fmt.Sprint(err), fmt.Sprint(same))
					require.Equal(t, out.Words(), again.Words())
					if err != nil {
						refused++
					} else {
						released++
					}
				}
			}
			require.Positive(t, released)
			require.Positive(t, refused)
			require.Empty(t, gates[2].memory.measures)
			require.NotEmpty(t, gates[0].memory.measures)
		})
	}
}

// drawCount draws a count over two cells of persons of a sequence, who overlap with others'.
func drawCount(t *testing.T, r *rand.Rand, sequence int64) Answer {
	a := Answer{Measure: "persons", Sets: make(map[string][][]omop.PersonID)}
	next := sequence*1000 + r.Int64N(12)
	for range 2 {
		var cell []omop.PersonID
		for range r.IntN(40) {
			var p omop.PersonID
			require.NoError(t, p.Scan(next))
			cell, next = append(cell, p), next+1
		}
		a.Table.Cells = append(a.Table.Cells, analysis.Cell{N: int64(len(cell))})
		a.Used, a.Sets["persons"] = append(a.Used, cell...), append(a.Sets["persons"], cell)
	}
	return a
}

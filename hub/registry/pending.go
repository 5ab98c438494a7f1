package registry

import (
	"context"
	"time"

	"github.com/trialmesh/trialmesh/localstore/sqldb"
	"github.com/trialmesh/trialmesh/protocol/identity"
	"github.com/trialmesh/trialmesh/protocol/query"
)

// Pending is a question about which something is still to be done.
type Pending struct {
	ID       query.ID
	Answered bool    // only proofs are to come
	Askers   []Asker // who waits for it, one at least
}

// Asker is a researcher who waits for a question, with the priority they gave it.
type Asker struct {
	Researcher identity.DID
	Priority   query.Priority
}

// Unfinished returns the questions that are open, or answered while a node's
// proof is still to come, oldest first. Those whose time was over before since
// are left out: their proofs will not come any more. Of open ones in the same words only
// the first is there, for all who asked it: two sums over different nodes would
// tell those nodes' own.
func (r *Reader) Unfinished(ctx context.Context, since time.Time) ([]Pending, error) {
	return r.pending(ctx, `state = ?
		OR (state IN (?, ?) AND asked_at >= ? AND deadline >= ? AND (proofs_due > (SELECT count(*) FROM access WHERE query = q.id)
			OR results_due > (SELECT count(*) FROM result_proof WHERE query = q.id)))`,
		query.Open, query.Complete, query.Partial, since.Add(-MaxDeadline).Unix(), since.Unix())
}

// Open returns the open questions as Unfinished does, without those of which only proofs
// are to come.
func (r *Reader) Open(ctx context.Context) ([]Pending, error) {
	return r.pending(ctx, `state = ?`, query.Open)
}

// pending returns the questions for which a condition holds.
func (r *Reader) pending(ctx context.Context, where string, args ...any) ([]Pending, error) {
	type row struct {
		Pending
		question string
	}
	rows, err := read(ctx, r.db, func(tx *sqldb.Tx) ([]row, error) {
		return collect(ctx, tx, func(rows *sqldb.Rows) (row, error) {
			var p row
			var id string
			var state query.State
			asker := Asker{}
			if err := rows.Scan(&id, &state, &p.question, &asker.Researcher, &asker.Priority); err != nil {
				return p, err
			}
			p.Answered, p.Askers = state != query.Open, []Asker{asker}
			return p, p.ID.UnmarshalText([]byte(id))
		}, `SELECT id, state, question, researcher, priority FROM question AS q WHERE `+where+` ORDER BY ledger_index`, args...)
	})
	if err != nil {
		return nil, err
	}
	var list []Pending
	first := make(map[string]int) // of the open ones in the same words, its place in list
	for _, p := range rows {
		if i, same := first[p.question]; same && !p.Answered {
			list[i].Askers = append(list[i].Askers, p.Askers...)
			continue
		}
		if !p.Answered {
			first[p.question] = len(list)
		}
		list = append(list, p.Pending)
	}
	return list, nil
}

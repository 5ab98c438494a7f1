package omop

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/trialmesh/trialmesh/localstore/sqldb"
)

// State says what of a store a reader has seen: all that was committed before it.
type State struct {
	Store string // names the store, also apart from copies of it that went their own way
	Seen  string // the last change and its mark on SQLite, the snapshot on PostgreSQL
}

// ErrForeign says that a [State] is not one that the store has been in: it is another
// store, or was put back to an earlier state. Begin afresh.
var ErrForeign = errors.New("state is not of this store")

// keptChanges is how many changes a state may lie back on SQLite.
const keptChanges = 100_000

// State returns that of tx. What tx reads is what the state has seen if tx is a Read.
func (s *Store) State(ctx context.Context, tx *sqldb.Tx) (State, error) {
	var st State
	query := `SELECT i.id, c.change_id || ':' || c.mark FROM store_identity i, change c ORDER BY c.change_id DESC LIMIT 1`
	if tx.Dialect() == sqldb.Postgres {
		// What a cluster counts is not what the same tables go on with elsewhere, after a
		// recovery to a point in time, or when they were emptied and filled again.
		query = `SELECT i.id || '/' || c.system_identifier || '/' || p.timeline_id || '/' || d.oid || '/' || pg_relation_filenode('person_change'),
			pg_current_snapshot()::text FROM store_identity i, pg_control_system() c, pg_control_checkpoint() p, pg_database d WHERE d.datname = current_database()`
	}
	if err := tx.QueryRow(ctx, query).Scan(&st.Store, &st.Seen); err != nil {
		return State{}, fmt.Errorf("omop: state: %w", err)
	}
	return st, nil
}

// ChangedSince returns the state of tx and who has changed since an earlier one: persons
// whose row, events or observation periods are others, ascending, also those who are no
// more. Nobody is cheap. It fails with [ErrForeign].
func (s *Store) ChangedSince(ctx context.Context, tx *sqldb.Tx, since State) (State, []int64, error) {
	now, err := s.State(ctx, tx)
	if err != nil || now == since {
		return now, nil, err
	}
	if now.Store != since.Store {
		return State{}, nil, fmt.Errorf("omop: %w", ErrForeign)
	}
	query, args := `SELECT person_id FROM person_change WHERE change_id >= CAST(CAST(pg_snapshot_xmin(CAST(? AS pg_snapshot)) AS TEXT) AS BIGINT)
		AND NOT pg_visible_in_snapshot(CAST(CAST(change_id AS TEXT) AS xid8), CAST(? AS pg_snapshot)) ORDER BY person_id`, []any{since.Seen, since.Seen}
	if tx.Dialect() == sqldb.SQLite {
		id, err := checkChange(ctx, tx, since.Seen)
		if err != nil {
			return State{}, nil, err
		}
		query, args = "SELECT person_id FROM person_change WHERE change_id > ? ORDER BY person_id", []any{id}
	}
	var changed []int64
	err = tx.Each(ctx, query, args, func(rows *sqldb.Rows) error {
		var id int64
		err := rows.Scan(&id)
		changed = append(changed, id)
		return err
	})
	if err != nil {
		return State{}, nil, fmt.Errorf("omop: changes: %w", err)
	}
	return now, changed, nil
}

// checkChange returns the number of the change that was seen, if the store had it.
func checkChange(ctx context.Context, tx *sqldb.Tx, seen string) (int64, error) {
	number, mark, _ := strings.Cut(seen, ":")
	id, err := strconv.ParseInt(number, 10, 64)
	if err != nil {
		return 0, fmt.Errorf("omop: %w", ErrForeign)
	}
	var found string
	err = tx.QueryRow(ctx, "SELECT CAST(mark AS TEXT) FROM change WHERE change_id = ?", id).Scan(&found)
	if errors.Is(err, sqldb.ErrNoRows) || err == nil && found != mark {
		return 0, fmt.Errorf("omop: %w", ErrForeign)
	}
	return id, err
}

// people are numbers of persons.
type people map[int64]struct{}

func (p people) add(ids ...int64) {
	for _, id := range ids {
		p[id] = struct{}{}
	}
}

// noteChanges writes down who was changed in tx. Each transaction that writes to a CDM
// table does so before it ends, see TestChangesAreNoted.
func noteChanges(ctx context.Context, tx *sqldb.Tx, changed people) error {
	if len(changed) == 0 {
		return nil
	}
	var change int64
	from := "SELECT value, CAST(? AS INTEGER) FROM json_each(?) WHERE TRUE"
	if tx.Dialect() == sqldb.Postgres {
		from = "SELECT id, CAST(? AS BIGINT) FROM unnest(CAST(? AS BIGINT[])) AS id"
		if err := tx.QueryRow(ctx, "SELECT CAST(CAST(pg_current_xact_id() AS TEXT) AS BIGINT)").Scan(&change); err != nil {
			return err
		}
	} else {
		if err := tx.QueryRow(ctx, "INSERT INTO change (mark) VALUES (random()) RETURNING change_id").Scan(&change); err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, "DELETE FROM change WHERE change_id = ?", change-keptChanges); err != nil {
			return err
		}
	}
	// In the order of persons, as they are locked.
	_, ids := tx.Dialect().Among("", slices.Sorted(maps.Keys(changed)))
	_, err := tx.Exec(ctx, "INSERT INTO person_change (person_id, change_id) "+from+
		" ON CONFLICT (person_id) DO UPDATE SET change_id = excluded.change_id", change, ids)
	return err
}

package omop

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"

	"github.com/trialmesh/trialmesh/localstore/sqldb"
)

// lookupChunk is how many keys one statement looks up.
const lookupChunk = 500

// lookup returns what lineage knows about keys; mapper is that of the pass that asks.
func lookup(ctx context.Context, tx *sqldb.Tx, mapper string, keys iter.Seq[rowKey]) (map[rowKey]stored, error) {
	// In order, so that keys of one person are read from one place.
	sorted := slices.SortedFunc(keys, func(a, b rowKey) int { return slices.Compare(a[:], b[:]) })
	found := make(map[rowKey]stored, len(sorted))
	for chunk := range slices.Chunk(sorted, lookupChunk) {
		condition, args := amongKeys(tx.Dialect(), chunk)
		rows, err := tx.Query(ctx, `SELECT row_key, row_id, content, load.load_id, load.position, load.mapper = ?,
			coalesce(e.load_id, 0), coalesce(e.position, 0), coalesce(e.mapper = ?, FALSE)
			FROM lineage JOIN load ON load.load_id = lineage.load_id LEFT JOIN load e ON e.load_id = lineage.earlier_load_id
			WHERE `+condition, append([]any{mapper, mapper}, args...)...)
		if err != nil {
			return nil, err
		}
		if err := collect(rows, found); err != nil {
			return nil, err
		}
	}
	return found, nil
}

// amongKeys is the condition that row_key is one of keys. On PostgreSQL its text
// is the same for every number of keys, so that it is planned once.
func amongKeys(d sqldb.Dialect, keys []rowKey) (string, []any) {
	if d == sqldb.Postgres {
		list := make([][]byte, len(keys))
		for i := range keys {
			list[i] = keys[i][:]
		}
		return "row_key = ANY(?)", []any{list}
	}
	args := make([]any, len(keys))
	for i := range keys {
		args[i] = keys[i][:]
	}
	return "row_key IN (" + sqldb.Placeholders(len(args)) + ")", args
}

func collect(rows *sqldb.Rows, found map[rowKey]stored) error {
	defer rows.Close()
	for rows.Next() {
		var key, content []byte
		var s stored
		if err := rows.Scan(&key, &s.id, &content, &s.load, &s.position, &s.current, &s.earlier.load, &s.earlier.position, &s.earlier.current); err != nil {
			return err
		}
		if len(key) != len(rowKey{}) || len(content) != len(s.content) {
			return errors.New("lineage holds a key of the wrong length")
		}
		s.content = [8]byte(content)
		found[rowKey(key)] = s
	}
	return rows.Err()
}

// allocate gives out n row numbers, ascending.
func allocate(ctx context.Context, tx *sqldb.Tx, n int) ([]int64, error) {
	if n == 0 {
		return nil, nil
	}
	ids := make([]int64, 0, n)
	if tx.Dialect() == sqldb.SQLite {
		var last int64
		if err := tx.QueryRow(ctx, "UPDATE last_row_id SET value = value + ? RETURNING value", n).Scan(&last); err != nil {
			return nil, err
		}
		for id := last - int64(n) + 1; id <= last; id++ {
			ids = append(ids, id)
		}
		return ids, nil
	}
	rows, err := tx.Query(ctx, "SELECT nextval('row_id') FROM generate_series(1, ?)", n)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var id int64
		if err := rows.Scan(&id); err != nil {
			return nil, err
		}
		ids = append(ids, id)
	}
	return ids, rows.Err()
}

// Origin is where a row came from.
type Origin struct {
	Raw     [32]byte // SHA-256 of the raw file
	Mapper  string
	Pointer string
}

// Origin returns where the row of table t that the source calls key came from, or
// [sqldb.ErrNoRows].
func (s *Store) Origin(ctx context.Context, tx *sqldb.Tx, t Table, person, key Key) (Origin, error) {
	k := newRowKey(t, person, key)
	var o Origin
	var raw []byte
	err := tx.QueryRow(ctx, `SELECT load.raw, load.mapper, lineage.pointer FROM lineage
		JOIN load ON load.load_id = lineage.load_id WHERE lineage.row_key = ?`, k[:]).Scan(&raw, &o.Mapper, &o.Pointer)
	if err != nil {
		return Origin{}, fmt.Errorf("omop: origin of a row of %s: %w", t, err)
	}
	if len(raw) != len(o.Raw) {
		return Origin{}, fmt.Errorf("omop: origin of a row of %s: digest of the wrong length", t)
	}
	o.Raw = [32]byte(raw)
	return o, nil
}

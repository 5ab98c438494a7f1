package registry

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/trialmesh/trialmesh/localstore/sqldb"
	"github.com/trialmesh/trialmesh/protocol/canonical"
	"github.com/trialmesh/trialmesh/protocol/consent"
	"github.com/trialmesh/trialmesh/protocol/identity"
	entry "github.com/trialmesh/trialmesh/protocol/ledger"
	"github.com/trialmesh/trialmesh/protocol/message"
	"github.com/trialmesh/trialmesh/protocol/problem"
	"github.com/trialmesh/trialmesh/protocol/query"
	"github.com/trialmesh/trialmesh/protocol/trial"
)

// circuitDigest names a circuit: the SHA-256 of its verifying key.
func circuitDigest(c entry.Circuit) message.Digest { return message.Sum(c.VerifyingKey) }

func documentOf(ctx context.Context, tx *sqldb.Tx, digest string) ([]byte, error) {
	var raw []byte
	err := tx.QueryRow(ctx, `SELECT bytes FROM document WHERE digest = ?`, digest).Scan(&raw)
	if errors.Is(err, sqldb.ErrNoRows) {
		return nil, ErrDocumentUnknown
	}
	return raw, err
}

// documentAs returns a document as the type it was stored from.
func documentAs[T any](ctx context.Context, tx *sqldb.Tx, digest string) (T, error) {
	var document T
	raw, err := documentOf(ctx, tx, digest)
	if err != nil {
		return document, err
	}
	if err := json.Unmarshal(raw, &document); err != nil {
		return document, fmt.Errorf("registry: document %s: %w", digest, err)
	}
	return document, nil
}

// documents returns the documents whose digests a statement selects.
func documents[T any](ctx context.Context, tx *sqldb.Tx, sql string, args ...any) ([]T, error) {
	digests, err := texts(ctx, tx, sql, args...)
	if err != nil {
		return nil, err
	}
	list := make([]T, 0, len(digests))
	for _, digest := range digests {
		document, err := documentAs[T](ctx, tx, digest)
		if err != nil {
			return nil, err
		}
		list = append(list, document)
	}
	return list, nil
}

// texts returns the one text column that a statement selects.
func texts(ctx context.Context, tx *sqldb.Tx, sql string, args ...any) ([]string, error) {
	return collect(ctx, tx, func(rows *sqldb.Rows) (string, error) {
		var text string
		return text, rows.Scan(&text)
	}, sql, args...)
}

// collect returns what scan makes of every row that a statement selects.
func collect[T any](ctx context.Context, tx *sqldb.Tx, scan func(*sqldb.Rows) (T, error), sql string, args ...any) ([]T, error) {
	rows, err := tx.Query(ctx, sql, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var list []T
	for rows.Next() {
		value, err := scan(rows)
		if err != nil {
			return nil, err
		}
		list = append(list, value)
	}
	return list, rows.Err()
}

func venueOf(ctx context.Context, tx *sqldb.Tx) (query.Venue, error) {
	var digest string
	err := tx.QueryRow(ctx, `SELECT document FROM venue`).Scan(&digest)
	if errors.Is(err, sqldb.ErrNoRows) {
		return query.Venue{}, problem.New(problem.Unavailable, "the network has no chain yet")
	}
	if err != nil {
		return query.Venue{}, err
	}
	return documentAs[query.Venue](ctx, tx, digest)
}

func circuitOf(ctx context.Context, tx *sqldb.Tx, digest message.Digest) (entry.Circuit, error) {
	var document string
	err := tx.QueryRow(ctx, `SELECT document FROM circuit WHERE digest = ?`, digest.String()).Scan(&document)
	if errors.Is(err, sqldb.ErrNoRows) {
		return entry.Circuit{}, ErrCircuitUnknown
	}
	if err != nil {
		return entry.Circuit{}, err
	}
	return documentAs[entry.Circuit](ctx, tx, document)
}

func trialOf(ctx context.Context, tx *sqldb.Tx, id trial.ID) (trial.Registration, trial.Design, error) {
	var document string
	err := tx.QueryRow(ctx, `SELECT document FROM trial WHERE id = ?`, id).Scan(&document)
	if errors.Is(err, sqldb.ErrNoRows) {
		return trial.Registration{}, trial.Design{}, unknown(ctx, tx, ErrTrialUnknown, string(id), "trials", `SELECT id FROM trial ORDER BY id LIMIT 1000`)
	}
	if err != nil {
		return trial.Registration{}, trial.Design{}, err
	}
	registration, err := documentAs[trial.Registration](ctx, tx, document)
	if err != nil {
		return trial.Registration{}, trial.Design{}, err
	}
	design, err := registration.Stored()
	return registration, design, err
}

func epochOf(ctx context.Context, tx *sqldb.Tx, digest message.Digest) (Epoch, error) {
	return epoch(ctx, tx, ErrEpochUnknown, `SELECT digest, document, ledger_index FROM epoch WHERE digest = ?`, digest.String())
}

// lastEpoch returns the newest epoch, or a zero one.
func lastEpoch(ctx context.Context, tx *sqldb.Tx, id trial.ID, node identity.DID) (Epoch, error) {
	return epoch(ctx, tx, nil, `SELECT digest, document, ledger_index FROM epoch WHERE trial = ? AND node = ? ORDER BY number DESC LIMIT 1`, id, node)
}

// epoch returns the epoch that a statement selects, or none and the error missing.
func epoch(ctx context.Context, tx *sqldb.Tx, missing error, sql string, args ...any) (Epoch, error) {
	var digest, document string
	var e Epoch
	err := tx.QueryRow(ctx, sql, args...).Scan(&digest, &document, &e.LedgerIndex)
	if errors.Is(err, sqldb.ErrNoRows) {
		return Epoch{}, missing
	}
	if err != nil {
		return Epoch{}, err
	}
	envelope, err := documentAs[message.Envelope](ctx, tx, document)
	if err != nil {
		return Epoch{}, err
	}
	if err := e.Digest.UnmarshalText([]byte(digest)); err != nil {
		return Epoch{}, err
	}
	e.Epoch, err = message.Stored[consent.Epoch](envelope, consent.KindEpoch)
	return e, err
}

func questionOf(ctx context.Context, tx *sqldb.Tx, id query.ID) (Question, error) {
	q := Question{ID: id, ResultIndex: -1}
	var document, result string
	var asked, deadline int64
	var resultIndex *int64
	err := tx.QueryRow(ctx, `SELECT document, state, asked_at, deadline, priority, ledger_index, result_document, result_index FROM question WHERE id = ?`,
		id.String()).Scan(&document, &q.State, &asked, &deadline, &q.Priority, &q.LedgerIndex, &result, &resultIndex)
	if errors.Is(err, sqldb.ErrNoRows) {
		return q, ErrQuestionUnknown
	}
	if err != nil {
		return q, err
	}
	q.Asked, q.Deadline = time.Unix(asked, 0).UTC(), time.Unix(deadline, 0).UTC()
	if q.Envelope, err = documentAs[message.Envelope](ctx, tx, document); err != nil {
		return q, err
	}
	if q.Request, err = message.Stored[query.Request](q.Envelope, query.KindRequest); err != nil {
		return q, err
	}
	if result == "" {
		return q, nil
	}
	answer, err := documentAs[query.Result](ctx, tx, result)
	if err != nil {
		return q, err
	}
	q.Result, q.ResultIndex = &answer, *resultIndex
	return q, nil
}

// questions returns the questions whose ids a statement selects.
func questions(ctx context.Context, tx *sqldb.Tx, sql string, args ...any) ([]Question, error) {
	ids, err := texts(ctx, tx, sql, args...)
	if err != nil {
		return nil, err
	}
	list := make([]Question, 0, len(ids))
	for _, text := range ids {
		var id query.ID
		if err := id.UnmarshalText([]byte(text)); err != nil {
			return nil, err
		}
		q, err := questionOf(ctx, tx, id)
		if err != nil {
			return nil, err
		}
		list = append(list, q)
	}
	return list, nil
}

func accesses(ctx context.Context, tx *sqldb.Tx, id query.ID) ([]Access, error) {
	return accessRows(ctx, tx, `SELECT document, ledger_index, tx, block, gas FROM access WHERE query = ? ORDER BY node`, id.String())
}

// accessRows returns the access proofs that a statement selects.
func accessRows(ctx context.Context, tx *sqldb.Tx, sql string, args ...any) ([]Access, error) {
	type row struct {
		Access
		document string
	}
	rows, err := collect(ctx, tx, func(rows *sqldb.Rows) (row, error) {
		var r row
		var block, gas int64
		err := rows.Scan(&r.document, &r.LedgerIndex, &r.Tx, &block, &gas)
		r.Block, r.Gas = uint64(block), uint64(gas)
		return r, err
	}, sql, args...)
	if err != nil {
		return nil, err
	}
	list := make([]Access, 0, len(rows))
	for _, r := range rows {
		envelope, err := documentAs[message.Envelope](ctx, tx, r.document)
		if err != nil {
			return nil, err
		}
		if r.Access.Access, err = message.Stored[query.Access](envelope, query.KindAccess); err != nil {
			return nil, err
		}
		list = append(list, r.Access)
	}
	return list, nil
}

// StateHash returns the SHA-256 over every row of every replicated table. Two
// replicas that applied the same log have the same. Checkpoints are left out:
// each replica signs its own.
func StateHash(ctx context.Context, db *sqldb.DB) (message.Digest, error) {
	return read(ctx, db, func(tx *sqldb.Tx) (message.Digest, error) {
		tables, err := texts(ctx, tx, `SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%'
			AND name NOT LIKE 'schema_version_%' AND name <> 'ledger_checkpoint' ORDER BY name`)
		if err != nil {
			return message.Digest{}, err
		}
		var sums []message.Digest
		for _, table := range tables {
			columns, err := texts(ctx, tx, `SELECT name FROM pragma_table_info(?) ORDER BY cid`, table)
			if err != nil {
				return message.Digest{}, err
			}
			rows, err := texts(ctx, tx, rowsAsText(table, columns))
			if err != nil {
				return message.Digest{}, err
			}
			raw, err := canonical.Marshal(append([]string{table}, rows...))
			if err != nil {
				return message.Digest{}, err
			}
			sums = append(sums, message.Sum(raw))
		}
		raw, err := canonical.Marshal(sums)
		return message.Sum(raw), err
	})
}

// rowsAsText returns the statement that writes each row as one text. Names
// come from the schema, never from input.
func rowsAsText(table string, columns []string) string {
	text := "''"
	for _, c := range columns {
		text += fmt.Sprintf(` || '|' || quote("%s")`, c)
	}
	return fmt.Sprintf(`SELECT %s FROM "%s" ORDER BY 1`, text, table)
}

package dataset

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"log/slog"
	"math"
	"time"

	"github.com/trialmesh/trialmesh/localstore/omop"
	"github.com/trialmesh/trialmesh/localstore/sqldb"
)

var (
	errPrivate = errors.New("dataset: patient data does not marshal")
	errDamaged = errors.New("a stored row is damaged")
)

// Row is a person's values in the order of the schema's columns. It neither prints nor
// marshals.
type Row struct {
	Person omop.PersonID
	Values []float64
}

// Format prints a redaction whatever the verb.
func (Row) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, "dataset:redacted") }

// LogValue keeps handlers that use reflection from the content.
func (Row) LogValue() slog.Value { return slog.StringValue("dataset:redacted") }

// MarshalJSON always fails.
func (Row) MarshalJSON() ([]byte, error) { return nil, errPrivate }

// MarshalText always fails.
func (Row) MarshalText() ([]byte, error) { return nil, errPrivate }

// MarshalBinary always fails; it also keeps gob from the content.
func (Row) MarshalBinary() ([]byte, error) { return nil, errPrivate }

// lock keeps persons as they are until tx ends: rows are stored, and persons merged and
// removed, one after another.
func lock(ctx context.Context, tx *sqldb.Tx) error { return tx.Lock(ctx, "dataset") }

// Hold is for a transaction that replaces a set: from then on until it ends no person is
// merged or removed, so that who was found stays who they are.
func (s *Store) Hold(ctx context.Context, tx *sqldb.Tx) error {
	if err := lock(ctx, tx); err != nil {
		return fmt.Errorf("dataset: %w", err)
	}
	return nil
}

// Replace puts rows, one a person and no two of one, in the place of those of the set of
// that name, or makes the set. Rows in the order of persons are stored fastest. An error
// means that tx must be rolled back; [sqldb.ErrConflict] that a person had two rows.
func (s *Store) Replace(ctx context.Context, tx *sqldb.Tx, schema Schema, now time.Time, rows iter.Seq[Row]) error {
	if err := s.replace(ctx, tx, schema, now, rows); err != nil {
		return fmt.Errorf("dataset: replace %s: %w", schema.Name, err)
	}
	return nil
}

func (s *Store) replace(ctx context.Context, tx *sqldb.Tx, schema Schema, now time.Time, rows iter.Seq[Row]) error {
	if err := schema.Validate(); err != nil {
		return err
	}
	if err := lock(ctx, tx); err != nil {
		return err
	}
	if err := clearRows(ctx, tx, schema.Name); err != nil {
		return err
	}
	text, err := json.Marshal(schema)
	if err != nil {
		return err
	}
	var id int64
	if err := tx.QueryRow(ctx, `INSERT INTO dataset (name, schema, missing, loaded_at) VALUES (?, ?, '[]', ?)
		ON CONFLICT (name) DO UPDATE SET schema = excluded.schema, loaded_at = excluded.loaded_at RETURNING dataset_id`,
		schema.Name, string(text), now).Scan(&id); err != nil {
		return err
	}
	missing, bad := make([]int64, len(schema.Columns)), false
	if _, err := tx.Insert(ctx, "dataset_row", []string{"dataset_id", "person_id", "body"}, func(yield func([]any) bool) {
		for r := range rows {
			if bad = len(r.Values) != len(missing); bad {
				return
			}
			for i, v := range r.Values {
				if math.IsNaN(v) {
					missing[i]++
				}
			}
			if !yield([]any{id, r.Person, encode(r.Values)}) {
				return
			}
		}
	}); err != nil {
		return err
	}
	if bad {
		return errors.New("a row has not the columns of the schema")
	}
	counts, err := json.Marshal(missing)
	if err != nil {
		return err
	}
	_, err = tx.Exec(ctx, "UPDATE dataset SET missing = ? WHERE dataset_id = ?", string(counts), id)
	return err
}

func encode(values []float64) []byte {
	body := make([]byte, 0, 8*len(values))
	for _, v := range values {
		body = binary.LittleEndian.AppendUint64(body, math.Float64bits(v))
	}
	return body
}

// Values yields everybody's values of some columns of a set, by their places in the schema,
// in the order of the persons. What is yielded holds until the next. The transaction can do
// nothing else until the loop ends; an error is the last thing that is yielded.
func (s *Store) Values(ctx context.Context, tx *sqldb.Tx, set Schema, columns []int) iter.Seq2[Row, error] {
	return func(yield func(Row, error) bool) {
		out := Row{Values: make([]float64, len(columns))}
		stopped := errors.New("stopped")
		err := tx.Each(ctx, `SELECT person_id, body FROM dataset_row WHERE dataset_id = (SELECT dataset_id FROM dataset WHERE name = ?)
			ORDER BY person_id`, []any{set.Name}, func(rows *sqldb.Rows) error {
			var body []byte
			if err := rows.Scan(&out.Person, &body); err != nil {
				return err
			}
			if len(body) != 8*len(set.Columns) {
				return errDamaged
			}
			for i, c := range columns {
				out.Values[i] = math.Float64frombits(binary.LittleEndian.Uint64(body[8*c:]))
			}
			if !yield(out, nil) {
				return stopped
			}
			return nil
		})
		if err != nil && !errors.Is(err, stopped) {
			yield(Row{}, fmt.Errorf("dataset: %s: %w", set.Name, err))
		}
	}
}

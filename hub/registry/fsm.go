package registry

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"

	"github.com/trialmesh/trialmesh/federation/consensus"
	"github.com/trialmesh/trialmesh/hub/ledger"
	"github.com/trialmesh/trialmesh/localstore/sqldb"
	"github.com/trialmesh/trialmesh/protocol/columns"
	"github.com/trialmesh/trialmesh/protocol/consent"
	"github.com/trialmesh/trialmesh/protocol/message"
	"github.com/trialmesh/trialmesh/protocol/query"
	"github.com/trialmesh/trialmesh/protocol/schedule"
	"github.com/trialmesh/trialmesh/protocol/study"
	"github.com/trialmesh/trialmesh/protocol/trial"
)

// FSM is a [Machine] as the replicated log drives it. The state is a database
// on disk that knows how far it is, so commands that come again after a
// restart are skipped.
type FSM struct {
	machine *Machine
	dir     string // for snapshots on their way
}

// NewFSM returns the FSM of a machine. Snapshots pass through files in dir.
func NewFSM(m *Machine, dir string) *FSM { return &FSM{m, dir} }

// Apply runs one command. An error that is not a [problem.Error] (an unknown
// command, a full disk, a damaged database) means that the replica must stop.
func (f *FSM) Apply(index uint64, command []byte) (any, error) {
	return f.machine.Apply(context.Background(), index, command)
}

// ApplyBatch runs commands in one transaction. A refused one changes nothing but the applied
// index, as if it were alone.
func (f *FSM) ApplyBatch(commands []consensus.Committed) ([]consensus.Applied, error) {
	return f.machine.applyAll(context.Background(), commands)
}

// Snapshot copies the database as it is.
func (f *FSM) Snapshot() (io.ReadCloser, error) {
	dir, err := os.MkdirTemp(f.dir, "snapshot-")
	if err != nil {
		return nil, err
	}
	path := filepath.Join(dir, "state.db")
	if err := f.machine.db.Backup(context.Background(), path); err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	file, err := os.Open(path)
	if err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	return &copied{file, dir}, nil
}

// copied is a snapshot that removes itself once it was read.
type copied struct {
	*os.File
	dir string
}

func (c *copied) Close() error { return errors.Join(c.File.Close(), os.RemoveAll(c.dir)) }

// Restore brings the database to a snapshot, unless it is further already, as
// after a restart.
func (f *FSM) Restore(snapshot io.Reader) error {
	ctx := context.Background()
	dir, err := os.MkdirTemp(f.dir, "restore-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	path := filepath.Join(dir, "state.db")
	file, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	if _, err = io.Copy(file, snapshot); err != nil {
		return errors.Join(err, file.Close())
	}
	if err := file.Close(); err != nil {
		return err
	}
	from, err := sqldb.Open(ctx, sqldb.Config{DSN: "sqlite:" + path})
	if err != nil {
		return err
	}
	defer from.Close()
	there, err := NewReader(from).AppliedIndex(ctx)
	if err != nil {
		return err
	}
	here, err := NewReader(f.machine.db).AppliedIndex(ctx)
	if err != nil || here >= there {
		return err
	}
	if err := from.Read(ctx, func(tx *sqldb.Tx) error { return checkEnvelopes(ctx, tx) }); err != nil {
		return fmt.Errorf("registry: snapshot: %w", err)
	}
	return replace(ctx, f.machine.db, from)
}

// checkEnvelopes verifies the signed messages of a snapshot, which this replica has not
// opened itself and decodes from then on without verifying them.
func checkEnvelopes(ctx context.Context, tx *sqldb.Tx) error {
	for _, stored := range []struct {
		sql  string
		kind message.Kind
	}{
		{`SELECT d.bytes FROM question q JOIN document d ON d.digest = q.document`, query.KindRequest},
		{`SELECT d.bytes FROM epoch e JOIN document d ON d.digest = e.document`, consent.KindEpoch},
		{`SELECT d.bytes FROM consent_changes c JOIN document d ON d.digest = c.document`, consent.KindChanges},
		{`SELECT d.bytes FROM access a JOIN document d ON d.digest = a.document`, query.KindAccess},
		{`SELECT d.bytes FROM columns_committed c JOIN document d ON d.digest = c.document`, columns.Kind},
		{`SELECT d.bytes FROM result_proof r JOIN document d ON d.digest = r.document`, query.KindProved},
		{`SELECT envelope FROM answer`, query.KindAnswer},
		{`SELECT d.bytes FROM study s JOIN document d ON d.digest = s.document`, study.KindStudy},
		{`SELECT d.bytes FROM schedule s JOIN document d ON d.digest = s.document`, schedule.KindSchedule},
		{`SELECT d.bytes FROM schedule s JOIN document d ON d.digest = s.cancellation`, schedule.KindCancellation},
	} {
		if err := checkEach(ctx, tx, stored.kind, stored.sql); err != nil {
			return fmt.Errorf("a message of kind %s: %w", stored.kind, err)
		}
	}
	registrations, err := documents[trial.Registration](ctx, tx, `SELECT document FROM trial`)
	if err != nil {
		return err
	}
	for _, r := range registrations {
		if _, err := r.Open(); err != nil {
			return fmt.Errorf("a trial: %w", err)
		}
	}
	return nil
}

func checkEach(ctx context.Context, tx *sqldb.Tx, kind message.Kind, sql string) error {
	rows, err := tx.Query(ctx, sql)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var raw []byte
		var e message.Envelope
		if err := rows.Scan(&raw); err != nil {
			return err
		}
		if err := json.Unmarshal(raw, &e); err != nil {
			return err
		}
		if err := e.Check(kind); err != nil {
			return err
		}
	}
	return rows.Err()
}

// replace makes every table of to what it is in from, in one transaction. The ledger only
// grows: it stays as far as it is there.
func replace(ctx context.Context, to, from *sqldb.DB) error {
	return from.Read(ctx, func(source *sqldb.Tx) error {
		return to.Write(ctx, func(target *sqldb.Tx) error {
			// Our own names, not what somebody else calls tables.
			tables, err := texts(ctx, target, `SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%' ORDER BY name`)
			if err != nil {
				return err
			}
			if err := ledger.CatchUp(ctx, target, source); err != nil {
				return fmt.Errorf("registry: restore: %w", err)
			}
			for _, table := range tables {
				if slices.Contains(ledger.Tables, table) {
					continue
				}
				if err := replaceTable(ctx, target, source, table); err != nil {
					return fmt.Errorf("restore table %s: %w", table, err)
				}
			}
			return nil
		})
	})
}

func replaceTable(ctx context.Context, to, from *sqldb.Tx, table string) error {
	columns, err := texts(ctx, from, `SELECT name FROM pragma_table_info(?) ORDER BY cid`, table)
	if err != nil {
		return err
	}
	if _, err := to.Exec(ctx, fmt.Sprintf(`DELETE FROM "%s"`, table)); err != nil {
		return err
	}
	rows, err := from.Query(ctx, fmt.Sprintf(`SELECT * FROM "%s"`, table))
	if err != nil {
		return err
	}
	defer rows.Close()
	var scanErr error
	_, err = to.Insert(ctx, table, columns, func(yield func([]any) bool) {
		for rows.Next() {
			values, targets := make([]any, len(columns)), make([]any, len(columns))
			for i := range values {
				targets[i] = &values[i]
			}
			if scanErr = rows.Scan(targets...); scanErr != nil || !yield(values) {
				return
			}
		}
	})
	return errors.Join(err, scanErr, rows.Err())
}

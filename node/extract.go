package node

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"path/filepath"

	"github.com/trialmesh/trialmesh/localstore/omop"
	"github.com/trialmesh/trialmesh/localstore/sqldb"
	"github.com/trialmesh/trialmesh/node/audit"
	"github.com/trialmesh/trialmesh/node/extract"
	wire "github.com/trialmesh/trialmesh/protocol/consent"
	"github.com/trialmesh/trialmesh/protocol/trial"
)

// Extraction says which extract to make. Spec is required.
type Extraction struct {
	Spec extract.Spec
	// To is the folder to make; empty for a dry run.
	To string
	// Trial limits it to persons whose consent to this trial is in force and covers
	// record access and each kind of data that the specification wants. Empty for
	// everybody.
	Trial    trial.ID
	Program  string                  // version of this program
	Progress func(done, total int64) // of persons. Defaults to none.
}

// Extract makes an extract of the store of cfg.Dir, also while the node runs; see
// [extract.Write]. The study's key is made when the first extract is. A dry run of a
// study without one goes by a key of its own, so its counts can differ a little.
func Extract(ctx context.Context, cfg Config, e Extraction) (m extract.Manifest, err error) {
	cfg = cfg.withDefaults()
	if err := apart(e.To, cfg.Dir); err != nil {
		return m, fmt.Errorf("extract: %w", err)
	}
	if e.Trial != "" { // consents that were withdrawn since may be forgotten
		if at, err := Held(cfg.Dir); err != nil || !at.IsZero() {
			return m, fmt.Errorf("extract: %w", errors.Join(err, errHeld))
		}
	}
	db, _, err := cfg.stores(ctx)
	if err != nil {
		return m, fmt.Errorf("extract: %w", err)
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	w := extract.Config{DB: db, Spec: e.Spec, To: e.To, Trial: string(e.Trial), Program: e.Program, Now: cfg.Now(), Progress: e.Progress}
	if w.Store, err = omop.Open(ctx, db); err != nil {
		return m, fmt.Errorf("extract: %w", err)
	}
	if w.Trail, err = audit.Open(ctx, db, cfg.Logger); err != nil {
		return m, fmt.Errorf("extract: %w", err)
	}
	if e.Trial != "" {
		if w.Permits, err = cfg.permits(ctx, db, w.Trail, e); err != nil {
			return m, fmt.Errorf("extract: consents to trial %s: %w", e.Trial, err)
		}
	}
	if w.Key, err = studyKey(filepath.Join(cfg.Dir, studiesDir), e); err != nil {
		return m, fmt.Errorf("extract: %w", err)
	}
	return extract.Write(ctx, w)
}

// apart refuses a folder in the node's directory, beside the keys that undo it.
func apart(folder, dir string) error {
	if folder == "" {
		return nil
	}
	folder, err := filepath.Abs(folder)
	if err != nil {
		return err
	}
	if dir, err = filepath.Abs(dir); err != nil {
		return err
	}
	if within, err := filepath.Rel(dir, folder); err == nil && filepath.IsLocal(within) {
		return fmt.Errorf("%s lies in the node's directory, with the key of the study: write the extract elsewhere", folder)
	}
	return nil
}

// studyKey returns the key of a study; it makes one only for what will be written.
func studyKey(folder string, e Extraction) (extract.Key, error) {
	if e.To != "" {
		return extract.OpenKey(folder, e.Spec.Study)
	}
	key, err := extract.ReadKey(folder, e.Spec.Study)
	if errors.Is(err, fs.ErrNotExist) {
		var secret [32]byte
		_, err = rand.Read(secret[:])
		key = extract.NewKey(secret)
	}
	return key, err
}

// permits goes by the consents as a question of this moment would: in force now, and in
// an epoch that is on the ledger.
func (c Config) permits(ctx context.Context, db *sqldb.DB, trail *audit.Trail, e Extraction) (func(omop.PersonID) bool, error) {
	book, err := c.book(ctx, db, trail)
	if err != nil {
		return nil, err
	}
	use := wire.Use{Trial: e.Trial, Node: book.Node(), Scopes: scopesOf(e.Spec), At: c.Now()}
	epoch, err := book.EpochFor(ctx, use, use.At, math.MaxInt64)
	if err != nil {
		return nil, err
	}
	basis, err := book.Usable(ctx, use, epoch)
	if err != nil {
		return nil, err
	}
	return basis.Permits, nil
}

// scopesOf is what a participant must have permitted for their rows to be written.
func scopesOf(s extract.Spec) wire.Mask {
	need := wire.MaskOf(wire.RecordAccess, wire.Demographics)
	tables := s.Read()
	for table, scopes := range map[omop.Table]wire.Mask{
		omop.VisitTable:       wire.MaskOf(wire.Visits),
		omop.ConditionTable:   wire.MaskOf(wire.Conditions),
		omop.DrugTable:        wire.MaskOf(wire.Medications, wire.Immunizations),
		omop.ProcedureTable:   wire.MaskOf(wire.Procedures),
		omop.MeasurementTable: wire.MaskOf(wire.Measurements),
		omop.ObservationTable: wire.MaskOf(wire.Observations, wire.Allergies),
	} {
		if tables[table] {
			need |= scopes
		}
	}
	return need
}

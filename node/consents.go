package node

import (
	"context"
	"errors"
	"fmt"

	"github.com/trialmesh/trialmesh/localstore/sqldb"
	"github.com/trialmesh/trialmesh/node/audit"
	"github.com/trialmesh/trialmesh/node/columns"
	"github.com/trialmesh/trialmesh/node/consent"
	"github.com/trialmesh/trialmesh/node/fsck"
	wire "github.com/trialmesh/trialmesh/protocol/consent"
	"github.com/trialmesh/trialmesh/protocol/identity"
	"github.com/trialmesh/trialmesh/protocol/trial"
)

// ConsentReceipt returns what a participant needs to follow their consent to a trial on
// the ledger, also while the node of cfg.Dir runs.
func ConsentReceipt(ctx context.Context, cfg Config, id trial.ID, participant identity.DID) (r wire.Receipt, err error) {
	cfg = cfg.withDefaults()
	db, err := cfg.database(ctx)
	if err != nil {
		return r, fmt.Errorf("consent receipt: %w", err)
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	trail, err := audit.Open(ctx, db, cfg.Logger)
	if err != nil {
		return r, fmt.Errorf("consent receipt: %w", err)
	}
	book, err := cfg.book(ctx, db, trail)
	if err == nil {
		r, err = book.Receipt(ctx, id, participant)
	}
	if err != nil {
		return r, fmt.Errorf("consent receipt: %w", err)
	}
	return r, nil
}

// checkConsents compares the consent trees with the consents, and committed columns with what
// opens them.
func (c Config) checkConsents(ctx context.Context, tx *sqldb.Tx) ([]fsck.Finding, error) {
	h, err := readHome(c.Dir)
	if err != nil && !errors.Is(err, ErrUnfinished) {
		return nil, err
	}
	defects, err := consent.Check(ctx, tx, consent.Config{Key: h.key, Secret: h.secret, Shape: c.Shape})
	var list []fsck.Finding
	for _, d := range defects {
		list = append(list, fsck.Finding{Rule: fsck.Rule(d.What), Place: "trial " + string(d.Trial), Count: d.Count})
	}
	if err != nil {
		return nil, err
	}
	unopened, err := columns.Check(ctx, tx, columns.Config{Secret: h.secret})
	for _, d := range unopened {
		list = append(list, fsck.Finding{Rule: fsck.ColumnsDiffer, Place: fmt.Sprintf("trial %s, data set %s, commitment %d", d.Trial, d.Dataset, d.Number), Count: 1})
	}
	return list, err
}

// book opens the consents of a node that may run elsewhere.
func (c Config) book(ctx context.Context, db *sqldb.DB, trail *audit.Trail) (*consent.Book, error) {
	h, err := readHome(c.Dir)
	if err != nil {
		return nil, err
	}
	return consent.Open(ctx, consent.Config{DB: db, Key: h.key, Trail: trail, Secret: h.secret, Shape: c.Shape, Window: c.EpochWindow})
}

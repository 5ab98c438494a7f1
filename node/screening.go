package node

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/trialmesh/trialmesh/localstore/sqldb"
	"github.com/trialmesh/trialmesh/localstore/vocab"
	"github.com/trialmesh/trialmesh/node/audit"
	"github.com/trialmesh/trialmesh/node/cdshooks"
	"github.com/trialmesh/trialmesh/node/jwks"
	"github.com/trialmesh/trialmesh/node/mapping"
	"github.com/trialmesh/trialmesh/node/query"
	"github.com/trialmesh/trialmesh/node/screen"
)

// Screening is what the site says about trials to clinicians: the rules of whom they are
// for, and the EHRs that may ask.
type Screening struct {
	Rules   *screen.Rules
	Clients *cdshooks.Clients

	db *sqldb.DB // of a program beside the node's, else nil
}

// OpenScreening opens the rules and EHRs of the node of cfg.Dir, also while it runs:
// what is changed counts at once. Close it.
func OpenScreening(ctx context.Context, cfg Config) (*Screening, error) {
	cfg = cfg.withDefaults()
	db, _, err := cfg.stores(ctx)
	if err != nil {
		return nil, fmt.Errorf("screening: %w", err)
	}
	trail, err := audit.Open(ctx, db, cfg.Logger)
	if err != nil {
		return nil, errors.Join(err, db.Close())
	}
	s, err := openScreening(ctx, db, trail)
	if err != nil {
		return nil, errors.Join(err, db.Close())
	}
	s.db = db
	return s, nil
}

// Close releases what [OpenScreening] took.
func (s *Screening) Close() error { return s.db.Close() }

func openScreening(ctx context.Context, db *sqldb.DB, trail *audit.Trail) (*Screening, error) {
	rules, err := screen.OpenRules(ctx, db, trail)
	if err != nil {
		return nil, err
	}
	clients, err := cdshooks.OpenClients(ctx, db, trail, jwks.Config{})
	if err != nil {
		return nil, err
	}
	return &Screening{Rules: rules, Clients: clients}, nil
}

// openCDS makes the CDS Hooks service, nil for a process beside the node: that does not
// know whether the node is held.
func (n *Node) openCDS() (http.Handler, error) {
	if n.cfg.Process != "" {
		return nil, nil
	}
	patients, err := screen.New(screen.Config{
		DB: n.db, People: n.people, Rules: n.screening.Rules, Vocabulary: query.Concepts{Store: n.vocab}, Consents: n.consents,
	})
	if err != nil {
		return nil, err
	}
	return cdshooks.New(cdshooks.Config{
		DB: n.db, Trail: n.trail, Clients: n.screening.Clients, Patients: screener{n, patients}, Codes: n.conceptsOf,
		URL: n.origin, Origins: n.cfg.CDSOrigins, Name: n.home.certificate.Holder().Name, Log: n.cfg.Logger, Now: n.cfg.Now,
	})
}

// screener proposes nobody while the node is held: refusals may be forgotten.
type screener struct {
	node     *Node
	patients *screen.Screener
}

// Screen is that of the patients.
func (s screener) Screen(ctx context.Context, c screen.Case, now time.Time) ([]screen.Match, error) {
	if s.node.held.Load() {
		return nil, errHeld
	}
	return s.patients.Screen(ctx, c, now)
}

// conceptsOf returns what a code means at this site, as loads have it.
func (n *Node) conceptsOf(ctx context.Context, system, code string) ([]vocab.Concept, error) {
	own, err := n.codes.Map(ctx)
	if err != nil {
		return nil, err
	}
	return mapping.New(n.vocab).With(own).Concepts(ctx, system, code)
}

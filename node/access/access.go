// Package access decides who may use a node's API, and for what.
//
// A [Service] keeps the clients that the site has registered, gives a client a token
// for an assertion that is signed with its key (SMART Backend Services), and says of a
// token whose it is. A [Caller] is what a request is allowed: [Scopes] of FHIR, such as
// system/Observation.rs, and of the node's own routes. Who serves a request carries the
// Caller in its context, and a context without one allows nothing.
//
// Nothing but hashes of tokens is kept, and what was used once is remembered in the
// database: it is refused after a restart and by every process that shares it. This
// package reads no clock. DESIGN.md says against what it stands, and what is not there.
package access

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"io/fs"

	"github.com/trialmesh/trialmesh/localstore/sqldb"
	"github.com/trialmesh/trialmesh/node/audit"
	"github.com/trialmesh/trialmesh/node/jwks"
)

//go:embed migrations
var migrations embed.FS

// Trail is where changes of clients are recorded; audit.Trail is one.
type Trail interface {
	// Add records a decision in the transaction that makes it hold.
	Add(ctx context.Context, tx *sqldb.Tx, r audit.Record) error
}

// Config configures a [Service]. DB, Trail, TokenURL and Known are required.
type Config struct {
	DB    *sqldb.DB
	Trail Trail

	// TokenURL is the address of the token endpoint as clients are told it. An assertion
	// for any other address is refused, so it must not be taken from a request.
	TokenURL string

	// Known reports whether there is such a type of FHIR resource, for the scopes of new
	// clients.
	Known func(resourceType string) bool

	// Keys says how the keys of clients that publish them are fetched.
	Keys jwks.Config
}

// Service keeps clients and tokens. It is safe for concurrent use, and several of them
// may share a database.
type Service struct {
	cfg       Config
	published *jwks.Published
	limits    *limits
}

// Open brings the tables up to date and returns the service; it starts nothing.
func Open(ctx context.Context, cfg Config) (*Service, error) {
	if cfg.DB == nil || cfg.Trail == nil || cfg.TokenURL == "" || cfg.Known == nil {
		return nil, errors.New("access: db, trail, token URL and known types are required")
	}
	own, err := fs.Sub(migrations, "migrations")
	if err != nil {
		return nil, err
	}
	if err := sqldb.Migrate(ctx, cfg.DB, "access", own); err != nil {
		return nil, fmt.Errorf("access: %w", err)
	}
	return &Service{cfg: cfg, published: jwks.NewPublished(cfg.Keys), limits: newLimits()}, nil
}

// TokenURL is the address of the token endpoint.
func (s *Service) TokenURL() string { return s.cfg.TokenURL }

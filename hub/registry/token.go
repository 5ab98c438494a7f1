package registry

import (
	"context"
	"errors"
	"time"

	"github.com/trialmesh/trialmesh/localstore/sqldb"
	"github.com/trialmesh/trialmesh/protocol/identity"
	"github.com/trialmesh/trialmesh/protocol/message"
	"github.com/trialmesh/trialmesh/protocol/problem"
)

// Role is what a bearer token allows.
type Role string

// The roles.
const (
	RoleResearcher Role = "researcher" // submit questions
	RoleSponsor    Role = "sponsor"    // register trials
	RoleOperator   Role = "operator"   // invite and revoke nodes, issue and revoke tokens
)

// Token is a bearer token of the API as the registry knows it, without the
// secret.
type Token struct {
	// ID names the token and says nothing of its text; see [TokenID].
	ID string

	Holder  identity.DID
	Role    Role
	Issued  time.Time
	Expires time.Time
	Revoked bool
}

// Why a bearer token is not taken, or not found.
var (
	ErrToken        = problem.New(problem.Unauthorized, "the bearer token is unknown or has expired")
	ErrTokenRevoked = problem.New(problem.Unauthorized, "the bearer token was revoked")
	ErrTokenUnknown = problem.New(problem.NotFound, "no such bearer token, and no holder of one")
	errRole         = problem.New(problem.Invalid, "role: one of researcher, sponsor, operator")
)

// TokenHash returns the name under which a token is kept: the SHA-256 of its
// text in hex. A token is 256 random bits, so the hash gives nothing away.
func TokenHash(text string) string { return message.Sum([]byte(text)).String() }

// tokenDigits is the length of a token's id.
const tokenDigits = 16

// TokenID returns the id of the token with a hash: its first 16 digits.
func TokenID(hash string) string { return hash[:tokenDigits] }

func (s step) admitToken(c AdmitToken) (Outcome, error) {
	switch {
	case !hashForm.MatchString(c.Hash):
		return Outcome{}, errHash
	case c.Role != RoleResearcher && c.Role != RoleSponsor && c.Role != RoleOperator:
		return Outcome{}, errRole
	}
	_, err := s.tx.Exec(s.ctx, `INSERT INTO api_token (hash, holder, role, issued_at, expires_at) VALUES (?, ?, ?, ?, ?) ON CONFLICT DO NOTHING`,
		c.Hash, c.Holder, c.Role, s.at.Unix(), c.Expires.Unix())
	return silent(false), err
}

func (s step) revokeTokens(c RevokeTokens) (Outcome, error) {
	column, value := `substr(hash, 1, 16)`, c.ID
	if c.Holder != "" {
		column, value = `holder`, string(c.Holder)
	}
	if known, err := s.exists(`SELECT 1 FROM api_token WHERE `+column+` = ?`, value); err != nil || !known {
		return Outcome{}, firstError(err, ErrTokenUnknown)
	}
	n, err := s.tx.Exec(s.ctx, `UPDATE api_token SET revoked_at = ? WHERE revoked_at IS NULL AND `+column+` = ?`, s.at.Unix(), value)
	return silent(n == 0), err
}

const issuedColumns = `hash, holder, role, issued_at, expires_at, revoked_at IS NOT NULL`

func scanToken(scan func(...any) error) (Token, error) {
	var t Token
	var hash string
	var issued, expires int64
	if err := scan(&hash, &t.Holder, &t.Role, &issued, &expires, &t.Revoked); err != nil {
		return Token{}, err
	}
	t.ID, t.Issued, t.Expires = TokenID(hash), time.Unix(issued, 0).UTC(), time.Unix(expires, 0).UTC()
	return t, nil
}

// Token returns the token with the given hash if it is good at the time now,
// else [ErrToken] or [ErrTokenRevoked].
func (r *Reader) Token(ctx context.Context, hash string, now time.Time) (Token, error) {
	t, err := read(ctx, r.db, func(tx *sqldb.Tx) (Token, error) {
		return scanToken(tx.QueryRow(ctx, `SELECT `+issuedColumns+` FROM api_token WHERE hash = ?`, hash).Scan)
	})
	switch {
	case errors.Is(err, sqldb.ErrNoRows):
		return Token{}, ErrToken
	case err != nil:
		return Token{}, err
	case t.Revoked:
		return Token{}, ErrTokenRevoked
	case !now.Before(t.Expires):
		return Token{}, ErrToken
	}
	return t, nil
}

// Tokens returns every token that was ever issued, oldest first.
func (r *Reader) Tokens(ctx context.Context) ([]Token, error) {
	return read(ctx, r.db, func(tx *sqldb.Tx) ([]Token, error) {
		return collect(ctx, tx, func(rows *sqldb.Rows) (Token, error) { return scanToken(rows.Scan) },
			`SELECT `+issuedColumns+` FROM api_token ORDER BY issued_at, hash`)
	})
}

package registry

import (
	"errors"
	"regexp"

	"github.com/trialmesh/trialmesh/localstore/sqldb"
	"github.com/trialmesh/trialmesh/protocol/identity"
	entry "github.com/trialmesh/trialmesh/protocol/ledger"
	"github.com/trialmesh/trialmesh/protocol/problem"
	"github.com/trialmesh/trialmesh/protocol/query"
)

// Why the registry refuses a party. Callers match these.
var (
	ErrNodeRevoked  = problem.Refusal("registry.node-revoked", "the node was revoked")
	ErrNodeUnknown  = problem.Refusal("registry.node-unknown", "the node is not enrolled")
	ErrUninvited    = problem.Refusal("registry.uninvited", "no node of this name was invited")
	ErrNameTaken    = problem.New(problem.Conflict, "another node has this name")
	ErrTokenUsed    = problem.Refusal("registry.token-used", "the enrollment token was used before")
	ErrVenueFixed   = problem.New(problem.Conflict, "the network's chain and contracts are fixed and differ")
	errOrganization = problem.New(problem.Invalid, "organization: 1 to 64 letters, digits, spaces, dots, dashes")
	errHash         = problem.New(problem.Invalid, "hash: 64 hex digits")
	errCircuitShape = problem.New(problem.Conflict, "another verifying key is registered for this circuit shape")
)

var (
	organizationForm = regexp.MustCompile(`^[\pL\pN][\pL\pN .'-]{0,63}$`)
	hashForm         = regexp.MustCompile(`^[0-9a-f]{64}$`)
)

func (s step) setVenue(c SetVenue) (Outcome, error) {
	if _, err := c.Venue.Hash("", query.ID{}); err != nil {
		return Outcome{}, problem.New(problem.Invalid, "venue: contract must be 0x and 40 hex digits")
	}
	digest, err := s.store(c.Venue)
	if err != nil {
		return Outcome{}, err
	}
	if _, err := s.tx.Exec(s.ctx, `INSERT INTO venue (only_row, document) VALUES (1, ?) ON CONFLICT DO NOTHING`, digest.String()); err != nil {
		return Outcome{}, err
	}
	same, err := s.exists(`SELECT 1 FROM venue WHERE document = ?`, digest.String())
	if err == nil && !same {
		err = ErrVenueFixed
	}
	return silent(false), err
}

// maxDeployment bounds what is noted of the contracts, in bytes.
const maxDeployment = 64 << 10

func (s step) recordDeployment(c RecordDeployment) (Outcome, error) {
	if len(c.Deployment) == 0 || len(c.Deployment) > maxDeployment {
		return Outcome{}, problem.New(problem.Invalid, "deployment: up to 64 kB of JSON")
	}
	digest, err := s.store(c.Deployment)
	if err != nil {
		return Outcome{}, err
	}
	changed, err := s.tx.Exec(s.ctx, `INSERT INTO deployment (only_row, document) VALUES (1, ?)
		ON CONFLICT DO UPDATE SET document = excluded.document WHERE document <> excluded.document`, digest.String())
	return silent(changed == 0), err
}

func (s step) inviteNode(c InviteNode) (Outcome, error) {
	if err := identity.CheckName(c.Name); err != nil {
		return Outcome{}, err
	}
	if !organizationForm.MatchString(c.Organization) {
		return Outcome{}, errOrganization
	}
	// The name may be a node's already: an invitation then serves that node's own
	// key only, to get a new certificate.
	if taken, err := s.exists(`SELECT 1 FROM node WHERE name = ? AND revoked_at IS NOT NULL`, c.Name); err != nil || taken {
		return Outcome{}, firstError(err, ErrNodeRevoked)
	}
	_, err := s.tx.Exec(s.ctx, `INSERT INTO invitation (name, organization) VALUES (?, ?)
		ON CONFLICT (name) DO UPDATE SET organization = excluded.organization`, c.Name, c.Organization)
	return silent(false), err
}

func (s step) enrollNode(c EnrollNode) (Outcome, error) {
	if _, err := c.Node.PublicKey(); err != nil {
		return Outcome{}, problem.New(problem.Invalid, "node: not a did:key")
	}
	if revoked, err := s.exists(`SELECT 1 FROM node WHERE did = ? AND revoked_at IS NOT NULL`, c.Node); err != nil || revoked {
		return Outcome{}, firstError(err, ErrNodeRevoked)
	}
	if same, err := s.exists(`SELECT 1 FROM node WHERE did = ? AND name = ?`, c.Node, c.Name); err != nil || same {
		return silent(true), err
	}
	if taken, err := s.exists(`SELECT 1 FROM node WHERE name = ? OR did = ?`, c.Name, c.Node); err != nil || taken {
		return Outcome{}, firstError(err, ErrNameTaken)
	}
	e := entry.Enrollment{Node: c.Node, Name: c.Name}
	err := s.tx.QueryRow(s.ctx, `SELECT organization FROM invitation WHERE name = ?`, c.Name).Scan(&e.Organization)
	if errors.Is(err, sqldb.ErrNoRows) {
		return Outcome{}, ErrUninvited
	}
	if err != nil {
		return Outcome{}, err
	}
	if _, err := s.tx.Exec(s.ctx, `INSERT INTO node (did, name, organization, enrolled_at) VALUES (?, ?, ?, ?)`,
		e.Node, e.Name, e.Organization, s.at.Unix()); err != nil {
		return Outcome{}, err
	}
	_, out, err := s.record(entry.NodeEnrolled, s.hub, string(e.Node), e)
	return out, err
}

func (s step) revokeNode(c RevokeNode) (Outcome, error) {
	r := c.Revocation
	if known, err := s.exists(`SELECT 1 FROM node WHERE did = ?`, r.Node); err != nil || !known {
		return Outcome{}, firstError(err, ErrNodeUnknown)
	}
	n, err := s.tx.Exec(s.ctx, `UPDATE node SET revoked_at = ?, reason = ? WHERE did = ? AND revoked_at IS NULL`, s.at.Unix(), r.Reason, r.Node)
	if err != nil || n == 0 {
		return silent(true), err
	}
	if _, err := s.tx.Exec(s.ctx, `UPDATE certificate SET revoked_at = ? WHERE did = ? AND revoked_at IS NULL`, s.at.Unix(), r.Node); err != nil {
		return Outcome{}, err
	}
	_, out, err := s.record(entry.NodeRevoked, s.hub, string(r.Node), r)
	return out, err
}

func (s step) useToken(c UseToken) (Outcome, error) {
	if !hashForm.MatchString(c.Hash) {
		return Outcome{}, errHash
	}
	n, err := s.tx.Exec(s.ctx, `INSERT INTO used_token (hash, used_at) VALUES (?, ?) ON CONFLICT DO NOTHING`, c.Hash, s.at.Unix())
	if err == nil && n == 0 {
		err = ErrTokenUsed
	}
	return silent(false), err
}

func (s step) recordCertificate(c RecordCertificate) (Outcome, error) {
	_, err := s.tx.Exec(s.ctx, `INSERT INTO certificate (serial, did, not_after) VALUES (?, ?, ?) ON CONFLICT DO NOTHING`,
		c.Serial, c.DID, c.NotAfter.Unix())
	return silent(false), err
}

func (s step) revokeCertificate(c RevokeCertificate) (Outcome, error) {
	n, err := s.tx.Exec(s.ctx, `UPDATE certificate SET revoked_at = ? WHERE serial = ? AND revoked_at IS NULL`, s.at.Unix(), c.Serial)
	return silent(n == 0), err
}

func (s step) registerCircuit(c RegisterCircuit) (Outcome, error) {
	digest := circuitDigest(c.Circuit)
	if same, err := s.exists(`SELECT 1 FROM circuit WHERE digest = ?`, digest.String()); err != nil || same {
		return silent(true), err
	}
	if other, err := s.exists(`SELECT 1 FROM circuit WHERE shape = ?`, c.Circuit.Shape); err != nil || other {
		return Outcome{}, firstError(err, errCircuitShape)
	}
	if err := s.originOf(c.Circuit); err != nil {
		return Outcome{}, err
	}
	document, out, err := s.record(entry.CircuitRegistered, s.hub, c.Circuit.Shape, c.Circuit)
	if err != nil {
		return Outcome{}, err
	}
	_, err = s.tx.Exec(s.ctx, `INSERT INTO circuit (digest, shape, document) VALUES (?, ?, ?)`, digest.String(), c.Circuit.Shape, document.String())
	return out, err
}

// firstError returns err, or fallback when err is nil.
func firstError(err, fallback error) error {
	if err != nil {
		return err
	}
	return fallback
}

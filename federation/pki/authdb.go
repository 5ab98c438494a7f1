package pki

import (
	"context"
	"crypto/x509"
	"time"

	"github.com/smallstep/certificates/db"

	"github.com/trialmesh/trialmesh/protocol/identity"
)

// storeTimeout bounds one store operation on behalf of smallstep, whose
// interface takes no context. It spans an election of a new raft leader.
const storeTimeout = 10 * time.Second

// authDB is smallstep's view of a [Store]. Only X.509 exists here; what is of
// SSH answers "not implemented".
type authDB struct{ store Store }

var _ db.AuthDB = authDB{}

func storeContext() (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.Background(), storeTimeout)
}

// UseToken is called once per enrollment, after tokens.verify.
func (d authDB) UseToken(id, token string) (bool, error) {
	ctx, cancel := storeContext()
	defer cancel()
	expires, err := expiryOf(token)
	if err != nil {
		return false, err
	}
	fresh, err := d.store.UseToken(ctx, id, expires)
	if err == nil && !fresh {
		err = ErrTokenUsed
	}
	return fresh, err
}

func (d authDB) IsRevoked(serial string) (bool, error) {
	ctx, cancel := storeContext()
	defer cancel()
	return d.store.IsRevoked(ctx, Serial(serial), "")
}

func (d authDB) Revoke(info *db.RevokedCertificateInfo) error {
	ctx, cancel := storeContext()
	defer cancel()
	return d.store.Revoke(ctx, Revocation{Serial: Serial(info.Serial), Reason: info.Reason, At: info.RevokedAt})
}

// StoreCertificateChain is called with leaf and intermediate before an
// enrollment is answered.
func (d authDB) StoreCertificateChain(chain ...*x509.Certificate) error {
	return d.record(chain[0], "")
}

// StoreRenewedCertificate is called before a renewal is answered.
func (d authDB) StoreRenewedCertificate(old *x509.Certificate, chain ...*x509.Certificate) error {
	return d.record(chain[0], serialOf(old))
}

func (d authDB) record(leaf *x509.Certificate, replaces Serial) error {
	ctx, cancel := storeContext()
	defer cancel()
	holder, err := holderOf(leaf)
	if err != nil {
		return err
	}
	return d.store.RecordCertificate(ctx, Issued{
		Serial:    holder.Serial,
		Subject:   holder.DID,
		Name:      holder.Name,
		NotBefore: leaf.NotBefore,
		NotAfter:  leaf.NotAfter,
		DER:       leaf.Raw,
		Replaces:  replaces,
	})
}

func (authDB) GetCertificate(string) (*x509.Certificate, error) { return nil, db.ErrNotImplemented }
func (authDB) IsSSHRevoked(string) (bool, error)                { return false, db.ErrNotImplemented }
func (authDB) RevokeSSH(*db.RevokedCertificateInfo) error       { return db.ErrNotImplemented }
func (authDB) IsSSHHost(string) (bool, error)                   { return false, db.ErrNotImplemented }
func (authDB) GetSSHHostPrincipals() ([]string, error)          { return nil, db.ErrNotImplemented }
func (authDB) Shutdown() error                                  { return nil }

// revoked asks the store within ctx and within storeTimeout.
func revoked(ctx context.Context, s Store, serial Serial, subject identity.DID) error {
	ctx, cancel := context.WithTimeout(ctx, storeTimeout)
	defer cancel()
	gone, err := s.IsRevoked(ctx, serial, subject)
	if err != nil {
		return err
	}
	if gone {
		return ErrRevoked
	}
	return nil
}

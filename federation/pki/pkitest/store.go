// Package pkitest holds what tests of and around federation/pki need: a [Store]
// in memory and [TestStore], the contract that every implementation of
// pki.Store has to pass. Nothing that runs at a site imports it.
package pkitest

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/trialmesh/trialmesh/federation/pki"
	"github.com/trialmesh/trialmesh/protocol/identity"
)

// Store is a pki.Store in memory. The zero value is empty and ready. A restart
// forgets everything, so it is of no use outside tests.
type Store struct {
	mu       sync.Mutex
	tokens   map[string]bool
	issued   map[pki.Serial]pki.Issued
	serials  map[pki.Serial]pki.Revocation
	subjects map[identity.DID]pki.Revocation
}

var _ pki.Store = (*Store)(nil)

// UseToken implements pki.Store. It never forgets.
func (s *Store) UseToken(ctx context.Context, id string, _ time.Time) (bool, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := ctx.Err(); err != nil {
		return false, err
	}
	if s.tokens[id] {
		return false, nil
	}
	put(&s.tokens, id, true)
	return true, nil
}

// RecordCertificate implements pki.Store.
func (s *Store) RecordCertificate(ctx context.Context, c pki.Issued) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := ctx.Err(); err != nil {
		return err
	}
	if _, known := s.issued[c.Serial]; known {
		return fmt.Errorf("certificate %s is recorded already", c.Serial)
	}
	put(&s.issued, c.Serial, c)
	return nil
}

// Revoke implements pki.Store.
func (s *Store) Revoke(ctx context.Context, r pki.Revocation) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := ctx.Err(); err != nil {
		return err
	}
	if _, known := s.serials[r.Serial]; r.Serial != "" && !known {
		put(&s.serials, r.Serial, r)
	}
	if _, known := s.subjects[r.Subject]; r.Subject != "" && !known {
		put(&s.subjects, r.Subject, r)
	}
	return nil
}

// IsRevoked implements pki.Store.
func (s *Store) IsRevoked(ctx context.Context, serial pki.Serial, subject identity.DID) (bool, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := ctx.Err(); err != nil {
		return false, err
	}
	_, bySerial := s.serials[serial]
	_, bySubject := s.subjects[subject]
	return bySerial || bySubject, nil
}

// Issued returns every recorded certificate, the oldest first.
func (s *Store) Issued() []pki.Issued {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.SortedFunc(maps.Values(s.issued), func(a, b pki.Issued) int { return a.NotBefore.Compare(b.NotBefore) })
}

func put[K comparable, V any](m *map[K]V, k K, v V) {
	if *m == nil {
		*m = make(map[K]V)
	}
	(*m)[k] = v
}

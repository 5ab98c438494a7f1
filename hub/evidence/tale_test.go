package evidence_test

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/trialmesh/trialmesh/federation/cosign"
	"github.com/trialmesh/trialmesh/hub/evidence"
	"github.com/trialmesh/trialmesh/hub/ledger"
	"github.com/trialmesh/trialmesh/localstore/sqldb"
	"github.com/trialmesh/trialmesh/protocol/canonical"
	"github.com/trialmesh/trialmesh/protocol/consent"
	"github.com/trialmesh/trialmesh/protocol/identity"
	entry "github.com/trialmesh/trialmesh/protocol/ledger"
	"github.com/trialmesh/trialmesh/protocol/message"
	"github.com/trialmesh/trialmesh/protocol/query"
)

// chapter is one entry with its document.
type chapter struct {
	entry.Entry
	document []byte
}

// tale is a log as a hub tells it. Tests change it and have it signed again, as
// a hub that lies would.
type tale struct {
	t testing.TB
	w *world
	*evidence.Trust
	id       query.ID // the question that is verified
	chapters []*chapter
	others   map[message.Digest][]byte // documents that documents name
}

// truth returns the network's log as it happened.
func truth(t testing.TB, w *world) *tale {
	t.Helper()
	trust := w.trust
	out := &tale{t: t, w: w, Trust: &trust, id: w.complete, others: make(map[message.Digest][]byte)}
	view, err := ledger.Open(t.Context(), w.source, cosign.Trust{Origin: origin, Keys: []string{w.trust.LogKey}})
	require.NoError(t, err)
	for raw, err := range view.Entries(t.Context(), 0, view.Checkpoint().Size) {
		require.NoError(t, err)
		e, err := entry.Parse(raw)
		require.NoError(t, err)
		document, err := w.source.Document(t.Context(), e.Digest)
		require.NoError(t, err)
		out.chapters = append(out.chapters, &chapter{e, document})
		if e.Kind != entry.ConsentChanged {
			continue
		}
		envelope, err := message.Parse(document)
		require.NoError(t, err)
		changes, err := message.Stored[consent.Changes](envelope, consent.KindChanges)
		require.NoError(t, err)
		out.others[changes.Leaves], err = w.source.Document(t.Context(), changes.Leaves)
		require.NoError(t, err)
	}
	return out
}

// told is a log with its documents in memory.
type told struct {
	ledger.Source
	documents map[message.Digest][]byte
}

func (s told) Document(_ context.Context, digest message.Digest) ([]byte, error) {
	raw, found := s.documents[digest]
	if !found {
		return nil, fmt.Errorf("%s: %w", digest, evidence.ErrNoDocument)
	}
	return raw, nil
}

// tell has the log signed by its key.
func (l *tale) tell() told {
	db, err := sqldb.Open(l.t.Context(), sqldb.Config{DSN: "sqlite:" + filepath.Join(l.t.TempDir(), "log.db")})
	require.NoError(l.t, err)
	l.t.Cleanup(func() { _ = db.Close() })
	require.NoError(l.t, sqldb.Migrate(l.t.Context(), db, "ledger", ledger.Migrations))
	out := told{documents: maps.Clone(l.others)}
	var leaves [][]byte
	for _, c := range l.chapters {
		leaf, err := c.Entry.Marshal()
		require.NoError(l.t, err)
		leaves = append(leaves, leaf)
		if c.document != nil {
			out.documents[c.Digest] = c.document
		}
	}
	require.NoError(l.t, db.Write(l.t.Context(), func(tx *sqldb.Tx) error {
		_, err := ledger.Append(l.t.Context(), tx, leaves)
		return err
	}))
	out.Source = l.w.sign(l.t.Context(), db)
	return out
}

// index returns where a chapter stands.
func (l *tale) index(c *chapter) int { return slices.Index(l.chapters, c) }

// entry names a chapter as reports do.
func (l *tale) entry(c *chapter) string { return fmt.Sprintf("entry %d", l.index(c)) }

// all returns the chapters of a kind about a subject.
func (l *tale) all(kind entry.Kind, subject string) []*chapter {
	var found []*chapter
	for _, c := range l.chapters {
		if c.Kind == kind && c.Subject == subject {
			found = append(found, c)
		}
	}
	return found
}

// one returns the only chapter of a kind about a subject.
func (l *tale) one(kind entry.Kind, subject string) *chapter {
	found := l.all(kind, subject)
	require.Len(l.t, found, 1)
	return found[0]
}

// by returns the last chapter of a kind about a subject by an actor.
func (l *tale) by(kind entry.Kind, subject string, actor identity.DID) *chapter {
	found := l.all(kind, subject)
	for _, c := range slices.Backward(found) {
		if c.Actor == actor {
			return c
		}
	}
	l.t.Fatalf("no %q about %s by %s", kind, subject, actor)
	return nil
}

func (l *tale) question() *chapter { return l.one(entry.QuestionAsked, l.w.complete.String()) }
func (l *tale) result() *chapter   { return l.one(entry.QuestionAnswered, l.w.complete.String()) }
func (l *tale) trial() *chapter    { return l.one(entry.TrialRegistered, string(trialID)) }
func (l *tale) epoch(site int) *chapter {
	return l.by(entry.ConsentEpoch, string(trialID), l.w.sites[site].key.DID())
}

func (l *tale) access(site int) *chapter {
	return l.by(entry.AccessProved, l.w.complete.String(), l.w.sites[site].key.DID())
}

// move puts a chapter just before another and dates it accordingly.
func (l *tale) move(c, before *chapter) {
	l.remove(c)
	c.At = before.At
	l.insert(c, before)
}

func (l *tale) remove(c *chapter) { l.chapters = slices.Delete(l.chapters, l.index(c), l.index(c)+1) }

func (l *tale) insert(c, before *chapter) {
	l.chapters = slices.Insert(l.chapters, l.index(before), c)
}

// write gives a chapter another document.
func (l *tale) write(c *chapter, document any) {
	raw, err := canonical.Marshal(document)
	require.NoError(l.t, err)
	c.document, c.Digest = raw, message.Sum(raw)
}

// edit changes a document that nobody signed.
func edit[T any](l *tale, c *chapter, change func(*T)) {
	l.t.Helper()
	var document T
	require.NoError(l.t, json.Unmarshal(c.document, &document))
	change(&document)
	l.write(c, document)
}

// forge changes a signed document and has it signed by a key.
func forge[T any](l *tale, c *chapter, key identity.Key, change func(*T)) message.Digest {
	l.t.Helper()
	e, err := message.Parse(c.document)
	require.NoError(l.t, err)
	var body T
	require.NoError(l.t, json.Unmarshal(e.Body, &body))
	change(&body)
	sealed, err := message.Seal(key, e.Kind, body, e.Issued, e.Expires.Sub(e.Issued), rand.Reader)
	require.NoError(l.t, err)
	l.write(c, sealed)
	c.Actor = key.DID()
	return sealed.Digest()
}

// link makes result and access proof of a site's answer speak of an epoch and
// a commitment, so that a lie is found by what it is about and not by a loose end.
func (l *tale) link(site int, change func(*query.Answered), access func(*query.Access)) {
	s := l.w.sites[site]
	edit(l, l.result(), func(r *query.Result) {
		for i := range r.Answered {
			if r.Answered[i].Node == s.key.DID() {
				change(&r.Answered[i])
			}
		}
	})
	if access != nil {
		forge(l, l.access(site), s.key, access)
	}
}

// later returns a time some seconds after a chapter.
func (c *chapter) later(seconds int) time.Time { return c.At.Add(time.Duration(seconds) * time.Second) }

// verifierKey returns a key as the log's.
func verifierKey(k identity.Key) string {
	return must(cosign.VerifierKey(origin, must(k.DID().PublicKey())))
}

package registry_test

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/trialmesh/trialmesh/hub/registry"
	"github.com/trialmesh/trialmesh/localstore/sqldb"
	"github.com/trialmesh/trialmesh/protocol/cohort"
	"github.com/trialmesh/trialmesh/protocol/columns"
	"github.com/trialmesh/trialmesh/protocol/consent"
	"github.com/trialmesh/trialmesh/protocol/message"
	"github.com/trialmesh/trialmesh/protocol/query"
	"github.com/trialmesh/trialmesh/protocol/schedule"
	"github.com/trialmesh/trialmesh/protocol/study"
	"github.com/trialmesh/trialmesh/protocol/trial"
)

// TestAForgedSnapshotIsRefused: another organization's replica gives a question, a
// study, a schedule, a trial or changes of consents that nobody signed.
func TestAForgedSnapshotIsRefused(t *testing.T) {
	t.Parallel()
	for table, kind := range map[string]message.Kind{"question": query.KindRequest, "study": study.KindStudy, "schedule": schedule.KindSchedule, "trial": trial.KindDesign, "consent_changes": consent.KindChanges, "columns_committed": columns.Kind} {
		t.Run(table, func(t *testing.T) {
			t.Parallel()
			forge(t, table, kind)
		})
	}
}

// forge changes the signature of the one document that a table names.
func forge(t *testing.T, table string, kind message.Kind) {
	t.Helper()
	h := newHub(t).withTrial(t)
	e, ask := h.question(t)
	h.must(t, ask)
	_, register := h.study(t, h.trial.Researcher, unchanged)
	h.must(t, register)
	_, recurring := h.recurring(t, h.trial.Researcher, h.everyHour())
	h.must(t, recurring)
	h.must(t, newLeaves().change(t, h, h.nodes[0], 3))
	h.must(t, registry.CommitColumns{Envelope: h.seal(t, h.nodes[0], columns.Kind, columns.Commitment{
		Trial: h.trial.Design.ID, Node: h.nodes[0].DID(), Dataset: "outcomes", Number: 1, ShardSize: 4, Shards: []consent.Element{{31: 1}},
		Columns: []columns.Column{{Name: "event", Kind: query.LogicalValues, Domain: cohort.ConditionOccurrence}},
	})})
	snapshot, err := registry.NewFSM(h.machine, t.TempDir()).Snapshot()
	require.NoError(t, err)
	var raw bytes.Buffer
	_, err = raw.ReadFrom(snapshot)
	require.NoError(t, err)
	require.NoError(t, snapshot.Close())

	path := filepath.Join(t.TempDir(), "state.db")
	require.NoError(t, os.WriteFile(path, raw.Bytes(), 0o600))
	db, err := sqldb.Open(t.Context(), sqldb.Config{DSN: "sqlite:" + path})
	require.NoError(t, err)
	var envelope message.Envelope
	require.NoError(t, db.Write(t.Context(), func(tx *sqldb.Tx) error {
		var digest string
		var document []byte
		require.NoError(t, tx.QueryRow(t.Context(), `SELECT d.digest, d.bytes FROM document d, `+table+` q WHERE d.digest = q.document`).Scan(&digest, &document))
		var content any = &envelope
		var registration trial.Registration
		signed := &envelope
		if kind == trial.KindDesign {
			content, signed = &registration, &registration.Design
		}
		require.NoError(t, json.Unmarshal(document, content))
		signed.Signature[0] ^= 1
		envelope = *signed
		forged, err := json.Marshal(content)
		require.NoError(t, err)
		_, err = tx.Exec(t.Context(), `UPDATE document SET bytes = ? WHERE digest = ?`, forged, digest)
		return err
	}))
	copied := filepath.Join(t.TempDir(), "copy.db")
	require.NoError(t, db.Backup(t.Context(), copied))
	require.NoError(t, db.Close())
	forged, err := os.ReadFile(copied)
	require.NoError(t, err)
	require.ErrorIs(t, envelope.Check(kind), message.ErrSignature)

	other := newHub(t)
	err = registry.NewFSM(other.machine, t.TempDir()).Restore(bytes.NewReader(forged))
	require.ErrorIs(t, err, message.ErrSignature)
	_, err = other.reader.Question(t.Context(), e.Digest())
	require.ErrorIs(t, err, registry.ErrQuestionUnknown)
}

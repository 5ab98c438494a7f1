package consent_test

import (
	"encoding/json"
	"os"
	"testing"
	"testing/fstest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/trialmesh/trialmesh/localstore/sqldb"
	"github.com/trialmesh/trialmesh/localstore/sqldb/sqltest"
	agreed "github.com/trialmesh/trialmesh/protocol/consent"
	"github.com/trialmesh/trialmesh/protocol/identity"
	"github.com/trialmesh/trialmesh/protocol/message"
	"github.com/trialmesh/trialmesh/zk/circuits"
)

// TestConsentsOfBeforePublishedTheirLeaves go to the ledger with what was last said of each,
// in the slots that they have, and whoever joins gets another.
func TestConsentsOfBeforePublishedTheirLeaves(t *testing.T) {
	t.Parallel()
	sqltest.Each(t, func(t *testing.T, db *sqldb.DB) {
		first := fstest.MapFS{}
		for _, engine := range []string{"sqlite", "postgres"} {
			name := engine + "/0001_consent.sql"
			raw, err := os.ReadFile("migrations/" + name)
			require.NoError(t, err)
			first[name] = &fstest.MapFile{Data: raw}
		}
		require.NoError(t, sqldb.Migrate(t.Context(), db, "consent", first))
		d := &desk{node: key(t), db: db, now: start, shape: shape, prover: new(counting)}
		who := []identity.Key{key(t), key(t), key(t)}
		for slot, participant := range who {
			grant := d.seal(t, participant, agreed.KindGrant, d.grant())
			d.store(t, slot, grant)
			status := circuits.Active
			if slot == 1 {
				d.now = d.now.Add(time.Second)
				d.store(t, slot, d.withdrawal(t, participant, grant))
				status = circuits.Withdrawn
			}
			require.NoError(t, db.Write(t.Context(), func(tx *sqldb.Tx) error {
				_, err := tx.Exec(t.Context(), `INSERT INTO consent_slot (trial, slot, person_id, participant, grant_digest, scopes, status, from_at, to_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)`,
					"glucose-1", slot, slot+1, participant.DID(), grant.Digest().String(), int64(need), int64(status), d.grant().From.Unix(), d.grant().To.Unix())
				return err
			}))
		}
		d.reopen(t)
		epoch := d.publish(t)
		require.EqualValues(t, 1, epoch.Changes)
		require.Equal(t, []int64{1, 3}, d.usable(t, d.use()))
		require.Empty(t, d.defects(t))
		r, err := d.book.Receipt(t.Context(), "glucose-1", who[1].DID())
		require.NoError(t, err)
		require.Equal(t, 1, r.Index)
		said, err := r.Statements()
		require.NoError(t, err)
		require.Len(t, said, 2)
		require.True(t, said[1].Withdrawn)
		require.EqualValues(t, 1, r.LedgerIndex)

		d.consents(t, 4)
		d.consents(t, 5)
		require.Len(t, d.publish(t).Shards, 2, "the last free slot of the first shard, and one of the next")
		require.Equal(t, []int64{1, 3, 4, 5}, d.usable(t, d.use()))
	})
}

// store keeps a message as it was kept before.
func (d *desk) store(t *testing.T, slot int, e message.Envelope) {
	t.Helper()
	raw, err := json.Marshal(e)
	require.NoError(t, err)
	require.NoError(t, d.db.Write(t.Context(), func(tx *sqldb.Tx) error {
		_, err := tx.Exec(t.Context(), `INSERT INTO consent_message (digest, trial, person_id, participant, kind, issued_at, received_at, envelope) VALUES (?, ?, ?, ?, ?, ?, ?, ?)`,
			e.Digest().String(), "glucose-1", slot+1, e.Issuer, string(e.Kind), e.Issued.Unix(), d.now.Unix(), raw)
		return err
	}))
}

package consent_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/trialmesh/trialmesh/localstore/sqldb"
	"github.com/trialmesh/trialmesh/localstore/sqldb/sqltest"
	"github.com/trialmesh/trialmesh/node/consent"
	agreed "github.com/trialmesh/trialmesh/protocol/consent"
	"github.com/trialmesh/trialmesh/protocol/trial"
)

func (d *desk) said(t *testing.T, n int64, id trial.ID) consent.Word {
	t.Helper()
	var word consent.Word
	require.NoError(t, d.db.Read(t.Context(), func(tx *sqldb.Tx) (err error) {
		word, err = d.book.Said(t.Context(), tx, person(n), id, d.now)
		return err
	}))
	return word
}

func TestTheLastWordCounts(t *testing.T) {
	t.Parallel()
	sqltest.Each(t, func(t *testing.T, db *sqldb.DB) {
		d := newDesk(t, db)
		require.Equal(t, consent.Silent, d.said(t, 1, "glucose-1"), "nothing is on record")
		who, grant := d.consents(t, 1)
		require.Equal(t, consent.Granted, d.said(t, 1, "glucose-1"))
		require.Equal(t, consent.Silent, d.said(t, 1, "another"), "of another trial nothing is said")
		require.Equal(t, consent.Silent, d.said(t, 2, "glucose-1"), "nor by another person")

		require.NoError(t, d.record(t, 1, d.withdrawal(t, who, grant)))
		require.Equal(t, consent.Refused, d.said(t, 1, "glucose-1"), "a withdrawal")
		d.now = d.now.Add(time.Second)
		require.NoError(t, d.record(t, 1, d.seal(t, who, agreed.KindGrant, d.grant())))
		require.Equal(t, consent.Granted, d.said(t, 1, "glucose-1"), "and a grant since")

		d.now = d.now.Add(time.Second)
		refusal := agreed.Refusal{Trial: "glucose-1", Node: d.node.DID(), Document: d.grant().Document}
		require.NoError(t, d.record(t, 1, d.seal(t, key(t), agreed.KindRefusal, refusal)))
		require.Equal(t, consent.Refused, d.said(t, 1, "glucose-1"), "the same person under another name")

		d.consents(t, 3)
		d.now = start.Add(301 * 24 * time.Hour)
		require.Equal(t, consent.Silent, d.said(t, 3, "glucose-1"), "the grant is over")
		require.Equal(t, consent.Refused, d.said(t, 1, "glucose-1"), "a refusal is not")
	})
}

// TestWhatIsSaidToTheSiteIsNotPublished: no hub knows a trial of that name, and an epoch
// of it would wait for ever.
func TestWhatIsSaidToTheSiteIsNotPublished(t *testing.T) {
	t.Parallel()
	d := newDesk(t, sqltest.SQLite(t))
	who := key(t)
	refusal := agreed.Refusal{Trial: consent.SiteResearch, Node: d.node.DID(), Document: d.grant().Document}
	require.NoError(t, d.record(t, 1, d.seal(t, who, agreed.KindRefusal, refusal)))
	require.Equal(t, consent.Refused, d.said(t, 1, consent.SiteResearch))

	d.now = d.now.Add(time.Second)
	grant := d.grant()
	grant.Trial = consent.SiteResearch
	require.NoError(t, d.record(t, 1, d.seal(t, who, agreed.KindGrant, grant)))
	require.Equal(t, consent.Granted, d.said(t, 1, consent.SiteResearch))
	trials, err := d.book.Trials(t.Context())
	require.NoError(t, err)
	require.Empty(t, trials)
}

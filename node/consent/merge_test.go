package consent_test

import (
	"context"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/trialmesh/trialmesh/localstore/omop"
	"github.com/trialmesh/trialmesh/localstore/sqldb"
	"github.com/trialmesh/trialmesh/localstore/sqldb/sqltest"
)

func TestAMergedPersonKeepsWhatWasSaid(t *testing.T) {
	t.Parallel()
	sqltest.Each(t, func(t *testing.T, db *sqldb.DB) {
		d := newDesk(t, db)
		merge := func(survivor, retired int64) (may bool) {
			require.NoError(t, db.Write(t.Context(), func(tx *sqldb.Tx) (err error) {
				may, err = d.book.Merge(t.Context(), tx, person(survivor), person(retired))
				return err
			}))
			return may
		}
		who, grant := d.consents(t, 1)
		d.consents(t, 2)
		require.False(t, merge(1, 2), "both have said something in one trial")
		require.True(t, merge(3, 1))
		require.True(t, merge(4, 5), "neither has said anything")
		var owner, slots int
		require.NoError(t, db.Read(t.Context(), func(tx *sqldb.Tx) error {
			return tx.QueryRow(t.Context(), "SELECT max(person_id), count(*) FROM consent_slot WHERE participant = ?", grant.Issuer).Scan(&owner, &slots)
		}))
		require.Equal(t, []int{3, 1}, []int{owner, slots})
		recorded, err := d.book.Record(t.Context(), person(3), d.withdrawal(t, who, grant), d.now)
		require.NoError(t, err)
		require.True(t, recorded, "who consented as one person withdraws as the other")
	})
}

// TestWhatIsSaidDuringAMergeIsTheSurvivors: who it is about is found out when the merge is
// over.
func TestWhatIsSaidDuringAMergeIsTheSurvivors(t *testing.T) {
	t.Parallel()
	sqltest.Each(t, func(t *testing.T, db *sqldb.DB) {
		d := newDesk(t, db)
		who, grant := d.consents(t, 7)
		says := d.withdrawal(t, who, grant)
		var merged atomic.Bool
		find := func(context.Context, *sqldb.Tx) (omop.PersonID, error) {
			if merged.Load() {
				return person(8), nil
			}
			return person(7), nil
		}
		done := make(chan error, 1)
		require.NoError(t, db.Write(t.Context(), func(tx *sqldb.Tx) error {
			if _, err := d.book.Merge(t.Context(), tx, person(8), person(7)); err != nil {
				return err
			}
			started := make(chan struct{})
			go func() {
				close(started)
				_, err := d.book.RecordOf(context.WithoutCancel(t.Context()), find, says, d.now)
				done <- err
			}()
			<-started
			merged.Store(true)
			return nil
		}))
		require.NoError(t, <-done)
		var owners, owner int
		require.NoError(t, db.Read(t.Context(), func(tx *sqldb.Tx) error {
			return tx.QueryRow(t.Context(), "SELECT count(DISTINCT person_id), max(person_id) FROM consent_message").Scan(&owners, &owner)
		}))
		require.Equal(t, []int{1, 8}, []int{owners, owner})
	})
}

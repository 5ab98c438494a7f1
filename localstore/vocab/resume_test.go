package vocab_test

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/trialmesh/trialmesh/localstore/sqldb"
	"github.com/trialmesh/trialmesh/localstore/sqldb/sqltest"
)

// TestALoadGoesOnWhereItWasBrokenOff marks a row that the first attempt stored: the second
// one would not have the mark if it began anew.
func TestALoadGoesOnWhereItWasBrokenOff(t *testing.T) {
	t.Parallel()
	sqltest.Each(t, func(t *testing.T, db *sqldb.DB) {
		const n = 25_000
		concepts := make([]string, n)
		for i := range concepts {
			concepts[i] = fmt.Sprintf("%d C%d S ", i+1, i+1)
		}
		files := athena("v1", concepts, [2]int{1, 2})
		broken := errors.New("broken off")
		ctx, cancel := context.WithCancelCause(t.Context())
		s := opened(t, db)
		passes, last := 0, int64(0)
		s.Progress = func(file string, read, size int64) {
			require.LessOrEqual(t, read, size)
			if file != "CONCEPT.csv" {
				return
			}
			if read < last {
				passes++
			}
			if last = read; passes == 1 && read > size/2 {
				cancel(broken)
			}
		}
		_, err := s.Load(ctx, files)
		require.Error(t, err)
		require.NoError(t, db.Write(t.Context(), func(tx *sqldb.Tx) error {
			_, err := tx.Exec(t.Context(), "UPDATE concept_next SET concept_name = 'marked' WHERE concept_id = 1")
			return err
		}), "a batch was stored")

		s = opened(t, db)
		loaded, err := s.Load(t.Context(), files)
		require.NoError(t, err)
		require.EqualValues(t, n, loaded.Concepts)
		require.EqualValues(t, 1, loaded.Mappings)
		require.Equal(t, "marked", lookup(t, s, "RxNorm", "C1").Source.Name)
		require.EqualValues(t, n, lookup(t, s, "RxNorm", fmt.Sprintf("C%d", n)).Source.ID)

		_, err = s.Load(t.Context(), files)
		require.NoError(t, err)
		require.NotEqual(t, "marked", lookup(t, s, "RxNorm", "C1").Source.Name, "a whole load is not gone on with")
	})
}

// TestOtherFilesAreLoadedFromTheBeginning: what another folder's load left is not mixed in.
func TestOtherFilesAreLoadedFromTheBeginning(t *testing.T) {
	t.Parallel()
	sqltest.Each(t, func(t *testing.T, db *sqldb.DB) {
		s := opened(t, db)
		bad := athena("v1", []string{"1 A S ", "2 B S "})
		bad["CONCEPT_RELATIONSHIP.csv"].Data = []byte("no such columns\n")
		_, err := s.Load(t.Context(), bad)
		require.Error(t, err)
		loaded, err := s.Load(t.Context(), athena("v1", []string{"3 A S "}))
		require.NoError(t, err)
		require.EqualValues(t, 1, loaded.Concepts)
		require.Zero(t, lookup(t, s, "RxNorm", "B").Source.ID)
	})
}

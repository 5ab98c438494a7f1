package omop_test

import (
	"bytes"
	"encoding/gob"
	"encoding/json"
	"fmt"
	"log/slog"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/trialmesh/trialmesh/localstore/omop"
	"github.com/trialmesh/trialmesh/localstore/sqldb/sqltest"
)

func TestIdentitiesNeitherPrintNorMarshal(t *testing.T) {
	t.Parallel()
	db := sqltest.SQLite(t)
	s := open(t, db)
	put(t, db, s, ada())
	person := collect(t, db, s.Persons)[0].ID
	key := omop.NewKey("Patient/MRN-4711")
	for name, v := range map[string]any{
		"person": person, "key": key, "person in a struct": struct{ P omop.PersonID }{person},
		"key in a row": ada().Persons[0], "pointer": &person, "list": []omop.Key{key},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%d", "%x", "%q"} {
				out := fmt.Sprintf(verb, v)
				require.NotContains(t, out, "MRN-4711")
				require.NotContains(t, out, "ada")
				if name == "person" {
					require.Equal(t, "person:redacted", out)
				}
			}
			_, err := json.Marshal(v)
			require.Error(t, err)
			require.Error(t, gob.NewEncoder(&bytes.Buffer{}).Encode(v))
			var log bytes.Buffer
			slog.New(slog.NewJSONHandler(&log, nil)).Info("x", "v", v)
			slog.New(slog.NewTextHandler(&log, nil)).Info("x", "v", v)
			require.NotContains(t, log.String(), "MRN-4711")
		})
	}
	_, err := json.Marshal(map[omop.PersonID]int{person: 1})
	require.Error(t, err, "as the key of a map")
	_, err = json.Marshal(map[omop.Key]int{key: 1})
	require.Error(t, err, "as the key of a map")
}

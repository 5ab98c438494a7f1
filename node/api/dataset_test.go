package api

import (
	"bytes"
	"io"
	"mime/multipart"
	"net"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/trialmesh/trialmesh/localstore/omop"
	"github.com/trialmesh/trialmesh/localstore/sqldb"
	"github.com/trialmesh/trialmesh/node/client"
	"github.com/trialmesh/trialmesh/node/mapping"
	"github.com/trialmesh/trialmesh/protocol/problem"
)

const registry = `
name: registry
version: freeze 3
person: {column: pid, system: fhir}
columns:
  - {name: crp, kind: numeric, domain: Measurement, high: 500, unit: mg/L}
  - {name: grade, kind: factor, domain: ConditionOccurrence, levels: [low, high]}
`

// newRegistrySite knows two patients.
func newRegistrySite(t *testing.T) (*site, *client.Client) {
	t.Helper()
	s := newSite(t)
	people, err := omop.Open(t.Context(), s.db)
	require.NoError(t, err)
	require.NoError(t, s.db.Write(t.Context(), func(tx *sqldb.Tx) error {
		_, err := people.Put(t.Context(), tx, omop.Batch{Raw: [32]byte{1}, Mapper: "test/1", At: start, Persons: []omop.Person{
			{Key: mapping.PersonKey("p1"), Pointer: "p", YearOfBirth: 1950}, {Key: mapping.PersonKey(thePatient), Pointer: "p", YearOfBirth: 1950},
		}})
		return err
	}))
	c, err := client.New(s.url, token)
	require.NoError(t, err)
	t.Cleanup(c.Close)
	return s, c
}

func TestADatasetIsLoadedShownAndDropped(t *testing.T) {
	t.Parallel()
	s, c := newRegistrySite(t)
	file := "pid,crp,grade\np1,1.5,low\n" + thePatient + ",,high\nstranger,2,low\n"
	_, err := c.LoadDataset(t.Context(), []byte(registry), strings.NewReader(file), false)
	var refused *problem.Error
	require.ErrorAs(t, err, &refused)
	require.Equal(t, problem.Invalid, refused.Kind)
	require.Contains(t, refused.Public, `1 of rule unknown-person; the first are line 4 column "pid"`)
	list, err := c.Datasets(t.Context())
	require.NoError(t, err)
	require.Empty(t, list, "a fault changes nothing")

	loaded, err := c.LoadDataset(t.Context(), []byte(registry), strings.NewReader(file), true)
	require.NoError(t, err)
	require.Equal(t, 2, loaded.Rows)
	require.Len(t, loaded.Problems, 1)
	list, err = c.Datasets(t.Context())
	require.NoError(t, err)
	require.Equal(t, []client.Dataset{{Name: "registry", Version: "freeze 3", Columns: 2, Rows: 2, Loaded: start}}, list)
	shown, err := c.Dataset(t.Context(), "registry")
	require.NoError(t, err)
	require.Equal(t, "mg/L", shown.Schema.Columns[0].Unit)
	require.Equal(t, "20 to 50 %", shown.Missing[0].Share)
	require.Equal(t, "none", shown.Missing[1].Share)

	require.NoError(t, c.DropDataset(t.Context(), "registry"))
	_, err = c.Dataset(t.Context(), "registry")
	require.ErrorAs(t, err, &refused)
	require.Equal(t, problem.NotFound, refused.Kind)
	require.Error(t, c.DropDataset(t.Context(), "registry"))
	require.NotContains(t, s.logged.String(), thePatient)
}

func TestADatasetThatIsNoneIsRefused(t *testing.T) {
	t.Parallel()
	s, c := newRegistrySite(t)
	_, err := c.LoadDataset(t.Context(), []byte("name: Registry"), strings.NewReader(""), false)
	require.ErrorContains(t, err, "schema: name")
	_, err = c.LoadDataset(t.Context(), []byte(registry), io.MultiReader(strings.NewReader("pid,crp,grade\n"), failing{}), false)
	require.ErrorIs(t, err, net.ErrClosed)

	var body bytes.Buffer
	form := multipart.NewWriter(&body)
	require.NoError(t, form.WriteField("file", "pid,crp,grade\n"))
	require.NoError(t, form.Close())
	for kind, text := range map[string]string{form.FormDataContentType(): body.String(), "text/csv": "pid,crp,grade\n"} {
		status, _, answer := s.send(http.MethodPost, datasetsPath, kind, strings.NewReader(text))
		require.Equal(t, 422, status, answer)
		require.Contains(t, answer, "two parts")
	}
}

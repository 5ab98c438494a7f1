package outbox

import (
	"io/fs"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/trialmesh/trialmesh/connectors/partner/fhirserver"
	"github.com/trialmesh/trialmesh/localstore/jobs"
	"github.com/trialmesh/trialmesh/localstore/sqldb/sqltest"
)

func TestEndpointIsReadFromItsFile(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	_, made, err := MakeKey(dir, "ehr", fhirserver.ES384)
	require.NoError(t, err)
	require.True(t, made)
	write := func(text string) {
		require.NoError(t, os.WriteFile(filepath.Join(dir, "ehr.yaml"), []byte(text), 0o600))
	}
	write("url: https://ehr.example/r4\nclient: north\ntypes: [Task, Communication]\n")
	e, err := Read(dir, "ehr")
	require.NoError(t, err)
	require.Equal(t, "https://ehr.example/r4", e.URL)
	require.Equal(t, []string{"Task", "Communication"}, e.Types)
	require.Equal(t, e.Types, e.server.Creates)
	require.False(t, e.server.Key.IsZero())
	write("url: https://ehr.example/r4\n")
	e, err = Read(dir, "ehr")
	require.NoError(t, err)
	require.Equal(t, Types(), e.Types)

	for text, want := range map[string]string{
		"":                              "url: the base URL",
		"url: http://ehr.example":       "in the clear",
		"url: https://x\ntypes: [Flag]": "types: entry 1: want Communication",
		"url: https://x\nkind: bulk":    "kind is no setting of an endpoint",
		"url: https://x\nca: no.pem":    "ca: ",
		"url: https://x\nkey: x":        "client: the id",
		"url: https://x\nclient: secret\nkey: lab.key": "key: lab.key is not there",
		"url: [secret]": "line 1: want a text",
		"url: \"secret": "no valid yaml: ",
	} {
		write(text)
		_, err = Read(dir, "ehr")
		require.ErrorContains(t, err, want)
		require.NotContains(t, err.Error(), dir, "programs are told of it")
		require.NotContains(t, err.Error(), "secret")
	}
	list, err := ReadAll(dir)
	require.NoError(t, err)
	require.Len(t, list, 1)
	require.Equal(t, "ehr", list[0].Name)
	require.Error(t, list[0].Err)
	_, err = Read(dir, "lab")
	require.ErrorIs(t, err, fs.ErrNotExist)
	_, err = Read(dir, "../lab")
	require.ErrorIs(t, err, ErrName)
	_, _, err = MakeKey(dir, "../lab", fhirserver.ES384)
	require.ErrorIs(t, err, ErrName)
	list, err = ReadAll(filepath.Join(dir, "none"))
	require.NoError(t, err)
	require.Empty(t, list)
}

func TestOpenRefuses(t *testing.T) {
	t.Parallel()
	db := sqltest.SQLite(t)
	require.NoError(t, jobs.Migrate(t.Context(), db))
	for want, spoil := range map[string]func(*Config){
		"are required": func(c *Config) { c.Known = nil },
		"secret":       func(c *Config) { c.Secret = []byte("short") },
		"patience":     func(c *Config) { c.Patience = time.Second },
		"limit":        func(c *Config) { c.Limit = time.Millisecond },
	} {
		cfg, err := config(db, t.TempDir())
		require.NoError(t, err)
		spoil(&cfg)
		_, err = Open(t.Context(), cfg)
		require.ErrorContains(t, err, want)
	}
}

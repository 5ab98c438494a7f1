package sqldb_test

import (
	"bytes"
	"errors"
	"net/url"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/trialmesh/trialmesh/localstore/sqldb"
	"github.com/trialmesh/trialmesh/localstore/sqldb/sqltest"
)

// TestAGuestChangesNothing reads a SQLite file byte for byte the same, and no file is left
// beside it.
func TestAGuestChangesNothing(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "site's #1.db")
	db, err := sqldb.Open(t.Context(), sqldb.Config{DSN: "sqlite:" + path})
	require.NoError(t, err)
	require.NoError(t, db.Write(t.Context(), func(tx *sqldb.Tx) error {
		_, err := tx.Exec(t.Context(), `CREATE TABLE "a ""b""" (n INTEGER, x REAL, at DATE, "s t" TEXT, b BLOB)`)
		if err == nil {
			_, err = tx.Exec(t.Context(), `INSERT INTO "a ""b""" VALUES (1, 0.1, '2020-01-02', 'x, "y"', x'41'), (NULL, 2.0, 86400.5, NULL, NULL)`)
		}
		return err
	}))
	require.NoError(t, db.Close())
	before, err := os.ReadFile(path)
	require.NoError(t, err)

	guest, err := sqldb.OpenGuest(t.Context(), "sqlite:"+path, "")
	require.NoError(t, err)
	var out bytes.Buffer
	require.NoError(t, guest.Read(t.Context(), func(v *sqldb.Visit) error {
		tables, err := v.Tables(t.Context())
		require.NoError(t, err)
		require.Equal(t, []sqldb.Table{{Name: `a "b"`, Columns: []string{"n", "x", "at", "s t", "b"}}}, tables)
		n, err := v.CopyCSV(t.Context(), &out, `a "b"`, []sqldb.Field{{Name: "s t", As: "s"}, {Name: "n", As: "n"}, {Name: "x", As: "x"}, {Name: "at", As: "at", Time: true}, {Name: "b", As: "b"}})
		require.EqualValues(t, 2, n)
		return err
	}))
	require.Equal(t, "s,n,x,at,b\n\"x, \"\"y\"\"\",1,0.1,2020-01-02,A\n,,2,1970-01-02 00:00:00.5,\n", out.String())
	require.NoError(t, guest.Close())
	after, err := os.ReadFile(path)
	require.NoError(t, err)
	require.Equal(t, before, after)
}

// TestACopyThatBreaksIsNoCopy ends a connection in the middle of a table, and a writer.
func TestACopyThatBreaksIsNoCopy(t *testing.T) {
	t.Parallel()
	address := sqltest.PostgresDSN(t)
	u, err := url.Parse(address)
	require.NoError(t, err)
	name := "guest-of-" + u.Query().Get("search_path")
	db := sqltest.Open(t, address)
	require.NoError(t, db.Write(t.Context(), func(tx *sqldb.Tx) error {
		_, err := tx.Exec(t.Context(), `CREATE VIEW long AS SELECT g AS n, repeat('x', 1000) AS s FROM generate_series(1, 1000000) g`)
		return err
	}))
	guest, err := sqldb.OpenGuest(t.Context(), address+"&application_name="+name, "")
	require.NoError(t, err)
	defer guest.Close()
	full := errors.New("disk")
	for what, write := range map[string]func() error{
		"connection": func() error {
			return db.Write(t.Context(), func(tx *sqldb.Tx) error {
				_, err := tx.Exec(t.Context(), `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = ?`, name)
				return err
			})
		},
		"writer": func() error { return full },
	} {
		begun := false
		err := guest.Read(t.Context(), func(v *sqldb.Visit) error {
			_, err := v.CopyCSV(t.Context(), writer(func() error {
				if begun {
					return nil
				}
				begun = true
				return write()
			}), "long", []sqldb.Field{{Name: "n", As: "n"}, {Name: "s", As: "s"}})
			return err
		})
		require.ErrorContains(t, err, "copy long", what)
		require.Equal(t, what == "writer", errors.Is(err, full), "%v", err)
	}
}

// writer does something before it takes bytes.
type writer func() error

func (w writer) Write(p []byte) (int, error) { return len(p), w() }

// TestAGuestsAddressHoldsNoPasswordAndTrustsNoStranger has no server to connect to.
func TestAGuestsAddressHoldsNoPasswordAndTrustsNoStranger(t *testing.T) {
	t.Parallel()
	for _, address := range []string{"postgres://u:secret@db/x", "postgres://u@db/x?password=secret", "postgresql://u@db/x?sslpassword=secret"} {
		_, err := sqldb.OpenGuest(t.Context(), address, "")
		require.ErrorIs(t, err, sqldb.ErrPassword)
		require.NotContains(t, err.Error(), "secret")
	}
	_, err := sqldb.OpenGuest(t.Context(), "postgres://u:secret@[db/x", "")
	require.Error(t, err)
	require.NotContains(t, err.Error(), "secret")
	for address, verified := range map[string]bool{
		"postgres://u@db.example/x":                      true,
		"postgres://u@db.example/x?options=-c%20a%3Db":   true,
		"postgres://u@db.example/x?sslmode=verify-full":  true,
		"postgres://u@db.example/x?sslmode=require":      false,
		"postgres://u@db.example/x?sslmode=disable":      false,
		"postgres://u@localhost/x":                       false,
		"postgres://u@127.0.0.1/x":                       false,
		"postgres:///x?host=/run/postgresql":             false,
		"postgres:///x?host=localhost,db.example&user=u": true,
		"postgres://u@localhost.db.example/x":            true,
	} {
		got, err := sqldb.Verifies(address)
		require.NoError(t, err, address)
		require.Equal(t, verified, got, address)
	}
}

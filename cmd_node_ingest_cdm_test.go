//go:build linux

package main

import (
	"bytes"
	"compress/gzip"
	"encoding/base64"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/trialmesh/trialmesh/localstore/sqldb"
)

// taker is a node that takes uploads. The first bytes of each break off once.
type taker struct {
	*standIn
	mu      sync.Mutex // guards what follows
	names   []string
	content map[string]*bytes.Buffer
}

func newTaker(t *testing.T) *taker {
	t.Helper()
	n := &taker{standIn: newStandIn(t, 0, map[string]any{"records": 1, "stored": 1, "problems": []map[string]any{
		{"file": "x.csv.gz", "line": 1, "path": "column[2]", "rule": "unknown-column"},
		{"file": "x.csv.gz", "line": 2, "path": "year_of_birth", "rule": "out-of-range"},
	}}), content: map[string]*bytes.Buffer{}}
	mux := http.NewServeMux()
	mux.Handle("/", n.handler)
	mux.HandleFunc("POST /v1/ingest/uploads", func(w http.ResponseWriter, r *http.Request) {
		n.mu.Lock()
		defer n.mu.Unlock()
		_, encoded, _ := strings.Cut(r.Header.Get("Upload-Metadata"), " ")
		name, _ := base64.StdEncoding.DecodeString(encoded)
		if n.content[string(name)] == nil {
			n.names, n.content[string(name)] = append(n.names, string(name)), &bytes.Buffer{}
		}
		w.Header().Set("Location", "/v1/ingest/uploads/"+string(name))
		w.WriteHeader(http.StatusCreated)
	})
	at := func(w http.ResponseWriter, r *http.Request) {
		n.mu.Lock()
		defer n.mu.Unlock()
		into := n.content[r.PathValue("name")]
		switch first := into.Len() == 0; {
		case r.Method == http.MethodPatch && first:
			_, _ = io.CopyN(into, r.Body, 10)
			panic(http.ErrAbortHandler)
		case r.Method == http.MethodPatch:
			_, _ = io.Copy(into, r.Body)
			w.Header().Set("Trialmesh-File", "00")
			w.Header().Set("Trialmesh-Job", "7")
		}
		w.Header().Set("Upload-Offset", strconv.Itoa(into.Len()))
	}
	mux.HandleFunc("HEAD /v1/ingest/uploads/{name}", at)
	mux.HandleFunc("PATCH /v1/ingest/uploads/{name}", at)
	mux.HandleFunc("DELETE /v1/ingest/uploads/{name}", func(http.ResponseWriter, *http.Request) {})
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	n.place(t, server.URL)
	return n
}

// TestACDMIsSentFromItsDatabase sends two tables of a SQLite file in the order of their
// stages; uploads that break off go on.
func TestACDMIsSentFromItsDatabase(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "cdm.db")
	db, err := sqldb.Open(t.Context(), sqldb.Config{DSN: "sqlite:" + path})
	require.NoError(t, err)
	require.NoError(t, db.Write(t.Context(), func(tx *sqldb.Tx) error {
		for _, s := range []string{
			`CREATE TABLE death (person_id INTEGER, death_date DATE)`, `INSERT INTO death VALUES (7, '2020-01-02')`,
			`CREATE TABLE person (person_id INTEGER, year_of_birth INTEGER)`, `INSERT INTO person VALUES (7, 1950), (8, NULL)`,
		} {
			if _, err := tx.Exec(t.Context(), s); err != nil {
				return err
			}
		}
		return nil
	}))
	require.NoError(t, db.Close())
	n := newTaker(t)
	text, err := execute(t, "node", "ingest", "--dir", n.dir, "--cdm-database", "sqlite:"+path, "--json")
	require.NoError(t, err)
	var out outcome
	require.NoError(t, json.Unmarshal([]byte(text), &out))
	require.Equal(t, 2, out.Files)
	require.Len(t, out.Problems, 4)
	require.Equal(t, []string{"table person", "table person, person_id 7", "table death", "table death, person_id 7"},
		[]string{out.Problems[0].place(), out.Problems[1].place(), out.Problems[2].place(), out.Problems[3].place()})
	require.NotContains(t, text, "csv.gz")
	require.Equal(t, []string{"person.csv.gz", "death.csv.gz"}, n.names)
	for name, want := range map[string]string{"person.csv.gz": "person_id,year_of_birth\n7,1950\n8,\n", "death.csv.gz": "person_id,death_date\n7,2020-01-02\n"} {
		plain, err := gzip.NewReader(n.content[name])
		require.NoError(t, err)
		got, err := io.ReadAll(plain)
		require.NoError(t, err)
		require.Equal(t, want, string(got))
	}
}

// TestADatabaseThatCannotBeReadSendsNothing, and calls that cannot be right say so.
func TestADatabaseThatCannotBeReadSendsNothing(t *testing.T) {
	t.Parallel()
	n := newTaker(t)
	other := filepath.Join(t.TempDir(), "other.db")
	require.NoError(t, os.WriteFile(other, []byte(strings.Repeat("no database ", 100)), 0o600))
	for call, want := range map[string]string{
		"--cdm-database sqlite:" + other:                   "damaged",
		"--cdm-database sqlite:" + other + ".none":         "unavailable",
		"--cdm-database postgres://u:secret@localhost/cdm": "PGPASSFILE",
		"--cdm-database sqlite:x " + other:                 "either files",
		"--cdm-database sqlite:x --patient p":              "--patient",
		"--cdm-schema cdm " + other:                        "--cdm-database",
		"":                                                 "at least 1 arg",
	} {
		_, err := execute(t, append([]string{"node", "ingest", "--dir", n.dir}, strings.Fields(call)...)...)
		require.ErrorContains(t, err, want, call)
		require.NotContains(t, err.Error(), "secret")
	}
	require.Empty(t, n.names)
	require.Empty(t, n.standIn.names())
}

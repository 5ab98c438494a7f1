package ledger_test

import (
	"bytes"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/mod/sumdb/tlog"

	"github.com/trialmesh/trialmesh/federation/cosign"
	"github.com/trialmesh/trialmesh/hub/ledger"
	"github.com/trialmesh/trialmesh/localstore/sqldb"
)

func TestAddCheckpointRefuses(t *testing.T) {
	t.Parallel()
	db := openDB(t)
	grow(t, db, 10)
	for name, tc := range map[string]struct {
		c    cosign.Checkpoint
		want error
	}{
		"another root":  {cosign.Checkpoint{Origin: origin, Size: 10, Root: tlog.RecordHash(nil)}, ledger.ErrMismatch},
		"a larger log":  {cosign.Checkpoint{Origin: origin, Size: 11}, ledger.ErrMismatch},
		"another log's": {cosign.Checkpoint{Origin: "x", Size: 10}, cosign.ErrUntrusted},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			err := db.Write(t.Context(), func(tx *sqldb.Tx) error {
				_, err := ledger.AddCheckpoint(t.Context(), tx, trusting(t, 2), sign(t, tc.c))
				return err
			})
			require.ErrorIs(t, err, tc.want)
			_, err = ledger.NewPublished(db).Read(t.Context(), "checkpoint")
			require.ErrorIs(t, err, ledger.ErrNotFound)
		})
	}
}

func TestAddCheckpointGathersSignatures(t *testing.T) {
	t.Parallel()
	db := openDB(t)
	grow(t, db, 10)
	ctx := t.Context()
	trust := trusting(t, 0)
	trust.Policy = cosign.Threshold(0, cosignerKeys(t)...)
	write(t, db, func(tx *sqldb.Tx) {
		head, err := ledger.Head(ctx, tx, origin)
		require.NoError(t, err)
		signer, err := cosign.NewSigner(origin, logKey)
		require.NoError(t, err)
		plain, err := head.Sign(signer)
		require.NoError(t, err)
		for name, k := range cosigners {
			signed, err := cosign.Cosign(plain, name, k, noon)
			require.NoError(t, err)
			signed, err = cosign.Cosign(signed, "stranger.example.org", key(9), noon)
			require.NoError(t, err)
			_, err = ledger.AddCheckpoint(ctx, tx, trust, signed)
			require.NoError(t, err)
		}
		stored, err := ledger.Latest(ctx, tx)
		require.NoError(t, err)
		require.NotContains(t, string(stored), "stranger")
		_, err = trusting(t, 2).Open(stored)
		require.NoError(t, err, "both cosignatures are kept")
	})
}

// Entries after the published checkpoint are not public yet, and partial tiles of
// every published size stay available.
func TestPublishedServesWhatCheckpointCovers(t *testing.T) {
	t.Parallel()
	db := openDB(t)
	grow(t, db, 300)
	publish(t, db)
	grow(t, db, 600)
	src := ledger.NewPublished(db)
	for path, ok := range map[string]bool{
		"checkpoint":               true,
		"tile/0/000":               true,
		"tile/0/000.p/255":         true,
		"tile/0/001.p/44":          true,
		"tile/0/001.p/45":          false,
		"tile/0/001":               false,
		"tile/1/000.p/1":           true,
		"tile/1/000.p/2":           false,
		"tile/2/000.p/1":           false,
		"tile/63/000":              false,
		"tile/entries/000":         true,
		"tile/entries/001.p/44":    true,
		"tile/entries/001.p/45":    false,
		"tile/entries/000.p/0":     false,
		"tile/entries/000.p/256":   false,
		"tile/entries/0":           false,
		"tile/data/000":            false,
		"tile/00/000":              false,
		"tile/0/x000/000":          false,
		"tile/64/000":              false,
		"tile/0/-01":               false,
		"tile":                     false,
		"":                         false,
		"/checkpoint":              false,
		"tile/0/x999/x999/x999":    false,
		"tile/0/x999/x999/999":     false,
		"tile/entries/000/../000":  false,
		"tile/entries/000.p/1/":    false,
		"tile/entries/../../x.key": false,
	} {
		data, err := src.Read(t.Context(), path)
		if ok {
			require.NoError(t, err, path)
			require.NotEmpty(t, data, path)
		} else {
			require.ErrorIs(t, err, ledger.ErrNotFound, path)
		}
	}
	publish(t, db)
	for _, path := range []string{"tile/0/001", "tile/0/001.p/44", "tile/0/002.p/88", "tile/entries/001.p/44"} {
		_, err := src.Read(t.Context(), path)
		require.NoError(t, err, path)
	}
}

func TestPublishedReportsContradictingTables(t *testing.T) {
	t.Parallel()
	db := openDB(t)
	grow(t, db, 300)
	publish(t, db)
	write(t, db, func(tx *sqldb.Tx) {
		_, err := tx.Exec(t.Context(), "UPDATE ledger_tile SET hashes = x'00' WHERE level = 0")
		require.NoError(t, err)
	})
	_, err := ledger.NewPublished(db).Read(t.Context(), "tile/0/000")
	require.ErrorIs(t, err, ledger.ErrInconsistent)
}

func TestHandler(t *testing.T) {
	t.Parallel()
	files := exported(t, 300)
	files["secret.key"] = files["checkpoint"] // something else in the same folder
	srv := serve(t, ledger.Dir(files))

	get := func(method, path string) *http.Response {
		req, err := http.NewRequestWithContext(t.Context(), method, srv.URL+path, nil)
		require.NoError(t, err)
		res, err := srv.Client().Do(req)
		require.NoError(t, err)
		t.Cleanup(func() { _ = res.Body.Close() })
		return res
	}
	for path, file := range files {
		res := get("GET", "/"+path)
		if path == "secret.key" {
			require.Equal(t, 404, res.StatusCode)
			continue
		}
		body, err := io.ReadAll(res.Body)
		require.NoError(t, err)
		require.Equal(t, 200, res.StatusCode, path)
		require.Equal(t, file.Data, body, path)
		if path == "checkpoint" {
			require.Equal(t, "text/plain; charset=utf-8", res.Header.Get("Content-Type"))
			require.NotContains(t, res.Header.Get("Cache-Control"), "immutable")
		} else {
			require.Equal(t, "application/octet-stream", res.Header.Get("Content-Type"))
			require.Contains(t, res.Header.Get("Cache-Control"), "immutable")
		}
	}
	require.Equal(t, 404, get("GET", "/tile/0/777").StatusCode)
	require.Equal(t, 405, get("POST", "/checkpoint").StatusCode)
	require.Equal(t, 200, get("HEAD", "/checkpoint").StatusCode)

	failing := serve(t, broken{ledger.Dir(files), "checkpoint"})
	res, err := failing.Client().Get(failing.URL + "/checkpoint")
	require.NoError(t, err)
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	require.NoError(t, err)
	require.Equal(t, 503, res.StatusCode)
	require.NotContains(t, string(body), errBroken.Error())
}

func serve(t testing.TB, src ledger.Source) *httptest.Server {
	t.Helper()
	srv := httptest.NewServer(ledger.NewHandler(src, slog.New(slog.DiscardHandler)))
	t.Cleanup(srv.Close)
	return srv
}

func TestHTTPSource(t *testing.T) {
	t.Parallel()
	db := openDB(t)
	grow(t, db, 700)
	publish(t, db)
	srv := serve(t, ledger.NewPublished(db))
	src, err := ledger.NewHTTPSource(srv.URL, srv.Client())
	require.NoError(t, err)
	report, err := ledger.Verify(t.Context(), src, trusting(t, 2))
	require.NoError(t, err)
	require.EqualValues(t, 700, report.Entries)

	for _, bad := range []string{"", "file:///etc", "hub.example.org/log", "http://"} {
		_, err := ledger.NewHTTPSource(bad, srv.Client())
		require.Error(t, err, bad)
	}
}

func TestHTTPSourceUnderAttack(t *testing.T) {
	t.Parallel()
	for name, handler := range map[string]http.HandlerFunc{
		"endless body": func(w http.ResponseWriter, _ *http.Request) {
			for {
				if _, err := w.Write(bytes.Repeat([]byte("x"), 1<<16)); err != nil {
					return
				}
			}
		},
		"error status": func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusBadGateway) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			srv := httptest.NewServer(handler)
			t.Cleanup(srv.Close)
			src, err := ledger.NewHTTPSource(srv.URL+"/log", srv.Client())
			require.NoError(t, err)
			for _, path := range []string{"checkpoint", "tile/entries/000"} {
				_, err = src.Read(t.Context(), path)
				require.Error(t, err)
				require.NotErrorIs(t, err, ledger.ErrNotFound)
			}
		})
	}
}

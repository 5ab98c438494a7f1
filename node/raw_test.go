package node

import (
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"filippo.io/age"
	"github.com/johannesboyne/gofakes3"
	"github.com/johannesboyne/gofakes3/backend/s3mem"
	"github.com/stretchr/testify/require"

	"github.com/trialmesh/trialmesh/localstore/bucket"
	"github.com/trialmesh/trialmesh/localstore/raw"
	"github.com/trialmesh/trialmesh/node/backup"
	"github.com/trialmesh/trialmesh/node/fsck"
)

// TestANodeWithItsRawCopiesInS3 is backed up, restored, checked and given a new key as any
// other, and its backup proves that nothing is missing in the bucket. It is not parallel:
// credentials are in the environment.
func TestANodeWithItsRawCopiesInS3(t *testing.T) {
	for name, value := range map[string]string{
		"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_CONFIG_FILE": os.DevNull, "AWS_SHARED_CREDENTIALS_FILE": os.DevNull,
	} {
		t.Setenv(name, value)
	}
	fake := s3mem.New()
	require.NoError(t, fake.CreateBucket("site"))
	server := httptest.NewServer(gofakes3.New(fake).Server())
	t.Cleanup(server.Close)

	dir, _ := enrolled(t, newCertifier(t))
	cfg := Config{Dir: dir, Raw: "s3://site/north?endpoint=" + server.URL, Circuits: t.TempDir()}
	n, err := Open(t.Context(), cfg)
	require.NoError(t, err)
	file, _, err := n.ingest.Accept(t.Context(), "a.json", strings.NewReader(`{"resourceType":"Patient","id":"a"}`))
	require.NoError(t, err)
	require.NoError(t, n.Close())
	report, err := Fsck(t.Context(), cfg, nil)
	require.NoError(t, err)
	require.Empty(t, report.Findings)
	require.EqualValues(t, 1, report.RawFiles)

	key, err := age.GenerateX25519Identity()
	require.NoError(t, err)
	archive := filepath.Join(t.TempDir(), "node.age")
	m, err := Backup(t.Context(), cfg, archive, []backup.Recipient{key.Recipient()}, "test", nil)
	require.NoError(t, err)
	require.EqualValues(t, 1, m.RawFiles)
	require.Zero(t, m.Missing)
	require.Zero(t, m.Raw.Bytes, "they stay in the bucket")

	require.NoError(t, RotateRawKey(t.Context(), cfg))
	again, err := ReencryptRaw(t.Context(), cfg, func(raw.Reencrypted) {})
	require.NoError(t, err)
	require.Equal(t, raw.Reencrypted{Files: 1}, again)
	restored := Config{Dir: filepath.Join(t.TempDir(), "new"), Circuits: t.TempDir()}
	_, _, err = Restore(t.Context(), restored, archive, []backup.Identity{key}, func(_, _ string) error { return nil }, nil)
	require.ErrorIs(t, err, raw.ErrDamaged, "the backup has the older key")

	archive += "2"
	_, err = Backup(t.Context(), cfg, archive, []backup.Recipient{key.Recipient()}, "test", nil)
	require.NoError(t, err)
	_, report, err = Restore(t.Context(), restored, archive, []backup.Identity{key}, func(_, bucket string) error {
		require.Equal(t, cfg.Raw, bucket)
		return nil
	}, nil)
	require.NoError(t, err)
	require.Empty(t, report.Findings)
	require.EqualValues(t, 1, report.RawFiles)

	b, err := bucket.Open(t.Context(), bucket.Config{Address: cfg.Raw})
	require.NoError(t, err)
	var entries []string
	require.NoError(t, b.List(t.Context(), "index/", func(name string, _ time.Time) error {
		entries = append(entries, name)
		return nil
	}))
	require.NoError(t, b.Remove(t.Context(), entries...))
	report, err = Fsck(t.Context(), cfg, nil)
	require.NoError(t, err)
	require.Len(t, report.Findings, 1)
	require.Equal(t, fsck.RawMissing, report.Findings[0].Rule)
	require.Equal(t, "raw "+file.String(), report.Findings[0].Place)
	m, err = Backup(t.Context(), cfg, archive+"3", []backup.Recipient{key.Recipient()}, "test", nil)
	require.NoError(t, err)
	require.EqualValues(t, 1, m.Missing)
}

func TestWhereRawCopiesAre(t *testing.T) {
	t.Parallel()
	dir, elsewhere := t.TempDir(), t.TempDir()
	require.NoError(t, raw.CreateKey(filepath.Join(dir, rawKeyFile)))
	for setting, want := range map[string]string{
		"":                                    "",
		elsewhere:                             "",
		"raw":                                 "absolute path",
		filepath.Join(dir, "copies"):          "in the node's directory",
		filepath.Join(elsewhere, "unmounted"): "mounted",
		"s3://user:pass@bucket":               "credentials",
		"s3://b/x?endpoint=http://10.0.0.1":   "bucket has 3 to 63",
		"s3://bkt/x?endpoint=http://10.0.0.1": "https",
	} {
		_, err := Config{Dir: dir, Raw: setting}.openRaw(t.Context(), "")
		if want == "" {
			require.NoError(t, err, setting)
			continue
		}
		require.ErrorContains(t, err, want, setting)
	}
}

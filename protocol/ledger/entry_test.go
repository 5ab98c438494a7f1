package ledger_test

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/trialmesh/trialmesh/protocol/ledger"
	"github.com/trialmesh/trialmesh/protocol/message"
)

func TestEntry(t *testing.T) {
	t.Parallel()
	e := ledger.Entry{
		Kind: ledger.ConsentEpoch, At: time.Date(2026, 11, 21, 13, 0, 0, 999, time.FixedZone("", 3600)), Actor: "did:key:zN", Subject: "glucose-1", Digest: message.Digest{1},
	}
	raw, err := e.Marshal()
	require.NoError(t, err)
	require.Equal(t, `{"actor":"did:key:zN","at":"2026-11-21T12:00:00Z","digest":"01`+strings.Repeat("00", 31)+`","kind":5,"subject":"glucose-1","v":1}`, string(raw))
	back, err := ledger.Parse(raw)
	require.NoError(t, err)
	again, err := back.Marshal()
	require.NoError(t, err)
	require.Equal(t, raw, again)

	later, err := ledger.Parse([]byte(`{"v":1,"kind":900,"at":"2026-11-21T12:00:00Z","actor":"","subject":"","digest":"` + strings.Repeat("00", 32) + `"}`))
	require.NoError(t, err, "old readers read new logs")
	require.Equal(t, "kind 900", later.Kind.String())
	e.Subject = strings.Repeat("x", ledger.MaxEntry)
	_, err = e.Marshal()
	require.Error(t, err)
	for _, bad := range []string{"", "{", "[]", `{"v":2}`, `{"v":1,"digest":"00"}`, `{"v":1,"at":"yesterday"}`, strings.Repeat(" ", ledger.MaxEntry)} {
		_, err := ledger.Parse([]byte(bad))
		require.Error(t, err, "%.30q", bad)
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(`{"actor":"did:key:zN","at":"2026-11-21T12:00:00Z","digest":"0100000000000000000000000000000000000000000000000000000000000000","kind":5,"subject":"glucose-1","v":1}`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		e, err := ledger.Parse(raw)
		if err != nil {
			return
		}
		if once, err := e.Marshal(); err == nil {
			again, err := ledger.Parse(once)
			require.NoError(t, err)
			require.True(t, e.At.Truncate(time.Second).Equal(again.At))
			require.Equal(t, e.Digest, again.Digest)
		}
	})
}

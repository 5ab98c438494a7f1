package cosign

import (
	"bytes"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

func FuzzCheckpoint(f *testing.F) {
	skey, vkey, err := note.GenerateKey(bytes.NewReader(bytes.Repeat([]byte{1}, 64)), "log.example.org")
	require.NoError(f, err)
	signer, err := note.NewSigner(skey)
	require.NoError(f, err)
	signed, err := Checkpoint{Origin: "log.example.org", Size: 7}.Sign(signer)
	require.NoError(f, err)
	f.Add(string(signed))
	f.Add("log.example.org\n7\nAAAA\n\n— log.example.org AAAAAAAA\n")
	f.Add("\n\n\n")
	trust := Trust{Origin: "log.example.org", Keys: []string{vkey}}
	f.Fuzz(func(t *testing.T, text string) {
		if c, err := parseCheckpoint(text); err == nil {
			require.Equal(t, text, c.Text(), "one spelling for each checkpoint")
			require.GreaterOrEqual(t, c.Size, int64(0))
		}
		if _, err := trust.Open([]byte(text)); err == nil {
			require.True(t, strings.HasPrefix(text, Checkpoint{Origin: "log.example.org", Size: 7}.Text()), "only what the key signed")
		} else {
			require.ErrorIs(t, err, ErrUntrusted)
		}
	})
}

func FuzzRequest(f *testing.F) {
	f.Add("old 0\n\nlog\n7\nAAAA\n\n— log AAAA\n")
	f.Add(string(Request{Old: 7, Proof: []tlog.Hash{{1}, {2}}, Note: []byte("x")}.Marshal()))
	f.Add("old 01\n\nx")
	f.Fuzz(func(t *testing.T, text string) {
		if r, err := ParseRequest([]byte(text)); err == nil {
			require.Equal(t, text, string(r.Marshal()), "one spelling for each request")
			require.LessOrEqual(t, len(r.Proof), maxProof)
		}
		if lines, err := ParseAnswer([]byte(text)); err == nil {
			require.Equal(t, text, string(lines))
		}
		if p, err := ParseProof([]byte(text)); err == nil && strings.HasSuffix(text, "\n") {
			require.Equal(t, text, string(p.Marshal()))
		}
	})
}

func FuzzPolicy(f *testing.F) {
	f.Add("quorum none\n")
	f.Add("witness a x\ngroup g any a\nquorum g\n")
	f.Add("log l+00+AAAA\n# comment\n\n group x all y\nquorum x")
	f.Fuzz(func(t *testing.T, text string) {
		p, err := ParsePolicy([]byte(text))
		if err != nil {
			return
		}
		again, err := ParsePolicy([]byte(p.String()))
		require.NoError(t, err)
		require.Equal(t, p.String(), again.String())
	})
}

func FuzzFork(f *testing.F) {
	f.Add(string(Fork{Earlier: []byte("a"), Present: []byte("b"), Proof: &Proof{Path: []tlog.Hash{{1}}}}.Marshal()))
	f.Add(string(Fork{}.Marshal()))
	f.Fuzz(func(t *testing.T, text string) {
		fork, err := ParseFork([]byte(text))
		if err != nil {
			return
		}
		again, err := ParseFork(fork.Marshal())
		require.NoError(t, err)
		require.Equal(t, fork.Marshal(), again.Marshal())
	})
}

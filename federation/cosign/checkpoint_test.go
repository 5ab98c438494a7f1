package cosign_test

import (
	"bytes"
	"crypto/ed25519"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	formatslog "github.com/transparency-dev/formats/log"
	cosig "github.com/transparency-dev/formats/note"
	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"

	"github.com/trialmesh/trialmesh/federation/cosign"
)

// The example of C2SP tlog-checkpoint (https://c2sp.org/tlog-checkpoint), text only.
func TestCheckpointTextAsInSpecification(t *testing.T) {
	t.Parallel()
	root, err := tlog.ParseHash("CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=")
	require.NoError(t, err)
	c := cosign.Checkpoint{Origin: "example.com/behind-the-sofa", Size: 20852163, Root: root}
	require.Equal(t, "example.com/behind-the-sofa\n20852163\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n", c.Text())
}

// What we sign, the libraries that others use accept, with all three signatures.
func TestSignedCheckpointIsReadByOthers(t *testing.T) {
	t.Parallel()
	signed := sign(t, cosign.Checkpoint{Origin: origin, Size: 42, Root: tlog.RecordHash(nil)})
	trust := trusting(t, 2)
	logVerifier, err := note.NewVerifier(trust.Keys[0])
	require.NoError(t, err)
	var witnesses []note.Verifier
	for _, party := range trust.Policy.Parties {
		v, err := cosig.NewVerifierForCosignatureV1(party.Key)
		require.NoError(t, err)
		witnesses = append(witnesses, v)
	}
	c, _, n, err := formatslog.ParseCheckpoint(signed, origin, logVerifier, witnesses...)
	require.NoError(t, err)
	require.EqualValues(t, 42, c.Size)
	require.Len(t, n.Sigs, 3)
	for _, sig := range n.Sigs {
		if sig.Name != origin {
			at, err := cosig.CoSigV1Timestamp(sig)
			require.NoError(t, err)
			require.True(t, at.Equal(noon))
		}
	}
}

func TestTrustOpenRefuses(t *testing.T) {
	t.Parallel()
	c := cosign.Checkpoint{Origin: origin, Size: 42, Root: tlog.RecordHash(nil)}
	good := sign(t, c)
	_, err := trusting(t, 2).Open(good)
	require.NoError(t, err)

	by := func(name string, k byte, c cosign.Checkpoint) []byte {
		s, err := cosign.NewSigner(name, key(k))
		require.NoError(t, err)
		signed, err := c.Sign(s)
		require.NoError(t, err)
		return signed
	}
	logSigner, err := cosign.NewSigner(origin, logKey)
	require.NoError(t, err)
	text := func(s string) []byte {
		signed, err := note.Sign(&note.Note{Text: s}, logSigner)
		require.NoError(t, err)
		return signed
	}
	line := func(prefix string) string {
		for l := range strings.Lines(string(good)) {
			if strings.HasPrefix(l, "— "+prefix) {
				return l
			}
		}
		t.Fatal("no line of " + prefix)
		return ""
	}
	without := func(name string) []byte { return bytes.Replace(good, []byte(line(name)), nil, 1) }
	loose := strings.TrimSuffix(line(origin), "=\n")
	last := loose[len(loose)-1]

	for name, signed := range map[string][]byte{
		"nothing":                        nil,
		"no signature":                   []byte(c.Text()),
		"unknown key":                    by("other.example.org/log", 9, c),
		"own name, other key":            by(origin, 9, c),
		"cosignatures without the log's": without(origin),
		"one cosignature of two":         without("beta.example.org"),
		"another log's origin":           by(origin, 1, cosign.Checkpoint{Origin: "other.example.org/log", Size: 42}),
		"altered size":                   bytes.Replace(good, []byte("\n42\n"), []byte("\n43\n"), 1),
		"unused bits set in base64":      bytes.Replace(good, []byte(loose), []byte(loose[:len(loose)-1]+string(last+1)), 1),
		"cosigner's line of another":     bytes.Replace(good, []byte("— beta"), []byte("— gamma"), 1),
		"extension line":                 text(c.Text() + "more\n"),
		"two lines":                      text(origin + "\n42\n"),
		"leading zero":                   text(strings.Replace(c.Text(), "42", "042", 1)),
		"negative size":                  text(strings.Replace(c.Text(), "42", "-1", 1)),
		"size over 63 bits":              text(strings.Replace(c.Text(), "42", "9223372036854775808", 1)),
		"short root":                     text(origin + "\n42\nAAAA\n"),
		"too large":                      append(bytes.Clone(good), bytes.Repeat([]byte("— x AAAAAAA=\n"), 50_000)...),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := trusting(t, 2).Open(signed)
			require.ErrorIs(t, err, cosign.ErrUntrusted)
		})
	}
	t.Run("line of an unknown key is ignored", func(t *testing.T) {
		t.Parallel()
		signed, err := cosign.Cosign(good, "gamma.example.org", key(4), noon)
		require.NoError(t, err)
		s, err := trusting(t, 2).Open(signed)
		require.NoError(t, err)
		require.Equal(t, []string{"alpha.example.org", "beta.example.org"}, s.Cosigners)
	})
}

func TestTrustMustBeComplete(t *testing.T) {
	t.Parallel()
	good, keys := trusting(t, 2), cosignerKeys(t)
	for name, change := range map[string]func(*cosign.Trust){
		"no origin":        func(tr *cosign.Trust) { tr.Origin = "" },
		"no key":           func(tr *cosign.Trust) { tr.Keys = nil },
		"malformed key":    func(tr *cosign.Trust) { tr.Keys = []string{"x"} },
		"malformed cosign": func(tr *cosign.Trust) { tr.Policy = cosign.Threshold(1, "x") },
		"quorum too large": func(tr *cosign.Trust) { tr.Policy = cosign.Threshold(3, keys...) },
		"negative quorum":  func(tr *cosign.Trust) { tr.Policy = cosign.Threshold(-1, keys...) },
		"nobody's quorum":  func(tr *cosign.Trust) { tr.Policy.Quorum = "nobody" },
		"one cosigner under two names": func(tr *cosign.Trust) {
			again, err := cosign.CosignerKey("alias.example.org", public(key(2)))
			require.NoError(t, err)
			tr.Policy.Parties = append(tr.Policy.Parties, cosign.Party{Name: "alias", Key: again})
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			trust := good
			change(&trust)
			_, err := trust.Open(nil)
			require.Error(t, err)
			require.NotErrorIs(t, err, cosign.ErrUntrusted, "a mistake of the configuration, not of the log")
		})
	}
}

func TestCosign(t *testing.T) {
	t.Parallel()
	c := cosign.Checkpoint{Origin: origin, Size: 42, Root: tlog.RecordHash(nil)}
	good := sign(t, c)

	t.Run("replaces the cosigner's older line", func(t *testing.T) {
		t.Parallel()
		again, err := cosign.Cosign(good, "alpha.example.org", key(2), noon.Add(time.Hour))
		require.NoError(t, err)
		require.Equal(t, 1, strings.Count(string(again), "— alpha.example.org "))
		_, err = trusting(t, 2).Open(again)
		require.NoError(t, err)
	})
	for name, signed := range map[string][]byte{
		"unsigned text":    []byte(c.Text()),
		"not a checkpoint": bytes.Replace(good, []byte("\n42\n"), []byte("\nmany\n"), 1),
	} {
		t.Run("refuses "+name, func(t *testing.T) {
			t.Parallel()
			_, err := cosign.Cosign(signed, "alpha.example.org", key(2), noon)
			require.Error(t, err)
		})
	}
	t.Run("refuses bad names and keys", func(t *testing.T) {
		t.Parallel()
		_, err := cosign.Cosign(good, "alpha example", key(2), noon)
		require.Error(t, err)
		_, err = cosign.Cosign(good, "alpha", nil, noon)
		require.Error(t, err)
		_, err = cosign.NewSigner("a+b", logKey)
		require.Error(t, err)
		_, err = cosign.NewSigner(origin, nil)
		require.Error(t, err)
		_, err = c.Sign()
		require.Error(t, err)
	})
}

func TestSignerHidesKey(t *testing.T) {
	t.Parallel()
	s, err := cosign.NewSigner(origin, logKey)
	require.NoError(t, err)
	printed := fmt.Sprintf("%v %+v %#v %x", s, s, s, s)
	for form, seed := range map[string]string{"hex": "01010101", "base64": "AQEBAQ", "bytes": "1 1 1 1", "Go syntax": "0x1, 0x1, 0x1"} {
		require.NotContains(t, printed, seed, form)
	}
}

// TestSignerTakesAnyKey is about keys whose base64 holds a plus, the sign that
// separates the parts of a key's text: half of all keys.
func TestSignerTakesAnyKey(t *testing.T) {
	t.Parallel()
	for i := range 64 {
		seed := make([]byte, ed25519.SeedSize)
		seed[0] = byte(i)
		k := ed25519.NewKeyFromSeed(seed)
		s, err := cosign.NewSigner(origin, k)
		require.NoError(t, err)
		vkey, err := cosign.VerifierKey(origin, k.Public().(ed25519.PublicKey))
		require.NoError(t, err)
		v, err := note.NewVerifier(vkey)
		require.NoError(t, err)
		sig, err := s.Sign([]byte("text"))
		require.NoError(t, err)
		require.True(t, v.Verify([]byte("text"), sig))
		require.Equal(t, v.KeyHash(), s.KeyHash())
	}
}

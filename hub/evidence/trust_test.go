package evidence_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/trialmesh/trialmesh/federation/cosign"
	"github.com/trialmesh/trialmesh/hub/evidence"
	"github.com/trialmesh/trialmesh/protocol/identity"
	entry "github.com/trialmesh/trialmesh/protocol/ledger"
	"github.com/trialmesh/trialmesh/protocol/message"
)

func someKey(seed byte) identity.Key {
	return must(identity.Generate(strings.NewReader(strings.Repeat(string(rune('a'+seed%26)), 32))))
}

func someTrust() evidence.Trust {
	public := must(someKey(1).DID().PublicKey())
	return evidence.Trust{
		Trust: entry.Trust{
			Hub: someKey(2).DID(), Origin: origin, LogKey: must(cosign.VerifierKey(origin, public)), ChainID: 1337,
			HubAnchor: "0x65187932D29195E6Ff5288226cFd3ED9eF4F6554", ConsentRoots: "0x65187932D29195E6Ff5288226cFd3ED9eF4F6555",
			AccessLog: "0xf58Ba376A1d1d06a80e220dD7965fD6b816D67F4",
		},
		Circuits: []evidence.Circuit{{Key: message.Sum([]byte("key")), Development: true}},
		Boards:   []identity.DID{someKey(3).DID()},
	}
}

func TestParseTrust(t *testing.T) {
	t.Parallel()
	good := string(must(json.Marshal(someTrust())))
	back, err := evidence.ParseTrust([]byte(good))
	require.NoError(t, err)
	require.Equal(t, someTrust(), back)

	served, err := json.Marshal(someTrust().Trust)
	require.NoError(t, err)
	_, err = evidence.ParseTrust(served)
	require.NoError(t, err, "as a hub serves it")

	for name, bad := range map[string]string{
		"empty":                 "",
		"no object":             "[]",
		"trailing text":         good + "x",
		"misspelled limit":      strings.Replace(good, `"boards"`, `"board"`, 1),
		"a name twice":          strings.Replace(good, `"chainId":1337`, `"chainId":1,"chainId":1337`, 1),
		"no key of the log":     strings.Replace(good, `"logKey":"`, `"logKey":"x`, 1),
		"key of another origin": strings.Replace(good, `"origin":"`, `"origin":"","x":"`, 1),
		"hub is no DID":         strings.Replace(good, `"hub":"did:key:z`, `"hub":"did:key:y`, 1),
		"board is no DID":       strings.Replace(good, `"boards":["did`, `"boards":["dod`, 1),
		"contract is none":      strings.Replace(good, `"accessLog":"0xf`, `"accessLog":"0xg`, 1),
		"key digest is none":    strings.Replace(good, `"key":"`, `"key":"0`, 1),
		"too large":             good + strings.Repeat(" ", 1<<20),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			require.NotEqual(t, good, bad)
			_, err := evidence.ParseTrust([]byte(bad))
			require.Error(t, err)
		})
	}
}

func TestTrustKeepsItsMeaning(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		want := someTrust()
		want.ChainID = rapid.Uint64Range(1, 1<<53).Draw(t, "chain")
		want.Boards = nil
		for range rapid.IntRange(0, 3).Draw(t, "boards") {
			want.Boards = append(want.Boards, someKey(rapid.Byte().Draw(t, "board")).DID())
		}
		got, err := evidence.ParseTrust(must(json.Marshal(want)))
		require.NoError(t, err)
		require.Equal(t, want, got)
	})
}

func FuzzParseTrust(f *testing.F) {
	f.Add(must(json.Marshal(someTrust())))
	f.Add(must(json.Marshal(someTrust().Trust)))
	f.Add([]byte(`{"boards":["did:key:z"],"circuits":[{}]}`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		trust, err := evidence.ParseTrust(raw)
		if err != nil {
			return
		}
		require.NoError(t, trust.Validate())
		again, err := evidence.ParseTrust(must(json.Marshal(trust)))
		require.NoError(t, err)
		require.Equal(t, must(json.Marshal(trust)), must(json.Marshal(again)))
	})
}

package identity_test

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/trialmesh/trialmesh/protocol/identity"
)

func load[T any](t testing.TB, name string) T {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join("testdata", name))
	require.NoError(t, err)
	var v T
	require.NoError(t, json.Unmarshal(raw, &v))
	return v
}

// TestDIDVectors are those of the did:key method.
func TestDIDVectors(t *testing.T) {
	t.Parallel()
	vectors := load[map[string]struct {
		Seed            string `json:"seed"`
		PublicKeyBase58 string `json:"publicKeyBase58"`
	}](t, "ed25519-did-key.json")
	require.NotEmpty(t, vectors)
	for want, v := range vectors {
		did, err := identity.ParseDID(want)
		require.NoError(t, err)
		if v.Seed != "" {
			seed, err := hex.DecodeString(v.Seed)
			require.NoError(t, err)
			key, err := identity.Generate(bytes.NewReader(seed))
			require.NoError(t, err)
			require.Equal(t, did, key.DID())
		}
		public, err := did.PublicKey()
		require.NoError(t, err)
		require.Equal(t, did, identity.FromPublicKey(public))
	}
	for _, other := range load[[]string](t, "other-did-key.json") {
		_, err := identity.ParseDID(other)
		require.ErrorIs(t, err, identity.ErrDID, "a key of another curve")
	}
}

// TestRFC8032 are tests 1 and 2 of RFC 8032, section 7.1.
func TestRFC8032(t *testing.T) {
	t.Parallel()
	for _, v := range []struct{ secret, public, message, signature string }{
		{
			"9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60", "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a", "",
			"e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b",
		},
		{
			"4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb", "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c", "72",
			"92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00",
		},
	} {
		key := identity.NewKey(ed25519.NewKeyFromSeed(unhex(t, v.secret)))
		require.Equal(t, identity.FromPublicKey(unhex(t, v.public)), key.DID())
		msg, sig := unhex(t, v.message), unhex(t, v.signature)
		require.Equal(t, sig, key.Sign(msg))
		require.NoError(t, identity.Verify(key.DID(), msg, sig))
		sig[3] ^= 1
		require.Error(t, identity.Verify(key.DID(), msg, sig))
		require.Error(t, identity.Verify(key.DID(), msg, sig[:10]))
		require.Error(t, identity.Verify(key.DID(), msg, nil))
	}
}

func unhex(t *testing.T, text string) []byte {
	t.Helper()
	raw, err := hex.DecodeString(text)
	require.NoError(t, err)
	return raw
}

func TestDIDHasOneSpelling(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		public := rapid.SliceOfN(rapid.Byte(), 32, 32).Draw(t, "public key")
		did := identity.FromPublicKey(public)
		back, err := did.PublicKey()
		require.NoError(t, err)
		require.Equal(t, public, []byte(back))
		text := string(did)
		i := rapid.IntRange(0, len(text)-1).Draw(t, "place")
		c := rapid.Byte().Draw(t, "byte")
		if c == text[i] {
			return
		}
		other, err := identity.ParseDID(text[:i] + string(rune(c)) + text[i+1:])
		require.True(t, err != nil || other != did)
	})
	good := string(identity.FromPublicKey(make([]byte, 32)))
	for _, text := range []string{
		"", "did:key:", "did:key:z", good + "1", good[:len(good)-1], " " + good, good + "\n", strings.ToUpper(good), "did:key:z1" + good[9:],
		"did:web:example.org", strings.Replace(good, "z6Mk", "m6Mk", 1), "did:key:z" + strings.Repeat("6", 4000), "did:key:z0OIl",
	} {
		_, err := identity.ParseDID(text)
		require.ErrorIs(t, err, identity.ErrDID, "%.60q", text)
	}
}

func TestKeyStaysSecret(t *testing.T) {
	t.Parallel()
	key, err := identity.Generate(rand.Reader)
	require.NoError(t, err)
	seed := key.Private().Seed()
	type holder struct {
		Key  identity.Key
		priv identity.Key
	}
	h := holder{key, key}
	for _, text := range []string{
		fmt.Sprintf("%v", key), fmt.Sprintf("%+v", h), fmt.Sprintf("%#v", h), fmt.Sprintf("%s", key), fmt.Sprintf("%x", key), fmt.Sprintf("%d", &h), fmt.Sprint(h.priv),
	} {
		require.NotContains(t, text, hex.EncodeToString(seed))
		require.NotContains(t, text, strings.Trim(fmt.Sprint(seed[:8]), "[]"))
	}
	_, err = json.Marshal(h)
	require.Error(t, err)
	_, err = json.Marshal(map[string]any{"k": key})
	require.Error(t, err)
	_, err = key.MarshalText()
	require.Error(t, err)

	back, err := identity.ParsePEM(key.PEM())
	require.NoError(t, err)
	require.Equal(t, key.DID(), back.DID())
	for _, bad := range [][]byte{nil, []byte("x"), key.PEM()[:60], bytes.Replace(key.PEM(), []byte("PRIVATE"), []byte("PUBLIC"), -1)} {
		_, err := identity.ParsePEM(bad)
		require.ErrorIs(t, err, identity.ErrKey)
	}
	_, err = identity.Generate(bytes.NewReader(make([]byte, 31)))
	require.Error(t, err)
	require.True(t, identity.Key{}.IsZero())
	require.NotErrorIs(t, err, identity.ErrKey)
}

func FuzzParseDID(f *testing.F) {
	f.Add("did:key:z6MkhaXgBZDvotDkL5257faiztiGiC2QtKLGpbnnEGta2doK")
	f.Add("did:key:z11111111111111111111111111111111")
	f.Fuzz(func(t *testing.T, text string) {
		did, err := identity.ParseDID(text)
		if err != nil {
			return
		}
		public, err := did.PublicKey()
		require.NoError(t, err)
		require.Equal(t, text, string(identity.FromPublicKey(public)))
	})
}

func FuzzParsePEM(f *testing.F) {
	key, err := identity.Generate(rand.Reader)
	require.NoError(f, err)
	f.Add(key.PEM())
	f.Fuzz(func(t *testing.T, raw []byte) {
		if key, err := identity.ParsePEM(raw); err == nil {
			_, err := identity.ParsePEM(key.PEM())
			require.NoError(t, err)
		}
	})
}

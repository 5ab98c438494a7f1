package fhirserver

import (
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/stretchr/testify/require"
)

// The claims and what their RS384 signature gives are those of the specification: HL7 SMART
// App Launch, "Example JWKS and signatures". ES384 signatures differ from each other.
var exampleClaims = claims{
	"https://bili-monitor.example.com", "https://bili-monitor.example.com", "https://authorize.smarthealthit.org/token", 1422568860, "random-non-reusable-jwt-id-123",
}

func TestSignatureIsThatOfTheSpecification(t *testing.T) {
	t.Parallel()
	for _, algorithm := range []string{RS384, ES384} {
		t.Run(algorithm, func(t *testing.T) {
			t.Parallel()
			text, err := os.ReadFile("testdata/smart/" + algorithm + ".jwt")
			require.NoError(t, err)
			want := strings.TrimSpace(string(text))
			key, public := specKey(t, algorithm)
			require.Equal(t, algorithm, key.Algorithm())
			got, err := key.sign(exampleClaims)
			require.NoError(t, err)
			if algorithm == RS384 {
				require.Equal(t, want, got)
			}
			require.Equal(t, want[:strings.LastIndexByte(want, '.')], got[:strings.LastIndexByte(got, '.')])
			var set jose.JSONWebKeySet
			require.NoError(t, json.Unmarshal(public, &set))
			for _, signed := range []string{want, got} {
				jws, err := jose.ParseSignedCompact(signed, []jose.SignatureAlgorithm{jose.SignatureAlgorithm(algorithm)})
				require.NoError(t, err)
				_, err = jws.Verify(set.Key(key.ID())[0])
				require.NoError(t, err)
			}
		})
	}
}

func TestKeyComesBackFromItsFile(t *testing.T) {
	t.Parallel()
	made, err := NewKey(ES384)
	require.NoError(t, err)
	rsa, _ := specKey(t, RS384) // making one takes a while
	for _, key := range []Key{made, rsa} {
		private, err := key.Private()
		require.NoError(t, err)
		again, err := ParseKey(private)
		require.NoError(t, err)
		require.Equal(t, key.ID(), again.ID())
		signed, err := again.sign(exampleClaims)
		require.NoError(t, err)
		jws, err := jose.ParseSignedCompact(signed, []jose.SignatureAlgorithm{jose.RS384, jose.ES384})
		require.NoError(t, err)
		_, err = jws.Verify(key.jwk.Public())
		require.NoError(t, err)
		public, err := key.Public()
		require.NoError(t, err)
		var set struct{ Keys []map[string]string }
		require.NoError(t, json.Unmarshal(public, &set))
		require.Len(t, set.Keys, 1)
		require.Equal(t, key.Algorithm(), set.Keys[0]["alg"])
		require.Equal(t, key.ID(), set.Keys[0]["kid"])
		for _, secret := range []string{"d", "p", "q", "dp", "dq", "qi"} {
			require.NotContains(t, set.Keys[0], secret)
		}
	}
	_, err = NewKey("HS256")
	require.Error(t, err)
}

func TestParseKeyRefuses(t *testing.T) {
	t.Parallel()
	_, public := specKey(t, ES384)
	for name, text := range map[string]string{
		"no JSON":       "-----BEGIN PRIVATE KEY-----",
		"no key":        `{}`,
		"public only":   string(public),
		"another curve": `{"kty":"EC","crv":"P-256","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU","y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0","d":"jpsQnnGQmL-YBIffH1136cspYG6-0iY7X1fCE9-E9LI"}`,
		"a secret":      `{"kty":"oct","k":"AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow"}`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := ParseKey([]byte(text))
			require.Error(t, err)
		})
	}
}

func TestKeyIsNotShown(t *testing.T) {
	t.Parallel()
	key, _ := specKey(t, ES384)
	for _, shown := range []string{fmt.Sprint(key), fmt.Sprintf("%+v %#v %s", key, key, &key)} {
		require.NotContains(t, shown, "ecdsa")
		require.Contains(t, shown, key.ID())
	}
	_, err := json.Marshal(key)
	require.Error(t, err)
}

func TestAssertionsAreForOneUse(t *testing.T) {
	t.Parallel()
	key, _ := specKey(t, ES384)
	now := time.Date(2026, 11, 22, 8, 0, 0, 0, time.UTC)
	one, err := key.assertion("a", "https://auth.example", now)
	require.NoError(t, err)
	other, err := key.assertion("a", "https://auth.example", now)
	require.NoError(t, err)
	require.NotEqual(t, strings.Split(one, ".")[1], strings.Split(other, ".")[1])
}

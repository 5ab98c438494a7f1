package jwks

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// published is the key of an example of SMART App Launch 2.2.
const published = `{"keys":[{"kty":"EC","crv":"P-384","x":"pyqburM9y8HPcFhNosDW6ngoVEJitqXi_HJgI5hYqX21PoFDwCbYirGy_o0oapIU","y":"95bxkCnMKoHvgbcPAIAcgzzu8scd81mXfM_IzuJFNfkUNkGYBFGvuEU1KPi5j1ob","key_ops":["verify"],"ext":true,"kid":"cd520211e5661dbba2256f67f6d53f97","alg":"ES384"}]}`

func TestOnlyKeysThatCanSignHereAreTaken(t *testing.T) {
	t.Parallel()
	set, err := Parse([]byte(published))
	require.NoError(t, err)
	require.Len(t, set.Keys, 1)
	infos, err := Infos(set)
	require.NoError(t, err)
	require.Equal(t, "ES384", infos[0].Algorithm)
	other := `{"kty":"EC","crv":"P-256","kid":"weak","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU","y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"}`
	set, err = Parse([]byte(strings.Replace(published, "[", "["+other+",", 1)))
	require.NoError(t, err)
	require.Len(t, set.Keys, 1, "a key for another end is no reason to refuse the set")
	for name, c := range map[string]struct {
		text string
		want error
	}{
		"nothing":          {"", errKeySet},
		"a page":           {"<html>", errKeySet},
		"too much":         {published + strings.Repeat(" ", MaxBytes), errKeySet},
		"no key":           {`{"keys":[]}`, errNoKey},
		"another curve":    {`{"keys":[` + other + `]}`, errNoKey},
		"another use":      {strings.Replace(published, `"kty"`, `"use":"enc","kty"`, 1), errNoKey},
		"no kid":           {strings.Replace(published, `"kid"`, `"name"`, 1), errNoKey},
		"one key":          {`{"kty":"EC","crv":"P-384","kid":"a"}`, errOneKey},
		"one private key":  {`{"kty":"EC","crv":"P-384","kid":"a","d":"AA"}`, errOwnKey},
		"a private key":    {strings.Replace(published, `"kty"`, `"d":"AA","kty"`, 1), errPrivateKey},
		"a shared secret":  {`{"keys":[{"kty":"oct","kid":"a","k":"c2VjcmV0"}]}`, errPrivateKey},
		"two with one kid": {strings.Replace(published, `]}`, `,`+strings.TrimSuffix(strings.TrimPrefix(published, `{"keys":[`), `]}`)+`]}`, 1), errKeyTwice},
	} {
		_, err := Parse([]byte(c.text))
		require.ErrorIs(t, err, c.want, name)
	}
}

// FuzzParse: what is taken holds no secret.
func FuzzParse(f *testing.F) {
	f.Add([]byte(published))
	f.Add([]byte(strings.Replace(published, `"kty"`, `"d":"AQAB","kty"`, 1)))
	f.Add([]byte(`{"keys":[{"kty":"oct","k":"AA"}]}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		if _, err := Parse(text); err == nil {
			require.NotContains(t, string(text), `"d":"AQAB"`)
		}
	})
}

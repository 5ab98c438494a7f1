package pki_test

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/trialmesh/trialmesh/federation/pki"
)

func TestInvitationSurvivesEncoding(t *testing.T) {
	t.Parallel()
	label := rapid.StringMatching(`[a-z0-9]([a-z0-9-]{0,10}[a-z0-9])?`)
	rapid.Check(t, func(t *rapid.T) {
		inv := pki.Invitation{
			Name: "n" + label.Draw(t, "label") + "." + "x" + label.Draw(t, "domain"),
			Hub: pki.Endpoint{
				URL:       fmt.Sprintf("https://%s:%d", "h"+label.Draw(t, "host"), rapid.IntRange(1, 65535).Draw(t, "port")),
				Addresses: rapid.SliceOfN(rapid.StringMatching(`/[!-~]{0,40}`), 1, 16).Draw(t, "addresses"),
			},
			Token:   pki.Token(rapid.StringMatching(`[A-Za-z0-9._-]{1,500}`).Draw(t, "token")),
			Expires: time.Unix(rapid.Int64Range(0, 4e9).Draw(t, "expires"), 0).UTC(),
		}
		copy(inv.Root[:], rapid.SliceOfN(rapid.Byte(), 32, 32).Draw(t, "root"))
		inv.Root[0] |= 1
		text, err := inv.Encode()
		require.NoError(t, err)
		broken := strings.Join(strings.SplitAfter(text, "a"), "\r\n ") // as mail does
		for _, form := range []string{text, broken, "\n" + text + "\n"} {
			got, err := pki.ParseInvitation(form)
			require.NoError(t, err)
			require.Equal(t, inv, got)
		}
	})
}

func TestParseInvitationRefuses(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	text, err := h.invite(t, "st-olav", "https://hub.test:8443").Encode()
	require.NoError(t, err)
	raw, err := base64.RawURLEncoding.DecodeString(text)
	require.NoError(t, err)
	with := func(field string, value any) string {
		var fields map[string]any
		require.NoError(t, json.Unmarshal(raw, &fields))
		if value == nil {
			delete(fields, field)
		} else {
			fields[field] = value
		}
		changed, err := json.Marshal(fields)
		require.NoError(t, err)
		return base64.RawURLEncoding.EncodeToString(changed)
	}
	encode := base64.RawURLEncoding.EncodeToString
	many := make([]string, 17)
	for i := range many {
		many[i] = "/ip4/10.0.0.1"
	}
	for name, changed := range map[string]string{
		"nothing":              "",
		"cut":                  text[:len(text)-9],
		"not base64":           text + "!",
		"padded":               text + "=",
		"not JSON":             encode([]byte("invitation")),
		"invalid UTF-8":        encode([]byte("{\"v\":1,\"name\":\"\xff\"}")),
		"a duplicate name":     encode([]byte(`{"name":"charite",` + string(raw[1:]))),
		"more behind":          encode(append([]byte("{}"), raw...)),
		"nested deeply":        encode([]byte(strings.Repeat("[", 5000))),
		"too long":             strings.Repeat("A", 1<<20),
		"a newer version":      with("v", 2),
		"no version":           with("v", nil),
		"an unknown field":     with("sudo", true),
		"no name":              with("name", nil),
		"a wrong name":         with("name", "St Olav"),
		"no URL":               with("url", nil),
		"plain HTTP":           with("url", "http://hub.test"),
		"a URL with a path":    with("url", "https://hub.test/v1"),
		"a URL with a user":    with("url", "https://me:pass@hub.test"),
		"a URL with a query":   with("url", "https://hub.test?x"),
		"a URL without host":   with("url", "https://:8443"),
		"an endless URL":       with("url", "https://"+strings.Repeat("a", 600)),
		"too many addresses":   with("addresses", many),
		"an address with text": with("addresses", []string{"/ip4/10.0.0.1\n/p2p"}),
		"no root":              with("root", nil),
		"a short root":         with("root", "abcd"),
		"an empty root":        with("root", strings.Repeat("0", 64)),
		"no token":             with("token", nil),
		"an endless token":     with("token", strings.Repeat("A", 3000)),
		"a token with spaces":  with("token", "a b"),
		"no expiry":            with("expires", nil),
		"a wrong expiry":       with("expires", "tomorrow"),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := pki.ParseInvitation(changed)
			require.ErrorIs(t, err, pki.ErrInvitation)
			if len(changed) > 20 {
				requireNoSecret(t, err, changed[:20])
			}
		})
	}
}

func TestSecretsDoNotPrint(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	inv := h.invite(t, "st-olav", "https://hub.test")
	token := string(inv.Token)
	var log strings.Builder
	slog.New(slog.NewTextHandler(&log, nil)).Info("invited", "invitation", inv, "token", inv.Token)
	slog.New(slog.NewJSONHandler(&log, nil)).Info("invited", "invitation", inv, "token", inv.Token)
	require.NotContains(t, log.String(), token)
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
		require.NotContains(t, fmt.Sprintf(verb, inv), token)
		require.NotContains(t, fmt.Sprintf(verb, &inv), token)
		require.NotContains(t, fmt.Sprintf(verb, inv.Token), token)
		require.Equal(t, "authority:redacted", fmt.Sprintf(verb, h.Authority))
		require.NotContains(t, fmt.Sprintf(verb, pki.EnrollRequest{Token: inv.Token}), token)
	}
	_, err := json.Marshal(inv)
	require.Error(t, err)
}

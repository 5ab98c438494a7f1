package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"github.com/go-jose/go-jose/v4"
	"github.com/stretchr/testify/require"

	"github.com/trialmesh/trialmesh/localstore/raw"
	"github.com/trialmesh/trialmesh/localstore/sqldb"
)

// nodeWithDatabase makes as much of a node's directory as commands on its database need.
func nodeWithDatabase(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(dir, nodeConfigFile), nil, 0o600))
	require.NoError(t, raw.CreateKey(filepath.Join(dir, "raw.key")))
	db, err := sqldb.Open(t.Context(), sqldb.Config{DSN: "sqlite:" + filepath.Join(dir, "data.db")})
	require.NoError(t, err)
	require.NoError(t, db.Close())
	return dir
}

func TestScreeningRulesByCommand(t *testing.T) {
	t.Parallel()
	dir := nodeWithDatabase(t)
	file := filepath.Join(t.TempDir(), "rule.yaml")
	out, err := execute(t, "node", "screen", "example")
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(file, []byte(out), 0o600))
	out, err = execute(t, "node", "screen", "list", "--dir", dir, "--json")
	require.NoError(t, err)
	require.JSONEq(t, `{"rules":[]}`, out)
	out, err = execute(t, "node", "screen", "add", file, "--dir", dir)
	require.NoError(t, err)
	require.Equal(t, "glucose-1: 2 criteria\n", out)
	out, err = execute(t, "node", "screen", "list", "--dir", dir)
	require.NoError(t, err)
	require.Contains(t, out, "glucose-1  2         Glucose in early")

	shown, err := execute(t, "node", "screen", "show", "glucose-1", "--dir", dir)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(file, []byte(shown), 0o600))
	out, err = execute(t, "node", "screen", "add", file, "--dir", dir, "--json")
	require.NoError(t, err, "what is shown can be added")
	require.JSONEq(t, `{"trial":"glucose-1","criteria":2}`, out)

	require.NoError(t, os.WriteFile(file, []byte("trial: x\n"), 0o600))
	_, err = execute(t, "node", "screen", "add", file, "--dir", dir)
	require.Equal(t, exitUsage, statusOf(err))
	require.ErrorContains(t, err, "trial: want 3 to 64")

	_, err = execute(t, "node", "screen", "remove", "glucose-1", "--dir", dir)
	require.NoError(t, err)
	_, err = execute(t, "node", "screen", "remove", "glucose-1", "--dir", dir)
	require.Equal(t, exitError, statusOf(err))
	require.ErrorContains(t, err, "no screening rule")
	out, err = execute(t, "node", "screen", "feedback", "--dir", dir, "--json")
	require.NoError(t, err)
	require.JSONEq(t, `{"feedback":[]}`, out)
}

func TestEHRsByCommand(t *testing.T) {
	t.Parallel()
	const issuer = "https://ehr.hospital.example/"
	dir := nodeWithDatabase(t)
	key, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	require.NoError(t, err)
	private := jose.JSONWebKey{Key: key, KeyID: "ehr-1"}
	file := filepath.Join(t.TempDir(), "jwks.json")
	write := func(key jose.JSONWebKey) {
		text, err := json.Marshal(jose.JSONWebKeySet{Keys: []jose.JSONWebKey{key}})
		require.NoError(t, err)
		require.NoError(t, os.WriteFile(file, text, 0o600))
	}
	write(private)
	_, err = execute(t, "node", "cds-client", "add", issuer, "--keys", file, "--dir", dir)
	require.Equal(t, exitError, statusOf(err))
	require.ErrorContains(t, err, "private or symmetric key")
	write(private.Public())
	out, err := execute(t, "node", "cds-client", "add", issuer, "--keys", file, "--require-patient", "--dir", dir)
	require.NoError(t, err)
	require.Regexp(t, `(?m)^issuer +`+issuer+`$`, out)
	require.Regexp(t, `(?m)^key +ehr-1, ES384, thumbprint [\w-]{43}$`, out)
	_, err = execute(t, "node", "cds-client", "add", issuer, "--key-url", "http://ehr.hospital.example/keys", "--dir", dir)
	require.Equal(t, exitUsage, statusOf(err))
	require.ErrorContains(t, err, "--key-url: ")
	out, err = execute(t, "node", "cds-client", "list", "--dir", dir, "--json")
	require.NoError(t, err)
	var list struct {
		Clients []struct {
			Issuer         string
			RequirePatient bool
		}
	}
	require.NoError(t, json.Unmarshal([]byte(out), &list))
	require.Len(t, list.Clients, 1)
	require.Equal(t, issuer, list.Clients[0].Issuer)
	require.True(t, list.Clients[0].RequirePatient)
	out, err = execute(t, "node", "cds-client", "list", "--dir", dir)
	require.NoError(t, err)
	require.Contains(t, out, issuer)
	_, err = execute(t, "node", "cds-client", "remove", issuer, "--dir", dir)
	require.NoError(t, err)
	_, err = execute(t, "node", "cds-client", "remove", issuer, "--dir", dir)
	require.Equal(t, exitError, statusOf(err))
	require.ErrorContains(t, err, "no EHR is registered")
	_, err = execute(t, "node", "cds-client", "add", issuer, "--dir", dir)
	require.Equal(t, exitUsage, statusOf(err))
}

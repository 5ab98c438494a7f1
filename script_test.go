package main

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
	"github.com/stretchr/testify/require"

	"github.com/trialmesh/trialmesh/node/client"
	"github.com/trialmesh/trialmesh/protocol/consent"
	"github.com/trialmesh/trialmesh/protocol/identity"
	"github.com/trialmesh/trialmesh/protocol/message"
	"github.com/trialmesh/trialmesh/protocol/sdk/sdktest"
	"github.com/trialmesh/trialmesh/protocol/trial"
	"github.com/trialmesh/trialmesh/simulations/participants"
	"github.com/trialmesh/trialmesh/simulations/testdata"
	"github.com/trialmesh/trialmesh/zk/evm"
	"github.com/trialmesh/trialmesh/zk/evm/inprocess"
	"github.com/trialmesh/trialmesh/zk/prover"
)

// TestMain lets scripts run this binary as trialmesh, each command a process
// of its own.
func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"trialmesh": func() { os.Exit(run()) }})
}

// TestScripts drives the program as operators, researchers and regulators do.
func TestScripts(t *testing.T) {
	t.Parallel()
	python, err := sdktest.FindPython(t.Context(), "cryptography", "pandas", "yaml")
	if err != nil && os.Getenv("CI") == "true" {
		t.Fatal(err)
	} else if err != nil {
		t.Logf("what a script does in Python is left out: %v", err)
	}
	pythonEnv, err := sdktest.PythonEnv("protocol/sdk")
	require.NoError(t, err)
	sdktest.ReadSources(t, "protocol/sdk/python", "src/trialmesh/*.*")
	testscript.Run(t, testscript.Params{
		Dir: filepath.Join("testdata", "script"),
		Setup: func(env *testscript.Env) error {
			keys, err := prover.CacheDir()
			if err != nil {
				return err
			}
			env.Setenv("TRIALMESH_HUB_CIRCUITS", keys)
			env.Setenv("TRIALMESH_NODE_CIRCUITS", keys)
			env.Setenv("HOME", env.WorkDir)
			env.Setenv("GORACE", os.Getenv("GORACE"))
			env.Setenv("PYTHON", python)
			env.Vars = append(env.Vars, pythonEnv...)
			return nil
		},
		Condition: func(name string) (bool, error) {
			if name == "python" {
				return python != "", nil
			}
			return false, fmt.Errorf("unknown condition %s", name)
		},
		Cmds: map[string]func(ts *testscript.TestScript, neg bool, args []string){
			"chain":    startChain,
			"data":     writeData,
			"consents": writeConsents,
			"agree":    writeGrants,
			"await":    await,
			"setenv":   setenv,
			"fill":     fill,
			"flip":     flip,
		},
	})
}

// startChain runs a chain while the script runs and funds the account in a
// variable: chain VARIABLE. It sets CHAIN to the endpoint's URL.
func startChain(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: chain VARIABLE")
	}
	chain, err := inprocess.Start(context.Background(), inprocess.Config{})
	ts.Check(err)
	ts.Defer(func() { _ = chain.Close() })
	var account evm.Address
	ts.Check(account.UnmarshalText([]byte(ts.Getenv(args[0]))))
	ts.Check(chain.Fund(context.Background(), account))
	ts.Setenv("CHAIN", chain.URL())
}

// writeData writes the first patients of a hospital, or the vocabulary:
// data HOSPITAL FOLDER, or data vocabulary FOLDER.
func writeData(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: data HOSPITAL|vocabulary FOLDER")
	}
	dir := ts.MkAbs(args[1])
	if args[0] == "vocabulary" {
		ts.Check(testdata.ExtractVocabulary(dir))
		return
	}
	ts.Check(os.MkdirAll(dir, 0o700))
	left := patientsOfScript
	for file, err := range hospital(ts, args[0]).Files(context.Background()) {
		ts.Check(err)
		ts.Check(os.WriteFile(filepath.Join(dir, file.Name), file.Data, 0o600))
		if !file.Infrastructure() {
			left--
		}
		if left == 0 {
			return
		}
	}
}

// patientsOfScript are so many of each hospital: all would take a minute more.
const patientsOfScript = 40

func hospital(ts *testscript.TestScript, name string) testdata.Hospital {
	all := testdata.Hospitals()
	i := slices.IndexFunc(all, func(h testdata.Hospital) bool { return h.Name == name })
	if i < 0 {
		ts.Fatalf("no hospital %s", name)
	}
	return all[i]
}

// writeConsents lets these patients sign: consents HOSPITAL TRIAL NODE FILE. It sets
// PARTICIPANT to the last of them who permitted something.
func writeConsents(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 4 {
		ts.Fatalf("usage: consents HOSPITAL TRIAL NODE FILE")
	}
	signed, err := participants.Sign(context.Background(), args[0], trial.ID(args[1]), identity.DID(args[2]), time.Now())
	ts.Check(err)
	loaded := hospital(ts, args[0]).PatientIDs()[:patientsOfScript]
	f, err := os.Create(ts.MkAbs(args[3]))
	ts.Check(err)
	enc := json.NewEncoder(f)
	for _, m := range signed.Messages {
		if slices.Contains(loaded, m.Patient) {
			ts.Check(enc.Encode(m))
			if m.Consent.Kind == consent.KindGrant {
				ts.Setenv("PARTICIPANT", string(m.Consent.Issuer))
			}
		}
	}
	ts.Check(f.Close())
}

// writeGrants lets patients permit statistics, each with a new key: agree TRIAL NODE FILE
// PATIENT…. It writes the first of them to participant.did.
func writeGrants(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 4 {
		ts.Fatalf("usage: agree TRIAL NODE FILE PATIENT…")
	}
	f, err := os.Create(ts.MkAbs(args[2]))
	ts.Check(err)
	now := time.Now()
	for i, patient := range args[3:] {
		key, err := identity.Generate(rand.Reader)
		ts.Check(err)
		e, err := message.Seal(key, consent.KindGrant, consent.Grant{
			Trial: trial.ID(args[0]), Node: identity.DID(args[1]), Scopes: consent.MaskOf(consent.Statistics), From: now.Add(-time.Hour), To: now.Add(24 * time.Hour),
			Document: message.Sum([]byte("consent")),
		}, now, time.Hour, rand.Reader)
		ts.Check(err)
		ts.Check(json.NewEncoder(f).Encode(client.Consent{Patient: patient, Consent: e}))
		if i == 0 {
			ts.Check(os.WriteFile(ts.MkAbs("participant.did"), []byte(key.DID()), 0o600))
		}
	}
	ts.Check(f.Close())
}

// patience is how long a script waits for something.
const patience = 4 * time.Minute

// await waits for a file, or until a command's output holds a text:
// await FILE, or await TEXT COMMAND ARG…
func await(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) == 0 {
		ts.Fatalf("usage: await FILE | await TEXT COMMAND ARG…")
	}
	end := time.Now().Add(patience)
	for {
		if len(args) == 1 {
			if _, err := os.Stat(ts.MkAbs(args[0])); err == nil {
				return
			}
		} else if err := ts.Exec(args[1], args[2:]...); err == nil && strings.Contains(ts.ReadFile("stdout"), args[0]) {
			return
		}
		if time.Now().After(end) {
			ts.Fatalf("waited %s for %s", patience, args[0])
		}
		time.Sleep(50 * time.Millisecond)
	}
}

// setenv sets a variable to a file's trimmed content, or to one of its JSON
// fields: setenv NAME FILE [FIELD]
func setenv(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: setenv NAME FILE [FIELD]")
	}
	text := strings.TrimSpace(ts.ReadFile(args[1]))
	if len(args) == 3 {
		lines := strings.Split(text, "\n")
		var fields map[string]any
		ts.Check(json.Unmarshal([]byte(lines[len(lines)-1]), &fields))
		value, found := fields[args[2]].(string)
		if !found {
			ts.Fatalf("%s has no text field %s", args[1], args[2])
		}
		text = value
	}
	ts.Setenv(args[0], text)
}

// flip changes one bit in the middle of the one file that a pattern names.
func flip(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: flip PATTERN")
	}
	files, err := filepath.Glob(ts.MkAbs(args[0]))
	ts.Check(err)
	if len(files) != 1 {
		ts.Fatalf("%s names %d files", args[0], len(files))
	}
	raw, err := os.ReadFile(files[0])
	ts.Check(err)
	raw[len(raw)/2] ^= 1
	ts.Check(os.WriteFile(files[0], raw, 0o600))
}

// fill replaces $NAME in a file by the script's variables: fill FILE
func fill(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: fill FILE")
	}
	path := ts.MkAbs(args[0])
	ts.Check(os.WriteFile(path, []byte(os.Expand(ts.ReadFile(args[0]), ts.Getenv)), 0o600))
}

package approval

import (
	"archive/tar"
	"compress/gzip"
	"context"
	"os"
	"path/filepath"
	"testing"
	"testing/fstest"
	"time"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/storage"
	"github.com/open-policy-agent/opa/v1/storage/inmem"
	"github.com/open-policy-agent/opa/v1/tester"
	"github.com/stretchr/testify/require"
)

// rules returns a folder with one module.
func rules(t testing.TB, text string) string {
	t.Helper()
	dir := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(dir, "site.rego"), []byte(text), 0o600))
	return dir
}

const head = "package trialmesh.approval\n"

// TestDefaultPolicy runs the policy's own tests, as opa test does.
func TestDefaultPolicy(t *testing.T) {
	t.Parallel()
	modules := make(map[string]*ast.Module)
	for _, name := range []string{"policy/default.rego", "policy/default_test.rego"} {
		text, err := os.ReadFile(name)
		require.NoError(t, err)
		modules[name], err = ast.ParseModuleWithOpts(name, string(text), ast.ParserOptions{RegoVersion: ast.RegoV1})
		require.NoError(t, err)
	}
	store := inmem.New()
	txn, err := store.NewTransaction(t.Context(), storage.WriteParams)
	require.NoError(t, err)
	results, err := tester.NewRunner().SetStore(store).SetModules(modules).RunTests(t.Context(), txn)
	require.NoError(t, err)
	n := 0
	for r := range results {
		require.True(t, r.Pass(), "%s: %v", r.Name, r.Error)
		n++
	}
	require.Equal(t, 6, n)
}

// TestBrokenBundles stop the node and say where they are wrong.
func TestBrokenBundles(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ text, says string }{
		"syntax":             {head + "\ndecision := {", "site.rego:3"},
		"unknown function":   {head + "decision := frob(1)", "site.rego:2"},
		"reaches out":        {head + `decision := http.send({"method": "get", "url": "http://127.0.0.1"})`, "undefined function http.send"},
		"looks a host up":    {head + `decision := net.lookup_ip_addr("localhost")`, "undefined function net.lookup_ip_addr"},
		"reads a clock":      {head + `decision := time.now_ns()`, "undefined function time.now_ns"},
		"reads its host":     {head + `decision := opa.runtime()`, "undefined function opa.runtime"},
		"draws lots":         {head + `decision := rand.intn("x", 2)`, "undefined function rand.intn"},
		"recursion":          {head + "decision := a\na := b\nb := a", "recursive"},
		"no decision":        {head + "allow := true", "no rule decision"},
		"another package":    {"package approval\ndecision := {}", "no rule decision"},
		"of an older syntax": {head + `decision = {"decision": "automatic"} { true }`, "site.rego:2"},
		"empty":              {"", "empty module"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := Load(t.Context(), rules(t, c.text))
			require.ErrorContains(t, err, c.says)
		})
	}
	_, err := Load(t.Context(), filepath.Join(t.TempDir(), "absent"))
	require.Error(t, err)
	_, err = Load(t.Context(), t.TempDir())
	require.ErrorContains(t, err, "no rule decision", "an empty folder decides nothing")
}

// TestDecisionsThatAreNone let nothing pass.
func TestDecisionsThatAreNone(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ text, says string }{
		"undefined":              {`decision := {"decision": "automatic", "reason": "x"} if input.nothing`, "undefined"},
		"not an object":          {`decision := "automatic"`, "wrong type"},
		"another field":          {`decision := {"decision": "automatic", "reason": "x", "allow": true}`, "unknown"},
		"unknown kind":           {`decision := {"decision": "yes", "reason": "x"}`, "decision:"},
		"no reason":              {`decision := {"decision": "automatic"}`, "reason"},
		"reason of two lines":    {`decision := {"decision": "automatic", "reason": "a\nb"}`, "reason"},
		"human without a gate":   {`decision := {"decision": "human", "reason": "x"}`, "gates"},
		"automatic with a gate":  {`decision := {"decision": "automatic", "reason": "x", "gates": ["run"]}`, "gates"},
		"unknown gate":           {`decision := {"decision": "human", "reason": "x", "gates": ["door"]}`, "gates"},
		"a gate twice":           {`decision := {"decision": "human", "reason": "x", "gates": ["run", "run"]}`, "gates"},
		"two decisions":          {"decision := {\"decision\": \"automatic\", \"reason\": \"x\"}\ndecision := {\"decision\": \"refuse\", \"reason\": \"y\"}", "conflict"},
		"error of a function":    {`decision := {"decision": "automatic", "reason": to_number("x")}`, "to_number"},
		"data that is not there": {`decision := data.site.decision`, "undefined"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p, err := Load(t.Context(), rules(t, head+c.text))
			require.NoError(t, err)
			_, err = p.Decide(t.Context(), Input{})
			require.ErrorContains(t, err, c.says)
		})
	}
}

// TestEndlessPolicy is stopped.
func TestEndlessPolicy(t *testing.T) {
	t.Parallel()
	p, err := Load(t.Context(), rules(t, head+`decision := {"decision": "automatic", "reason": "x"} if {
	count([1 | some a in numbers.range(1, 100000); some b in numbers.range(1, 100000); some c in numbers.range(1, 100000); a * b == c]) > 0
}`))
	require.NoError(t, err)
	p.limit = 10 * time.Millisecond
	_, err = p.Decide(t.Context(), Input{})
	require.ErrorContains(t, err, "no decision after 10ms")

	gone, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = p.Decide(gone, Input{})
	require.ErrorIs(t, err, context.Canceled, "who asked went away: that is no decision of the policy's")
}

// TestBundleAsFolderAndArchive: both are one policy, named by one digest.
func TestBundleAsFolderAndArchive(t *testing.T) {
	t.Parallel()
	files := map[string]string{
		"site/rules.rego":      head + `decision := {"decision": "refuse", "reason": data.site.why}`,
		"site/data.json":       `{"why": "closed in August"}`,
		"site/rules_test.rego": "this is no Rego, and no part of the policy",
		".manifest":            `{"revision": "7"}`,
	}
	dir := t.TempDir()
	require.NoError(t, os.Mkdir(filepath.Join(dir, "site"), 0o700))
	packed, err := os.Create(filepath.Join(t.TempDir(), "bundle.tar.gz"))
	require.NoError(t, err)
	squeezed := gzip.NewWriter(packed)
	archive := tar.NewWriter(squeezed)
	for name, text := range files {
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600))
		require.NoError(t, archive.WriteHeader(&tar.Header{Name: "/" + name, Mode: 0o600, Size: int64(len(text)), Typeflag: tar.TypeReg}))
		_, err := archive.Write([]byte(text))
		require.NoError(t, err)
	}
	require.NoError(t, archive.Close())
	require.NoError(t, squeezed.Close())
	require.NoError(t, packed.Close())

	one, err := Load(t.Context(), dir)
	require.NoError(t, err)
	other, err := Load(t.Context(), packed.Name())
	require.NoError(t, err)
	require.Equal(t, one.Digest(), other.Digest())
	d, err := other.Decide(t.Context(), Input{})
	require.NoError(t, err)
	require.Equal(t, Decision{Kind: Refuse, Reason: "closed in August"}, d)

	require.NoError(t, os.WriteFile(filepath.Join(dir, "site/data.json"), []byte(`{"why": "closed in May"}`), 0o600))
	changed, err := Load(t.Context(), dir)
	require.NoError(t, err)
	require.NotEqual(t, one.Digest(), changed.Digest(), "data is part of the policy")
}

func TestBundlesThatAreNotRead(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		files fstest.MapFS
		says  string
	}{
		"YAML data":          {fstest.MapFS{"data.yaml": {}}, "want Rego modules"},
		"compiled policy":    {fstest.MapFS{"policy.wasm": {}}, "want Rego modules"},
		"too large":          {fstest.MapFS{"a.rego": {Data: make([]byte, maxBundle)}, "b.rego": {Data: []byte("x")}}, "more than"},
		"data twice":         {fstest.MapFS{"data.json": {Data: []byte(`{"a": {"b": 1}}`)}, "a/data.json": {Data: []byte(`{"b": 2}`)}}, "stands twice"},
		"data across a leaf": {fstest.MapFS{"a/data.json": {Data: []byte(`{"z": 1}`)}, "a/z/data.json": {Data: []byte(`{"b": 2}`)}}, "another value"},
		"data that is none":  {fstest.MapFS{"data.json": {Data: []byte(`[]`)}}, "one JSON object"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b, err := folder(c.files)
			if err == nil {
				_, err = b.data()
			}
			require.ErrorContains(t, err, c.says)
		})
	}
}

// TestLinksStayInTheFolder: a bundle cannot bring in files from elsewhere.
func TestLinksStayInTheFolder(t *testing.T) {
	t.Parallel()
	dir := rules(t, head+`decision := {"decision": "automatic", "reason": data.secret}`)
	outside := filepath.Join(t.TempDir(), "data.json")
	require.NoError(t, os.WriteFile(outside, []byte(`{"secret": "x"}`), 0o600))
	require.NoError(t, os.Symlink(outside, filepath.Join(dir, "data.json")))
	_, err := Load(t.Context(), dir)
	require.Error(t, err)
}

func FuzzArchive(f *testing.F) {
	f.Add([]byte("not gzip"))
	f.Add([]byte{0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3})
	f.Fuzz(func(t *testing.T, raw []byte) {
		path := filepath.Join(t.TempDir(), "bundle.tar.gz")
		require.NoError(t, os.WriteFile(path, raw, 0o600))
		b, err := readBundle(path)
		if err == nil {
			_, _ = b.data()
		}
		total := 0
		for _, file := range b {
			total += len(file)
		}
		require.LessOrEqual(t, total, maxBundle)
	})
}

// TestReadsSize: a policy that cannot tell two sizes apart is asked about one.
func TestReadsSize(t *testing.T) {
	t.Parallel()
	p, err := Load(t.Context(), "")
	require.NoError(t, err)
	require.False(t, p.sized)
	for body, want := range map[string]bool{
		`input.purpose != "" with input as {"size": 1, "purpose": "x"}`:                   false,
		`input.earlier[_].researcher == input.researcher`:                                 false,
		`input.size == "fewer than 11"`:                                                   true,
		`input["size"] == "fewer than 11"`:                                                true,
		`some name; input[name] == "fewer than 11"`:                                       true,
		`input.limits[input.size]`:                                                        true,
		`x := input; x.size == "fewer than 11"`:                                           true,
		`object.get(input, "size", "") == "fewer than 11"`:                                true,
		`true with input as {"purpose": input.size}`:                                      true,
		`false } else := {"decision": "automatic", "reason": "y"} if { input.size == "x"`: true,
		`some s in [s | s := input.size]; s != ""`:                                        true,
	} {
		p, err := Load(t.Context(), rules(t, head+"decision := {\"decision\": \"automatic\", \"reason\": \"x\"} if { "+body+" }"))
		require.NoError(t, err, body)
		require.Equal(t, want, p.sized, body)
	}
}

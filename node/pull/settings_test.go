package pull

import (
	"encoding/json"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/trialmesh/trialmesh/connectors/partner/fhirserver"
)

func write(t *testing.T, dir, name, text string) {
	t.Helper()
	require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600))
}

func TestSettingsAreRead(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	key, isNew, err := MakeKey(dir, "north", fhirserver.ES384)
	require.NoError(t, err)
	require.True(t, isNew)
	write(t, dir, "heart.yaml", `# The heart clinic's server.
url: https://fhir.example/r4
kind: bulk
group: heart-trial
types: [Patient, Encounter, Observation]
filters: ["Observation?category=laboratory"]
since: 2020-01-01T00:00:00Z
client: 4711
key: north.key
scope: system/*.read
token-url: https://auth.example/token
origins: [https://files.example]
schedule: "30 2 * * mon-fri"
zone: Europe/Berlin
`)
	s, err := Read(dir, "heart")
	require.NoError(t, err)
	require.Equal(t, key.ID(), s.server.Key.ID())
	require.Equal(t, "4711", s.server.Client)
	require.Equal(t, fhirserver.Request{
		Group: "heart-trial", Types: []string{"Patient", "Encounter", "Observation"}, Filters: []string{"Observation?category=laboratory"},
		Since: time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC),
	}, s.Export)
	require.False(t, s.Schedule.IsZero())
}

func TestSettingsAreRefused(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		text string
		want []string
	}{
		"empty":               {"", []string{"url: the base URL", "kind: want bulk or search"}},
		"misspelled":          {"url: https://a.example\nkind: bulk\nshedule: x", []string{"line 3: field shedule is no setting of a pull"}},
		"no YAML":             {"\tx", []string{"yaml"}},
		"twice":               {"url: https://a.example\nkind: bulk\nkind: bulk", []string{"already defined"}},
		"in the clear":        {"url: http://a.example\nkind: bulk", []string{"base: want https"}},
		"search of all":       {"url: https://a.example\nkind: search", []string{"types: a search needs the types"}},
		"search of a group":   {"url: https://a.example\nkind: search\ntypes: [Patient]\ngroup: a", []string{"are of exports"}},
		"count of an export":  {"url: https://a.example\nkind: bulk\ncount: 10", []string{"count: is of searches"}},
		"count":               {"url: https://a.example\nkind: search\ntypes: [Patient]\ncount: 10001", []string{"count: 1 to 10,000"}},
		"group of everybody":  {"url: https://a.example\nkind: bulk\ngroup: a\npatients: true", []string{"not both"}},
		"types":               {"url: https://a.example\nkind: bulk\ntypes: [Patient, patient, Patient]", []string{"entry 2 is no type", "entry 3 stands there twice"}},
		"filters":             {"url: https://a.example\nkind: bulk\ntypes: [Patient]\nfilters: [x, 'Device?a=b']", []string{"entry 1: want a search", "entry 2 is for a type"}},
		"schedule and zone":   {"url: https://a.example\nkind: bulk\nschedule: daily", []string{"schedule: want five fields"}},
		"zone":                {"url: https://a.example\nkind: bulk\nschedule: '0 0 * * *'\nzone: Berlin", []string{"zone: want a name such as Europe/Berlin"}},
		"zone of nothing":     {"url: https://a.example\nkind: bulk\nzone: UTC", []string{"zone: is of a schedule"}},
		"key that is missing": {"url: https://a.example\nkind: bulk\nclient: a", []string{"p.key is not there", "trialmesh node pull key"}},
		"key of nobody":       {"url: https://a.example\nkind: bulk\nkey: open.key", []string{"client: the id"}},
		"key for all to read": {"url: https://a.example\nkind: bulk\nclient: a\nkey: open.key", []string{"chmod 600"}},
		"key that is none":    {"url: https://a.example\nkind: bulk\nclient: a\nkey: bad.key", []string{"key: the key file is no JSON Web Key"}},
		"authority":           {"url: https://a.example\nkind: bulk\nca: bad.key", []string{"ca: the file holds no certificate"}},
		"origins":             {"url: https://a.example\nkind: bulk\norigins: [files.example]", []string{"origins"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			write(t, dir, "open.key", "{}")
			require.NoError(t, os.Chmod(filepath.Join(dir, "open.key"), 0o640))
			write(t, dir, "bad.key", "secret")
			write(t, dir, "p.yaml", c.text)
			_, err := Read(dir, "p")
			for _, want := range c.want {
				require.ErrorContains(t, err, want)
			}
			all, err := ReadAll(dir)
			require.NoError(t, err)
			require.Len(t, all, 1)
			require.Error(t, all[0].Err)
			require.Equal(t, "p", all[0].Name)
		})
	}
	dir := t.TempDir()
	write(t, dir, "p.yaml", "url: https://a.example\nkind: bulk\nca: none.pem")
	_, err := Read(dir, "p")
	require.ErrorContains(t, err, "none.pem")
	require.NotErrorIs(t, err, fs.ErrNotExist, "the pull is there")
	_, err = Read(t.TempDir(), "none")
	require.ErrorIs(t, err, fs.ErrNotExist)
	_, err = Read(t.TempDir(), "../none")
	require.ErrorIs(t, err, ErrName)
	all, err := ReadAll(filepath.Join(t.TempDir(), "none"))
	require.NoError(t, err)
	require.Empty(t, all)
}

func TestKeyIsMadeOnce(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "pulls")
	first, isNew, err := MakeKey(dir, "heart", fhirserver.ES384)
	require.NoError(t, err)
	require.True(t, isNew)
	info, err := os.Stat(filepath.Join(dir, "heart.key"))
	require.NoError(t, err)
	require.Equal(t, fs.FileMode(0o600), info.Mode())
	again, isNew, err := MakeKey(dir, "heart", fhirserver.RS384)
	require.NoError(t, err)
	require.False(t, isNew)
	require.Equal(t, first.ID(), again.ID())
	_, _, err = MakeKey(dir, "../heart", fhirserver.ES384)
	require.ErrorIs(t, err, ErrName)
}

func FuzzSettings(f *testing.F) {
	f.Add("url: https://fhir.example/r4\nkind: search\ntypes: [Patient]\nschedule: '*/5 * * * *'")
	f.Add("url: https://fhir.example/r4\nkind: bulk\ngroup: a\nsince: 2020-01-01T00:00:00Z\norigins: [https://files.example]")
	f.Add("kind: [&a [*a, *a]]")
	f.Fuzz(func(t *testing.T, text string) {
		dir := t.TempDir()
		write(t, dir, "p.yaml", text)
		if s, err := Read(dir, "p"); err == nil && (s.URL == "" || s.asks() == "") {
			t.Error("accepted without a server")
		}
	})
}

func FuzzCounter(f *testing.F) {
	f.Add([]byte(`{"resourceType":"Bundle","entry":[{"request":{"method":"DELETE","url":"Patient/1"}}]}`+"\n\n"), 7)
	f.Add([]byte(`{"issue":[{"severity":"error","code":"processing"}]}`), 1)
	f.Fuzz(func(t *testing.T, text []byte, size int) {
		c, whole := new(counter), new(counter)
		w := c.lines(c.deleted)
		size = max(size&0xff, 1)
		for rest := text; len(rest) > 0; rest = rest[min(size, len(rest)):] {
			_, _ = w.Write(rest[:min(size, len(rest))])
		}
		_, _ = whole.lines(whole.deleted).Write(text)
		one, err := json.Marshal(c.end())
		require.NoError(t, err)
		other, err := json.Marshal(whole.end())
		require.NoError(t, err)
		require.Equal(t, string(one), string(other), "however the text comes")
		for what := range c.counts {
			if !strings.HasPrefix(what, "deleted") {
				t.Errorf("%q", what)
			}
		}
	})
}

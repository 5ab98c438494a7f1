package outbox

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"io"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/trialmesh/trialmesh/localstore/sqldb"
	"github.com/trialmesh/trialmesh/localstore/sqldb/sqltest"
	"github.com/trialmesh/trialmesh/protocol/problem"
)

// published are the specification's examples of what is sent, one a line.
func published(t testing.TB) []byte {
	t.Helper()
	f, err := os.Open("testdata/examples.ndjson.gz")
	require.NoError(t, err)
	defer f.Close()
	plain, err := gzip.NewReader(f)
	require.NoError(t, err)
	text, err := io.ReadAll(plain)
	require.NoError(t, err)
	return text
}

// TestPublishedExamples: of 37, all but four may be sent. Those say of whom they are by a
// name or by a URL of another server.
func TestPublishedExamples(t *testing.T) {
	t.Parallel()
	refused := map[string]bool{"appendectomy-narrative": true, "education": true, "myringotomy": true, "ob": true}
	taken := map[string]int{}
	for line := range bytes.Lines(published(t)) {
		var name struct{ ResourceType, ID string }
		require.NoError(t, json.Unmarshal(line, &name))
		list, err := read(t.Context(), bytes.NewReader(line))
		if refused[name.ID] {
			require.ErrorContains(t, err, "ServiceRequest.subject must be a reference Patient/ID", name.ID)
			continue
		}
		require.NoError(t, err, name.ID)
		taken[list[0].kind]++

		// What is sent is what was given, but for the id, and with one identifier more.
		list[0].identify(system, "00ff")
		text, err := list[0].text()
		require.NoError(t, err)
		want, got := decode(t, line), decode(t, text)
		delete(want, "id")
		others, _ := want["identifier"].([]any)
		want["identifier"] = append(others, map[string]any{"system": system, "value": "00ff"})
		require.Equal(t, want, got)
	}
	require.Equal(t, map[string]int{"Communication": 3, "Task": 12, "ServiceRequest": 16, "ResearchStudy": 1, "ResearchSubject": 1}, taken)
}

func decode(t testing.TB, text []byte) map[string]any {
	t.Helper()
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	var v map[string]any
	require.NoError(t, d.Decode(&v))
	return v
}

func TestWhatIsNotTaken(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ text, want string }{
		"nothing":                       {``, "no resource"},
		"no JSON":                       {`Erika`, "malformed"},
		"another type":                  {`{"resourceType":"Observation","id":"1","status":"final","code":{"text":"Erika"},"subject":{"reference":"Patient/p1"}}`, "line 1: only Communication, ResearchStudy"},
		"another type without an id":    {"\n" + `{"resourceType":"Observation"}`, "line 2: only Communication, ResearchStudy"},
		"an entry of another type":      {`{"resourceType":"Bundle","type":"collection","entry":[{"resource":{"resourceType":"Observation"}}]}`, "line 1, entry[0].resource: only Communication"},
		"a transaction":                 {`{"resourceType":"Bundle","type":"transaction","entry":[{"resource":` + task + `}]}`, "of type collection"},
		"no status":                     {`{"resourceType":"Communication"}`, "Communication.status is required, one of preparation"},
		"a status of another type":      {`{"resourceType":"Communication","status":"requested"}`, "Communication.status is required"},
		"a status that is no text":      {`{"resourceType":"Communication","status":7}`, "Communication.status is required"},
		"a task without intent":         {`{"resourceType":"Task","status":"draft"}`, "Task.intent is required"},
		"an order of nobody":            {`{"resourceType":"ServiceRequest","status":"active","intent":"order"}`, "ServiceRequest.subject must be"},
		"an order of a group":           {`{"resourceType":"ServiceRequest","status":"active","intent":"order","subject":{"reference":"Group/1"}}`, "ServiceRequest.subject must be"},
		"a subject without a study":     {`{"resourceType":"ResearchSubject","status":"candidate","individual":{"reference":"Patient/p1"}}`, "ResearchSubject.study is required"},
		"a study by name alone":         {`{"resourceType":"ResearchSubject","status":"candidate","study":{"display":"Erika"},"individual":{"reference":"Patient/p1"}}`, "ResearchSubject.study is required"},
		"a patient of another server":   {`{"resourceType":"Task","status":"draft","intent":"plan","for":{"reference":"https://x.example/Patient/Erika"}}`, "Task.for must be"},
		"a version of a patient":        {`{"resourceType":"Task","status":"draft","intent":"plan","for":{"reference":"Patient/p1/_history/1"}}`, "Task.for must be"},
		"an entry of the same bundle":   {`{"resourceType":"Task","status":"draft","intent":"plan","focus":{"reference":"urn:uuid:1"}}`, "refer by identifier"},
		"an identifier that is no list": {`{"resourceType":"Task","status":"draft","intent":"plan","identifier":{"value":"Erika"}}`, "Task.identifier is a list"},
		"a name that stands twice":      {`{"resourceType":"Task","status":"draft","status":"draft","intent":"plan"}`, "duplicate"},
		"all that is wrong":             {task + "\n" + `{"resourceType":"Task","status":"draft"}` + "\n" + `{"resourceType":"Communication"}`, "line 2: Task.intent is required, one of unknown, proposal, plan, order, original-order, reflex-order, filler-order, instance-order, option; line 3: Communication.status"},
		"an entry":                      {`{"resourceType":"Bundle","type":"collection","entry":[{"resource":{"resourceType":"Task","status":"draft"}}]}`, "entry[0].resource: Task.intent"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := read(t.Context(), strings.NewReader(c.text))
			require.ErrorContains(t, err, c.want)
			require.NotContains(t, err.Error(), "Erika")
			_, refused := errors.AsType[*problem.Error](err)
			require.True(t, refused)
		})
	}
}

func TestLimits(t *testing.T) {
	t.Parallel()
	study := `{"resourceType":"ResearchStudy","status":"active"}` + "\n"
	for name, c := range map[string]struct{ text, want string }{
		"a document": {strings.Repeat(" ", MaxDocument) + study, "over 8 MiB"},
		"a resource": {`{"resourceType":"ResearchStudy","status":"active","title":"` + strings.Repeat("x", maxResource) + `"}`, "too-large"},
		"a list":     {strings.Repeat(study, maxResources+1), "over 1000 resources"},
		"problems":   {strings.Repeat(`{"resourceType":"Task"}`+"\n", maxProblems+5), "and 5 more"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := read(t.Context(), strings.NewReader(c.text))
			require.ErrorContains(t, err, c.want)
		})
	}
}

func TestSendTakesAllOrNothing(t *testing.T) {
	t.Parallel()
	sqltest.Each(t, func(t *testing.T, db *sqldb.DB) {
		s := newSite(t, db, newEHR(t), "types: [Task]")
		o, _ := s.open()
		stranger := strings.ReplaceAll(task, "p1", "p2")
		for name, c := range map[string]struct{ endpoint, text, want string }{
			"an unknown patient":         {"ehr", task + "\n" + stranger, "not loaded at this site"},
			"a type that is not written": {"ehr", task + "\n" + `{"resourceType":"ResearchStudy","status":"active"}`, "not registered for ResearchStudy"},
			"no such endpoint":           {"lab", task, "no such endpoint"},
			"what is no name":            {"../ehr", task, "no such endpoint"},
			"a bad one among good ones":  {"ehr", task + "\n{}", "resourceType"},
		} {
			_, err := o.Send(t.Context(), c.endpoint, strings.NewReader(c.text))
			require.ErrorContains(t, err, c.want, name)
		}
		list, err := o.Messages(t.Context(), 0, 10, "")
		require.NoError(t, err)
		require.Empty(t, list)
		s.settings("client: x", "url: https://ehr.example")
		_, err = o.Send(t.Context(), "ehr", strings.NewReader(task))
		require.ErrorContains(t, err, "the settings of the endpoint: key:")
	})
}

// TestContentIsSealed: the database alone does not tell what waits.
func TestContentIsSealed(t *testing.T) {
	t.Parallel()
	s := newSite(t, sqltest.SQLite(t), newEHR(t))
	o, _ := s.open()
	m := s.send(o, task)[0]
	require.Regexp(t, `^[0-9a-f]{32}$`, m.Identifier)
	var kept []byte
	require.NoError(t, s.db.Read(t.Context(), func(tx *sqldb.Tx) error {
		return tx.QueryRow(t.Context(), `SELECT content FROM outbox_message`).Scan(&kept)
	}))
	require.NotContains(t, string(kept), "Patient")
	content, err := o.seal.open(m.Identifier, kept)
	require.NoError(t, err)
	require.Contains(t, string(content), `"for":{"reference":"Patient/p1"}`)
	_, err = o.seal.open("another", kept)
	require.ErrorIs(t, err, errSeal)
	other, err := newSealer(bytes.Repeat([]byte{8}, 32))
	require.NoError(t, err)
	_, err = other.open(m.Identifier, kept)
	require.ErrorIs(t, err, errSeal)
	require.NotEqual(t, m.Identifier, other.identifier("ehr", "Task", []byte(task)))
}

// TestMessageThatANodeWithAnotherSecretSealed fails, rather than to wait for ever.
func TestMessageThatANodeWithAnotherSecretSealed(t *testing.T) {
	t.Parallel()
	e := newEHR(t)
	s := newSite(t, sqltest.SQLite(t), e)
	o, _ := s.open()
	m := s.send(o, task)[0]
	next, run := s.open(func(cfg *Config) { cfg.Secret = bytes.Repeat([]byte{1}, 32) })
	run()
	m = s.until(next, m.ID, Failed)
	require.Contains(t, m.Error, "sealed by another node")
	require.Empty(t, e.requests())
}

func FuzzRead(f *testing.F) {
	for line := range bytes.Lines(published(f)) {
		f.Add(line)
	}
	f.Add([]byte(bundle))
	f.Add([]byte(`{"resourceType":"Task","status":"draft","intent":"plan","identifier":[7,null,{"system":"` + system + `"}],"meta":[],"for":{"reference":"Patient/p1"}}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		list, err := read(t.Context(), bytes.NewReader(text))
		if err != nil {
			return
		}
		for _, r := range list {
			r.identify(system, "1")
			sent, err := r.text()
			require.NoError(t, err)
			again, err := read(t.Context(), bytes.NewReader(sent))
			require.NoError(t, err, "what is sent can be read")
			require.Equal(t, r, again[0])
		}
	})
}

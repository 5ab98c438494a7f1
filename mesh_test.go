//go:build linux

package main

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/trialmesh/trialmesh/hub"
	hubclient "github.com/trialmesh/trialmesh/hub/client"
	"github.com/trialmesh/trialmesh/hub/evidence"
	"github.com/trialmesh/trialmesh/localstore/sqldb"
	nodeclient "github.com/trialmesh/trialmesh/node/client"
	"github.com/trialmesh/trialmesh/protocol/consent"
	"github.com/trialmesh/trialmesh/protocol/identity"
	"github.com/trialmesh/trialmesh/protocol/message"
	"github.com/trialmesh/trialmesh/protocol/query"
	"github.com/trialmesh/trialmesh/protocol/trial"
	"github.com/trialmesh/trialmesh/zk/evm"
	"github.com/trialmesh/trialmesh/zk/evm/inprocess"
)

// The trials of a mesh: of four nodes, which can spare one, and of three, which
// cannot. Each has patients of its own, as sums over the same persons and nearly the
// same sites are refused: in those for losses and absences a site may be missing.
const (
	trialOfFour     trial.ID = "four-sites"
	trialOfThree    trial.ID = "three-sites"
	trialOfLosses   trial.ID = "four-sites-with-losses"
	trialOfAbsences trial.ID = "four-sites-with-absences"
)

var trials = []trial.ID{trialOfFour, trialOfThree, trialOfLosses, trialOfAbsences}

// patientsPerSite consent to each trial, so that a site's count is 15 whatever is asked.
const patientsPerSite = 15

// mesh is a chain in this process, a hub and its nodes in their own.
type mesh struct {
	dir   string
	small error // why the hub's disk is not small, nil if it is

	chain *inprocess.Chain
	link  *switchable // between hub and chain
	hub   *program    // or the replica whose operator acts

	replicas []*program // of a hub of several

	url   string // of the hub
	sites []*site

	board, sponsor, researcher person
	api                        *hubclient.Client // with the researcher's token

	asked int // questions so far, each another one
}

// site is a node with the files around it.
type site struct {
	*program
	did identity.DID
}

// newMesh starts a chain and a hub, and no node.
func newMesh(t testing.TB) *mesh {
	t.Helper()
	m := &mesh{dir: t.TempDir()}
	m.board, m.sponsor, m.researcher = newPerson(t, m.dir, "board"), newPerson(t, m.dir, "sponsor"), newPerson(t, m.dir, "researcher")
	var err error
	m.chain, err = inprocess.Start(t.Context(), inprocess.Config{})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, m.chain.Close()) })
	m.link = newSwitchable(t, strings.TrimPrefix(m.chain.URL(), "http://"))
	m.startHub(t)
	return m
}

// join adds the nodes with their patients, and the trials.
func (m *mesh) join(t testing.TB) {
	t.Helper()
	for _, name := range []string{"east", "north", "south", "west"} {
		m.sites = append(m.sites, m.newSite(t, name, filepath.Join(m.dir, name)))
	}
	m.fill(t)
	m.register(t, trialOfFour, m.sites)
	m.register(t, trialOfThree, m.sites[:3])
	m.register(t, trialOfLosses, m.sites)
	m.register(t, trialOfAbsences, m.sites)
}

// fill starts the nodes and loads their patients.
func (m *mesh) fill(t testing.TB) {
	t.Helper()
	for _, s := range m.sites {
		require.NoError(t, s.launch())
	}
	for _, s := range m.sites {
		s.await(t)
		upload, err := s.client(t).Upload(t.Context(), "patients.ndjson", strings.NewReader(patients(s.did)))
		require.NoError(t, err)
		job, err := s.client(t).Wait(t.Context(), upload.Job)
		require.NoError(t, err)
		require.Equal(t, "completed", job.State)
	}
}

func (m *mesh) startHub(t testing.TB) {
	t.Helper()
	dir := filepath.Join(m.dir, "hub")
	m.small = smallDisk(t, dir, "192m") // the replicated log takes 64 MiB at a time
	must(t, "hub", "init", "--dir", dir, "--name", "Faults", "--origin", "faults.test/log", "--host", "127.0.0.1")
	text, err := hub.ChainAccount(dir)
	require.NoError(t, err)
	var account evm.Address
	require.NoError(t, account.UnmarshalText([]byte(text)))
	require.NoError(t, m.chain.Fund(t.Context(), account))
	port, peers := freePort(t), freePort(t)
	m.hub = &program{dir: dir, log: filepath.Join(m.dir, "hub.log"), args: []string{
		"hub", "run", "--dir", dir, "--listen", "127.0.0.1:" + port, "--peer", "/ip4/127.0.0.1/tcp/" + peers,
		"--chain", "http://" + m.link.address, "--chain-check", m.chain.URL(), "--anchor-every", "200ms",
	}}
	t.Cleanup(func() { m.hub.end(t) })
	m.hub.start(t)
	m.url = "https://127.0.0.1:" + port
	m.connect(t)
}

// connect makes the researcher's client.
func (m *mesh) connect(t testing.TB) {
	t.Helper()
	root, err := os.ReadFile(m.root())
	require.NoError(t, err)
	token := must(t, "hub", "token", string(m.researcher.key.DID()), "--dir", m.hub.dir, "--role", "researcher")
	m.api, err = hubclient.New(hubclient.Config{URL: m.url, Root: root, Token: token})
	require.NoError(t, err)
	t.Cleanup(m.api.Close)
}

func (m *mesh) root() string { return filepath.Join(m.hub.dir, rootFile) }

// newSite enrolls a node that lives in dir and does not start it.
func (m *mesh) newSite(t testing.TB, name, dir string) *site {
	t.Helper()
	invitation := filepath.Join(m.dir, name+".invitation")
	must(t, "hub", "invite", name, "--dir", m.hub.dir, "--out", invitation)
	did := must(t, "node", "init", "--dir", dir, "--invitation", invitation, "--board", string(m.board.key.DID()))
	s := &site{&program{dir: dir, log: filepath.Join(m.dir, name+".log"), args: []string{
		"node", "run", "--dir", dir, "--listen", "127.0.0.1:0", "--epoch-pause", "50ms",
	}}, identity.DID(did)}
	t.Cleanup(func() { s.end(t) })
	return s
}

// client returns a client of the running node.
func (s *site) client(t testing.TB) *nodeclient.Client {
	t.Helper()
	at, err := readPlace(s.dir)
	require.NoError(t, err)
	token, err := os.ReadFile(filepath.Join(s.dir, apiTokenFile))
	require.NoError(t, err)
	c, err := nodeclient.New(at.URL, strings.TrimSpace(string(token)))
	require.NoError(t, err)
	t.Cleanup(c.Close)
	return c
}

// joined waits until the node is connected to the hub.
func (s *site) joined(t testing.TB) {
	t.Helper()
	c := s.client(t)
	eventually(t, s.log+": not connected to the hub", func() bool {
		status, err := c.Status(t.Context())
		require.NoError(t, err)
		return status.Connected
	})
}

// database opens the node's own file beside it.
func (s *site) database(t testing.TB) *sqldb.DB {
	t.Helper()
	db, err := sqldb.Open(t.Context(), sqldb.Config{DSN: "sqlite:" + filepath.Join(s.dir, "data.db")})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, db.Close()) })
	return db
}

// patients returns the site's patients as NDJSON: each seen in 2000 and in 2020.
func patients(at identity.DID) string {
	var b strings.Builder
	for i := range patientsPerSite * len(trials) {
		id := patientID(at, i)
		fmt.Fprintf(&b, `{"resourceType":"Patient","id":"%s","gender":"female","birthDate":"19%d-03-01"}`+"\n", id, 40+i)
		for _, year := range []int{2000, 2020} {
			fmt.Fprintf(&b, `{"resourceType":"Encounter","id":"%s-%d","status":"finished","class":{"code":"AMB"},`+
				`"subject":{"reference":"Patient/%s"},"period":{"start":"%d-01-05T09:00:00Z","end":"%d-01-05T10:00:00Z"}}`+"\n", id, year, id, year, year)
		}
	}
	return b.String()
}

func patientID(at identity.DID, i int) string {
	return fmt.Sprintf("%x-%02d", message.Sum([]byte(at)).String()[:4], i)
}

// register makes a trial of sites, in which its share of the patients takes part, and
// waits until the consents are on the ledger.
func (m *mesh) register(t testing.TB, id trial.ID, sites []*site) {
	t.Helper()
	design := trial.Design{
		ID: id, Title: "A trial of faults", Researchers: []identity.DID{m.researcher.key.DID()}, Analyses: []string{"count"},
		Opens: time.Now().Add(-time.Hour), Closes: time.Now().Add(questionLife),
	}
	for _, s := range sites {
		design.Nodes = append(design.Nodes, s.did)
	}
	file := filepath.Join(m.dir, string(id))
	raw, err := json.Marshal(design)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(file, raw, 0o600))
	must(t, "trial", "sign", file, "--key", m.sponsor.file, "--out", file+".signed")
	must(t, "trial", "approve", file+".signed", "--key", m.board.file, "--statement", "approved in a test", "--out", file+".approval")
	token := file + ".token"
	must(t, "hub", "token", string(m.sponsor.key.DID()), "--dir", m.hub.dir, "--role", "sponsor", "--out", token)
	must(t, "trial", "register", file+".signed", file+".approval", "--hub", m.url, "--root", m.root(), "--token-file", token)
	for _, s := range sites {
		n, err := s.client(t).RecordConsents(t.Context(), grants(t, id, s.did))
		require.NoError(t, err)
		require.Equal(t, patientsPerSite, n)
	}
	for _, s := range sites {
		eventually(t, s.log+": consents are not published", func() bool {
			status, err := s.client(t).Status(t.Context())
			require.NoError(t, err)
			for _, c := range status.Consents {
				if c.Trial == string(id) {
					return c.Current
				}
			}
			return false
		})
	}
}

// grants lets every patient of a site agree.
func grants(t testing.TB, id trial.ID, at identity.DID) []nodeclient.Consent {
	t.Helper()
	now := time.Now().Add(-time.Minute)
	list := make([]nodeclient.Consent, patientsPerSite)
	first := patientsPerSite * slices.Index(trials, id)
	for i := range list {
		key, err := identity.Generate(rand.Reader)
		require.NoError(t, err)
		grant, err := message.Seal(key, consent.KindGrant, consent.Grant{
			Trial: id, Node: at, Scopes: consent.MaskOf(consent.Visits, consent.Statistics),
			From: now, To: now.Add(48 * time.Hour), Document: message.Sum([]byte("consent")),
		}, now, 48*time.Hour, rand.Reader)
		require.NoError(t, err)
		list[i] = nodeclient.Consent{Patient: patientID(at, first+i), Consent: grant}
	}
	return list
}

// question returns a new signed question about everybody in a trial. Each asks for another
// number of days of observation after the first visit, all less than there are:
// another question about the same persons, which no rule of the gate minds.
func (m *mesh) question(t testing.TB, id trial.ID) message.Envelope {
	t.Helper()
	return m.longQuestion(t, id, 0)
}

// longQuestion returns a question that takes padding bytes of room more.
func (m *mesh) longQuestion(t testing.TB, id trial.ID, padding int) message.Envelope {
	t.Helper()
	m.asked++
	e, err := message.Seal(m.researcher.key, query.KindRequest, query.Request{
		Trial: id, Purpose: "a test of faults", Analysis: query.Analysis{Kind: query.Count},
		Cohort: json.RawMessage(fmt.Sprintf(`{"Title":%q,"ConceptSets":[],"PrimaryCriteria":{"CriteriaList":[{"VisitOccurrence":{}}],
			"ObservationWindow":{"PriorDays":0,"PostDays":%d},"PrimaryCriteriaLimit":{"Type":"First"}}}`, strings.Repeat("x", padding), m.asked)),
	}, time.Now(), questionLife, rand.Reader)
	require.NoError(t, err)
	return e
}

// questionLife is how long a question is signed for, more than any may stay open.
const questionLife = 15 * 24 * time.Hour

// ask puts a new question and returns its id once it is acknowledged.
func (m *mesh) ask(t testing.TB, id trial.ID, deadline time.Duration) query.ID {
	t.Helper()
	asked, err := m.api.Ask(t.Context(), m.question(t, id), deadline)
	require.NoError(t, err)
	return asked
}

// answer waits for a question's result, over restarts of the hub, or with
// hubclient.WaitProofs until everything about it is on the chain.
func (m *mesh) answer(t testing.TB, id query.ID, wait string) hubclient.Question {
	t.Helper()
	var q hubclient.Question
	eventually(t, "no "+wait+" of question "+id.String(), func() bool {
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		var err error
		q, err = m.api.Question(ctx, id.String(), wait, 2*time.Second)
		return err == nil && q.Result != nil && (wait == hubclient.WaitResult || q.ProofsDone)
	})
	return q
}

// complete checks that all sites of a trial are in a result, and so their patients.
func (m *mesh) complete(t testing.TB, q hubclient.Question, sites int) {
	t.Helper()
	require.Equal(t, query.Complete, q.Result.State, "%+v", q.Result)
	require.Len(t, q.Result.Answered, sites)
	require.EqualValues(t, sites*patientsPerSite, q.Result.Cells[0].N)
}

// verify runs trialmesh verify query, with the chain.
func (m *mesh) verify(t testing.TB, id query.ID, more ...string) called {
	t.Helper()
	return call(t, append(more, "verify", "query", id.String(), "--from", m.url, "--root", m.root(), "--trust", m.trust(t),
		"--chain", "http://"+m.link.address)...)
}

// verified checks that everything about a question can be verified, and that
// the ledger has one result.
func (m *mesh) verified(t testing.TB, id query.ID) {
	t.Helper()
	m.answer(t, id, hubclient.WaitProofs)
	c := m.verify(t, id, "--json")
	require.Zero(t, c.status, c.stdout+c.stderr)
	results := 0
	for _, check := range fromJSON[evidence.Report](t, c.stdout).Checks {
		if check.Name == evidence.CheckResult {
			results++
		}
	}
	require.Equal(t, 1, results)
}

// trust returns the file of the trust document.
func (m *mesh) trust(t testing.TB) string {
	t.Helper()
	path := filepath.Join(m.dir, "trust.json")
	if _, err := os.Stat(path); errors.Is(err, os.ErrNotExist) {
		require.NoError(t, os.WriteFile(path, []byte(must(t, "hub", "trust", "--dir", m.hub.dir)), 0o600))
	}
	return path
}

// heal starts what a test before left down.
func (m *mesh) heal(t testing.TB) {
	t.Helper()
	if !m.hub.running() {
		m.hub.start(t)
	}
	for _, s := range m.sites {
		if !s.running() {
			s.start(t)
		}
		s.joined(t)
	}
}

// content returns how many rows each table of a node has, and every row's key
// with where it came from.
func (s *site) content(t testing.TB) (rows map[string]int64, lineage []string) {
	t.Helper()
	status, err := s.client(t).Status(t.Context())
	require.NoError(t, err)
	require.NoError(t, s.database(t).Read(t.Context(), func(tx *sqldb.Tx) error {
		found, err := tx.Query(t.Context(), `SELECT row_key, table_id, pointer FROM lineage`)
		if err != nil {
			return err
		}
		defer found.Close()
		for found.Next() {
			var key []byte
			var table int64
			var pointer string
			if err := found.Scan(&key, &table, &pointer); err != nil {
				return err
			}
			lineage = append(lineage, fmt.Sprintf("%x %d %s", key, table, pointer))
		}
		return found.Err()
	}))
	slices.Sort(lineage)
	return status.Tables, lineage
}

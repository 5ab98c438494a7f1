package evidence_test

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/trialmesh/trialmesh/federation/cosign"
	"github.com/trialmesh/trialmesh/hub/evidence"
	"github.com/trialmesh/trialmesh/hub/ledger"
	"github.com/trialmesh/trialmesh/hub/registry"
	"github.com/trialmesh/trialmesh/localstore/sqldb"
	"github.com/trialmesh/trialmesh/protocol/consent"
	"github.com/trialmesh/trialmesh/protocol/disclosure"
	"github.com/trialmesh/trialmesh/protocol/identity"
	entry "github.com/trialmesh/trialmesh/protocol/ledger"
	"github.com/trialmesh/trialmesh/protocol/message"
	"github.com/trialmesh/trialmesh/protocol/query"
	"github.com/trialmesh/trialmesh/protocol/study"
	"github.com/trialmesh/trialmesh/protocol/trial"
	"github.com/trialmesh/trialmesh/zk/circuits"
	"github.com/trialmesh/trialmesh/zk/evm"
	"github.com/trialmesh/trialmesh/zk/evm/inprocess"
	"github.com/trialmesh/trialmesh/zk/prover"
)

const (
	origin  = "hub.example.org/log"
	trialID = trial.ID("glucose-1")
	minCell = 2
)

var (
	noon  = time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)
	shape = circuits.Shape{ShardSize: 4, Shards: 2, Slots: 3}
)

// world is a small network with a real chain, driven through the hub's state
// machine: three nodes, a complete, a repeated, a partial, a withheld and a cancelled question.
// The withheld one is of a saved study.
type world struct {
	chain      *inprocess.Chain
	trust      evidence.Trust
	source     evidence.Source
	log        identity.Key
	hub        identity.Key
	sponsor    identity.Key
	board      identity.Key
	researcher identity.Key
	sites      []*site
	prover     *prover.Prover
	circuits   [2]message.Digest // verifying keys: epoch, access

	complete, repeated, partial, withheld, cancelled query.ID

	db      *sqldb.DB
	machine *registry.Machine
	applied uint64
	now     time.Time
}

// site is a node with the private half of its epoch.
type site struct {
	key      identity.Key
	shards   []circuits.EpochWitness
	epoch    consent.Epoch
	envelope message.Envelope

	leaves  circuits.MemoryRows
	changes uint64
}

// shared is made once: its proofs take seconds.
var shared = sync.OnceValues(newWorld)

// stateDir holds the database and what was deployed; TestMain removes it.
var stateDir string

func TestMain(m *testing.M) {
	var err error
	if stateDir, err = os.MkdirTemp("", "trialmesh-evidence-"); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	code := m.Run()
	if started != nil {
		_ = started.chain.Close()
		_ = started.db.Close()
	}
	_ = os.RemoveAll(stateDir)
	os.Exit(code)
}

var started *world // for TestMain only

func network(t testing.TB) *world {
	t.Helper()
	w, err := shared()
	if err != nil {
		t.Fatal(err)
	}
	return w
}

func newWorld() (w *world, err error) {
	defer func() { // must panics
		if failure := recover(); failure != nil {
			err = fmt.Errorf("build the network: %v", failure)
		}
	}()
	ctx := context.Background()
	w = &world{now: noon, chain: must(inprocess.Start(ctx, inprocess.Config{}))}
	started = w
	for _, key := range []*identity.Key{&w.log, &w.hub, &w.sponsor, &w.board, &w.researcher} {
		*key = must(identity.Generate(rand.Reader))
	}
	dir := must(prover.CacheDir())
	var keys [2]*prover.Keys
	for i, c := range []circuits.Circuit{shape.Epoch(), shape.Access()} {
		keys[i] = must(prover.DevelopmentKeys(ctx, dir, c))
		w.circuits[i] = keys[i].Verifying().Digest()
	}
	w.prover = must(prover.New(prover.Config{Epoch: keys[0], Access: keys[1]}))
	w.db = must(sqldb.Open(ctx, sqldb.Config{DSN: "sqlite:" + filepath.Join(stateDir, "hub.db")}))
	check(registry.Migrate(ctx, w.db))
	w.machine = registry.NewMachine(w.db, w.hub.DID(), new(evidence.Proofs))

	client := w.deploy(ctx, keys[1].Verifying().EVM())
	defer client.Close()
	for _, k := range keys {
		p := k.Published()
		w.do(registry.RegisterCircuit{Circuit: entry.Circuit{
			Shape: k.Circuit().String(), VerifyingKey: p.VerifyingKey, ProvingDigest: p.ProvingDigest, Development: p.Development,
		}})
	}
	for i := range 4 { // the last is not of the trial and is revoked
		s := &site{key: must(identity.Generate(rand.Reader)), leaves: circuits.MemoryRows{}}
		name := fmt.Sprintf("site-%d", i)
		w.do(registry.InviteNode{Name: name, Organization: "Hospital"})
		w.do(registry.EnrollNode{Node: s.key.DID(), Name: name})
		w.sites = append(w.sites, s)
	}
	w.do(registry.RevokeNode{Revocation: entry.Revocation{Node: w.sites[3].key.DID(), Reason: "test"}})
	w.do(registry.RegisterTrial{Registration: w.registration()})
	w.do(registry.RegisterStudy{Envelope: must(message.Seal(w.researcher, study.KindStudy, saved(), w.now, time.Hour, rand.Reader))})
	for i, s := range w.sites[:3] {
		w.publish(ctx, i, s, 1)
	}
	w.publish(ctx, 0, w.sites[0], 2)

	w.complete = w.ask(ctx, query.Count, 3)
	w.repeated = w.request(query.Count)
	w.partial = w.ask(ctx, query.Moments, 2)
	asked := w.now
	w.withheld = w.put(must(saved().Request("mean")))
	w.do(registry.FinishQuestion{Result: query.Result{
		Query: w.withheld, Trial: trialID, State: query.Withheld, Reason: "too few nodes", Asked: asked, Finished: w.now, Answered: []query.Answered{},
	}})
	w.cancelled = w.request(query.Count, query.ByAgeGroup)
	w.do(registry.CancelQuestion{Envelope: w.cancellation(w.sponsor)})
	w.writeChain(ctx, client)
	w.source = stored{w.sign(ctx, w.db), registry.NewReader(w.db)}
	return w, nil
}

func must[T any](value T, err error) T {
	check(err)
	return value
}

func check(err error) {
	if err != nil {
		panic(err)
	}
}

// stored is the hub's own database as a source.
type stored struct {
	ledger.Source
	reader *registry.Reader
}

func (s stored) Document(ctx context.Context, digest message.Digest) ([]byte, error) {
	raw, err := s.reader.Document(ctx, digest)
	if errors.Is(err, registry.ErrDocumentUnknown) {
		err = evidence.ErrNoDocument
	}
	return raw, err
}

// do applies a command ten seconds after the last.
func (w *world) do(body registry.Body) registry.Outcome {
	w.applied++
	out := must(w.machine.Apply(context.Background(), w.applied, must(registry.Encode(body, w.now))))
	w.now = w.now.Add(10 * time.Second)
	return out
}

// sign publishes the log of a database under the log's key.
func (w *world) sign(ctx context.Context, db *sqldb.DB) ledger.Source {
	signer := must(cosign.NewSigner(origin, w.log.Private()))
	check(db.Write(ctx, func(tx *sqldb.Tx) error {
		head := must(ledger.Head(ctx, tx, origin))
		_, err := ledger.AddCheckpoint(ctx, tx, cosign.Trust{Origin: origin, Keys: []string{w.trust.LogKey}}, must(head.Sign(signer)))
		return err
	}))
	return ledger.NewPublished(db)
}

// deploy puts the contracts on the chain and makes the trust document.
func (w *world) deploy(ctx context.Context, key evm.KeyWords) *evm.Client {
	account := must(evm.GenerateKey(rand.Reader))
	check(w.chain.Fund(ctx, account.Address()))
	cfg := evm.Config{Endpoint: w.chain.URL(), Signer: account}
	cfg.Deployment = must(evm.Deploy(ctx, cfg, evm.DeployConfig{
		Record: filepath.Join(stateDir, "deployment.json"), Origin: origin, Replicas: []evm.Address{account.Address()},
		VerifyingKey: key, QueryPosition: 2,
	}))
	d := cfg.Deployment
	w.trust = evidence.Trust{
		Trust: entry.Trust{
			Hub: w.hub.DID(), Origin: origin, LogKey: verifierKey(w.log),
			ChainID: d.ChainID, HubAnchor: d.Anchor.Hex(), ConsentRoots: d.Roots.Hex(), AccessLog: d.Access.Hex(),
		},
		Circuits: []evidence.Circuit{{Key: w.circuits[0], Development: true}, {Key: w.circuits[1], Development: true}},
		Boards:   []identity.DID{w.board.DID()},
	}
	w.do(registry.SetVenue{Venue: w.venue()})
	return must(evm.Dial(ctx, cfg))
}

func (w *world) venue() query.Venue {
	return query.Venue{ChainID: w.trust.ChainID, Contract: w.trust.AccessLog}
}

func (w *world) registration() trial.Registration {
	policy := disclosure.Policy{MinCell: minCell, MinSites: 2}
	design := trial.Design{
		ID: trialID, Title: "Glucose", Researchers: []identity.DID{w.researcher.DID()}, Analyses: []string{"count", "moments"},
		Disclosure: policy, Opens: noon.Add(-time.Hour), Closes: noon.Add(24 * time.Hour),
	}
	for _, s := range w.sites[:3] {
		design.Nodes = append(design.Nodes, s.key.DID())
	}
	e := must(message.Seal(w.sponsor, trial.KindDesign, design, noon, time.Hour, rand.Reader))
	approval := trial.Approval{Trial: trialID, Design: e.Digest(), Statement: "approved"}
	return trial.Registration{Design: e, Approvals: []message.Envelope{
		must(message.Seal(w.board, trial.KindApproval, approval, noon, 24*time.Hour, rand.Reader)),
	}}
}

func secret(label string, n ...int) circuits.Element {
	text := []byte(label)
	for _, i := range n {
		text = binary.BigEndian.AppendUint64(text, uint64(i))
	}
	return circuits.Truncate(sha256.Sum256(text))
}

// publish records a site's epoch: four participants, and for the first site one
// more in a second shard. All permit everything the questions need.
func (w *world) publish(ctx context.Context, i int, s *site, number int) {
	s.shards = nil
	epoch := consent.Epoch{Trial: trialID, Node: s.key.DID(), Number: uint64(number), Circuit: w.circuits[0]}
	if number > 1 {
		epoch.Revises = s.envelope.Digest()
	}
	window := must(circuits.NewWindow(noon, noon.Add(time.Hour)))
	sizes := []int{4}
	if i == 0 {
		sizes = []int{4, 1}
	}
	for k, size := range sizes {
		witness := circuits.EpochWitness{Window: window}
		for j := range witness.Salts {
			witness.Salts[j] = secret("column", i, number, k, j)
		}
		for j := range size {
			witness.Consents = append(witness.Consents, circuits.Consent{
				Participant: must(circuits.CommitParticipant(secret("participant", i, k, j), secret("blind", i, k, j))),
				Attributes: circuits.Attributes{
					Mask:   consent.MaskOf(consent.Conditions, consent.Measurements, consent.Demographics, consent.Statistics, consent.Visits),
					Status: circuits.Active, From: window.From - 1000, To: window.To + 1000,
				},
			})
		}
		proof := must(w.prover.Epoch(ctx, witness))
		s.shards = append(s.shards, witness)
		epoch.Shards = append(epoch.Shards, consent.Shard{
			From: noon, To: noon.Add(time.Hour), Root: proof.Public.ShardRoot, Matrix: proof.Public.MatrixRoot, Proof: proof.Proof[:],
		})
	}
	w.change(s)
	epoch.Changes = s.changes
	s.epoch = epoch
	s.envelope = must(message.Seal(s.key, consent.KindEpoch, epoch, w.now, time.Hour, rand.Reader))
	w.do(registry.PublishEpoch{Envelope: s.envelope})
}

// change records which leaves of a site are other ones than before, if there are any.
func (w *world) change(s *site) {
	c := consent.Changes{Trial: trialID, Node: s.key.DID(), Number: s.changes + 1, Before: must(circuits.TreeRoot(s.leaves))}
	var list []consent.Change
	var elements []circuits.Placed
	for k, shard := range s.shards {
		for j, opened := range shard.Consents {
			change := consent.Change{Index: k*shape.ShardSize + j, New: must(opened.Leaf()), Receipt: message.Sum([]byte{byte(k), byte(j)})}
			if change.Old = must(circuits.TreeElement(s.leaves, 0, change.Index)); change.Old != change.New {
				list, elements = append(list, change), append(elements, circuits.Placed{Index: change.Index, Hash: change.New})
			}
		}
	}
	if len(list) == 0 {
		return
	}
	c.Leaves, c.After = must(consent.LeavesDigest(list)), must(circuits.UpdateTree(s.leaves, 0, elements))
	s.changes++
	w.do(registry.ChangeConsents{Batch: consent.Batch{Envelope: must(message.Seal(s.key, consent.KindChanges, c, w.now, time.Hour, rand.Reader)), Leaves: list}})
}

// cancellation is somebody's word that a question is cancelled.
func (w *world) cancellation(by identity.Key) message.Envelope {
	return must(message.Seal(by, query.KindCancellation, query.Cancellation{Query: w.cancelled, Reason: "test"}, w.now, time.Hour, rand.Reader))
}

// question returns what is asked.
func question(kind query.AnalysisKind, by ...query.Stratifier) query.Request {
	r := query.Request{
		Trial: trialID, Purpose: "test", Analysis: query.Analysis{Kind: kind, By: by},
		Cohort: []byte(`{"ConceptSets":[{"id":0,"name":"diabetes","expression":{"items":[{"concept":{"CONCEPT_ID":201826}}]}}],` +
			`"PrimaryCriteria":{"CriteriaList":[{"ConditionOccurrence":{"CodesetId":0}}]}}`),
	}
	if kind == query.Moments {
		r.Analysis.Variable = &query.Variable{Concept: 3004249, Unit: "mm[Hg]", Take: query.TakeLast, Low: 50, High: 250}
	}
	return r
}

// request records a question.
func (w *world) request(kind query.AnalysisKind, by ...query.Stratifier) query.ID {
	return w.put(question(kind, by...))
}

// saved is a study of one question.
func saved() study.Study {
	mean := question(query.Moments, query.BySex)
	return study.Study{
		Name: "glucose", Version: "1", Title: "Glucose", Trial: trialID, Purpose: mean.Purpose,
		Cohorts:   map[string]json.RawMessage{"diabetes": mean.Cohort},
		Questions: []study.Question{{Name: "mean", Cohort: "diabetes", Analysis: mean.Analysis}},
	}
}

func (w *world) put(r query.Request) query.ID {
	e := must(message.Seal(w.researcher, query.KindRequest, r, w.now, time.Hour, rand.Reader))
	w.do(registry.AskQuestion{Envelope: e, Deadline: w.now.Add(time.Minute)})
	return e.Digest()
}

// ask records a question that the first sites answer, with their proofs.
func (w *world) ask(ctx context.Context, kind query.AnalysisKind, sites int) query.ID {
	asked := w.now
	id := w.request(kind)
	r := query.Result{
		Query: id, Trial: trialID, State: query.Complete, Asked: asked, Finished: w.now,
		Policy: disclosure.Policy{MinCell: minCell, MinSites: 2},
		Cells:  []query.Cell{{Levels: []string{}, N: 12}}, Total: &query.Cell{Levels: []string{}, N: 12},
	}
	var accesses []query.Access
	for i, s := range w.sites[:3] {
		if i >= sites {
			r.State = query.Partial
			r.Missing = append(r.Missing, query.Missing{Node: s.key.DID(), Step: query.StepMask})
			continue
		}
		access := w.access(ctx, s, id, kind, []int{0, 1, 2}, minCell)
		r.Answered = append(r.Answered, query.Answered{
			Node: s.key.DID(), Epoch: s.envelope.Digest(), Commitment: access.Used, AtLeast: minCell,
			Leave: &query.Leave{Policy: message.Sum([]byte("policy")), Verdicts: []message.Digest{message.Sum([]byte("verdict"))}, Approvers: []identity.DID{s.key.DID()}},
		})
		accesses = append(accesses, access)
	}
	w.do(registry.FinishQuestion{Result: r})
	for i, access := range accesses {
		w.do(registry.RecordAccess{Envelope: must(message.Seal(w.sites[i].key, query.KindAccess, access, w.now, time.Hour, rand.Reader))})
	}
	return id
}

// access proves that a site used slots of its first shard, and the one record
// of its second.
func (w *world) access(ctx context.Context, s *site, id query.ID, kind query.AnalysisKind, used []int, atLeast int) query.Access {
	need := must(question(kind).Scopes())
	return w.accessFor(ctx, s, id, need, used, atLeast)
}

func (w *world) accessFor(ctx context.Context, s *site, id query.ID, need consent.Mask, used []int, atLeast int) query.Access {
	witness := circuits.AccessWitness{Need: need, Min: uint32(atLeast), QueryHash: must(w.venue().Hash(s.key.DID(), id))}
	for k, shard := range s.shards {
		slots := used
		if k > 0 {
			slots = []int{0}
		}
		witness.Shards = append(witness.Shards, circuits.ShardUse{Epoch: shard, Used: slots, Salt: secret("used"+id.String()+string(s.key.DID()), k)})
	}
	proof := must(w.prover.Access(ctx, witness))
	return query.Access{
		Query: id, Node: s.key.DID(), Epoch: s.envelope.Digest(), Scopes: need, AtLeast: atLeast,
		Used: proof.Public.UsedDigest, Circuit: w.circuits[1], Proof: proof.Proof[:],
	}
}

// writeChain puts on the chain what the hub's anchor would.
func (w *world) writeChain(ctx context.Context, client *evm.Client) {
	reader := registry.NewReader(w.db)
	var roots []evm.Root
	for _, digest := range must(reader.LastEpochs(ctx)) {
		e := must(reader.Epoch(ctx, digest))
		roots = append(roots, evm.Root{
			Node: evm.Node(query.NodeTag(e.Node)), Trial: evm.Trial(message.Sum([]byte(e.Trial))), Digest: e.Digest, LedgerIndex: uint64(e.LedgerIndex),
		})
	}
	must(client.PostRoots(ctx, roots))
	for _, access := range must(reader.Unlogged(ctx, 100)) {
		circuit := must(reader.Circuit(ctx, access.Circuit))
		epoch := must(reader.Epoch(ctx, access.Epoch))
		statement := must(evidence.Statement(circuit, access.Access, epoch.Epoch, w.venue()))
		must(client.AcceptRoots(ctx, []evm.AcceptedRoot{{Node: statement.Node, Root: statement.Inputs[0], Until: time.Now().Add(time.Hour)}}))
		must(client.LogAccess(ctx, statement))
	}
	var head cosign.Checkpoint
	check(w.db.Read(ctx, func(tx *sqldb.Tx) (err error) {
		head, err = ledger.Head(ctx, tx, origin)
		return err
	}))
	receipt := must(client.Anchor(ctx, uint64(head.Size), head.Root, nil))
	w.do(registry.RecordAnchor{Anchor: entry.Anchor{
		ChainID: "1337", Contract: w.trust.HubAnchor, Size: head.Size, Root: head.Root[:], Tx: receipt.TxHash.Hex(), Block: receipt.Block, Gas: receipt.Gas,
	}})
}

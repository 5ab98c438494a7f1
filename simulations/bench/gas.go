package bench

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/trialmesh/trialmesh/hub/anchor"
	"github.com/trialmesh/trialmesh/node/bench"
	"github.com/trialmesh/trialmesh/protocol/consent"
	"github.com/trialmesh/trialmesh/zk/circuits"
	"github.com/trialmesh/trialmesh/zk/evm"
	"github.com/trialmesh/trialmesh/zk/evm/inprocess"
	"github.com/trialmesh/trialmesh/zk/prover"
)

const gasText = `What a write to an EVM chain costs, base cost and calldata included, on a chain in this
process with the rules of Ethereum's main network: an access proof verified and logged
alone and in a batch of 16 nodes about one question, beside it a batch of 16 questions
of one node, and a checkpoint of 10,000 entries more than the last, with 3 of 5
replicas' signatures and the proof that it extends the last, for each entry; and an
enrollment in a trial under a root that a quorum accepted. The proofs are of the real
circuits, of accesses at its smallest; what they cost does not depend on its size.`

// The network that is measured: as many nodes as a batch has accesses.
const (
	gasBatch    = 16
	gasReplicas = 5
	gasEntries  = 10_000

	// semaphoreGas is what validating a proof costs with Semaphore v4, as its documentation gives it.
	semaphoreGas = 288_798
)

var gasShape = circuits.Shape{ShardSize: 4, Shards: 1, Slots: 2}

// gas measures on a chain in this process.
func gas(ctx context.Context, cfg bench.Config) (figures []bench.Figure, err error) {
	cfg.Progress("a chain is started")
	chain, err := inprocess.Start(ctx, inprocess.Config{})
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, chain.Close()) }()
	m, err := newGasMeter(ctx, cfg, chain)
	if err != nil {
		return nil, err
	}
	defer m.client.Close()
	alone, err := m.alone(ctx)
	if err != nil {
		return nil, err
	}
	cfg.Progress("proofs are made")
	nodes, err := m.batch(ctx, func(i uint64) (uint64, uint64) { return i, 100 })
	if err != nil {
		return nil, err
	}
	questions, err := m.batch(ctx, func(i uint64) (uint64, uint64) { return 0, 200 + i })
	if err != nil {
		return nil, err
	}
	checkpoint, err := m.checkpoint(ctx)
	if err != nil {
		return nil, err
	}
	enrollment, err := m.enrollment(ctx)
	if err != nil {
		return nil, err
	}
	return []bench.Figure{
		bench.NewFigure("gas-access", alone, "gas").AtMost(cfg.BarOr(275_000)),
		bench.NewFigure("gas-access-batch", nodes, "gas").Beside("gas-access", alone).AtMost(75_000),
		bench.NewFigure("gas-access-questions", questions, "gas").Beside("gas-access", alone),
		bench.NewFigure("gas-checkpoint", checkpoint, "gas"),
		bench.NewFigure("gas-entry", checkpoint/gasEntries, "gas").AtMost(10),
		bench.NewFigure("gas-enroll", enrollment, "gas").Beside("Semaphore v4", semaphoreGas).AtMost(290_000),
	}, nil
}

// gasMeter writes to the contracts of a hub of five replicas.
type gasMeter struct {
	client     *evm.Client
	deployment evm.Deployment
	prover     *prover.Prover
}

func newGasMeter(ctx context.Context, cfg bench.Config, chain *inprocess.Chain) (m gasMeter, err error) {
	cache, err := prover.CacheDir()
	if err != nil {
		return m, err
	}
	epochs, err := prover.DevelopmentKeys(ctx, cache, gasShape.Epoch())
	if err != nil {
		return m, err
	}
	accesses, err := prover.DevelopmentKeys(ctx, cache, gasShape.Access())
	if err != nil {
		return m, err
	}
	if m.prover, err = prover.New(prover.Config{Epoch: epochs, Access: accesses}); err != nil {
		return m, err
	}
	dir, err := os.MkdirTemp(cfg.Dir, "trialmesh-bench-")
	if err != nil {
		return m, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	config := evm.Config{Endpoint: chain.URL()}
	deploy := evm.DeployConfig{
		Record: filepath.Join(dir, "deployment.json"), Origin: "bench.example/log", VerifyingKey: accesses.Verifying().EVM(),
		QueryPosition: anchor.QueryPosition, RootPosition: anchor.RootPosition,
	}
	for range gasReplicas {
		key, err := evm.GenerateKey(rand.Reader)
		if err != nil {
			return m, err
		}
		config.Signer = key // the last pays
		config.Replicas = append(config.Replicas, key)
		deploy.Replicas = append(deploy.Replicas, key.Address())
	}
	if err := chain.Fund(ctx, config.Signer.Address()); err != nil {
		return m, err
	}
	cfg.Progress("contracts are deployed")
	if m.deployment, err = evm.Deploy(ctx, config, deploy); err != nil {
		return m, err
	}
	config.Deployment = m.deployment
	m.client, err = evm.Dial(ctx, config)
	return m, err
}

// alone is what an access costs that is logged by itself.
func (m gasMeter) alone(ctx context.Context) (float64, error) {
	access, err := m.access(ctx, 0, 0)
	if err != nil {
		return 0, err
	}
	receipt, err := m.client.LogAccess(ctx, access)
	return float64(receipt.Gas), err
}

// batch is what each access costs of those that are logged together.
func (m gasMeter) batch(ctx context.Context, of func(i uint64) (node, question uint64)) (float64, error) {
	batch := make([]evm.Access, gasBatch)
	for i := range batch {
		node, question := of(uint64(i))
		var err error
		if batch[i], err = m.access(ctx, node, question); err != nil {
			return 0, err
		}
	}
	receipts, err := m.client.LogBatch(ctx, batch)
	if err != nil {
		return 0, err
	}
	return float64(receipts[0].Gas) / gasBatch, nil
}

// enrollment is what it costs to enroll the second person of a trial.
func (m gasMeter) enrollment(ctx context.Context) (gas float64, err error) {
	now := time.Now()
	p, err := newPeople(ctx, 2, now)
	if err != nil {
		return 0, err
	}
	at, err := m.client.DeployEnrollment(ctx, p.keys.Verifying().EVM(), time.Hour)
	if err != nil {
		return 0, err
	}
	if _, err := m.client.AcceptPeople(ctx, at, p.all.Root(), now.Add(time.Hour)); err != nil {
		return 0, err
	}
	for i := range 2 {
		proof, err := p.enroll(ctx, i, "a trial")
		if err != nil {
			return 0, err
		}
		e := evm.Enrolling{Proof: proof.Proof[:]}
		for i, word := range proof.Public.Words() {
			e.Inputs[i] = word
		}
		receipt, err := m.client.Enroll(ctx, at, e)
		if err != nil {
			return 0, err
		}
		gas = float64(receipt.Gas)
	}
	return gas, nil
}

// checkpoint is what it costs to anchor gasEntries entries more, in the mean.
func (m gasMeter) checkpoint(ctx context.Context) (float64, error) {
	var stored hashes
	for i := range int64(4 * gasEntries) {
		added, err := tlog.StoredHashes(i, binary.BigEndian.AppendUint64(nil, uint64(i)), &stored)
		if err != nil {
			return 0, err
		}
		stored = append(stored, added...)
	}
	// Every third checkpoint begins a word of the contract's history, which is dear.
	total, size := uint64(0), int64(gasEntries)
	for i := range 4 {
		root, err := tlog.TreeHash(size, &stored)
		if err != nil {
			return 0, err
		}
		receipt, err := m.client.Anchor(ctx, uint64(size), root, func(_ context.Context, from uint64) ([][32]byte, error) {
			proof, err := tlog.ProveTree(size, int64(from), &stored)
			path := make([][32]byte, len(proof))
			for i, hash := range proof {
				path[i] = hash
			}
			return path, err
		})
		if err != nil {
			return 0, err
		}
		if i > 0 { // the first fills empty words
			total += receipt.Gas
		}
		size += gasEntries
	}
	return float64(total) / 3, nil
}

// hashes are those of a ledger, in the order of tlog.
type hashes []tlog.Hash

// ReadHashes implements tlog.HashReader.
func (h *hashes) ReadHashes(indexes []int64) ([]tlog.Hash, error) {
	list := make([]tlog.Hash, len(indexes))
	for i, index := range indexes {
		list[i] = (*h)[index]
	}
	return list, nil
}

// access proves that a node used two consents for a question, and has its root accepted.
func (m gasMeter) access(ctx context.Context, node, question uint64) (evm.Access, error) {
	secret := func(label string, i int) circuits.Element {
		return circuits.Truncate(sha256.Sum256(fmt.Appendf(nil, "%s %d of node %d", label, i, node)))
	}
	a := evm.Access{Node: evm.Node(secret("name", 0)), Question: sha256.Sum256(fmt.Appendf(nil, "question %d", question))}
	need := consent.MaskOf(consent.Conditions, consent.Statistics)
	const day = 86400
	use := circuits.ShardUse{Salt: secret("used", int(question)), Used: []int{0, 1}}
	use.Epoch.Window = circuits.Window{From: 20000 * day, To: 20001 * day}
	for i := range use.Epoch.Salts {
		use.Epoch.Salts[i] = secret("salt", i)
	}
	for i := range use.Used {
		participant, err := circuits.CommitParticipant(secret("participant", i), secret("blind", i))
		if err != nil {
			return a, err
		}
		use.Epoch.Consents = append(use.Epoch.Consents, circuits.Consent{
			Participant: participant,
			Attributes:  circuits.Attributes{Mask: need, Status: circuits.Active, From: 19000 * day, To: 21000 * day},
		})
	}
	proof, err := m.prover.Access(ctx, circuits.AccessWitness{
		Shards: []circuits.ShardUse{use}, Need: need, Min: 2, QueryHash: m.deployment.QueryHash(a.Node, a.Question),
	})
	if err != nil {
		return a, err
	}
	a.Proof = proof.Proof[:]
	for _, word := range proof.Public.Words() {
		a.Inputs = append(a.Inputs, word)
	}
	until := time.Now().Add(time.Hour)
	_, err = m.client.AcceptRoots(ctx, []evm.AcceptedRoot{{Node: a.Node, Root: proof.Public.MatrixDigest, Until: until, Enough: until.Add(-time.Minute)}})
	return a, err
}

package registry

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/trialmesh/trialmesh/protocol/consent"
	"github.com/trialmesh/trialmesh/protocol/identity"
	entry "github.com/trialmesh/trialmesh/protocol/ledger"
	"github.com/trialmesh/trialmesh/protocol/message"
	"github.com/trialmesh/trialmesh/protocol/trial"
	"github.com/trialmesh/trialmesh/zk/circuits"
)

// maxEpochWindow bounds how long one consent epoch may hold: a year and a month.
// Withdrawals reach the proofs with the next.
const maxEpochWindow = 400 * 24 * time.Hour

func (s step) publishEpoch(c PublishEpoch) (Outcome, error) {
	digest := c.Envelope.Digest()
	if known, err := epochOf(s.ctx, s.tx, digest); err == nil {
		return Outcome{LedgerIndex: known.LedgerIndex, Existed: true}, nil
	} else if !errors.Is(err, ErrEpochUnknown) {
		return Outcome{}, err
	}
	epoch, err := message.Open[consent.Epoch](c.Envelope, consent.KindEpoch, s.at)
	if err != nil {
		return Outcome{}, err
	}
	if enrolled, err := s.enrolled(epoch.Node); err != nil || !enrolled {
		return Outcome{}, firstError(err, ErrNodeUnknown)
	}
	_, design, err := trialOf(s.ctx, s.tx, epoch.Trial)
	if err != nil {
		return Outcome{}, err
	}
	last, err := lastEpoch(s.ctx, s.tx, epoch.Trial, epoch.Node)
	if err != nil {
		return Outcome{}, err
	}
	switch {
	case !slices.Contains(design.Nodes, epoch.Node):
		return Outcome{}, trial.ErrNode
	case c.Envelope.Issuer != epoch.Node, epoch.Number != last.Number+1, epoch.Revises != last.Digest,
		len(epoch.Shards) == 0, len(epoch.Shards) > consent.MaxShards:
		return Outcome{}, ErrEpochOrder
	case !epoch.Covers(s.at), slices.ContainsFunc(epoch.Shards, func(shard consent.Shard) bool { return shard.To.Sub(shard.From) > maxEpochWindow }):
		return Outcome{}, ErrEpochWindow
	}
	circuit, err := circuitOf(s.ctx, s.tx, epoch.Circuit)
	if err != nil {
		return Outcome{}, err
	}
	tree, err := treeOf(s.ctx, s.tx, epoch.Trial, epoch.Node)
	if err != nil {
		return Outcome{}, err
	}
	if err := tree.holds(epoch, circuit); err != nil {
		return Outcome{}, err
	}
	if err := s.proofs.CheckEpoch(circuit, epoch); err != nil {
		return Outcome{}, fmt.Errorf("%w: %w", ErrEpochProof, err)
	}
	document, out, err := s.record(entry.ConsentEpoch, epoch.Node, string(epoch.Trial), c.Envelope)
	if err != nil {
		return Outcome{}, err
	}
	_, err = s.tx.Exec(s.ctx, `INSERT INTO epoch (digest, document, trial, node, number, recorded_at, ledger_index) VALUES (?, ?, ?, ?, ?, ?, ?)`,
		digest.String(), document.String(), epoch.Trial, epoch.Node, int64(epoch.Number), s.at.Unix(), out.LedgerIndex)
	return out, err
}

// answeredUnder returns the consent epoch that a node may answer a question
// under: one that was on the ledger before the question, covers it, and was the
// node's newest then. A node may not know yet that its next is recorded, so
// what came less than [message.Skew] before the question does not count.
func (s step) answeredUnder(q Question, node identity.DID, digest message.Digest) (Epoch, error) {
	e, err := epochOf(s.ctx, s.tx, digest)
	if err != nil {
		return Epoch{}, err
	}
	if e.LedgerIndex >= q.LedgerIndex || e.Epoch.Node != node || e.Epoch.Trial != q.Request.Trial || !e.Epoch.Covers(q.Asked) {
		return Epoch{}, ErrEpochUnknown
	}
	newer, err := s.exists(`SELECT 1 FROM epoch WHERE trial = ? AND node = ? AND number > ? AND ledger_index < ? AND recorded_at < ?`,
		e.Epoch.Trial, node, int64(e.Epoch.Number), q.LedgerIndex, q.Asked.Add(-message.Skew).Unix())
	if err == nil && newer {
		err = ErrEpochOld
	}
	return e, err
}

// sameSize refuses a pair of circuits whose shards differ in size: the access
// proof would be about other trees than the epoch's.
func sameSize(epoch, access entry.Circuit) error {
	first, err := circuits.ParseCircuit(epoch.Shape)
	if err != nil {
		return ErrCircuitSize
	}
	second, err := circuits.ParseCircuit(access.Shape)
	if err != nil || first.Shape().ShardSize != second.Shape().ShardSize {
		return ErrCircuitSize
	}
	return nil
}

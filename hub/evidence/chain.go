//go:build !js

package evidence

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/trialmesh/trialmesh/protocol/consent"
	entry "github.com/trialmesh/trialmesh/protocol/ledger"
	"github.com/trialmesh/trialmesh/protocol/message"
	"github.com/trialmesh/trialmesh/protocol/query"
	"github.com/trialmesh/trialmesh/zk/circuits"
	"github.com/trialmesh/trialmesh/zk/evm"
)

// onChain compares the log and the statements with what the chain holds. last
// is the entry that an anchored checkpoint should cover.
func (v *verification) onChain(ctx context.Context, last int64, statements []statement) {
	switch {
	case v.chain == "":
		v.report.skip(CheckChain, v.trust.Origin, "no chain endpoint was given")
		return
	case v.trust.AccessLog == "":
		v.report.fail(CheckChain, v.trust.Origin, "the trust document names no contracts")
		return
	}
	client, err := v.dial(ctx)
	if err != nil {
		v.report.fail(CheckChain, v.trust.AccessLog, "%v", err)
		return
	}
	defer client.Close()
	v.report.pass(CheckChain, v.trust.AccessLog, "chain %d has the contracts, and they verify a circuit of this log", v.trust.ChainID)
	v.anchored(ctx, client, last)
	for _, s := range statements {
		v.epochOnChain(ctx, client, s)
		v.accessOnChain(ctx, client, s)
	}
}

// dial connects to the contracts, which say themselves which key they verify.
func (v *verification) dial(ctx context.Context) (*evm.Client, error) {
	d := evm.Deployment{ChainID: v.trust.ChainID}
	for _, contract := range []struct {
		text string
		at   *evm.Address
	}{{v.trust.HubAnchor, &d.Anchor}, {v.trust.ConsentRoots, &d.Roots}, {v.trust.AccessLog, &d.Access}} {
		if err := contract.at.UnmarshalText([]byte(contract.text)); err != nil {
			return nil, errors.New("the trust document has a contract address that is none")
		}
	}
	err := errors.New("the log registers no access circuit")
	for _, c := range v.circuits {
		if circuit, bad := circuits.ParseCircuit(c.Shape); bad != nil || !circuit.IsAccess() {
			continue
		}
		d.KeyHash = evm.KeyWords(c.VerifyingKey).Hash()
		var client *evm.Client
		if client, err = evm.Dial(ctx, evm.Config{Endpoint: v.chain, Deployment: d}); !errors.Is(err, evm.ErrConflict) {
			return client, err
		}
	}
	return nil, err
}

// anchored checks that a checkpoint on the chain is one of this log.
func (v *verification) anchored(ctx context.Context, client *evm.Client, last int64) {
	size := v.view.Checkpoint().Size
	found, err := client.LatestAnchor(ctx)
	switch {
	case err != nil || found.Size <= uint64(size):
	case grewAfter(found.Time, v.leaves[len(v.leaves)-1].At):
		err = fmt.Errorf("the chain has held a checkpoint over %d entries since %s, and this log of %d was written to after that: it is another, or has lost entries",
			found.Size, found.Time.UTC().Format(time.DateTime), size)
	default: // the log was read before it was anchored again
		if at := v.recordedAnchor(ctx); at > 0 {
			found, err = client.AnchorAt(ctx, uint64(at))
		} else {
			err = errors.New("the chain holds only checkpoints of a longer log than this one")
		}
	}
	if err == nil {
		err = v.extends(ctx, int64(found.Size), found.Root[:])
	}
	if err != nil {
		v.report.fail(CheckChainAnchor, v.trust.HubAnchor, "%v", err)
		return
	}
	covers := ""
	if last >= int64(found.Size) {
		covers = fmt.Sprintf("; entry %d came later", last)
	}
	v.report.pass(CheckChainAnchor, v.trust.HubAnchor, "block %d holds the root of this log's first %d entries%s", found.Block, found.Size, covers)
}

// grewAfter reports whether a log whose newest entry is of one time was written to after another,
// when the chain held a checkpoint over more entries than it has.
func grewAfter(anchored, newest time.Time) bool { return newest.After(anchored.Add(message.Skew)) }

// recordedAnchor returns the largest size that the log says was anchored, 0 for none.
func (v *verification) recordedAnchor(ctx context.Context) int64 {
	for _, l := range slices.Backward(v.leaves) {
		if l.Kind == entry.ChainAnchored {
			if a, err := read[entry.Anchor](ctx, v, l); err == nil {
				return a.Size
			}
		}
	}
	return 0
}

// epochOnChain checks that the chain holds the node's epoch or a later one.
func (v *verification) epochOnChain(ctx context.Context, client *evm.Client, s statement) {
	subject := string(s.access.Node)
	root, err := client.LatestRoot(ctx, evm.Node(query.NodeTag(s.access.Node)), evm.Trial(message.Sum([]byte(s.epoch.body.Trial))))
	at := uint64(s.epoch.index)
	switch {
	case err != nil:
		v.report.fail(CheckChainRoot, subject, "%v", err)
	case root.LedgerIndex < at:
		v.report.fail(CheckChainRoot, subject, "the chain holds an older consent epoch, of entry %d; a newer one may still be on its way", root.LedgerIndex)
	case root.LedgerIndex == at && message.Digest(root.Digest) != s.access.Epoch:
		v.report.fail(CheckChainRoot, subject, "the chain holds another consent epoch for entry %d", at)
	case root.LedgerIndex == at:
		v.report.pass(CheckChainRoot, subject, "block %d holds the digest of the consent epoch", root.Block)
	default:
		v.report.pass(CheckChainRoot, subject, "the chain holds a later consent epoch by now, of entry %d", root.LedgerIndex)
	}
}

// accessOnChain lets the contract verify the proof and looks for its event.
func (v *verification) accessOnChain(ctx context.Context, client *evm.Client, s statement) {
	subject := string(s.access.Node)
	access, err := Statement(s.circuit, s.access, s.epoch.body, v.trust.venue())
	if err == nil {
		err = client.VerifyAccess(ctx, access)
	}
	if err != nil {
		v.report.fail(CheckChainProof, subject, "%v", err)
		return
	}
	v.report.pass(CheckChainProof, subject, "the contract verifies the proof as well")
	event, err := client.AccessEvent(ctx, access.Node, access.Question)
	switch {
	case errors.Is(err, evm.ErrNotFound):
		v.report.fail(CheckChainAccess, subject, "the chain has not logged the access; that may still be on its way")
	case err != nil:
		v.report.fail(CheckChainAccess, subject, "%v", err)
	case event.Statement != access.Statement():
		v.report.fail(CheckChainAccess, subject, "the chain logged another statement of the node about this question, in block %d", event.Receipt.Block)
	default:
		v.report.pass(CheckChainAccess, subject, "block %d logs the access, transaction %s", event.Receipt.Block, event.Receipt.TxHash)
	}
}

// Statement returns an access proof as the AccessLog contract takes it.
func Statement(c entry.Circuit, a query.Access, e consent.Epoch, venue query.Venue) (evm.Access, error) {
	circuit, err := circuits.ParseCircuit(c.Shape)
	if err != nil {
		return evm.Access{}, err
	}
	hash, err := venue.Hash(a.Node, a.Query)
	if err != nil {
		return evm.Access{}, err
	}
	public, err := AccessPublic(circuit, a, e, hash)
	if err != nil {
		return evm.Access{}, err
	}
	statement := evm.Access{Node: evm.Node(query.NodeTag(a.Node)), Question: evm.Question(a.Query), Proof: a.Proof}
	for _, word := range public.Words() {
		statement.Inputs = append(statement.Inputs, word)
	}
	return statement, nil
}

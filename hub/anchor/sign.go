package anchor

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"time"

	"github.com/trialmesh/trialmesh/federation/cosign"
	"github.com/trialmesh/trialmesh/hub/registry"
	"github.com/trialmesh/trialmesh/protocol/identity"
	"github.com/trialmesh/trialmesh/protocol/message"
	"github.com/trialmesh/trialmesh/protocol/problem"
	"github.com/trialmesh/trialmesh/protocol/query"
	"github.com/trialmesh/trialmesh/zk/evm"
)

// SignProtocol asks a replica for its signature under what contracts are to believe: JSON of
// an evm.Statement, answered by the 65 bytes.
const SignProtocol = "/trialmesh/replica/sign/1"

// Network reaches the other replicas.
type Network interface {
	// Call sends a request to a replica and returns its answer. It ends with ctx.
	Call(ctx context.Context, to identity.DID, protocol string, request []byte) ([]byte, error)
}

// Colleague is another replica, as a signer.
type Colleague struct {
	Network Network
	DID     identity.DID
	Account evm.Address
}

// Address returns the replica's account.
func (c Colleague) Address() evm.Address { return c.Account }

// SignStatement asks the replica, which checks the statement against its own tables.
func (c Colleague) SignStatement(ctx context.Context, statement evm.Statement) ([]byte, error) {
	raw, err := json.Marshal(statement)
	if err != nil {
		return nil, err
	}
	return c.Network.Call(ctx, c.DID, SignProtocol, raw)
}

// errOtherwise is what a replica says that does not find in its tables what it is to sign.
var errOtherwise = problem.New(problem.Conflict, "this replica's tables do not say what the statement does")

// errUndeployed is what a replica says that does not know the contracts yet.
var errUndeployed = problem.New(problem.Unavailable, "this replica does not know the contracts yet")

// clockSlack is how far the clocks of two replicas may be apart.
const clockSlack = time.Hour

// Sign returns this replica's signature under a statement that another asks for. It signs
// what its own tables say, in the leader's words only where nothing depends on them.
func (a *Anchor) Sign(ctx context.Context, raw []byte) ([]byte, error) {
	asked, err := evm.ReadClaim(raw)
	if err != nil {
		return nil, problem.New(problem.Invalid, err.Error())
	}
	deployment, err := a.recorded(ctx)
	if err != nil {
		return nil, err
	}
	if deployment == nil {
		return nil, errUndeployed
	}
	switch {
	case asked.Checkpoint != nil:
		err = a.cfg.Check(ctx, cosign.Checkpoint{Origin: a.cfg.Deploy.Origin, Size: int64(asked.Checkpoint.Size), Root: asked.Checkpoint.Root})
	case asked.Accept != nil:
		err = a.checkAccepted(ctx, asked.Accept.Roots)
	default:
		asked.Roots, err = a.ownRoots(ctx, asked.Roots)
	}
	if err != nil {
		return nil, err
	}
	statement, err := deployment.State(asked)
	if err != nil {
		return nil, err
	}
	return a.cfg.Chain.Signer.SignStatement(ctx, statement)
}

// ownRoots returns what this replica's tables say of consent epochs that are to be posted.
func (a *Anchor) ownRoots(ctx context.Context, asked []evm.Root) ([]evm.Root, error) {
	roots := make([]evm.Root, len(asked))
	for i, r := range asked {
		var err error
		if roots[i], err = a.root(ctx, r.Digest); err != nil {
			return nil, err
		}
	}
	return roots, nil
}

// root returns a consent epoch as the ConsentRoots contract takes it.
func (a *Anchor) root(ctx context.Context, digest message.Digest) (evm.Root, error) {
	e, err := a.cfg.Registry.Epoch(ctx, digest)
	if err != nil {
		return evm.Root{}, err
	}
	return evm.Root{
		Node: evm.Node(query.NodeTag(e.Node)), Trial: evm.Trial(message.Sum([]byte(e.Trial))),
		Digest: digest, LedgerIndex: uint64(e.LedgerIndex),
	}, nil
}

// checkAccepted makes sure that an access that is still to be logged stands behind each root.
func (a *Anchor) checkAccepted(ctx context.Context, roots []evm.AcceptedRoot) error {
	venue, err := a.cfg.Registry.Venue(ctx)
	if err != nil {
		return err
	}
	accesses, err := a.cfg.Registry.Unlogged(ctx, 4*accessesAtOnce) // this replica may be behind in what is logged
	if err != nil {
		return err
	}
	known := make(map[evm.Node]map[[32]byte]bool)
	for _, access := range accesses {
		s, err := Statement(ctx, a.cfg.Registry, venue, access.Access)
		if err != nil {
			return err
		}
		if known[s.Node] == nil {
			known[s.Node] = make(map[[32]byte]bool)
		}
		known[s.Node][s.Inputs[RootPosition]] = true
	}
	latest := a.cfg.Now().Add(rootLife + clockSlack)
	for _, r := range roots {
		if !known[r.Node][r.Root] || r.Until.After(latest) {
			return errOtherwise
		}
	}
	return nil
}

// recorded returns where the contracts are according to the registry, nil before that is known.
func (a *Anchor) recorded(ctx context.Context) (*evm.Deployment, error) {
	raw, err := a.cfg.Registry.Deployment(ctx)
	if err != nil || raw == nil {
		return nil, err
	}
	d := new(evm.Deployment)
	if err := json.Unmarshal(raw, d); err != nil {
		return nil, fmt.Errorf("recorded deployment: %w", err)
	}
	return d, nil
}

// recall brings the record of an earlier leader's deployment to this replica's disk.
func (a *Anchor) recall(ctx context.Context) error {
	if _, err := evm.ReadDeployment(a.cfg.Deploy.Record); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	d, err := a.recorded(ctx)
	if err != nil || d == nil {
		return err
	}
	return d.Write(a.cfg.Deploy.Record)
}

// note brings it to the other replicas, before anybody is told of the contracts.
func (a *Anchor) note(ctx context.Context, d evm.Deployment) error {
	raw, err := json.Marshal(d)
	if err != nil {
		return err
	}
	_, err = a.cfg.Log.Propose(ctx, registry.RecordDeployment{Deployment: raw})
	return err
}

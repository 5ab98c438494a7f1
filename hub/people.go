package hub

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"github.com/trialmesh/trialmesh/federation/oprf"
	"github.com/trialmesh/trialmesh/hub/registry"
	"github.com/trialmesh/trialmesh/protocol/canonical"
	"github.com/trialmesh/trialmesh/protocol/consent"
	"github.com/trialmesh/trialmesh/protocol/enrollment"
	"github.com/trialmesh/trialmesh/protocol/identity"
	"github.com/trialmesh/trialmesh/protocol/message"
	"github.com/trialmesh/trialmesh/protocol/problem"
	"github.com/trialmesh/trialmesh/protocol/trial"
	"github.com/trialmesh/trialmesh/zk/circuits"
)

// people is this hub's part in telling people apart.
type people struct {
	digest message.Digest // of the person key that share is of
	share  oprf.Key       // none if the hub has lost it
}

// Why a hub tells nobody apart.
var (
	errNoShare = problem.New(problem.Unavailable, "the hub has no share of the network's person key: restore its file person.key from a backup")
	errAsk     = problem.New(problem.Invalid, "the blinded values are not 1 to 100 elements of the group")
)

// personKeyShare is the file of a hub's share. Who has the shares of enough hubs can try out
// identifiers of people.
type personKeyShare struct {
	Key   enrollment.PersonKey `json:"key"`
	Share []byte               `json:"share"`
}

// openPeople reads the hub's share of the person key: of one holder, 1 of 1, which all replicas of
// a hub are together. A hub whose directory is of before there was any makes it.
func (h *Hub) openPeople(ctx context.Context) error {
	path := filepath.Join(h.cfg.Dir, personKeyFile)
	raw, err := os.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) {
		if _, err := h.Reader.PersonKey(ctx); h.between != nil || !errors.Is(err, registry.ErrPersonKeyAbsent) {
			if errors.Is(err, registry.ErrPersonKeyAbsent) {
				err = nil
			}
			h.cfg.Logger.ErrorContext(ctx, "people cannot be told apart", "err", errors.Join(errNoShare, err))
			return err
		}
		if err = makePersonKey(h.cfg.Dir); err == nil {
			raw, err = os.ReadFile(path)
		}
	}
	if err != nil {
		return fmt.Errorf("person key: %w", err)
	}
	var mine personKeyShare
	if err := json.Unmarshal(raw, &mine); err != nil {
		return fmt.Errorf("person key: %s is malformed: restore it from a backup", personKeyFile)
	}
	if h.people.share, err = oprf.ParseKey(oprf.Verifiable, mine.Share); err != nil {
		return fmt.Errorf("person key: %w", err)
	}
	public := h.people.share.Public().Bytes()
	if !slices.ContainsFunc(mine.Key.Holders, func(o enrollment.Holder) bool { return o.Holder == h.key.DID() && bytes.Equal(o.Public, public) }) {
		return fmt.Errorf("person key: %s has the share of another hub", personKeyFile)
	}
	if h.people.digest, err = mine.Key.Digest(); err != nil {
		return err
	}
	if _, err := h.Propose(ctx, registry.FixPersonKey{Key: mine.Key}); err != nil {
		return fmt.Errorf("person key: %w", err)
	}
	return nil
}

// makePersonKey writes a key of one holder, the hub whose key is in the directory.
func makePersonKey(dir string) error {
	holder, err := readKey(filepath.Join(dir, hubKeyFile))
	if err != nil {
		return err
	}
	share, err := oprf.NewKey(rand.Reader, oprf.Verifiable)
	if err != nil {
		return err
	}
	key := enrollment.PersonKey{Threshold: 1, Holders: []enrollment.Holder{{Holder: holder.DID(), Public: share.Public().Bytes()}}}
	raw, err := canonical.Marshal(personKeyShare{Key: key, Share: share.Bytes()})
	if err != nil {
		return err
	}
	return writeNew(filepath.Join(dir, personKeyFile), raw)
}

// openEnrollment registers the circuit of enrollments. A ceremony that was held without it
// leaves the network as it was: nobody enrolls.
func (h *Hub) openEnrollment(ctx context.Context) error {
	circuit := circuits.Enrollment(circuits.TreeDepth)
	registered, err := h.circuit(ctx, circuit)
	if errors.Is(err, errNotMade) {
		h.cfg.Logger.WarnContext(ctx, "nobody can enroll: the ceremony made no keys of this circuit", "circuit", circuit.String())
		return nil
	}
	if err != nil {
		return err
	}
	if _, err := h.Propose(ctx, registry.RegisterCircuit{Circuit: registered}); err != nil {
		return fmt.Errorf("register circuit %s: %w", circuit, err)
	}
	return nil
}

// personKey returns the network's person key, nil if it has none.
func (h *Hub) personKey(ctx context.Context) (*enrollment.PersonKey, error) {
	key, err := h.Reader.PersonKey(ctx)
	if errors.Is(err, registry.ErrPersonKeyAbsent) {
		return nil, nil //nolint:nilnil // a hub of before there was any
	}
	return &key, err
}

// lookUp applies the hub's share to a node's blinded values, which it has counted first.
func (h *Hub) lookUp(ctx context.Context, from identity.DID, ask enrollment.Ask) (any, error) {
	if h.people.digest.IsZero() {
		return nil, errNoShare
	}
	if ask.Key != h.people.digest {
		return nil, enrollment.ErrKey
	}
	if len(ask.Values) < 1 || len(ask.Values) > enrollment.MaxValues {
		return nil, errAsk
	}
	var values []oprf.Element
	for _, raw := range ask.Values {
		e, err := oprf.ParseElement(raw)
		if err != nil {
			return nil, errAsk
		}
		values = append(values, e)
	}
	if _, err := h.Propose(ctx, registry.CountPeople{Node: from, Values: len(values)}); err != nil {
		return nil, err
	}
	evaluated, proof, err := h.people.share.EvaluateVerifiably(rand.Reader, values)
	if err != nil {
		return nil, err
	}
	answer := enrollment.Answer{Proof: proof.Bytes()}
	for _, e := range evaluated {
		answer.Values = append(answer.Values, e.Bytes())
	}
	return answer, nil
}

// takesPart refuses a node that the trial is not of.
func (h *Hub) takesPart(ctx context.Context, node identity.DID, in trial.ID) error {
	_, design, err := h.Reader.Trial(ctx, in)
	if err == nil && !slices.Contains(design.Nodes, node) {
		err = trial.ErrNode
	}
	return err
}

// places tells a node of the trial where its consents stand among those of all sites.
func (h *Hub) places(ctx context.Context, from identity.DID, where enrollment.Where) (any, error) {
	if err := h.takesPart(ctx, from, where.Trial); err != nil {
		return nil, err
	}
	return h.Reader.Places(ctx, where.Trial, from)
}

// enroll records an enrollment by a node of the trial. Which it was is on no record.
func (h *Hub) enroll(ctx context.Context, from identity.DID, e enrollment.Enrollment) (any, error) {
	if err := h.takesPart(ctx, from, e.Trial); err != nil {
		return nil, err
	}
	outcome, err := h.Propose(ctx, registry.EnrollPerson{Enrollment: e})
	return consent.Recorded{LedgerIndex: outcome.LedgerIndex}, err
}

// answering makes a call of a function over what is sent as JSON.
func answering[T any](fn func(context.Context, identity.DID, T) (any, error)) func(context.Context, identity.DID, []byte) ([]byte, error) {
	return func(ctx context.Context, from identity.DID, raw []byte) ([]byte, error) {
		var asked T
		if err := json.Unmarshal(raw, &asked); err != nil {
			return nil, problem.New(problem.Invalid, "the message is malformed")
		}
		answer, err := fn(ctx, from, asked)
		if err != nil {
			return nil, err
		}
		return json.Marshal(answer)
	}
}

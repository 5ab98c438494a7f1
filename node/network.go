package node

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"reflect"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/trialmesh/trialmesh/federation/cosign"
	"github.com/trialmesh/trialmesh/federation/pki"
	"github.com/trialmesh/trialmesh/federation/transport"
	"github.com/trialmesh/trialmesh/node/api"
	"github.com/trialmesh/trialmesh/node/consent"
	"github.com/trialmesh/trialmesh/node/enrollment"
	"github.com/trialmesh/trialmesh/node/peer"
	"github.com/trialmesh/trialmesh/protocol/disclosure"
	protocol "github.com/trialmesh/trialmesh/protocol/enrollment"
	"github.com/trialmesh/trialmesh/protocol/identity"
	entry "github.com/trialmesh/trialmesh/protocol/ledger"
	"github.com/trialmesh/trialmesh/protocol/message"
	"github.com/trialmesh/trialmesh/protocol/problem"
	"github.com/trialmesh/trialmesh/protocol/query"
	"github.com/trialmesh/trialmesh/protocol/version"
	"github.com/trialmesh/trialmesh/zk/circuits"
	"github.com/trialmesh/trialmesh/zk/prover"
)

// How often the hub is asked about the network: while something is missing,
// and afterwards.
const (
	joinPause    = 500 * time.Millisecond
	refreshPause = 10 * time.Second
	keyTime      = 10 * time.Minute // to download a proving key
)

// errJoining reports that the hub has not yet told what is needed.
var errJoining = problem.New(problem.Unavailable, "the node has not joined the network yet")

// errDevelopment refuses a network whose proofs its operator could forge.
var errDevelopment = problem.New(problem.Unavailable, "the hub's circuits have development keys, which production refuses: the network needs a ceremony, or the node has to run without production")

// network is what this node knows of the network. The chain and its contract
// are believed once and then for good: a hub that later names others could
// make proofs for one place and show them at another.
type network struct {
	host   *transport.Host
	hub    identity.DID
	url    string // of the hub's HTTPS API
	shape  circuits.Shape
	keys   string // folder of the proving keys
	given  Prover // nil for one with the hub's keys
	knows  recollection
	strict bool   // refuses keys that one machine made
	file   string // where the last word of the hub is kept
	client *http.Client
	log    *slog.Logger

	nodes atomic.Pointer[map[identity.DID]bool]

	mu       sync.Mutex
	last     entry.Network  // guarded by mu
	proving  *peer.Proving  // guarded by mu; nil until complete
	epochKey message.Digest // guarded by mu
	prover   Prover         // guarded by mu
	enroller struct {       // guarded by mu; nil until somebody enrolls
		enrollment.Prover
		key message.Digest
	}
	joined func() // called when proving becomes complete
}

func newNetwork(host *transport.Host, h home, cfg Config, file string, knows recollection, joined func()) (*network, error) {
	n := &network{
		host: host, hub: host.Hub(), url: h.hub.URL, shape: cfg.Shape, keys: cfg.Circuits, given: cfg.Prover, strict: cfg.Production, knows: knows, file: file, log: cfg.Logger, joined: joined,
		client: &http.Client{Timeout: keyTime, Transport: &http.Transport{
			Proxy:           http.ProxyFromEnvironment,
			TLSClientConfig: &tls.Config{MinVersion: tls.VersionTLS13, RootCAs: h.certificate.Roots()},
		}},
	}
	raw, err := os.ReadFile(file)
	if errors.Is(err, os.ErrNotExist) {
		return n, nil
	}
	if err != nil {
		return nil, err
	}
	if err := json.Unmarshal(raw, &n.last); err != nil {
		return nil, fmt.Errorf("%s: malformed", networkFile)
	}
	n.admit(n.last.Nodes)
	return n, nil
}

// Admits reports whether a peer is enrolled, as far as the hub told.
func (n *network) Admits(did identity.DID) bool {
	nodes := n.nodes.Load()
	return did == n.hub || nodes != nil && (*nodes)[did]
}

func (n *network) admit(list []identity.DID) {
	nodes := make(map[identity.DID]bool, len(list))
	for _, did := range list {
		nodes[did] = true
	}
	n.nodes.Store(&nodes)
}

// Proving returns what access proofs are made with.
func (n *network) Proving() (peer.Proving, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.proving == nil {
		return peer.Proving{}, errJoining
	}
	return *n.proving, nil
}

// EpochProver returns what consent epochs are proved with.
func (n *network) EpochProver() (consent.Prover, message.Digest, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.prover == nil {
		return nil, message.Digest{}, errJoining
	}
	return n.prover, n.epochKey, nil
}

// ledger returns the hub's log and its key, which are believed once and for good.
func (n *network) ledger() (cosign.Trust, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.last.Trust.LogKey == "" {
		return cosign.Trust{}, errJoining
	}
	return cosign.Trust{Origin: n.last.Trust.Origin, Keys: []string{n.last.Trust.LogKey}}, nil
}

// others returns the other nodes.
func (n *network) others() []identity.DID {
	n.mu.Lock()
	defer n.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(n.last.Nodes), func(did identity.DID) bool { return did == n.host.DID() })
}

// PersonKey returns who shares the key by which people are told apart. As the log's, it is
// believed once and for good.
func (n *network) PersonKey() (protocol.PersonKey, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.last.People == nil {
		return protocol.PersonKey{}, errNobodyEnrolls
	}
	return *n.last.People, nil
}

// errNobodyEnrolls reports a network without what enrolling takes.
var errNobodyEnrolls = problem.New(problem.Unavailable, "the network enrolls nobody: its hub has no person key or no keys of the enrollment circuit")

// Enrolling returns what enrollments are proved with. Keys are fetched when somebody enrolls
// first.
func (n *network) Enrolling(ctx context.Context) (enrollment.Prover, message.Digest, error) {
	n.mu.Lock()
	told, ready := n.last, n.enroller
	n.mu.Unlock()
	if ready.Prover != nil {
		return ready.Prover, ready.key, nil
	}
	circuit := circuits.Enrollment(circuits.TreeDepth)
	c, err := find(told, circuit)
	if err != nil {
		return nil, message.Digest{}, errNobodyEnrolls
	}
	if n.strict && !c.FromCeremony() {
		return nil, message.Digest{}, errDevelopment
	}
	ready.key = message.Sum(c.VerifyingKey)
	if given, is := n.given.(enrollment.Prover); is {
		ready.Prover = given
	} else {
		keys, err := n.keysOf(ctx, c, circuit)
		if err != nil {
			return nil, message.Digest{}, err
		}
		if ready.Prover, err = prover.NewParticipant(prover.ParticipantConfig{Enrollment: keys}); err != nil {
			return nil, message.Digest{}, err
		}
	}
	n.mu.Lock()
	n.enroller = ready
	n.mu.Unlock()
	return ready.Prover, ready.key, nil
}

// Policy returns the hub's own disclosure policy, zero until it is known.
func (n *network) Policy() disclosure.Policy {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.last.Policy
}

// protocol says whether the node and its hub understand each other, nil of a process beside
// the node.
func (n *Node) protocol() *api.Protocol {
	if n.host == nil {
		return nil
	}
	p := &api.Protocol{Speaks: version.Spoken()}
	if spoken, known := n.host.Speaks(n.host.Hub()); known {
		p.Hub = &spoken
	}
	if err := n.host.Mismatch(n.host.Hub()); err != nil {
		p.Update = problem.From(err).Title
	}
	return p
}

// Run follows the network until ctx ends.
func (n *network) Run(ctx context.Context) error {
	var told string // why the network was not joined
	for {
		pause := refreshPause
		if err := n.refresh(ctx); err != nil && ctx.Err() == nil {
			level := slog.LevelDebug
			if errors.Is(err, errDevelopment) && told != err.Error() {
				level, told = slog.LevelError, err.Error()
			}
			n.log.Log(ctx, level, "network not refreshed", "err", err)
			pause = joinPause
		} else if _, err := n.Proving(); err != nil {
			pause = joinPause
		}
		timer := time.NewTimer(pause)
		select {
		case <-ctx.Done():
			timer.Stop()
			return nil
		case <-timer.C:
		}
	}
}

// refresh asks the hub, and prepares the provers once it can.
func (n *network) refresh(ctx context.Context) error {
	raw, err := n.host.Call(ctx, n.hub, entry.NetworkProtocol, nil)
	if err != nil {
		return err
	}
	var told entry.Network
	if err := json.Unmarshal(raw, &told); err != nil {
		return errors.New("the hub's word about the network is malformed")
	}
	n.mu.Lock()
	last := n.last
	n.mu.Unlock()
	if last.Trust.LogKey != "" && (told.Trust.Origin != last.Trust.Origin || told.Trust.LogKey != last.Trust.LogKey) {
		return errors.New("the hub names another log or log key than before; this node keeps to the first")
	}
	if told.People == nil {
		told.People = last.People // a hub of before there was any
	}
	if last.People != nil && !reflect.DeepEqual(told.People, last.People) {
		return errors.New("the hub names another person key than before, under which people could enroll twice; this node keeps to the first")
	}
	if last.Trust.AccessLog != "" {
		if told.Trust.AccessLog != "" && told.Trust != last.Trust {
			return errors.New("the hub names another chain, contract or log key than before; this node keeps to the first")
		}
		told.Trust = last.Trust
	}
	newest := told.Last
	told.Last = nil // not to be remembered
	n.admit(told.Nodes)
	if err := remember(n.file, told); err != nil {
		return err
	}
	n.mu.Lock()
	n.last = told
	complete := n.proving != nil
	n.mu.Unlock()
	if complete || told.Trust.AccessLog == "" {
		return nil
	}
	if err := n.knows.check(ctx, newest); err != nil {
		return err
	}
	return n.prepare(ctx, told)
}

// remember writes down what the hub told, unless the file says so already.
func remember(file string, told entry.Network) error {
	raw, err := json.Marshal(told)
	if err != nil {
		return err
	}
	if known, err := os.ReadFile(file); err == nil && bytes.Equal(known, raw) {
		return nil
	}
	return writeFile(file, raw)
}

// prepare makes the prover ready for the circuits that the hub published.
func (n *network) prepare(ctx context.Context, told entry.Network) error {
	epoch, err := find(told, n.shape.Epoch())
	if err != nil {
		return err
	}
	access, err := find(told, n.shape.Access())
	if err != nil {
		return err
	}
	if n.strict && !(epoch.FromCeremony() && access.FromCeremony()) {
		return errDevelopment
	}
	listed := n.listed(ctx, told)
	p := n.given
	if p == nil {
		if p, err = n.load(ctx, append([]entry.Circuit{epoch, access}, listed...)); err != nil {
			return err
		}
	}
	n.mu.Lock()
	n.prover, n.epochKey = p, message.Sum(epoch.VerifyingKey)
	n.proving = &peer.Proving{
		Prover: p, Circuit: n.shape.Access(), Key: message.Sum(access.VerifyingKey),
		Venue: query.Venue{ChainID: told.Trust.ChainID, Contract: told.Trust.AccessLog}, Results: resultsBy(p, n.shape, listed),
	}
	n.mu.Unlock()
	n.log.InfoContext(ctx, "joined the network", "hub", n.hub, "development", access.Development)
	n.joined()
	return nil
}

// listed returns the circuits of results, none if the hub has not registered all of them or
// they have keys that this node refuses. Access is proved without them.
func (n *network) listed(ctx context.Context, told entry.Network) (list []entry.Circuit) {
	for _, circuit := range n.shape.Results() {
		c, err := find(told, circuit)
		if err != nil {
			return nil
		}
		if n.strict && !c.FromCeremony() {
			n.log.ErrorContext(ctx, "no figures are proved", "circuit", c.Shape, "err", errDevelopment)
			return nil
		}
		list = append(list, c)
	}
	return list
}

// resultsBy returns what figures are proved with, nil if they cannot be.
func resultsBy(p Prover, shape circuits.Shape, listed []entry.Circuit) *peer.Results {
	by, able := p.(peer.ResultProver)
	if !able || len(listed) == 0 {
		return nil
	}
	return &peer.Results{Prover: by, Circuits: shape.Results(), Keys: query.ProvedBy{
		Cover: message.Sum(listed[0].VerifyingKey), Aggregate: message.Sum(listed[1].VerifyingKey), Release: message.Sum(listed[2].VerifyingKey),
	}}
}

// find returns what the hub says of a circuit.
func find(told entry.Network, circuit circuits.Circuit) (entry.Circuit, error) {
	i := slices.IndexFunc(told.Circuits, func(c entry.Circuit) bool { return c.Shape == circuit.String() })
	if i < 0 {
		return entry.Circuit{}, fmt.Errorf("the hub has no circuit %s: set the node's shape to that of the network", circuit)
	}
	return told.Circuits[i], nil
}

// load returns the prover with the keys of circuits: epoch, access and, if there are more, those
// of results.
func (n *network) load(ctx context.Context, list []entry.Circuit) (Prover, error) {
	var cfg prover.Config
	results := n.shape.Results()
	of := []circuits.Circuit{n.shape.Epoch(), n.shape.Access(), results[0], results[1], results[2]}
	to := []**prover.Keys{&cfg.Epoch, &cfg.Access, &cfg.Cover, &cfg.Aggregate, &cfg.Release}
	for i, c := range list {
		keys, err := n.keysOf(ctx, c, of[i])
		if err != nil {
			return nil, err
		}
		*to[i] = keys
	}
	return prover.New(cfg)
}

// keysOf returns the keys of a circuit, downloading them if need be.
func (n *network) keysOf(ctx context.Context, c entry.Circuit, circuit circuits.Circuit) (*prover.Keys, error) {
	published := prover.Published{Circuit: circuit, VerifyingKey: c.VerifyingKey, ProvingDigest: c.ProvingDigest, Development: c.Development, Ceremony: c.Ceremony}
	return prover.CachedKeys(ctx, n.keys, published, func(ctx context.Context) (io.ReadCloser, error) {
		return anywhere(n.urls(), func(origin string) (io.ReadCloser, error) {
			req, err := http.NewRequestWithContext(ctx, http.MethodGet, origin+"/v1/circuits/"+message.Sum(c.VerifyingKey).String()+"/proving-key", nil)
			if err != nil {
				return nil, err
			}
			resp, err := n.client.Do(req)
			if err != nil {
				return nil, err
			}
			if resp.StatusCode != http.StatusOK {
				return nil, errors.Join(fmt.Errorf("proving key of %s: the hub answered with status %d", circuit, resp.StatusCode), resp.Body.Close())
			}
			return resp.Body, nil
		})
	})
}

// urls returns the origins of the hub's API: that of the invitation, then its other replicas'.
func (n *network) urls() []string {
	n.mu.Lock()
	defer n.mu.Unlock()
	list := []string{strings.TrimSuffix(n.url, "/")}
	for _, url := range n.last.URLs {
		if url = strings.TrimSuffix(url, "/"); !slices.Contains(list, url) {
			list = append(list, url)
		}
	}
	return list
}

// anywhere tries the hub's replicas one after the other, until one answers.
func anywhere[T any](origins []string, ask func(origin string) (T, error)) (answer T, err error) {
	var failures []error
	for _, origin := range origins {
		if answer, err = ask(origin); err == nil {
			return answer, nil
		}
		failures = append(failures, err)
	}
	return answer, errors.Join(failures...)
}

// newRenewer returns what keeps the node's certificate fresh.
func newRenewer(h home, origins func() []string, path string, cfg Config) (*pki.Renewer, error) {
	client := pki.NewClient(pki.ClientConfig{Now: cfg.Now})
	return pki.NewRenewer(pki.RenewerConfig{
		Certificate: h.certificate,
		Renew: func(ctx context.Context, c pki.Certificate) (pki.Certificate, error) {
			return anywhere(origins(), func(origin string) (pki.Certificate, error) { return client.Renew(ctx, origin, c, h.key) })
		},
		Save: func(c pki.Certificate) error { return writeFile(path, c.PEM()) },
		Log:  cfg.Logger, Now: cfg.Now,
	})
}

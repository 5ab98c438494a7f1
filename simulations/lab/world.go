package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/trialmesh/trialmesh/federation/pki"
	"github.com/trialmesh/trialmesh/hub"
	hubclient "github.com/trialmesh/trialmesh/hub/client"
	"github.com/trialmesh/trialmesh/node"
	nodeclient "github.com/trialmesh/trialmesh/node/client"
	"github.com/trialmesh/trialmesh/protocol/identity"
	"github.com/trialmesh/trialmesh/simulations/testdata"
	"github.com/trialmesh/trialmesh/zk/evm"
	"github.com/trialmesh/trialmesh/zk/evm/inprocess"
)

// world is a whole network in this process: a chain, a hub and a node for each
// hospital, each with its own directory.
type world struct {
	dir      string
	circuits string
	log      *slog.Logger

	chain *inprocess.Chain
	hub   *hub.Hub
	sites []*site

	sponsor, board, researcher identity.Key

	ctx    context.Context //nolint:containedctx // the life of everything below
	cancel context.CancelFunc
	parts  sync.WaitGroup
	failed chan error
}

// site is one hospital.
type site struct {
	hospital testdata.Hospital
	dir      string
	node     *node.Node
	client   *nodeclient.Client
}

// hubDir is where the hub of a world lives.
func (w *world) hubDir() string { return filepath.Join(w.dir, "hub") }

func newWorld(ctx context.Context, dir, circuits string, log *slog.Logger) *world {
	ctx, cancel := context.WithCancel(ctx)
	return &world{dir: dir, circuits: circuits, log: log, ctx: ctx, cancel: cancel, failed: make(chan error, 8)}
}

// run lets a part run until the world ends.
func (w *world) run(name string, part func(context.Context) error) {
	w.parts.Go(func() {
		if err := part(w.ctx); err != nil && w.ctx.Err() == nil {
			w.failed <- fmt.Errorf("%s stopped: %w", name, err)
			w.cancel()
		}
	})
}

// close stops everything and returns why a part stopped by itself, if one did.
func (w *world) close() error {
	w.cancel()
	w.parts.Wait()
	var errs []error
	if w.chain != nil {
		errs = append(errs, w.chain.Close())
	}
	select {
	case err := <-w.failed:
		errs = append(errs, err)
	default:
	}
	return errors.Join(errs...)
}

// startKeys makes or reads the keys of the people of the demonstration.
func (w *world) startKeys() error {
	people := w.peopleDir()
	if err := os.MkdirAll(people, 0o700); err != nil {
		return err
	}
	for name, key := range map[string]*identity.Key{"sponsor": &w.sponsor, "board": &w.board, "researcher": &w.researcher} {
		path := filepath.Join(people, name+".key")
		raw, err := os.ReadFile(path)
		if errors.Is(err, os.ErrNotExist) {
			if *key, err = identity.Generate(rand.Reader); err == nil {
				err = os.WriteFile(path, key.PEM(), 0o600)
			}
		} else if err == nil {
			*key, err = identity.ParsePEM(raw)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// startHub makes the hub if need be, and starts the chain and the hub.
func (w *world) startHub() error {
	if _, err := os.Stat(w.hubDir()); errors.Is(err, os.ErrNotExist) {
		if err := hub.Init(w.hubDir(), "Trialmesh demonstration"); err != nil {
			return err
		}
	}
	var err error
	if w.chain, err = inprocess.Start(w.ctx, inprocess.Config{Dir: filepath.Join(w.dir, "chain")}); err != nil {
		return err
	}
	account, err := hub.ChainAccount(w.hubDir())
	if err != nil {
		return err
	}
	var address evm.Address
	if err := address.UnmarshalText([]byte(account)); err != nil {
		return err
	}
	if err := w.chain.Fund(w.ctx, address); err != nil {
		return err
	}
	peers, err := w.peers()
	if err != nil {
		return err
	}
	w.hub, err = hub.Open(w.ctx, hub.Config{
		Dir: w.hubDir(), Origin: "demo.trialmesh.local/log", Hosts: []string{"127.0.0.1"}, Circuits: w.circuits,
		Chain: w.chain.URL(), Redeploy: true, AnchorEvery: time.Second, Peers: peers.Peers, Listen: peers.Listen,
		Logger: w.log.With("party", "hub"),
	})
	if err != nil {
		return err
	}
	w.run("hub", w.hub.Run)
	return w.keepPeers(peers)
}

// startSites enrolls the nodes if need be and starts them.
func (w *world) startSites() error {
	for _, h := range testdata.Hospitals() {
		s := &site{hospital: h, dir: filepath.Join(w.dir, h.Name)}
		if _, err := os.Stat(s.dir); errors.Is(err, os.ErrNotExist) {
			if err := w.enroll(s); err != nil {
				return fmt.Errorf("%s: %w", h.Name, err)
			}
		}
		var err error
		s.node, err = node.Open(w.ctx, node.Config{
			Dir: s.dir, Boards: []identity.DID{w.board.DID()}, Circuits: w.circuits, EpochPause: 500 * time.Millisecond,
			Logger: w.log.With("party", h.Name),
		})
		if err != nil {
			return fmt.Errorf("%s: %w", h.Name, err)
		}
		w.run("node "+h.Name, s.node.Run)
		token, err := os.ReadFile(filepath.Join(s.dir, "api.token"))
		if err != nil {
			return err
		}
		if s.client, err = nodeclient.New(s.node.URL(), strings.TrimSpace(string(token))); err != nil {
			return err
		}
		w.sites = append(w.sites, s)
	}
	return nil
}

// enroll invites a node and lets it join; the invitation is used up.
func (w *world) enroll(s *site) error {
	c, err := w.client("operator")
	if err != nil {
		return err
	}
	defer c.Close()
	invitation, err := c.Invite(w.ctx, s.hospital.Name, title(s.hospital.Name)+" Hospital", time.Hour)
	if err != nil {
		return err
	}
	parsed, err := pki.ParseInvitation(invitation.Invitation)
	if err != nil {
		return err
	}
	_, err = node.Init(w.ctx, s.dir, parsed)
	return err
}

// client returns a client of the hub's API with the token of a role: the
// operator's from the hub's directory, others issued by the operator.
func (w *world) client(role string) (*hubclient.Client, error) {
	root, _ := w.hub.RootPEM()
	secret, err := os.ReadFile(filepath.Join(w.hubDir(), "operator.token"))
	if err != nil {
		return nil, err
	}
	cfg := hubclient.Config{URL: w.hub.URL(), Root: root, Token: strings.TrimSpace(string(secret))}
	operator, err := hubclient.New(cfg)
	if err != nil || role == "operator" {
		return operator, err
	}
	defer operator.Close()
	holder := map[string]identity.Key{"researcher": w.researcher, "sponsor": w.sponsor}[role].DID()
	token, err := operator.IssueToken(w.ctx, holder, role, time.Hour)
	if err != nil {
		return nil, err
	}
	cfg.Token = token.Token
	return hubclient.New(cfg)
}

func title(name string) string { return strings.ToUpper(name[:1]) + name[1:] }

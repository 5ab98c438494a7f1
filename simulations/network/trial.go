package network

import (
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	hubclient "github.com/trialmesh/trialmesh/hub/client"
	"github.com/trialmesh/trialmesh/protocol/identity"
	"github.com/trialmesh/trialmesh/protocol/message"
	"github.com/trialmesh/trialmesh/protocol/query"
	"github.com/trialmesh/trialmesh/protocol/trial"
)

const (
	trialID   trial.ID = "simulation"
	paperLife          = 30 * 24 * time.Hour // of everything that is signed; more than a consent epoch

	// consentTime bounds the wait for everybody's consents: a node proves them within
	// seconds, but all nodes share this machine.
	consentTime  = 20 * time.Minute
	consentPause = 200 * time.Millisecond
)

// researcher is somebody who asks.
type researcher struct {
	key    identity.Key
	client *hubclient.Client
}

func (n *Network) makeKeys() error {
	n.researchers = make([]researcher, n.cfg.Researchers)
	keys := []*identity.Key{&n.sponsor, &n.board}
	for i := range n.researchers {
		keys = append(keys, &n.researchers[i].key)
	}
	for _, key := range keys {
		var err error
		if *key, err = identity.Generate(rand.Reader); err != nil {
			return err
		}
	}
	return nil
}

// client returns a client of the hub's API at url.
func (n *Network) client(url, token string) (*hubclient.Client, error) {
	root, _ := n.hub.RootPEM()
	return hubclient.New(hubclient.Config{URL: url, Root: root, Token: token, Timeout: questionTime})
}

// operator returns a client with the operator's token, not through the relay.
func (n *Network) operator() (*hubclient.Client, error) {
	raw, err := os.ReadFile(filepath.Join(n.cfg.Dir, "hub", "operator.token"))
	if err != nil {
		return nil, err
	}
	return n.client(n.hub.URL(), strings.TrimSpace(string(raw)))
}

// admitResearchers gives every researcher a token and a connection of their own.
func (n *Network) admitResearchers() error {
	operator, err := n.operator()
	if err != nil {
		return err
	}
	defer operator.Close()
	for i := range n.researchers {
		r := &n.researchers[i]
		token, err := operator.IssueToken(n.ctx, r.key.DID(), "researcher", paperLife)
		if err != nil {
			return err
		}
		if r.client, err = n.client(n.url, token.Token); err != nil {
			return err
		}
	}
	return nil
}

// openTrial registers the trial of all nodes and researchers.
func (n *Network) openTrial() error {
	operator, err := n.operator()
	if err != nil {
		return err
	}
	defer operator.Close()
	token, err := operator.IssueToken(n.ctx, n.sponsor.DID(), "sponsor", time.Hour)
	if err != nil {
		return err
	}
	sponsor, err := n.client(n.hub.URL(), token.Token)
	if err != nil {
		return err
	}
	defer sponsor.Close()
	registration, err := n.sign(time.Now())
	if err != nil {
		return err
	}
	_, err = sponsor.RegisterTrial(n.ctx, registration)
	return err
}

// sign signs the trial as its sponsor and approves it as its board.
func (n *Network) sign(now time.Time) (trial.Registration, error) {
	design := trial.Design{
		ID: trialID, Title: "Simulation", Disclosure: Policy(),
		Analyses: []string{string(query.Count), string(query.Moments), string(query.GLM), string(query.KaplanMeier)},
		Opens:    now.Add(-time.Hour).UTC().Truncate(time.Second), Closes: now.Add(paperLife).UTC().Truncate(time.Second),
	}
	for _, s := range n.sites {
		design.Nodes = append(design.Nodes, s.Node.DID())
	}
	for _, r := range n.researchers {
		design.Researchers = append(design.Researchers, r.key.DID())
	}
	signed, err := message.Seal(n.sponsor, trial.KindDesign, design, now, paperLife, rand.Reader)
	if err != nil {
		return trial.Registration{}, err
	}
	approval, err := message.Seal(n.board, trial.KindApproval, trial.Approval{Trial: trialID, Design: signed.Digest()}, now, paperLife, rand.Reader)
	return trial.Registration{Design: signed, Approvals: []message.Envelope{approval}}, err
}

// settle records everybody's consents, runs the nodes and waits until they have brought
// the consents to the ledger. All are there when a node begins to run, so that it
// proves them once.
func (n *Network) settle() error {
	group, ctx := errgroup.WithContext(n.ctx)
	group.SetLimit(8)
	for _, s := range n.sites {
		group.Go(func() error {
			if err := n.consents(ctx, s); err != nil {
				return err
			}
			s.running = true
			n.run(filepath.Base(s.dir), s.Node.Run)
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		return err
	}
	over := time.NewTimer(consentTime)
	defer over.Stop()
	for _, s := range n.sites {
		for {
			status, err := s.Node.Status(n.ctx)
			if err != nil {
				return err
			}
			if len(status.Consents) == 1 && status.Consents[0].Current && status.Consents[0].Epoch > 0 {
				break
			}
			select {
			case <-n.ctx.Done():
				return n.ctx.Err()
			case err := <-n.failed:
				return err
			case <-over.C:
				return fmt.Errorf("%w: %s", errConsents, consentTime)
			case <-time.After(consentPause):
			}
		}
	}
	return nil
}

var errConsents = errors.New("consents are not on the ledger in time")

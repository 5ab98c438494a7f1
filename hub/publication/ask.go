package publication

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"sync"

	"github.com/trialmesh/trialmesh/federation/cosign"
	"github.com/trialmesh/trialmesh/protocol/identity"
)

// asked remembers the size that each cosigner signed last, by key name, so that the
// next request starts there. What is wrong in it costs one more request.
type asked struct {
	mu sync.Mutex
	at map[string]int64 // guarded by mu
}

func newAsked() asked { return asked{at: make(map[string]int64)} }

func (a *asked) from(name string) int64 {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.at[name]
}

func (a *asked) signed(name string, size int64) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.at[name] = size
}

// reached reports whether a party can be asked at all.
func (p *Publisher) reached(party cosign.Party) bool {
	did := identity.DID(party.KeyName())
	return party.URL != "" || did == p.cfg.DID || p.isReplica(did) || slices.Contains(p.cfg.Nodes(), did)
}

// askAll asks parties at the same time and returns their signature lines as they come,
// until all have answered or the time is over. ctx ends what is under way.
func (p *Publisher) askAll(ctx context.Context, parties []cosign.Party, signed []byte, c cosign.Checkpoint) <-chan []byte {
	answers := make(chan []byte, len(parties)) // who stops reading holds nobody up
	var asking sync.WaitGroup
	for _, party := range parties {
		if !p.reached(party) {
			continue
		}
		asking.Go(func() {
			ctx, cancel := context.WithTimeout(ctx, askTime)
			defer cancel()
			lines, err := p.askOne(ctx, party, signed, c)
			if err != nil {
				p.cfg.Logger.DebugContext(ctx, "not countersigned", "cosigner", party.Name, "err", err)
				return
			}
			answers <- lines
		})
	}
	p.tasks.Go(func() {
		asking.Wait()
		close(answers)
	})
	return answers
}

// askSelf asks this replica's own cosigner.
func (p *Publisher) askSelf(ctx context.Context, signed []byte, c cosign.Checkpoint) ([]byte, error) {
	lines, err := p.ask(ctx, string(p.cfg.DID), signed, c, p.cfg.Self.Add)
	var at *cosign.SizeError
	if errors.As(err, &at) {
		return nil, ErrRolledBack
	}
	return lines, err
}

// askOne asks one party wherever it is.
func (p *Publisher) askOne(ctx context.Context, party cosign.Party, signed []byte, c cosign.Checkpoint) ([]byte, error) {
	did := identity.DID(party.KeyName())
	if did == p.cfg.DID {
		return p.askSelf(ctx, signed, c)
	}
	if party.URL != "" {
		return p.ask(ctx, party.KeyName(), signed, c, func(ctx context.Context, body []byte) ([]byte, error) {
			return cosign.AskHTTP(ctx, p.cfg.HTTP, party.URL, body)
		})
	}
	lines, err := p.ask(ctx, party.KeyName(), signed, c, func(ctx context.Context, body []byte) ([]byte, error) {
		answer, err := p.cfg.Network.Call(ctx, did, cosign.AddProtocol, body)
		if err != nil {
			return nil, err
		}
		return cosign.ParseAnswer(answer)
	})
	var at *cosign.SizeError
	if errors.As(err, &at) && !p.isReplica(did) { // it is further than we are
		theirs, err := p.cfg.Network.Call(ctx, did, cosign.ExchangeProtocol, nil)
		if err != nil {
			return nil, err
		}
		p.shown(ctx, did, theirs)
	}
	return lines, err
}

// ask sends a request that starts where the cosigner is. One that says where it is
// instead is asked once more from there.
func (p *Publisher) ask(ctx context.Context, name string, signed []byte, c cosign.Checkpoint, send func(context.Context, []byte) ([]byte, error)) ([]byte, error) {
	for again := false; ; again = true {
		request := cosign.Request{Old: p.from(name), Note: bytes.Clone(signed)}
		if request.Old > c.Size {
			return nil, &cosign.SizeError{Size: request.Old}
		}
		if request.Old > 0 && request.Old < c.Size {
			proof, err := p.proof(ctx, request.Old, c.Size)
			if err != nil {
				return nil, err
			}
			request.Proof = proof.Path
		}
		lines, err := send(ctx, request.Marshal())
		var at *cosign.SizeError
		switch {
		case err == nil:
			p.signed(name, c.Size)
			return lines, nil
		case errors.As(err, &at):
			p.signed(name, at.Size)
		}
		if at == nil || again || at.Size > c.Size {
			return nil, err
		}
	}
}

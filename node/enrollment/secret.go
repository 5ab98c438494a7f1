package enrollment

import (
	"context"
	"crypto/rand"
	"errors"
	"strings"

	"github.com/trialmesh/trialmesh/federation/oprf"
	"github.com/trialmesh/trialmesh/node/linkage"
	"github.com/trialmesh/trialmesh/protocol/enrollment"
	"github.com/trialmesh/trialmesh/protocol/identity"
	"github.com/trialmesh/trialmesh/protocol/problem"
	"github.com/trialmesh/trialmesh/zk/circuits"
)

// Why a person's secret cannot be had.
var (
	errIdentifier = problem.New(problem.Invalid, "identifier: it says nothing; it must be the patient's own, in the system that the trial's design names")
	errHolders    = problem.New(problem.Unavailable, "too few holders of the person key answered truly")
	errPersonKey  = problem.New(problem.Unavailable, "the network's person key is not one: its shares do not belong together")
)

// holdersOf returns a person key as it is computed with.
func holdersOf(key enrollment.PersonKey) (oprf.Holders, error) {
	var shares []oprf.PublicKey
	for _, h := range key.Holders {
		share, err := oprf.ParsePublicKey(oprf.Verifiable, h.Public)
		if err != nil {
			return oprf.Holders{}, errPersonKey
		}
		shares = append(shares, share)
	}
	holders, err := oprf.NewHolders(key.Threshold, shares)
	if err != nil {
		return holders, errPersonKey
	}
	return holders, nil
}

// secret returns the secret of the person with an identifier: the same at every site. The
// holders of the person key see neither.
func (d *Desk) secret(ctx context.Context, system, identifier string) (circuits.Secret, error) {
	value := linkage.PersonValue(system, identifier)
	if value == nil {
		return circuits.Secret{}, errIdentifier
	}
	key, err := d.cfg.PersonKey()
	if err != nil {
		return circuits.Secret{}, err
	}
	holders, err := holdersOf(key)
	if err != nil {
		return circuits.Secret{}, err
	}
	request, err := oprf.Blind(rand.Reader, oprf.Verifiable, [][]byte{value})
	if err != nil {
		return circuits.Secret{}, err
	}
	digest, err := key.Digest()
	if err != nil {
		return circuits.Secret{}, err
	}
	ask := enrollment.Ask{Key: digest, Values: [][]byte{request.Elements()[0].Bytes()}}
	var parts []oprf.Part
	var missing []string
	var said *problem.Error // by a holder that would not answer
	for i, h := range key.Holders {
		part, err := d.ask(ctx, h.Holder, ask)
		if err != nil {
			errors.As(err, &said)
			missing = append(missing, h.Holder.Short()+" did not answer")
			continue
		}
		part.Holder = i
		parts = append(parts, part)
		if len(parts) < holders.Threshold() {
			continue
		}
		outputs, liars, err := request.FinalizeParts(holders, parts)
		if err == nil {
			d.named(ctx, key, liars)
			return circuits.PersonSecret(outputs[0]), nil
		}
	}
	_, liars, _ := request.FinalizeParts(holders, parts)
	d.named(ctx, key, liars)
	for _, i := range liars {
		missing = append(missing, key.Holders[i].Holder.Short()+" answered with another key than its own")
	}
	if said != nil && len(liars) == 0 {
		return circuits.Secret{}, said
	}
	return circuits.Secret{}, errHolders.With(strings.Join(missing, ", "))
}

// ask has a holder apply its share.
func (d *Desk) ask(ctx context.Context, holder identity.DID, ask enrollment.Ask) (oprf.Part, error) {
	var answer enrollment.Answer
	if err := d.call(ctx, holder, enrollment.AskProtocol, ask, &answer); err != nil {
		return oprf.Part{}, err
	}
	var part oprf.Part
	for _, raw := range answer.Values {
		// What is no element is a lie, as an element of another key is.
		if e, err := oprf.ParseElement(raw); err == nil {
			part.Evaluated = append(part.Evaluated, e)
		}
	}
	part.Proof, _ = oprf.ParseProof(answer.Proof) // the zero Proof holds for nothing
	return part, nil
}

// named tells the operator which holders lied.
func (d *Desk) named(ctx context.Context, key enrollment.PersonKey, liars []int) {
	for _, i := range liars {
		d.cfg.Log.ErrorContext(ctx, "a holder of the person key answered with another key than its own", "holder", key.Holders[i].Holder)
	}
}

package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"fmt"
	"slices"
	"time"

	"github.com/tidwall/gjson"

	node "github.com/trialmesh/trialmesh/node/client"
	"github.com/trialmesh/trialmesh/protocol/consent"
	"github.com/trialmesh/trialmesh/protocol/identity"
	"github.com/trialmesh/trialmesh/protocol/message"
	"github.com/trialmesh/trialmesh/protocol/trial"
	"github.com/trialmesh/trialmesh/simulations/testdata"
)

// Every refuseEvery-th patient of a hospital, in the order of their ids, says
// no; the one at withdraws grants and then withdraws at the first hospital.
const (
	refuseEvery = 12
	refuseAt    = 5
	withdraws   = 0
)

// consentText stands for the consent document that was read and signed.
const consentText = "Trialmesh demonstration: I agree that my hospital uses my record for statistics of this trial.\n"

// permitted is what those who agree permit.
var permitted = consent.MaskOf(consent.Demographics, consent.Conditions, consent.Medications, consent.Measurements,
	consent.Procedures, consent.Visits, consent.Observations, consent.Statistics)

// signed is what the patients of one hospital say.
type signed struct {
	messages                    []node.Consent
	granted, refused, withdrawn []string // ids of FHIR patients
}

// signConsents lets the patients of a hospital decide and sign.
func signConsents(ctx context.Context, hospital, id, nodeDID string, now time.Time) (signed, error) {
	site := slices.IndexFunc(testdata.Hospitals(), func(h testdata.Hospital) bool { return h.Name == hospital })
	if site < 0 {
		return signed{}, usageError{fmt.Errorf("no hospital %q; there are harbor, meadow and summit", hospital)}
	}
	did, err := identity.ParseDID(nodeDID)
	if err != nil {
		return signed{}, usageError{err}
	}
	patients, err := patientIDs(ctx, testdata.Hospitals()[site])
	if err != nil {
		return signed{}, err
	}
	s := signer{trial: trial.ID(id), node: did, now: now.Add(-time.Minute)}
	var out signed
	for i, patient := range patients {
		key, err := identity.Generate(rand.Reader)
		if err != nil {
			return signed{}, err
		}
		if i%refuseEvery == refuseAt {
			e, err := s.seal(key, consent.KindRefusal, consent.Refusal{Trial: s.trial, Node: s.node, Document: s.document()}, 0)
			if err != nil {
				return signed{}, err
			}
			out.messages = append(out.messages, node.Consent{Patient: patient, Consent: e})
			out.refused = append(out.refused, patient)
			continue
		}
		grant, err := s.seal(key, consent.KindGrant, consent.Grant{
			Trial: s.trial, Node: s.node, Scopes: permitted, From: s.now, To: s.now.Add(grantLife), Document: s.document(),
		}, 0)
		if err != nil {
			return signed{}, err
		}
		out.messages = append(out.messages, node.Consent{Patient: patient, Consent: grant})
		if site != 0 || i != withdraws {
			out.granted = append(out.granted, patient)
			continue
		}
		withdrawal, err := s.seal(key, consent.KindWithdrawal, consent.Withdrawal{Trial: s.trial, Node: s.node, Grant: grant.Digest()}, time.Second)
		if err != nil {
			return signed{}, err
		}
		out.messages = append(out.messages, node.Consent{Patient: patient, Consent: withdrawal})
		out.withdrawn = append(out.withdrawn, patient)
	}
	return out, nil
}

const grantLife = 2 * 365 * 24 * time.Hour

// signer signs for participants.
type signer struct {
	trial trial.ID
	node  identity.DID
	now   time.Time
}

func (s signer) document() message.Digest { return message.Sum([]byte(consentText)) }

func (s signer) seal(key identity.Key, kind message.Kind, body any, later time.Duration) (message.Envelope, error) {
	return message.Seal(key, kind, body, s.now.Add(later), grantLife, rand.Reader)
}

// patientIDs returns the ids of a hospital's Patient resources, ascending.
func patientIDs(ctx context.Context, h testdata.Hospital) ([]string, error) {
	var ids []string
	for f, err := range h.Files(ctx) {
		if err != nil {
			return nil, err
		}
		if f.Infrastructure() {
			continue
		}
		id := gjson.GetBytes(bytes.TrimSpace(f.Data), `entry.#(resource.resourceType=="Patient").resource.id`).String()
		if id == "" {
			return nil, fmt.Errorf("%s holds no patient", f.Name)
		}
		ids = append(ids, id)
	}
	slices.Sort(ids)
	return ids, nil
}

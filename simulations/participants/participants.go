// Package participants stands for the people of the demonstration's hospitals:
// it decides who says yes, and signs for each with a key of their own. A real
// participant's key never leaves their phone.
package participants

import (
	"context"
	"crypto/rand"
	"fmt"
	"slices"
	"time"

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

// Signed is what the patients of one hospital say.
type Signed struct {
	Messages []node.Consent `json:"messages"`

	// Who said what, by the ids of their FHIR Patient resources.
	Granted   []string `json:"granted"`
	Refused   []string `json:"refused"`
	Withdrawn []string `json:"withdrawn"`
}

// Sign lets the patients of a hospital (harbor, meadow or summit) decide about a
// trial and sign for their node. now is when they do.
func Sign(ctx context.Context, hospital string, id trial.ID, at identity.DID, now time.Time) (Signed, error) {
	site := slices.IndexFunc(testdata.Hospitals(), func(h testdata.Hospital) bool { return h.Name == hospital })
	if site < 0 {
		return Signed{}, fmt.Errorf("no hospital %q; there are harbor, meadow and summit", hospital)
	}
	patients := testdata.Hospitals()[site].PatientIDs()
	slices.Sort(patients)
	s := signer{trial: id, node: at, now: now.Add(-time.Minute)}
	for i, patient := range patients {
		if err := ctx.Err(); err != nil {
			return Signed{}, err
		}
		key, err := identity.Generate(rand.Reader)
		if err != nil {
			return Signed{}, err
		}
		if i%refuseEvery == refuseAt {
			err = s.refuse(key, patient)
		} else {
			err = s.grant(key, patient, site == 0 && i == withdraws)
		}
		if err != nil {
			return Signed{}, fmt.Errorf("sign for patient %d of %s: %w", i, hospital, err)
		}
	}
	return s.out, nil
}

const grantLife = 2 * 365 * 24 * time.Hour

// signer signs for participants and collects what they say.
type signer struct {
	trial trial.ID
	node  identity.DID
	now   time.Time
	out   Signed
}

func (s *signer) refuse(key identity.Key, patient string) error {
	s.out.Refused = append(s.out.Refused, patient)
	_, err := s.seal(key, patient, consent.KindRefusal, consent.Refusal{Trial: s.trial, Node: s.node, Document: document()}, 0)
	return err
}

func (s *signer) grant(key identity.Key, patient string, andWithdraw bool) error {
	grant, err := s.seal(key, patient, consent.KindGrant, consent.Grant{
		Trial: s.trial, Node: s.node, Scopes: permitted, From: s.now, To: s.now.Add(grantLife), Document: document(),
	}, 0)
	if err != nil || !andWithdraw {
		s.out.Granted = append(s.out.Granted, patient)
		return err
	}
	s.out.Withdrawn = append(s.out.Withdrawn, patient)
	_, err = s.seal(key, patient, consent.KindWithdrawal, consent.Withdrawal{Trial: s.trial, Node: s.node, Grant: grant.Digest()}, time.Second)
	return err
}

func (s *signer) seal(key identity.Key, patient string, kind message.Kind, body any, later time.Duration) (message.Envelope, error) {
	e, err := message.Seal(key, kind, body, s.now.Add(later), grantLife, rand.Reader)
	s.out.Messages = append(s.out.Messages, node.Consent{Patient: patient, Consent: e})
	return e, err
}

func document() message.Digest { return message.Sum([]byte(consentText)) }

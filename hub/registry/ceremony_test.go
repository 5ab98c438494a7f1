package registry_test

import (
	"crypto/rand"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/trialmesh/trialmesh/hub/registry"
	"github.com/trialmesh/trialmesh/node/peer/peertest"
	"github.com/trialmesh/trialmesh/protocol/identity"
	entry "github.com/trialmesh/trialmesh/protocol/ledger"
	"github.com/trialmesh/trialmesh/protocol/message"
	"github.com/trialmesh/trialmesh/zk/ceremony"
	"github.com/trialmesh/trialmesh/zk/circuits"
)

// A circuit is marked as having development keys, or has those of a ceremony whose statements are
// on the ledger, each after those that it names.
func TestKeysComeFromACeremonyOnTheLedger(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	say := func(kind message.Kind, body any) message.Envelope {
		key, err := identity.Generate(rand.Reader)
		require.NoError(t, err)
		e, err := message.Seal(key, kind, body, h.at, message.MaxLifetime, rand.Reader)
		require.NoError(t, err)
		return e
	}
	circuit := circuits.Development.Epoch()
	plan := say(ceremony.KindPlan, ceremony.Plan{Name: "a test", Parties: 1, Circuits: []ceremony.Subject{{Circuit: circuit}}})
	contribution := say(ceremony.KindContribution, ceremony.Contribution{Part: ceremony.Powers, Number: 1, Previous: plan.Digest()})
	beacon := say(ceremony.KindBeacon, ceremony.Beacon{Previous: []message.Digest{contribution.Digest()}})
	keys := say(ceremony.KindKeys, ceremony.Made{Previous: beacon.Digest(), Keys: []ceremony.MadeKey{{Circuit: circuit, VerifyingKey: []byte("key"), ProvingDigest: message.Digest{1}}}})
	made := entry.Circuit{Shape: circuit.String(), VerifyingKey: []byte("key"), ProvingDigest: message.Digest{1}, Ceremony: plan.Digest()}

	refused := func(body registry.Body, want string) {
		t.Helper()
		_, err := h.apply(t, body)
		require.ErrorContains(t, err, want)
	}
	refused(registry.RecordCeremony{Envelope: contribution}, "is not on the ledger")
	refused(registry.RecordCeremony{Envelope: say(ceremony.KindBeacon, ceremony.Beacon{})}, "is not on the ledger")
	refused(registry.RecordCeremony{Envelope: say("ceremony.other", ceremony.Plan{})}, message.ErrKind.Error())
	forged := plan
	forged.Issuer = contribution.Issuer
	refused(registry.RecordCeremony{Envelope: forged}, message.ErrSignature.Error())
	for _, e := range []message.Envelope{plan, contribution, beacon} {
		out := h.must(t, registry.RecordCeremony{Envelope: e})
		require.False(t, out.Existed)
		require.True(t, h.must(t, registry.RecordCeremony{Envelope: e}).Existed)
	}
	refused(registry.RegisterCircuit{Circuit: made}, "those of a ceremony")
	h.must(t, registry.RecordCeremony{Envelope: keys})
	for _, change := range []func(*entry.Circuit){
		func(c *entry.Circuit) { c.VerifyingKey = []byte("another") },
		func(c *entry.Circuit) { c.ProvingDigest = message.Digest{2} },
		func(c *entry.Circuit) { c.Ceremony = keys.Digest() },
		func(c *entry.Circuit) { c.Ceremony = message.Digest{} },
		func(c *entry.Circuit) { c.Development = true },
		func(c *entry.Circuit) { c.Shape = "epoch-16" },
	} {
		other := made
		change(&other)
		refused(registry.RegisterCircuit{Circuit: other}, "those of a ceremony")
	}
	h.must(t, registry.RegisterCircuit{Circuit: made})
	h.must(t, registry.RegisterCircuit{Circuit: peertest.AccessCircuit().Circuit})
}

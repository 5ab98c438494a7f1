package trial_test

import (
	"crypto/rand"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/trialmesh/trialmesh/protocol/disclosure"
	"github.com/trialmesh/trialmesh/protocol/identity"
	"github.com/trialmesh/trialmesh/protocol/message"
	"github.com/trialmesh/trialmesh/protocol/trial"
)

var noon = time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)

func key(t testing.TB) identity.Key {
	t.Helper()
	k, err := identity.Generate(rand.Reader)
	require.NoError(t, err)
	return k
}

func seal(t testing.TB, k identity.Key, kind message.Kind, body any, at time.Time, ttl time.Duration) message.Envelope {
	t.Helper()
	e, err := message.Seal(k, kind, body, at, ttl, rand.Reader)
	require.NoError(t, err)
	return e
}

func design(t testing.TB) trial.Design {
	t.Helper()
	return trial.Design{
		ID: "glucose-1", Title: "Glucose", Nodes: []identity.DID{key(t).DID(), key(t).DID()}, Researchers: []identity.DID{key(t).DID()},
		Analyses: []string{"count"}, Opens: noon, Closes: noon.Add(10 * time.Hour),
	}
}

func TestDesignValidate(t *testing.T) {
	t.Parallel()
	require.NoError(t, design(t).Validate())
	for name, change := range map[string]func(*trial.Design){
		"short id":           func(d *trial.Design) { d.ID = "ab" },
		"id with capitals":   func(d *trial.Design) { d.ID = "Glucose" },
		"id with a line end": func(d *trial.Design) { d.ID = "glucose\n" },
		"no title":           func(d *trial.Design) { d.Title = "" },
		"no nodes":           func(d *trial.Design) { d.Nodes = nil },
		"a node twice":       func(d *trial.Design) { d.Nodes[1] = d.Nodes[0] },
		"no key":             func(d *trial.Design) { d.Nodes[0] = "did:web:x" },
		"no researchers":     func(d *trial.Design) { d.Researchers = nil },
		"closes first":       func(d *trial.Design) { d.Closes = d.Opens },
		"policy":             func(d *trial.Design) { d.Disclosure = disclosure.Policy{MaxShare: -1} },
	} {
		d := design(t)
		change(&d)
		require.Error(t, d.Validate(), name)
	}
}

func TestCheck(t *testing.T) {
	t.Parallel()
	d := design(t)
	sponsor, board, other := key(t), key(t), key(t)
	signed := seal(t, sponsor, trial.KindDesign, d, noon.Add(-time.Hour), 24*time.Hour)
	approval := func(k identity.Key, of message.Digest, id trial.ID, from time.Time, ttl time.Duration) message.Envelope {
		return seal(t, k, trial.KindApproval, trial.Approval{Trial: id, Design: of}, from, ttl)
	}
	good := approval(board, signed.Digest(), d.ID, noon, 5*time.Hour)
	ask := trial.Ask{Researcher: d.Researchers[0], Node: d.Nodes[0], Analysis: "count", At: noon.Add(time.Hour)}
	for name, c := range map[string]struct {
		approvals []message.Envelope
		change    func(*trial.Ask)
		want      error
	}{
		"as approved":                       {[]message.Envelope{good}, func(*trial.Ask) {}, nil},
		"one of several boards":             {[]message.Envelope{approval(other, signed.Digest(), d.ID, noon, time.Hour), good}, func(*trial.Ask) {}, nil},
		"no approval":                       {nil, func(*trial.Ask) {}, trial.ErrUnapproved},
		"a board that is not trusted":       {[]message.Envelope{approval(other, signed.Digest(), d.ID, noon, 5*time.Hour)}, func(*trial.Ask) {}, trial.ErrUnapproved},
		"approval of another design":        {[]message.Envelope{approval(board, message.Digest{1}, d.ID, noon, 5*time.Hour)}, func(*trial.Ask) {}, trial.ErrUnapproved},
		"approval of another trial":         {[]message.Envelope{approval(board, signed.Digest(), "other", noon, 5*time.Hour)}, func(*trial.Ask) {}, trial.ErrUnapproved},
		"approval that has run out":         {[]message.Envelope{good}, func(a *trial.Ask) { a.At = noon.Add(5 * time.Hour) }, trial.ErrUnapproved},
		"approval given later":              {[]message.Envelope{approval(board, signed.Digest(), d.ID, noon.Add(2*time.Hour), time.Hour)}, func(*trial.Ask) {}, trial.ErrUnapproved},
		"too many approvals":                {make([]message.Envelope, trial.MaxApprovals+1), func(*trial.Ask) {}, trial.ErrUnapproved},
		"before it opens":                   {[]message.Envelope{good}, func(a *trial.Ask) { a.At = noon.Add(-time.Second) }, trial.ErrClosed},
		"another researcher":                {[]message.Envelope{good}, func(a *trial.Ask) { a.Researcher = other.DID() }, trial.ErrResearcher},
		"a node that takes no part":         {[]message.Envelope{good}, func(a *trial.Ask) { a.Node = other.DID() }, trial.ErrNode},
		"an analysis that was not approved": {[]message.Envelope{good}, func(a *trial.Ask) { a.Analysis = "moments" }, trial.ErrAnalysis},
		"a design in place of an approval":  {[]message.Envelope{signed}, func(*trial.Ask) {}, message.ErrKind},
	} {
		a := ask
		c.change(&a)
		got, err := trial.Registration{Design: signed, Approvals: c.approvals}.Check(a, []identity.DID{board.DID()})
		require.ErrorIs(t, err, c.want, name)
		if c.want == nil {
			require.NoError(t, err, name)
			require.Equal(t, d.ID, got.ID)
		}
	}
	forged := signed
	forged.Issuer = other.DID()
	_, err := trial.Registration{Design: forged, Approvals: []message.Envelope{good}}.Check(ask, []identity.DID{board.DID()})
	require.ErrorIs(t, err, message.ErrSignature)
}

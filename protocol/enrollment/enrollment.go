// Package enrollment is how nodes and their hub enroll people in a trial, each once and
// without saying who or where.
//
// An [Enrollment] is a proof that somebody with a consent in force enrolls; it names them by
// a nullifier, which one person has in one trial whatever the site. The person's secret
// behind it comes out of a function whose key, a [PersonKey], no party has whole: a node
// sends blinded values ([Ask]) and combines the [Answer] of enough holders. Proofs lead to
// a root over the consents of all sites, which [Places] lets a node find itself in.
package enrollment

import (
	"crypto/sha256"
	"time"

	"github.com/trialmesh/trialmesh/protocol/canonical"
	"github.com/trialmesh/trialmesh/protocol/consent"
	"github.com/trialmesh/trialmesh/protocol/identity"
	"github.com/trialmesh/trialmesh/protocol/message"
	"github.com/trialmesh/trialmesh/protocol/problem"
	"github.com/trialmesh/trialmesh/protocol/trial"
)

// The names under which a hub takes calls: an [Ask] in and an [Answer] out, a [Where] in and
// [Places] out, an [Enrollment] in and a consent.Recorded out. Sending one again is harmless.
const (
	AskProtocol    = "/trialmesh/person/1"
	PlacesProtocol = "/trialmesh/places/1"
	EnrollProtocol = "/trialmesh/enroll/1"
)

// Limits of what is sent.
const (
	MaxHolders = 100  // of a key
	MaxValues  = 100  // of an [Ask]
	DayValues  = 1000 // of all that a node asks on one day
)

// Window is how old the time and the root of an enrollment may be: who withdrew longer ago
// cannot be enrolled any more.
const Window = time.Hour

// Why a person is not enrolled.
var (
	ErrClosed  = problem.Refusal("enrollment.trial", "the trial enrolls nobody: its design names no identifier of participants, or it is not open")
	ErrKey     = problem.Refusal("enrollment.key", "the enrollment rests on another person key than the one on the ledger; derive the person's secret again")
	ErrTwice   = problem.Refusal("enrollment.twice", "this person is enrolled in this trial already, here or at another site; nobody learns where")
	ErrCircuit = problem.Refusal("enrollment.circuit", "the proof is not of the network's enrollment circuit; the hub's keys may have been made without it")
	ErrTime    = problem.Refusal("enrollment.time", "the proof is for another time than the last hour; prove again")
	ErrRoot    = problem.Refusal("enrollment.root", "the proof leads to consents that have not stood on the ledger in the last hour; prove again under those that do")
	ErrProof   = problem.Refusal("enrollment.proof", "the enrollment proof does not hold for this trial, person and time")
	ErrMany    = problem.New(problem.TooMany, "this node has had as many people looked up today as it may")
)

// PersonKey names the parties that share the key by which people are told apart, and how
// many of them it takes. It is fixed once for a network: under another, one person could
// enroll twice.
type PersonKey struct {
	Threshold int      `json:"threshold"`
	Holders   []Holder `json:"holders"`
}

// Holder is a party with its share's public key, 32 bytes of ristretto255.
type Holder struct {
	Holder identity.DID `json:"holder"`
	Public []byte       `json:"public"`
}

// Digest names the key in enrollments.
func (k PersonKey) Digest() (message.Digest, error) {
	raw, err := canonical.Marshal(k)
	return message.Sum(raw), err
}

// Ask asks a holder to apply its share to blinded values, up to [MaxValues].
type Ask struct {
	Key    message.Digest `json:"key"`
	Values [][]byte       `json:"values"`
}

// Answer is a holder's, with the proof that it used its share.
type Answer struct {
	Values [][]byte `json:"values"`
	Proof  []byte   `json:"proof"`
}

// Where asks where the blocks of the asking node stand in a trial.
type Where struct {
	Trial trial.ID `json:"trial"`
}

// Places is a trial with the tree over the consents of all its sites: the roots of the blocks
// in the order in which they came onto the ledger, and where among them the asking node's are.
type Places struct {
	Registration trial.Registration `json:"registration"`
	Blocks       []consent.Element  `json:"blocks"`
	Own          map[int]int        `json:"own"` // place by number
}

// Enrollment enrolls somebody. It is public, and does not say who or at which site.
type Enrollment struct {
	Trial trial.ID `json:"trial"`

	// Key is the digest of the [PersonKey] under which the person was told apart.
	Key message.Digest `json:"key"`

	// Site is a salted commitment to the node and its participant, see [SiteOf]. Who has the
	// salt can show that the enrollment is theirs.
	Site message.Digest `json:"site"`

	// Root, Nullifier and Time are as in the circuit's statement.
	Root      consent.Element `json:"root"`
	Nullifier consent.Element `json:"nullifier"`
	Time      time.Time       `json:"time"` // in seconds

	// Circuit is the SHA-256 of the verifying key.
	Circuit message.Digest `json:"circuit"`
	Proof   []byte         `json:"proof"`
}

// Signal is the public input that binds the proof to what is enrolled with.
func (e Enrollment) Signal() (consent.Element, error) {
	raw, err := canonical.Marshal(struct {
		Trial trial.ID       `json:"trial"`
		Key   message.Digest `json:"key"`
		Site  message.Digest `json:"site"`
	}{e.Trial, e.Key, e.Site})
	return element(raw), err
}

// TrialElement names a trial of a network, by its hub's DID, in nullifiers.
func TrialElement(network identity.DID, id trial.ID) consent.Element {
	return element([]byte("trialmesh enrollment v1\n" + string(network) + "\n" + string(id)))
}

// SiteOf commits to the node and the participant of an enrollment.
func SiteOf(node, participant identity.DID, salt [32]byte) message.Digest {
	return message.Sum([]byte("trialmesh enrollment site v1\n" + string(node) + "\n" + string(participant) + "\n" + string(salt[:])))
}

// element is the leading 248 bits of a SHA-256, below the field's order.
func element(raw []byte) (e consent.Element) {
	sum := sha256.Sum256(raw)
	copy(e[1:], sum[:31])
	return e
}

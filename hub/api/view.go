package api

import (
	"slices"
	"time"

	"github.com/trialmesh/trialmesh/hub/registry"
	"github.com/trialmesh/trialmesh/protocol/consent"
	"github.com/trialmesh/trialmesh/protocol/enrollment"
	"github.com/trialmesh/trialmesh/protocol/identity"
	entry "github.com/trialmesh/trialmesh/protocol/ledger"
	"github.com/trialmesh/trialmesh/protocol/message"
	"github.com/trialmesh/trialmesh/protocol/query"
	"github.com/trialmesh/trialmesh/protocol/trial"
	"github.com/trialmesh/trialmesh/protocol/version"
)

// Node is a site as the public sees it.
type Node struct {
	DID          identity.DID `json:"did"`
	Name         string       `json:"name"`
	Organization string       `json:"organization"`
	Enrolled     time.Time    `json:"enrolled"`
	Revoked      bool         `json:"revoked"`
	Present      bool         `json:"present" doc:"As far as this replica knows"`
	Since        *time.Time   `json:"since,omitempty" doc:"When the node last came, or went; absent if it was not seen since this replica started"`

	Speaks *version.Range `json:"speaks,omitempty" doc:"The protocol versions that the node speaks; absent unless it is connected to this replica"`
	Update string         `json:"update,omitempty" doc:"Why the node and the hub cannot work together, and which of them to update"`
}

// Nodes is the answer of GET /v1/nodes.
type Nodes struct {
	Nodes []Node `json:"nodes" nullable:"false"`
}

// Trial is a trial with what its sponsor and its boards signed.
type Trial struct {
	Design       trial.Design       `json:"design"`
	Registration trial.Registration `json:"registration"`
}

// Trials is the answer of GET /v1/trials.
type Trials struct {
	Trials []trial.Design `json:"trials" nullable:"false"`
}

// Enrollment is somebody who is enrolled in a trial, named by a nullifier, at a place in the log.
type Enrollment struct {
	LedgerIndex int64                 `json:"ledgerIndex"`
	At          time.Time             `json:"at"`
	Enrollment  enrollment.Enrollment `json:"enrollment"`
}

// Enrollments is the answer of GET /v1/trials/{id}/enrollments.
type Enrollments struct {
	Enrolled    int          `json:"enrolled" doc:"How many there are in all"`
	Enrollments []Enrollment `json:"enrollments" nullable:"false"`
}

// Circuit is a circuit whose proofs are accepted.
type Circuit struct {
	Digest message.Digest `json:"digest" doc:"SHA-256 of the verifying key, by which the circuit is named"`
	entry.Circuit
}

// Circuits is the answer of GET /v1/circuits.
type Circuits struct {
	Circuits []Circuit `json:"circuits" nullable:"false"`
}

// Epoch is a consent epoch with its place in the log.
type Epoch struct {
	Digest      message.Digest `json:"digest" doc:"Of the signed envelope, by which the epoch is named"`
	LedgerIndex int64          `json:"ledgerIndex"`
	Epoch       consent.Epoch  `json:"epoch"`
}

// Questions is the answer of GET /v1/queries.
type Questions struct {
	Queries []Question `json:"queries" nullable:"false"`
}

// Question is a question with everything the hub knows of it.
type Question struct {
	ID          query.ID       `json:"id"`
	Trial       trial.ID       `json:"trial"`
	Researcher  identity.DID   `json:"researcher"`
	State       query.State    `json:"state" enum:"open,complete,partial,withheld,cancelled"`
	Asked       time.Time      `json:"asked"`
	Deadline    time.Time      `json:"deadline"`
	WaitsUntil  time.Time      `json:"waitsUntil" doc:"How long the nodes' people have to approve; what is left of the time is for the sums"`
	Priority    query.Priority `json:"priority" enum:"low,normal,high"`
	LedgerIndex int64          `json:"ledgerIndex"`
	ResultIndex int64          `json:"resultIndex" doc:"Ledger index of the result, -1 while the question is open"`
	Request     query.Request  `json:"request" doc:"What was asked; the signed envelope is the ledger document"`
	Rounds      int            `json:"rounds,omitempty" doc:"Sums that were begun, of a method in rounds"`
	Waiting     []identity.DID `json:"waiting" nullable:"false" doc:"The nodes whose people have to approve first and have not decided yet"`
	Result      *query.Result  `json:"result,omitempty" doc:"Absent while the question is open"`
	Accesses    []Access       `json:"accesses" nullable:"false" doc:"The nodes' proofs that consent covered every record used"`
	ProofsDone  bool           `json:"proofsDone" doc:"Every proof that is to come is there and on the chain, if there is one"`
}

// Access is an access proof with its place in the log and on the chain.
type Access struct {
	Node        identity.DID     `json:"node"`
	Epoch       message.Digest   `json:"epoch"`
	AtLeast     int              `json:"atLeast" doc:"Proven lower bound of the number of records"`
	Used        query.Commitment `json:"used" doc:"Commitment to which records were used"`
	Circuit     message.Digest   `json:"circuit"`
	Proof       []byte           `json:"proof"`
	LedgerIndex int64            `json:"ledgerIndex"`
	Tx          string           `json:"tx,omitempty" doc:"Transaction that logged it on the chain; absent until there is one"`
	Block       uint64           `json:"block,omitempty"`
	Gas         uint64           `json:"gas,omitempty"`
}

// Submission is the body of POST /v1/queries.
type Submission struct {
	Envelope        message.Envelope `json:"envelope" doc:"A query.Request signed by the holder of the token"`
	DeadlineSeconds int              `json:"deadlineSeconds,omitempty" minimum:"1" maximum:"1209600" default:"300" doc:"After so long the answer is given without the nodes that are missing: up to 14 days, and no longer than the envelope lasts"`
	Priority        query.Priority   `json:"priority,omitempty" enum:"low,normal,high" default:"normal" doc:"Which of the researcher's own questions goes first"`
}

// Cancelling is the body of POST /v1/queries/{id}/cancel.
type Cancelling struct {
	Envelope message.Envelope `json:"envelope" doc:"A query.Cancellation signed by the holder of the token: the researcher who asked, or the sponsor of the trial"`
}

// Accepted is the answer to a question that was asked.
type Accepted struct {
	ID          query.ID `json:"id"`
	LedgerIndex int64    `json:"ledgerIndex" doc:"-1 if the question was there already"`
	Existed     bool     `json:"existed" doc:"The same question was there already"`
}

// Recorded is the answer to a command: its leaf on the ledger.
type Recorded struct {
	LedgerIndex int64 `json:"ledgerIndex" doc:"-1 if nothing new was recorded"`
	Existed     bool  `json:"existed" doc:"The same thing was there already and nothing changed"`
}

// Invite is the body of POST /v1/invitations.
type Invite struct {
	Name         string `json:"name" minLength:"1" maxLength:"63" doc:"Like a host name: of a-z, 0-9, hyphen and dot"`
	Organization string `json:"organization" minLength:"1" maxLength:"64"`
	TTLSeconds   int    `json:"ttlSeconds,omitempty" minimum:"60" maximum:"2592000" default:"86400"`
}

// Invitation lets one node in, once. The text is a secret.
type Invitation struct {
	Invitation string    `json:"invitation"`
	Expires    time.Time `json:"expires"`
}

// TokenRequest is the body of POST /v1/tokens.
type TokenRequest struct {
	Holder     identity.DID  `json:"holder" maxLength:"128"`
	Role       registry.Role `json:"role" enum:"researcher,sponsor,operator"`
	TTLSeconds int           `json:"ttlSeconds,omitempty" minimum:"60" maximum:"31622400" default:"2592000"`
}

// Token is a bearer token of this API. It is a secret and shown once.
type Token struct {
	ID      string    `json:"id" doc:"Names the token when it is listed or revoked"`
	Token   string    `json:"token"`
	Expires time.Time `json:"expires"`
}

// IssuedToken is a bearer token without its secret.
type IssuedToken struct {
	ID      string        `json:"id"`
	Holder  identity.DID  `json:"holder"`
	Role    registry.Role `json:"role" enum:"researcher,sponsor,operator"`
	Issued  time.Time     `json:"issued"`
	Expires time.Time     `json:"expires"`
	Revoked bool          `json:"revoked"`
}

// Tokens is the answer of GET /v1/tokens.
type Tokens struct {
	Tokens []IssuedToken `json:"tokens" nullable:"false"`
}

// Revocation is the body of POST /v1/nodes/{did}/revoke.
type Revocation struct {
	Reason string `json:"reason" minLength:"1" maxLength:"500"`
}

func questionOf(q registry.Question, waiting []identity.DID, accesses []registry.Access) Question {
	view := Question{
		ID: q.ID, Trial: q.Request.Trial, Researcher: q.Envelope.Issuer, State: q.State, Asked: q.Asked, Deadline: q.Deadline, WaitsUntil: q.WaitsUntil(),
		Priority: q.Priority, LedgerIndex: q.LedgerIndex, ResultIndex: q.ResultIndex, Request: q.Request, Waiting: waiting, Result: q.Result,
		Accesses: make([]Access, 0, len(accesses)),
	}
	for _, a := range accesses {
		view.Accesses = append(view.Accesses, Access{
			Node: a.Node, Epoch: a.Epoch, AtLeast: a.AtLeast, Used: a.Used, Circuit: a.Circuit, Proof: a.Proof,
			LedgerIndex: a.LedgerIndex, Tx: a.Tx, Block: a.Block, Gas: a.Gas,
		})
	}
	return view
}

// proofsDone reports whether every node that answered has proved its accesses
// and the chain, if the network has one, has logged it. A repeated answer was
// proved before, and what was not released needs no proof.
func proofsDone(r *query.Result, accesses []registry.Access, chain bool) bool {
	switch {
	case !r.State.Released(), r.Repeats != nil:
		return true
	case len(accesses) < len(r.Answered):
		return false
	}
	return !chain || !slices.ContainsFunc(accesses, func(a registry.Access) bool { return a.Tx == "" })
}

// has reports whether there is what a long poll waits for.
func (q Question) has(wait string) bool {
	if wait == waitProofs {
		return q.ProofsDone
	}
	return q.Result != nil
}

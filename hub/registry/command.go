// Package registry is the hub's state machine: what is registered, asked and
// answered, as a pure function of numbered commands.
//
// A [Command] carries everything its effect depends on, time included.
// [Machine.Apply] runs one inside one SQLite transaction and appends its leaf
// to the public ledger in the same transaction, so every replica that applies
// the same log holds the same bytes; [StateHash] compares them. Readers use
// plain SQL through the functions of read.go. The package asks no network and
// reads no clock; who may propose a command is for hub/api and hub/dispatch.
package registry

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/trialmesh/trialmesh/protocol/canonical"
	"github.com/trialmesh/trialmesh/protocol/consent"
	"github.com/trialmesh/trialmesh/protocol/enrollment"
	"github.com/trialmesh/trialmesh/protocol/identity"
	"github.com/trialmesh/trialmesh/protocol/ledger"
	"github.com/trialmesh/trialmesh/protocol/message"
	"github.com/trialmesh/trialmesh/protocol/problem"
	"github.com/trialmesh/trialmesh/protocol/query"
	"github.com/trialmesh/trialmesh/protocol/trial"
)

// Kind numbers a command. Numbers are appended and never reused; a replica
// stops at one it does not know rather than fork.
type Kind uint16

// The kinds of commands.
const (
	KindSetVenue          Kind = 1
	KindEnrollNode        Kind = 2
	KindRevokeNode        Kind = 3
	KindUseToken          Kind = 4
	KindRecordCertificate Kind = 5
	KindRevokeCertificate Kind = 6
	KindAdmitToken        Kind = 7
	KindRegisterCircuit   Kind = 8
	KindRegisterTrial     Kind = 9
	KindPublishEpoch      Kind = 10
	KindAskQuestion       Kind = 11
	KindRecordAnswer      Kind = 12
	KindCloseStep         Kind = 13
	KindFinishQuestion    Kind = 14
	KindRecordAccess      Kind = 15
	KindRecordAccessTx    Kind = 16
	KindRecordAnchor      Kind = 17
	KindInviteNode        Kind = 18
	KindRevokeTokens      Kind = 19
	KindRecordRound       Kind = 20
	KindQueueQuestion     Kind = 21
	KindRegisterStudy     Kind = 22
	KindCancelQuestion    Kind = 25
	KindRegisterSchedule  Kind = 26
	KindAskOccurrence     Kind = 27
	KindCancelSchedule    Kind = 28
	KindRecordStep        Kind = 29
	KindRecordSum         Kind = 30
	KindRecordCeremony    Kind = 31
	KindChangeConsents    Kind = 32
	KindCommitColumns     Kind = 33
	KindRecordResult      Kind = 34
	KindFixPersonKey      Kind = 35
	KindCountPeople       Kind = 36
	KindEnrollPerson      Kind = 37
	KindRecordDeployment  Kind = 38

	newestKind = KindRecordDeployment
)

// Command is one entry of the replicated log.
type Command struct {
	Kind Kind            `json:"kind"`
	At   time.Time       `json:"at"` // the proposer's clock, cut to seconds
	Body json.RawMessage `json:"body"`
}

// The bodies. Each method kind() names the command that carries it.
type (
	// SetVenue fixes the chain and contracts of this network, once.
	SetVenue struct {
		Venue query.Venue `json:"venue"`
	}

	// RecordDeployment notes where the contracts are, for whichever replica leads next.
	RecordDeployment struct {
		Deployment json.RawMessage `json:"deployment"` // evm.Deployment
	}

	// InviteNode keeps a name for a node of an organization.
	InviteNode struct {
		Name         string `json:"name"`
		Organization string `json:"organization"`
	}

	// EnrollNode admits the node that came with an invitation.
	EnrollNode struct {
		Node identity.DID `json:"node"`
		Name string       `json:"name"`
	}

	// RevokeNode bars a node for good.
	RevokeNode struct {
		Revocation ledger.Revocation `json:"revocation"`
	}

	// UseToken spends a one-time enrollment token.
	UseToken struct {
		Hash string `json:"hash"` // hex SHA-256 of the token's id
	}

	// RecordCertificate notes a certificate that the authority issued.
	RecordCertificate struct {
		Serial   string       `json:"serial"`
		DID      identity.DID `json:"did"`
		NotAfter time.Time    `json:"notAfter"`
	}

	// RevokeCertificate revokes one certificate.
	RevokeCertificate struct {
		Serial string `json:"serial"`
	}

	// AdmitToken lets the holder of a bearer token use the API.
	AdmitToken struct {
		Hash    string       `json:"hash"` // hex SHA-256 of the token
		Holder  identity.DID `json:"holder"`
		Role    Role         `json:"role"`
		Expires time.Time    `json:"expires"`
	}

	// RevokeTokens ends bearer tokens before they expire: all of a holder, or,
	// without one, that with an id.
	RevokeTokens struct {
		ID     string       `json:"id,omitempty"` // see TokenID
		Holder identity.DID `json:"holder,omitempty"`
	}

	// RegisterCircuit accepts proofs of a circuit.
	RegisterCircuit struct {
		Circuit ledger.Circuit `json:"circuit"`
	}

	// RecordCeremony puts a statement about a ceremony of keys on the ledger.
	RecordCeremony struct {
		Envelope message.Envelope `json:"envelope"` // of one of zk/ceremony's kinds
	}

	// RegisterTrial registers an approved trial.
	RegisterTrial struct {
		Registration trial.Registration `json:"registration"`
	}

	// PublishEpoch records a node's consent epoch.
	PublishEpoch struct {
		Envelope message.Envelope `json:"envelope"` // of consent.Epoch
	}

	// ChangeConsents records changes of a node's consent leaves.
	ChangeConsents struct {
		consent.Batch
	}

	// FixPersonKey fixes who shares the key by which people are told apart, once.
	FixPersonKey struct {
		Key enrollment.PersonKey `json:"key"`
	}

	// CountPeople counts the people that a node has looked up today, before they are.
	CountPeople struct {
		Node   identity.DID `json:"node"`
		Values int          `json:"values"`
	}

	// EnrollPerson enrolls somebody in a trial.
	EnrollPerson struct {
		Enrollment enrollment.Enrollment `json:"enrollment"`
	}

	// AskQuestion records a question. It is of logs from before there was a queue.
	AskQuestion struct {
		Envelope message.Envelope `json:"envelope"` // of query.Request
		Deadline time.Time        `json:"deadline"`
	}

	// QueueQuestion records a question that is driven when its turn comes.
	QueueQuestion struct {
		Envelope message.Envelope `json:"envelope"` // of query.Request
		Deadline time.Time        `json:"deadline"`
		Priority query.Priority   `json:"priority"`
		Limits   QueueLimits      `json:"limits"`
	}

	// RegisterStudy registers a version of a study.
	RegisterStudy struct {
		Envelope message.Envelope `json:"envelope"` // of study.Study
	}

	// RegisterSchedule registers a recurring question.
	RegisterSchedule struct {
		Envelope message.Envelope `json:"envelope"` // of schedule.Schedule
	}

	// AskOccurrence asks an occurrence of a recurring question that is due, or records
	// that it was missed.
	AskOccurrence struct {
		Schedule message.Digest `json:"schedule"` // of its plan
		Number   int            `json:"number"`   // from 1
		Limits   QueueLimits    `json:"limits"`
	}

	// CancelSchedule ends a recurring question.
	CancelSchedule struct {
		Envelope message.Envelope `json:"envelope"` // of schedule.Cancellation
	}

	// RecordAnswer records a node's answer to a step.
	RecordAnswer struct {
		Envelope message.Envelope `json:"envelope"` // of query.Answer
	}

	// CloseStep fixes the nodes with which a question goes on after a step.
	CloseStep struct {
		Query query.ID       `json:"query"`
		Step  query.Step     `json:"step"`
		Nodes []identity.DID `json:"nodes"`
	}

	// RecordStep is a RecordAnswer for each node that was asked and the CloseStep after
	// them, of one step of one question: all of it holds or none.
	RecordStep struct {
		CloseStep
		Answers []message.Envelope `json:"answers"` // of query.Answer, none on record before
	}

	// RecordRound fixes the state at which a round of a question takes its sum.
	RecordRound struct {
		Query query.ID        `json:"query"`
		Round int             `json:"round"` // from 1
		State json.RawMessage `json:"state"`
	}

	// RecordSum is the RecordStep of the last step of a sum with the one thing that follows
	// from the sum, the RecordRound of the next or the FinishQuestion: both hold or none.
	RecordSum struct {
		Step   RecordStep      `json:"step"`
		Round  *RecordRound    `json:"round,omitempty"`
		Finish *FinishQuestion `json:"finish,omitempty"`
	}

	// FinishQuestion records the answer.
	FinishQuestion struct {
		Result query.Result `json:"result"`
	}

	// CancelQuestion ends an open question without an answer.
	CancelQuestion struct {
		Envelope message.Envelope `json:"envelope"` // of query.Cancellation
	}

	// RecordAccess records a node's access proof after checking it.
	RecordAccess struct {
		Envelope message.Envelope `json:"envelope"` // of query.Access
	}

	// CommitColumns records a node's commitment to columns of a data set.
	CommitColumns struct {
		Envelope message.Envelope `json:"envelope"` // of columns.Commitment
	}

	// RecordResult records a node's proof of its figures after checking it.
	RecordResult struct {
		Envelope message.Envelope `json:"envelope"` // of query.Proved
	}

	// RecordAccessTx notes the transaction that logged an access proof on the chain.
	RecordAccessTx struct {
		Query query.ID     `json:"query"`
		Node  identity.DID `json:"node"`
		Tx    string       `json:"tx"`
		Block uint64       `json:"block"`
		Gas   uint64       `json:"gas"`
	}

	// RecordAnchor notes a checkpoint that the chain holds.
	RecordAnchor struct {
		Anchor ledger.Anchor `json:"anchor"`
	}
)

// Body is the body of a command.
type Body interface{ kind() Kind }

func (SetVenue) kind() Kind          { return KindSetVenue }
func (RecordDeployment) kind() Kind  { return KindRecordDeployment }
func (InviteNode) kind() Kind        { return KindInviteNode }
func (EnrollNode) kind() Kind        { return KindEnrollNode }
func (RevokeNode) kind() Kind        { return KindRevokeNode }
func (UseToken) kind() Kind          { return KindUseToken }
func (RecordCertificate) kind() Kind { return KindRecordCertificate }
func (RevokeCertificate) kind() Kind { return KindRevokeCertificate }
func (AdmitToken) kind() Kind        { return KindAdmitToken }
func (RevokeTokens) kind() Kind      { return KindRevokeTokens }
func (RegisterCircuit) kind() Kind   { return KindRegisterCircuit }
func (RecordCeremony) kind() Kind    { return KindRecordCeremony }
func (RegisterTrial) kind() Kind     { return KindRegisterTrial }
func (PublishEpoch) kind() Kind      { return KindPublishEpoch }
func (ChangeConsents) kind() Kind    { return KindChangeConsents }
func (FixPersonKey) kind() Kind      { return KindFixPersonKey }
func (CountPeople) kind() Kind       { return KindCountPeople }
func (EnrollPerson) kind() Kind      { return KindEnrollPerson }
func (AskQuestion) kind() Kind       { return KindAskQuestion }
func (RecordAnswer) kind() Kind      { return KindRecordAnswer }
func (RecordStep) kind() Kind        { return KindRecordStep }
func (RecordSum) kind() Kind         { return KindRecordSum }
func (CloseStep) kind() Kind         { return KindCloseStep }
func (RecordRound) kind() Kind       { return KindRecordRound }
func (FinishQuestion) kind() Kind    { return KindFinishQuestion }
func (CancelQuestion) kind() Kind    { return KindCancelQuestion }
func (RecordAccess) kind() Kind      { return KindRecordAccess }
func (CommitColumns) kind() Kind     { return KindCommitColumns }
func (RecordResult) kind() Kind      { return KindRecordResult }
func (RecordAccessTx) kind() Kind    { return KindRecordAccessTx }
func (RecordAnchor) kind() Kind      { return KindRecordAnchor }
func (QueueQuestion) kind() Kind     { return KindQueueQuestion }
func (RegisterStudy) kind() Kind     { return KindRegisterStudy }
func (RegisterSchedule) kind() Kind  { return KindRegisterSchedule }
func (AskOccurrence) kind() Kind     { return KindAskOccurrence }
func (CancelSchedule) kind() Kind    { return KindCancelSchedule }

// ErrForwarded reports a command of another replica that must not be committed.
var ErrForwarded = problem.New(problem.Invalid, "the replica that leads cannot commit this command: it knows no such one, or the clocks of the two are minutes apart; set the clocks, and run the same version on all")

// CheckForwarded refuses a command of another replica that would stop all of them, as one of a
// later version, or is of another time than now.
func CheckForwarded(data []byte, now time.Time) error {
	var c Command
	if err := json.Unmarshal(data, &c); err != nil || c.Kind > newestKind {
		return ErrForwarded
	}
	if apart := now.Sub(c.At).Abs(); apart > message.Skew {
		return ErrForwarded
	}
	return nil
}

// Encode returns the bytes of a command for the replicated log. at is the
// proposer's clock.
func Encode(body Body, at time.Time) ([]byte, error) {
	raw, err := json.Marshal(body)
	if err != nil {
		return nil, fmt.Errorf("encode command %d: %w", body.kind(), err)
	}
	return canonical.Marshal(Command{Kind: body.kind(), At: at.UTC().Truncate(time.Second), Body: raw})
}

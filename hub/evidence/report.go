package evidence

import (
	"encoding/json"
	"fmt"

	"github.com/trialmesh/trialmesh/federation/cosign"
	"github.com/trialmesh/trialmesh/protocol/message"
)

// Names of checks. They are part of the report's JSON form and do not change.
const (
	CheckCheckpoint = "log.checkpoint" // signed by the trusted key
	CheckCosigners  = "log.cosigners"  // countersigned by the quorum of the reader's policy
	CheckSeen       = "log.seen"       // the log has what others were shown
	CheckReceipt    = "log.receipt"    // an entry is in the log, by its receipt
	CheckFork       = "log.fork"       // evidence of two histories
	CheckTree       = "log.tree"       // entries and tiles hash to the signed root
	CheckEntries    = "log.entries"    // entries are well-formed and in order of time
	CheckDocuments  = "log.documents"  // documents are those the log names
	CheckSignatures = "log.signatures" // documents are signed by whom the entries name
	CheckAnchors    = "log.anchors"    // recorded anchors agree with the log itself
	CheckProofsOnce = "log.proofs"     // no proof or commitment serves twice
	CheckTrees      = "log.consents"   // changes of consent leaves lead to the roots that epochs are about
	CheckCopy       = "log.copy"       // a directory says which question it was made for

	CheckSigned    = "trial.registered" // every registration of a trial is of one design, which a board approved
	CheckMembers   = "trial.nodes"      // its nodes are enrolled, and nobody else published consents for it
	CheckPlans     = "trial.plans"      // its studies and schedules are signed by its researchers
	CheckQuestions = "trial.questions"  // how many were asked and answered
	CheckActs      = "node.entries"     // a node's entries are of the time in which it was enrolled
	CheckAnswers   = "node.answers"     // how often a node answered, refused or gave no answer

	CheckQuestion   = "question.signed" // in the log, signed by the researcher, valid when asked
	CheckStudy      = "question.study"  // it is the question of the saved study that it names
	CheckTrial      = "trial.signed"    // registered before the question, signed
	CheckApproval   = "trial.approved"  // approved by a board when the question was asked
	CheckOpen       = "trial.open"      // the trial was open
	CheckResearcher = "trial.researcher"
	CheckAnalysis   = "trial.analysis"

	CheckResult    = "result.recorded"  // one result, after the question
	CheckCancelled = "result.cancelled" // who cancelled it could, and signed that; nothing was released
	CheckNodes     = "result.nodes"     // every node of the trial is named once
	CheckPolicy    = "result.policy"    // the disclosure limits are the trial's at least
	CheckCells     = "result.cells"     // the cells are those of the analysis
	CheckRepeats   = "result.repeats"   // a repeated answer is the first one
	CheckLeave     = "result.leave"     // a node says who let the question pass, by digests
	CheckNumbers   = "result.numbers"   // what no proof covers

	CheckEnrolled    = "node.enrolled"     // enrolled before, and not revoked
	CheckEpoch       = "epoch.recorded"    // in the log before the question, signed by the node
	CheckEpochNewest = "epoch.newest"      // the node had published no newer one
	CheckEpochChain  = "epoch.chain"       // it follows the one before it
	CheckEpochTree   = "epoch.tree"        // it is about the leaves that the node had published
	CheckWindow      = "epoch.window"      // its window covers the question
	CheckEpochProof  = "epoch.proof"       // its shards' proofs verify
	CheckAccess      = "access.recorded"   // one access proof, in the log after the result
	CheckAccessBy    = "access.signed"     // signed by the answering node
	CheckAccessAbout = "access.question"   // about this question
	CheckAccessEpoch = "access.epoch"      // under the answer's epoch
	CheckCommitment  = "access.commitment" // about the answer's records, which are nobody else's
	CheckScopes      = "access.scopes"     // for the scopes the question needs
	CheckCount       = "access.count"      // at least as many records as the policy demands
	CheckAccessProof = "access.proof"      // the zero-knowledge proof verifies

	CheckColumns      = "columns.recorded" // the node's last commitment, in the log before the question
	CheckFigures      = "figures.recorded" // one proof of figures, signed by the node, in the log after the result
	CheckFiguresProof = "figures.proof"    // the node's figures follow from those columns, over exactly the consented records

	CheckOwn     = "consent.receipt" // it holds what the participant signed
	CheckLeaf    = "consent.leaf"    // the leaf never stated anything else
	CheckConsent = "consent.stands"  // it states the last of it
	CheckUsed    = "consent.used"    // which answers were drawn while it was in force

	CheckPersonKey = "trial.person-key" // one key tells people apart
	CheckPeople    = "trial.enrolled"   // who is enrolled is so once, with a consent in force

	CheckChain       = "chain.contracts" // endpoint, contracts and verifying key are the expected ones
	CheckChainAnchor = "chain.anchor"    // the chain holds a root of this log
	CheckChainRoot   = "chain.epoch"     // the chain holds the node's consent epoch
	CheckChainAccess = "chain.access"    // the chain logged the access
	CheckChainProof  = "chain.proof"     // the contract verifies the proof
)

// Check is one thing that was looked at.
type Check struct {
	Name string `json:"name"`

	// Subject is what it is about: a file, an entry, a question, a node's DID.
	Subject string `json:"subject"`

	// OK is false for a check that failed or was skipped.
	OK bool `json:"ok"`

	// Skipped says why the check was not made, and is empty if it was.
	Skipped string `json:"skipped,omitempty"`

	// Detail says in plain words what was found.
	Detail string `json:"detail,omitempty"`
}

// Failed reports whether the check was made and found something wrong.
func (c Check) Failed() bool { return !c.OK && c.Skipped == "" }

func (c Check) String() string {
	switch {
	case c.OK:
		return fmt.Sprintf("ok      %s %s: %s", c.Name, c.Subject, c.Detail)
	case c.Failed():
		return fmt.Sprintf("FAILED  %s %s: %s", c.Name, c.Subject, c.Detail)
	default:
		return fmt.Sprintf("skipped %s %s: %s", c.Name, c.Subject, c.Skipped)
	}
}

// Report is what a verification found.
type Report struct {
	// Checkpoint is the log's state that everything was checked against, zero if
	// its signature does not verify.
	Checkpoint Checkpoint `json:"checkpoint"`

	Checks []Check `json:"checks"`

	// Fork is the evidence of two histories, the file of a cosign.Fork, if the log
	// contradicts a checkpoint that was seen.
	Fork json.RawMessage `json:"fork,omitempty"`
}

// Checkpoint fixes a log.
type Checkpoint struct {
	Origin string         `json:"origin"`
	Size   int64          `json:"size"`
	Root   message.Digest `json:"root"`
}

func checkpointOf(c cosign.Checkpoint) Checkpoint {
	return Checkpoint{Origin: c.Origin, Size: c.Size, Root: message.Digest(c.Root)}
}

// Failed returns the checks that failed, nil when all that could be checked is
// as it should be.
func (r Report) Failed() []Check {
	var failed []Check
	for _, c := range r.Checks {
		if c.Failed() {
			failed = append(failed, c)
		}
	}
	return failed
}

func (r *Report) pass(name, subject, format string, args ...any) {
	r.Checks = append(r.Checks, Check{Name: name, Subject: subject, OK: true, Detail: fmt.Sprintf(format, args...)})
}

func (r *Report) fail(name, subject, format string, args ...any) {
	r.Checks = append(r.Checks, Check{Name: name, Subject: subject, Detail: fmt.Sprintf(format, args...)})
}

func (r *Report) skip(name, subject, why string) {
	r.Checks = append(r.Checks, Check{Name: name, Subject: subject, Skipped: why})
}

// judge passes or fails a check, and reports which.
func (r *Report) judge(name, subject string, good bool, right, wrong string) bool {
	if good {
		r.pass(name, subject, "%s", right)
	} else {
		r.fail(name, subject, "%s", wrong)
	}
	return good
}

// Package trial says what a trial may ask of which nodes, and who approved it.
//
// A [Design] is what the sponsor signs; an [Approval] is what an ethics board
// signs over that design's digest. Together, in a [Registration], they are all
// a node needs to judge a question without believing the hub:
// [Registration.Check] is the one place that compares them.
package trial

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/trialmesh/trialmesh/protocol/disclosure"
	"github.com/trialmesh/trialmesh/protocol/identity"
	"github.com/trialmesh/trialmesh/protocol/message"
	"github.com/trialmesh/trialmesh/protocol/problem"
)

// Kinds of signed messages about trials.
const (
	KindDesign   message.Kind = "trial.design"
	KindApproval message.Kind = "trial.approval"
)

// Limits of a design.
const (
	MaxNodes       = 1000
	MaxResearchers = 1000
	MaxApprovals   = 16
	maxTitle       = 300
)

// ID names a trial within a network: 3 to 64 lower-case letters, digits and
// dashes, beginning with a letter.
type ID string

var idForm = regexp.MustCompile(`^[a-z][a-z0-9-]{2,63}$`)

// Valid reports whether id has the form of a trial's name.
func (id ID) Valid() bool { return idForm.MatchString(string(id)) }

// Design is what a trial may do. The sponsor signs it as [KindDesign].
type Design struct {
	ID    ID     `json:"id"`
	Title string `json:"title"`

	// Nodes are the sites that take part, at least one, each once.
	Nodes []identity.DID `json:"nodes"`

	// Researchers are those whose questions count as the trial's.
	Researchers []identity.DID `json:"researchers"`

	// Analyses are the kinds of analysis the trial may ask for, for example
	// "count" and "moments". None means none.
	Analyses []string `json:"analyses"`

	// Disclosure may only make the nodes' own rules stricter.
	Disclosure disclosure.Policy `json:"disclosure"`

	// Participants says how people enroll, nil if they do not.
	Participants *Participants `json:"participants,omitempty"`

	// Opens and Closes bound when questions are answered and people enroll.
	Opens  time.Time `json:"opens"`
	Closes time.Time `json:"closes"`
}

// Participants says how people are enrolled.
type Participants struct {
	// Identifier names the system of identifiers by which every site tells people apart, for
	// example "https://fhir.nhs.uk/Id/nhs-number", 1 to 200 visible characters. Under two
	// systems one person would be two.
	Identifier string `json:"identifier"`
}

// validate reports the first thing that is wrong.
func (p *Participants) validate() error {
	if p != nil && !identifierForm.MatchString(p.Identifier) {
		return invalid("participants: identifier: the name of a system of identifiers, 1 to 200 visible characters")
	}
	return nil
}

var identifierForm = regexp.MustCompile(`^[!-~]{1,200}$`)

// Approval is an ethics board's consent to one design, signed as [KindApproval].
type Approval struct {
	Trial ID `json:"trial"`

	// Design is the digest of the design's envelope.
	Design message.Digest `json:"design"`

	// Statement is what was decided, in words.
	Statement string `json:"statement"`
}

// Registration is a design with its approvals, as the hub keeps it and as it
// accompanies every question to a node.
type Registration struct {
	Design    message.Envelope   `json:"design"`
	Approvals []message.Envelope `json:"approvals"`
}

// Why a registration does not allow a question.
var (
	ErrUnapproved   = problem.Refusal("trial.unapproved", "the trial has no valid approval by a board this node trusts")
	ErrClosed       = problem.Refusal("trial.closed", "the trial is not open at this time")
	ErrResearcher   = problem.Refusal("trial.researcher", "the question is not signed by a researcher of the trial")
	ErrNode         = problem.Refusal("trial.node", "this node does not take part in the trial")
	ErrParticipants = problem.Refusal("trial.participants", "the trial's design enrolls nobody: it names no identifier of participants")
	ErrAnalysis     = problem.Refusal("trial.analysis", "the trial was not approved for this kind of analysis")
)

// Validate reports the first thing that is wrong with the design.
func (d Design) Validate() error {
	switch {
	case !d.ID.Valid():
		return invalid("id: 3 to 64 lower-case letters, digits and dashes, beginning with a letter")
	case d.Title == "" || len(d.Title) > maxTitle:
		return invalid(fmt.Sprintf("title: 1 to %d bytes", maxTitle))
	case len(d.Nodes) == 0 || len(d.Nodes) > MaxNodes:
		return invalid(fmt.Sprintf("nodes: 1 to %d", MaxNodes))
	case len(d.Researchers) == 0 || len(d.Researchers) > MaxResearchers:
		return invalid(fmt.Sprintf("researchers: 1 to %d", MaxResearchers))
	case !d.Opens.Before(d.Closes):
		return invalid("opens must lie before closes")
	}
	for _, list := range [][]identity.DID{d.Nodes, d.Researchers} {
		seen := make(map[identity.DID]bool, len(list))
		for i, did := range list {
			if _, err := did.PublicKey(); err != nil || seen[did] {
				return invalid(fmt.Sprintf("entry %d of nodes or researchers is not a did:key or stands twice", i))
			}
			seen[did] = true
		}
	}
	return errors.Join(d.Participants.validate(), d.Disclosure.Validate())
}

// Open returns the design and checks that it is whole and signed, and that
// each approval is signed and is about this design. Who the boards are is not
// judged here; see [Registration.Check].
func (r Registration) Open() (Design, error) { return r.OpenBy(nil) }

// OpenBy is [Registration.Open] by a party that remembers what it verified.
func (r Registration) OpenBy(v *message.Verified) (Design, error) {
	design, err := message.ReplayBy[Design](v, r.Design, KindDesign)
	if err != nil {
		return Design{}, fmt.Errorf("trial design: %w", err)
	}
	if err := design.Validate(); err != nil {
		return Design{}, err
	}
	if len(r.Approvals) == 0 || len(r.Approvals) > MaxApprovals {
		return Design{}, ErrUnapproved
	}
	digest := r.Design.Digest()
	for i, e := range r.Approvals {
		approval, err := message.ReplayBy[Approval](v, e, KindApproval)
		if err != nil {
			return Design{}, fmt.Errorf("trial approval %d: %w", i, err)
		}
		if approval.Trial != design.ID || approval.Design != digest {
			return Design{}, ErrUnapproved
		}
	}
	return design, nil
}

// Stored returns the design of a registration that [Registration.Open] accepted before it
// was stored where nobody else writes. It verifies nothing.
func (r Registration) Stored() (Design, error) {
	return message.Stored[Design](r.Design, KindDesign)
}

// Ask is the part of a question that a trial's approval is about.
type Ask struct {
	Researcher identity.DID
	Node       identity.DID
	Analysis   string
	At         time.Time
}

// Check returns the design if it is approved, at the time of the question, by
// one of the boards, and allows the question. Otherwise its error names the rule.
func (r Registration) Check(ask Ask, boards []identity.DID) (Design, error) {
	design, err := r.Open()
	if err != nil {
		return Design{}, err
	}
	if err := r.Allows(design, ask, boards); err != nil {
		return Design{}, err
	}
	return design, nil
}

// Allows is [Registration.Check] of a registration that was opened before, with its design:
// what of it depends on the question and its time.
func (r Registration) Allows(design Design, ask Ask, boards []identity.DID) error {
	if err := r.runs(design, ask.At, boards); err != nil {
		return err
	}
	switch {
	case !slices.Contains(design.Researchers, ask.Researcher):
		return ErrResearcher.With("it is signed by " + ask.Researcher.Short())
	case !slices.Contains(design.Nodes, ask.Node):
		return ErrNode
	case !slices.Contains(design.Analyses, ask.Analysis):
		return ErrAnalysis.With("it was approved for " + strings.Join(design.Analyses, ", "))
	}
	return nil
}

// runs reports a trial that is not approved by one of the boards, or not open, at a time.
func (r Registration) runs(design Design, at time.Time, boards []identity.DID) error {
	approved := slices.ContainsFunc(r.Approvals, func(e message.Envelope) bool {
		return slices.Contains(boards, e.Issuer) && !at.Add(message.Skew).Before(e.Issued) && at.Before(e.Expires)
	})
	switch {
	case !approved:
		return ErrUnapproved
	case at.Before(design.Opens) || !at.Before(design.Closes):
		return ErrClosed.With(fmt.Sprintf("it is from %s to %s", design.Opens.UTC().Format(time.RFC3339), design.Closes.UTC().Format(time.RFC3339)))
	}
	return nil
}

// Enrolls returns how people enroll at a node if the trial, approved by one of the boards,
// takes any there at a time. Otherwise its error names the rule.
func (r Registration) Enrolls(node identity.DID, at time.Time, boards []identity.DID) (Participants, error) {
	design, err := r.Open()
	if err != nil {
		return Participants{}, err
	}
	if err := r.runs(design, at, boards); err != nil {
		return Participants{}, err
	}
	switch {
	case !slices.Contains(design.Nodes, node):
		return Participants{}, ErrNode
	case design.Participants == nil:
		return Participants{}, ErrParticipants
	}
	return *design.Participants, nil
}

func invalid(detail string) error {
	return problem.New(problem.Invalid, "trial design: "+detail)
}

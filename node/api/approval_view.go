package api

import (
	"time"

	"github.com/trialmesh/trialmesh/node/approval"
	"github.com/trialmesh/trialmesh/protocol/cohort"
	"github.com/trialmesh/trialmesh/protocol/identity"
	"github.com/trialmesh/trialmesh/protocol/message"
	"github.com/trialmesh/trialmesh/protocol/query"
	"github.com/trialmesh/trialmesh/protocol/trial"
)

// Approval is a request for approval. It stays at the site.
type Approval struct {
	ID     message.Digest `json:"id"`
	Gate   approval.Gate  `json:"gate" enum:"run,release" doc:"Before the question runs, or before its numbers leave"`
	State  approval.State `json:"state" enum:"waiting,approved,refused,over,superseded,cancelled"`
	Asked  time.Time      `json:"asked"`
	Until  time.Time      `json:"until" doc:"How long the hub waits"`
	Policy message.Digest `json:"policy" doc:"Of the site's policy that asked for approval"`
	Why    string         `json:"why" doc:"What that policy said"`

	Query      query.ID       `json:"query"`
	Question   message.Digest `json:"question" doc:"Digest of what is asked, the same whoever asks it"`
	Trial      trial.ID       `json:"trial"`
	Researcher identity.DID   `json:"researcher"`
	Purpose    string         `json:"purpose" doc:"In the researcher's words"`
	Words      string         `json:"words" doc:"What is asked, in plain English. Of one request, concepts have the names that the site's vocabulary gives them; in a list they are numbers. What stands in quotation marks is the researcher's"`
	Request    query.Request  `json:"request" doc:"What is asked, in full"`

	Domains    []cohort.Domain `json:"domains" nullable:"false" doc:"What of the site's data is read"`
	AnyConcept bool            `json:"anyConcept" doc:"Some of it is read whatever the concept"`
	Concepts   int             `json:"concepts" doc:"How many concepts are named"`
	Size       approval.Band   `json:"size" doc:"How many persons it would use here, when it was asked"`
	SizeNow    approval.Band   `json:"sizeNow,omitempty" doc:"The same by the consents of now; only where it is asked for"`
	Earlier    int             `json:"earlier" doc:"How many verdicts there were about the same question before, up to 100"`

	Named     []ApprovalPlace `json:"named" nullable:"false" doc:"Where the question names concepts, by the site's vocabulary; only of one request"`
	Otherwise int             `json:"otherwise" doc:"How many concepts the researcher calls otherwise than the site; only of one request"`
	Unknown   int             `json:"unknown" doc:"How many concepts the site's vocabulary does not have; only of one request"`
	Before    *ApprovalPast   `json:"before,omitempty" doc:"What came before at this site; only of one request"`

	// Numbers is of the gate before the release.
	Numbers message.Digest `json:"numbers" doc:"Digest of the numbers that would leave; zeros at the gate before the run"`
	Cells   []ApprovalCell `json:"cells" nullable:"false" doc:"What would leave, before it is masked; only of one request, at the gate before the release"`

	Verdict  *message.Envelope `json:"verdict,omitempty" doc:"As its approver signed it"`
	Decided  *time.Time        `json:"decided,omitempty"`
	Answered bool              `json:"answered" doc:"The node has answered by the verdict, which stands"`
}

// ApprovalCell is one cell of what would leave the site.
type ApprovalCell struct {
	Levels   []string      `json:"levels" nullable:"false"`
	N        int64         `json:"n" doc:"Persons, rounded as the policy says; of a method in rounds exactly, or 0 where there is a size"`
	Withheld bool          `json:"withheld" doc:"The release gate keeps the cell back"`
	Mean     *float64      `json:"mean,omitempty"`
	SD       *float64      `json:"sd,omitempty"`
	Together []string      `json:"together,omitempty" doc:"Columns of a method in rounds that are summed together, over those who have a value of each"`
	Omitted  int64         `json:"omitted,omitempty" doc:"Persons who lack one of these values"`
	Size     approval.Band `json:"size,omitempty" doc:"In place of n, where the site's policy asks for bands"`
}

// ApprovalPlace is where a question names concepts.
type ApprovalPlace struct {
	What     string            `json:"what" enum:"concept set,criteria,variable,column"`
	Name     string            `json:"name,omitempty" doc:"In the researcher's words"`
	Concepts []ApprovalConcept `json:"concepts" nullable:"false" doc:"At most 100, first those that are called otherwise or unknown"`
	More     int               `json:"more" doc:"How many more there are"`
	Reach    int               `json:"reach" doc:"How many of the site's standard concepts it comes to, with descendants and without what is excluded"`
	Refusal  string            `json:"refusal,omitempty" doc:"Why that cannot be told"`
}

// ApprovalConcept is a concept of a question as the site's vocabulary has it.
type ApprovalConcept struct {
	ID          int64  `json:"id"`
	Known       bool   `json:"known" doc:"The site's vocabulary has it"`
	Name        string `json:"name,omitempty"`
	Domain      string `json:"domain,omitempty"`
	Vocabulary  string `json:"vocabulary,omitempty"`
	Code        string `json:"code,omitempty"`
	Standard    bool   `json:"standard"`
	Theirs      string `json:"theirs,omitempty" doc:"What the researcher calls it"`
	Otherwise   bool   `json:"otherwise" doc:"The researcher calls it otherwise than the site"`
	Excluded    bool   `json:"excluded,omitempty"`
	Descendants bool   `json:"descendants,omitempty"`
	Mapped      bool   `json:"mapped,omitempty"`
}

// ApprovalPast is what came before a question at this site.
type ApprovalPast struct {
	Asked    int                    `json:"asked" doc:"Other questions of the researcher that came to a decision here"`
	Lately   int                    `json:"lately" doc:"Those of them in the 30 days before this one"`
	Passed   int                    `json:"passed" doc:"How often the site's policy let the same question pass without a person"`
	Denied   int                    `json:"denied" doc:"How often it refused the same question"`
	Verdicts []ApprovalPastDecision `json:"verdicts" nullable:"false" doc:"Of people here about the same question, whoever asked it, newest first, at most 20"`
}

// ApprovalPastDecision is an earlier verdict about the same question.
type ApprovalPastDecision struct {
	Researcher identity.DID  `json:"researcher"`
	Approver   identity.DID  `json:"approver"`
	Gate       approval.Gate `json:"gate"`
	Approved   bool          `json:"approved"`
	At         time.Time     `json:"at"`
	Reason     string        `json:"reason" doc:"For the site's own records"`
}

func placeOf(p approval.Place) ApprovalPlace {
	view := ApprovalPlace{What: p.What, Name: p.Name, Concepts: make([]ApprovalConcept, 0, len(p.Concepts)), More: p.More, Reach: p.Reach, Refusal: p.Refusal}
	for _, c := range p.Concepts {
		view.Concepts = append(view.Concepts, ApprovalConcept{
			ID: c.ID, Known: c.Known, Name: c.Name, Domain: c.Domain, Vocabulary: c.Vocabulary, Code: c.Code, Standard: c.Standard,
			Theirs: c.Theirs, Otherwise: c.Otherwise, Excluded: c.Excluded, Descendants: c.Descendants, Mapped: c.Mapped,
		})
	}
	return view
}

func pastOf(h approval.History) *ApprovalPast {
	view := &ApprovalPast{Asked: h.Asked, Lately: h.Lately, Passed: h.Passed, Denied: h.Denied, Verdicts: make([]ApprovalPastDecision, 0, len(h.Verdicts))}
	for _, v := range h.Verdicts {
		view.Verdicts = append(view.Verdicts, ApprovalPastDecision{
			Researcher: v.Researcher, Approver: v.Approver, Gate: v.Gate, Approved: v.Approved, At: v.At, Reason: v.Reason,
		})
	}
	return view
}

func approvalOf(i approval.Item) (Approval, error) {
	words, err := approval.Words(i.Request)
	view := Approval{
		ID: i.ID, Gate: i.Gate, State: i.State, Asked: i.Asked, Until: i.Until, Policy: i.Policy, Why: i.Decision.Reason,
		Query: i.Input.Query, Question: i.Input.Question, Trial: i.Input.Trial, Researcher: i.Input.Researcher, Purpose: i.Input.Purpose,
		Words: words, Request: i.Request, Domains: i.Input.Domains, AnyConcept: i.Input.AnyConcept, Concepts: len(i.Input.Concepts), Size: i.Input.Size, Earlier: len(i.Input.Earlier),
		Numbers: i.Numbers, Named: []ApprovalPlace{}, Cells: []ApprovalCell{}, Verdict: i.Verdict, Answered: i.Sent,
	}
	if !i.Decided.IsZero() {
		view.Decided = &i.Decided
	}
	return view, err
}

package api

import (
	"context"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/trialmesh/trialmesh/node/approval"
	"github.com/trialmesh/trialmesh/protocol/cohort"
	"github.com/trialmesh/trialmesh/protocol/identity"
	"github.com/trialmesh/trialmesh/protocol/message"
	"github.com/trialmesh/trialmesh/protocol/query"
	"github.com/trialmesh/trialmesh/protocol/trial"
)

const approvalsPath = "/v1/approvals"

// Approvals are the questions that a person of the site decides about. Refusals are
// of type problem.Error.
type Approvals interface {
	// Items returns the newest requests, at most 200: those that wait, or all.
	Items(ctx context.Context, all bool) ([]approval.Item, error)

	// Item returns the request whose id begins with a prefix.
	Item(ctx context.Context, prefix string) (approval.Item, error)

	// Shown returns what would leave the site, at the gate before the release.
	Shown(ctx context.Context, item approval.Item) ([]approval.Cell, error)

	// Record takes a signed verdict. It is durable when Record returns.
	Record(ctx context.Context, id message.Digest, e message.Envelope) (approval.Item, error)
}

// noApprovals is a node that decides about nothing.
type noApprovals struct{}

func (noApprovals) Items(context.Context, bool) ([]approval.Item, error) { return nil, nil }

func (noApprovals) Item(context.Context, string) (approval.Item, error) {
	return approval.Item{}, approval.ErrUnknown
}

func (noApprovals) Shown(context.Context, approval.Item) ([]approval.Cell, error) { return nil, nil }

func (noApprovals) Record(context.Context, message.Digest, message.Envelope) (approval.Item, error) {
	return approval.Item{}, approval.ErrUnknown
}

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
	Words      string         `json:"words" doc:"What is asked, in plain English"`
	Request    query.Request  `json:"request" doc:"What is asked, in full"`

	Domains  []cohort.Domain `json:"domains" nullable:"false" doc:"What of the site's data is read"`
	Concepts int             `json:"concepts" doc:"How many concepts are named"`
	Size     approval.Band   `json:"size" doc:"How many persons it would use here, when it was asked"`
	Earlier  int             `json:"earlier" doc:"How many verdicts there were about the same question before, up to 100"`

	// Numbers is of the gate before the release.
	Numbers message.Digest `json:"numbers" doc:"Digest of the numbers that would leave; zeros at the gate before the run"`
	Cells   []ApprovalCell `json:"cells" nullable:"false" doc:"What would leave, before it is masked; only of one request, at the gate before the release"`

	Verdict  *message.Envelope `json:"verdict,omitempty" doc:"As its approver signed it"`
	Decided  *time.Time        `json:"decided,omitempty"`
	Answered bool              `json:"answered" doc:"The node has answered by the verdict, which stands"`
}

// ApprovalCell is one cell of what would leave the site.
type ApprovalCell struct {
	Levels   []string `json:"levels" nullable:"false"`
	N        int64    `json:"n" doc:"Persons, rounded as the policy says"`
	Withheld bool     `json:"withheld" doc:"The release gate keeps the cell back"`
	Mean     *float64 `json:"mean,omitempty"`
	SD       *float64 `json:"sd,omitempty"`
}

// AllApprovals is the answer of GET /v1/approvals.
type AllApprovals struct {
	Approvals []Approval `json:"approvals" nullable:"false"`
}

// VerdictInput is the body of POST /v1/approvals/{id}.
type VerdictInput struct {
	Verdict message.Envelope `json:"verdict" doc:"A verdict on this request, signed by one of the site's approvers"`
}

type approvalPath struct {
	ID string `path:"id" minLength:"8" maxLength:"64" pattern:"^[0-9a-f]*$" doc:"The id, or its first eight or more hex digits"`
}

func (s *server) routeApprovals() {
	tags := []string{"approvals"}
	get(s, huma.Operation{
		OperationID: "approvals", Path: approvalsPath, Summary: "Questions that a person of the site decides about, newest first", Tags: tags,
		Description: "Those that wait, or all; at most 200. They stay at the site.",
	}, s.listApprovals)
	get(s, huma.Operation{
		OperationID: "approval", Path: approvalsPath + "/{id}", Summary: "A question that a person of the site decides about", Tags: tags,
	}, func(ctx context.Context, in *approvalPath) (*body[Approval], error) {
		item, err := s.cfg.Approvals.Item(ctx, in.ID)
		if err != nil {
			return nil, err
		}
		return s.approvalBody(ctx, item)
	})
	post(s, huma.Operation{
		OperationID: "decide", Path: approvalsPath + "/{id}", Summary: "Bring a signed verdict on a question", Tags: tags,
		Description: "It is durable when the answer comes. A refusal stands; an approval may be followed by a refusal until the node has answered. The same verdict may come again.",
	}, s.decide)
}

func (s *server) listApprovals(ctx context.Context, in *struct {
	All bool `query:"all" doc:"Also those that were decided or nobody waits for any more"`
},
) (*body[AllApprovals], error) {
	items, err := s.cfg.Approvals.Items(ctx, in.All)
	if err != nil {
		return nil, err
	}
	list := make([]Approval, 0, len(items))
	for _, item := range items {
		view, err := approvalOf(item)
		if err != nil {
			return nil, err
		}
		list = append(list, view)
	}
	return &body[AllApprovals]{AllApprovals{list}}, nil
}

type verdictPath struct {
	ID   string `path:"id" minLength:"8" maxLength:"64" pattern:"^[0-9a-f]*$" doc:"The id, or its first eight or more hex digits"`
	Body VerdictInput
}

func (s *server) decide(ctx context.Context, in *verdictPath) (*body[Approval], error) {
	item, err := s.cfg.Approvals.Item(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	if item, err = s.cfg.Approvals.Record(ctx, item.ID, in.Body.Verdict); err != nil {
		return nil, err
	}
	return s.approvalBody(ctx, item)
}

func (s *server) approvalBody(ctx context.Context, item approval.Item) (*body[Approval], error) {
	view, err := approvalOf(item)
	if err != nil {
		return nil, err
	}
	shown, err := s.cfg.Approvals.Shown(ctx, item)
	if err != nil {
		return nil, err
	}
	for _, c := range shown {
		view.Cells = append(view.Cells, ApprovalCell{Levels: c.Levels, N: c.N, Withheld: c.Withheld, Mean: c.Mean, SD: c.SD})
	}
	return &body[Approval]{view}, nil
}

func approvalOf(i approval.Item) (Approval, error) {
	words, err := approval.Words(i.Request)
	view := Approval{
		ID: i.ID, Gate: i.Gate, State: i.State, Asked: i.Asked, Until: i.Until, Policy: i.Policy, Why: i.Decision.Reason,
		Query: i.Input.Query, Question: i.Input.Question, Trial: i.Input.Trial, Researcher: i.Input.Researcher, Purpose: i.Input.Purpose,
		Words: words, Request: i.Request, Domains: i.Input.Domains, Concepts: len(i.Input.Concepts), Size: i.Input.Size, Earlier: len(i.Input.Earlier),
		Numbers: i.Numbers, Cells: []ApprovalCell{}, Verdict: i.Verdict, Answered: i.Sent,
	}
	if !i.Decided.IsZero() {
		view.Decided = &i.Decided
	}
	return view, err
}

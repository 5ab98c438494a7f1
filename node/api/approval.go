package api

import (
	"context"

	"github.com/danielgtaylor/huma/v2"

	"github.com/trialmesh/trialmesh/node/approval"
	"github.com/trialmesh/trialmesh/protocol/message"
)

const approvalsPath = "/v1/approvals"

// Approvals are the questions that a person of the site decides about. Refusals are
// of type problem.Error.
type Approvals interface {
	// Items returns the newest requests, at most 200: those that wait, or all.
	Items(ctx context.Context, all bool) ([]approval.Item, error)

	// Item returns the request whose id begins with a prefix.
	Item(ctx context.Context, prefix string) (approval.Item, error)

	// Shown returns what a person who decides sees of a request besides.
	Shown(ctx context.Context, item approval.Item) (approval.Shown, error)

	// Size returns how many persons the question would use, now.
	Size(ctx context.Context, item approval.Item) (approval.Band, error)

	// Record takes a signed verdict. It is durable when Record returns.
	Record(ctx context.Context, id message.Digest, e message.Envelope) (approval.Item, error)
}

// noApprovals is a node that decides about nothing.
type noApprovals struct{}

func (noApprovals) Items(context.Context, bool) ([]approval.Item, error) { return nil, nil }

func (noApprovals) Item(context.Context, string) (approval.Item, error) {
	return approval.Item{}, approval.ErrUnknown
}

func (noApprovals) Shown(context.Context, approval.Item) (approval.Shown, error) {
	return approval.Shown{}, approval.ErrUnknown
}

func (noApprovals) Size(context.Context, approval.Item) (approval.Band, error) {
	return "", approval.ErrUnknown
}

func (noApprovals) Record(context.Context, message.Digest, message.Envelope) (approval.Item, error) {
	return approval.Item{}, approval.ErrUnknown
}

// AllApprovals is the answer of GET /v1/approvals.
type AllApprovals struct {
	Approvals []Approval `json:"approvals" nullable:"false"`
}

// VerdictInput is the body of POST /v1/approvals/{id}.
type VerdictInput struct {
	Verdict message.Envelope `json:"verdict" doc:"A verdict on this request, signed by one of the site's approvers"`
}

func (s *server) routeApprovals() {
	tags := []string{"approvals"}
	get(s, huma.Operation{
		OperationID: "approvals", Path: approvalsPath, Summary: "Questions that a person of the site decides about, newest first", Tags: tags,
		Description: "Those that wait, or all; at most 200. They stay at the site.",
	}, s.listApprovals)
	get(s, huma.Operation{
		OperationID: "approval", Path: approvalsPath + "/{id}", Summary: "A question that a person of the site decides about", Tags: tags,
		Description: "With size=true the persons whom it would use are counted, which may take up to a minute.",
	}, s.showApproval)
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

func (s *server) showApproval(ctx context.Context, in *struct {
	ID   string `path:"id" minLength:"8" maxLength:"64" pattern:"^[0-9a-f]*$" doc:"The id, or its first eight or more hex digits"`
	Size bool   `query:"size" doc:"Count how many persons it would use, by the consents of now"`
},
) (*body[Approval], error) {
	item, err := s.cfg.Approvals.Item(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	view, err := s.approvalBody(ctx, item)
	if err == nil && in.Size {
		view.Body.SizeNow, err = s.cfg.Approvals.Size(ctx, item)
	}
	return view, err
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
	view.Words, view.Otherwise, view.Unknown = shown.Words, shown.Otherwise, shown.Unknown
	for _, p := range shown.Places {
		view.Named = append(view.Named, placeOf(p))
	}
	view.Before = pastOf(shown.History)
	for _, c := range shown.Cells {
		view.Cells = append(view.Cells, ApprovalCell{
			Levels: append([]string{}, c.Levels...), N: c.N, Withheld: c.Withheld, Mean: c.Mean, SD: c.SD,
			Together: c.Together, Omitted: c.Omitted, Size: c.Size,
		})
	}
	return &body[Approval]{view}, nil
}

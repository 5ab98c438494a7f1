package client

import (
	"context"
	"net/http"
	"net/url"
	"time"

	"github.com/trialmesh/trialmesh/protocol/message"
)

// Approval is a question that a person of the site decides about.
type Approval struct {
	ID     message.Digest `json:"id"`
	Gate   string         `json:"gate"`  // run or release
	State  string         `json:"state"` // waiting, approved, refused, over, superseded or cancelled
	Asked  time.Time      `json:"asked"`
	Until  time.Time      `json:"until"`
	Policy message.Digest `json:"policy"`
	Why    string         `json:"why"`

	Query      message.Digest `json:"query"`
	Question   message.Digest `json:"question"`
	Trial      string         `json:"trial"`
	Researcher string         `json:"researcher"`
	Purpose    string         `json:"purpose"`
	Words      string         `json:"words"`

	Domains  []string `json:"domains"`
	Concepts int      `json:"concepts"`
	Size     string   `json:"size"`
	Earlier  int      `json:"earlier"`

	Numbers message.Digest `json:"numbers"`
	Cells   []ApprovalCell `json:"cells"`

	Verdict  *message.Envelope `json:"verdict,omitempty"`
	Decided  time.Time         `json:"decided,omitzero"`
	Answered bool              `json:"answered"`
}

// ApprovalCell is one cell of what would leave the site.
type ApprovalCell struct {
	Levels   []string `json:"levels"`
	N        int64    `json:"n"`
	Withheld bool     `json:"withheld"`
	Mean     *float64 `json:"mean,omitempty"`
	SD       *float64 `json:"sd,omitempty"`
}

const approvalsPath = "/v1/approvals"

// Approvals returns the newest requests for approval: those that wait, or all.
func (c *Client) Approvals(ctx context.Context, all bool) ([]Approval, error) {
	path := approvalsPath
	if all {
		path += "?all=true"
	}
	answer, err := ask[struct{ Approvals []Approval }](ctx, c, http.MethodGet, path, "", nil)
	return answer.Approvals, err
}

// Approval returns a request for approval by its id, or the id's first eight or more
// hex digits.
func (c *Client) Approval(ctx context.Context, id string) (Approval, error) {
	return ask[Approval](ctx, c, http.MethodGet, approvalsPath+"/"+url.PathEscape(id), "", nil)
}

// Decide brings a signed verdict. It is durable when Decide returns.
func (c *Client) Decide(ctx context.Context, id message.Digest, verdict message.Envelope) (Approval, error) {
	return send[Approval](ctx, c, approvalsPath+"/"+id.String(), struct {
		Verdict message.Envelope `json:"verdict"`
	}{verdict})
}

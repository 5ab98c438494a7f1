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

	Domains    []string `json:"domains"`
	AnyConcept bool     `json:"anyConcept"`
	Concepts   int      `json:"concepts"`
	Size       string   `json:"size"`
	SizeNow    string   `json:"sizeNow,omitempty"`
	Earlier    int      `json:"earlier"`

	// Of one request only.
	Named     []ApprovalPlace `json:"named,omitempty"`
	Otherwise int             `json:"otherwise"`
	Unknown   int             `json:"unknown"`
	Before    *ApprovalPast   `json:"before,omitempty"`

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
	Together []string `json:"together,omitempty"` // columns of a method in rounds that are summed together
	Omitted  int64    `json:"omitted,omitempty"`
	Size     string   `json:"size,omitempty"` // in place of N, where the site's policy asks for bands
}

// ApprovalPlace is where a question names concepts.
type ApprovalPlace struct {
	What     string            `json:"what"`
	Name     string            `json:"name,omitempty"` // the researcher's
	Concepts []ApprovalConcept `json:"concepts"`
	More     int               `json:"more"`
	Reach    int               `json:"reach"` // standard concepts of the site
	Refusal  string            `json:"refusal,omitempty"`
}

// ApprovalConcept is a concept of a question as the site's vocabulary has it.
type ApprovalConcept struct {
	ID          int64  `json:"id"`
	Known       bool   `json:"known"`
	Name        string `json:"name,omitempty"`
	Domain      string `json:"domain,omitempty"`
	Vocabulary  string `json:"vocabulary,omitempty"`
	Code        string `json:"code,omitempty"`
	Standard    bool   `json:"standard"`
	Theirs      string `json:"theirs,omitempty"` // the researcher's
	Otherwise   bool   `json:"otherwise"`
	Excluded    bool   `json:"excluded,omitempty"`
	Descendants bool   `json:"descendants,omitempty"`
	Mapped      bool   `json:"mapped,omitempty"`
}

// ApprovalPast is what came before a question at the site.
type ApprovalPast struct {
	Asked    int                    `json:"asked"`
	Lately   int                    `json:"lately"`
	Passed   int                    `json:"passed"`
	Denied   int                    `json:"denied"`
	Verdicts []ApprovalPastDecision `json:"verdicts"`
}

// ApprovalPastDecision is an earlier verdict about the same question.
type ApprovalPastDecision struct {
	Researcher string    `json:"researcher"`
	Approver   string    `json:"approver"`
	Gate       string    `json:"gate"`
	Approved   bool      `json:"approved"`
	At         time.Time `json:"at"`
	Reason     string    `json:"reason"`
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
// hex digits. With size, the node counts how many persons it would use, which may take up
// to a minute.
func (c *Client) Approval(ctx context.Context, id string, size bool) (Approval, error) {
	path := approvalsPath + "/" + url.PathEscape(id)
	if size {
		path += "?size=true"
	}
	return ask[Approval](ctx, c, http.MethodGet, path, "", nil)
}

// Decide brings a signed verdict. It is durable when Decide returns.
func (c *Client) Decide(ctx context.Context, id message.Digest, verdict message.Envelope) (Approval, error) {
	return send[Approval](ctx, c, approvalsPath+"/"+id.String(), struct {
		Verdict message.Envelope `json:"verdict"`
	}{verdict})
}

package api

import (
	"context"
	"io"
	"net/http"
	"strconv"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/gin-gonic/gin"

	"github.com/trialmesh/trialmesh/federation/front"
	"github.com/trialmesh/trialmesh/node/outbox"
	"github.com/trialmesh/trialmesh/protocol/problem"
)

const writebackPath = "/v1/writeback"

// Outbox writes to the site's EHRs; outbox.Outbox is one. Refusals are of type problem.Error.
type Outbox interface {
	// Send takes the resources of a document. All are durable when it returns, or none is
	// kept.
	Send(ctx context.Context, endpoint string, r io.Reader) ([]outbox.Message, error)

	Message(ctx context.Context, id outbox.ID) (outbox.Message, error)
	Messages(ctx context.Context, before outbox.ID, limit int, state outbox.State) ([]outbox.Message, error)
	Retry(ctx context.Context, id outbox.ID) (outbox.Message, error)
	Cancel(ctx context.Context, id outbox.ID) (outbox.Message, error)
	Endpoints() ([]outbox.Entry, error)
}

// Message is a resource on its way to an EHR. It does not hold the resource.
type Message struct {
	ID         string     `json:"id"`
	Endpoint   string     `json:"endpoint"`
	Type       string     `json:"type" doc:"Of the FHIR resource"`
	Identifier string     `json:"identifier" doc:"Value of the identifier that the node gave the resource"`
	State      string     `json:"state" enum:"waiting,delivered,failed,cancelled" doc:"failed is one that the EHR refused, or that waited for it too long"`
	Asked      time.Time  `json:"asked"`
	Tried      *time.Time `json:"tried,omitempty" doc:"When the latest attempt began"`
	Next       *time.Time `json:"next,omitempty" doc:"When the next one is due after trouble"`
	Ended      *time.Time `json:"ended,omitempty"`
	Attempts   int        `json:"attempts"`
	Reference  string     `json:"reference,omitempty" doc:"What the EHR calls the resource"`
	Error      string     `json:"error,omitempty" doc:"Of the last attempt that failed: what was asked, the status, the codes and elements of the OperationOutcome"`
}

// Messages is a list of messages, newest first.
type Messages struct {
	Messages []Message `json:"messages" nullable:"false"`
}

// Endpoint is a FHIR server that the site has registered for writing.
type Endpoint struct {
	Name  string   `json:"name"`
	URL   string   `json:"url,omitempty" doc:"Base URL of the server"`
	Types []string `json:"types" nullable:"false" doc:"Of resources that may be written"`
	Error string   `json:"error,omitempty" doc:"What is wrong with its settings; nothing is sent"`
}

// Endpoints is all endpoints, by name.
type Endpoints struct {
	Endpoints []Endpoint `json:"endpoints" nullable:"false"`
}

// noOutbox is a node that writes nowhere.
type noOutbox struct{}

var errNoOutbox = problem.New(problem.NotFound, "this process writes to no EHR: ask the node itself")

func (noOutbox) Send(context.Context, string, io.Reader) ([]outbox.Message, error) {
	return nil, errNoOutbox
}

func (noOutbox) Message(context.Context, outbox.ID) (outbox.Message, error) {
	return outbox.Message{}, errNoOutbox
}

func (noOutbox) Messages(context.Context, outbox.ID, int, outbox.State) ([]outbox.Message, error) {
	return nil, nil
}

func (noOutbox) Retry(context.Context, outbox.ID) (outbox.Message, error) {
	return outbox.Message{}, errNoOutbox
}

func (noOutbox) Cancel(context.Context, outbox.ID) (outbox.Message, error) {
	return outbox.Message{}, errNoOutbox
}

func (noOutbox) Endpoints() ([]outbox.Entry, error) { return nil, nil }

// messagePath names a message.
type messagePath struct {
	ID int64 `path:"id" minimum:"1"`
}

func (s *server) routeWriteback() {
	tags := []string{"writeback"}
	s.router.POST(writebackPath, s.authorized(s.sendMessages))
	s.document(huma.Operation{
		OperationID: "writeback", Method: http.MethodPost, Path: writebackPath, Summary: "Write to an EHR", Tags: tags,
		Description: "The body is a FHIR R4 resource, lines of them, or a Bundle of type collection: " +
			"Communication, Task, ServiceRequest, ResearchSubject or ResearchStudy. The answer comes when all are durable; " +
			"one that is refused keeps the others out. They are created at the EHR one by one, and once: sending the same again is harmless, " +
			"and sends one that failed or was cancelled anew.",
		Security:    []map[string][]string{{bearer: {}}},
		Parameters:  []*huma.Param{{Name: "to", In: "query", Required: true, Description: "Name of the endpoint", Schema: &huma.Schema{Type: huma.TypeString}}},
		RequestBody: fileBody("application/fhir+json", "application/fhir+ndjson"),
	}, http.StatusAccepted, "application/json", s.router.Schema(Messages{}))
	get(s, huma.Operation{OperationID: "messages", Path: writebackPath, Summary: "What was to be written, newest first", Tags: tags}, s.messages)
	get(s, huma.Operation{OperationID: "endpoints", Path: writebackPath + "/endpoints", Summary: "EHRs that the node may write to", Tags: tags}, s.endpoints)
	get(s, huma.Operation{OperationID: "message", Path: writebackPath + "/{id}", Summary: "What became of a message", Tags: tags}, func(ctx context.Context, in *messagePath) (*body[Message], error) {
		m, err := s.cfg.Outbox.Message(ctx, outbox.ID(in.ID))
		return &body[Message]{messageOf(m)}, err
	})
	post(s, huma.Operation{
		OperationID: "retryMessage", Path: writebackPath + "/{id}/retry", Summary: "Send a message that failed again, or one that waits now", Tags: tags,
	}, func(ctx context.Context, in *messagePath) (*body[Message], error) {
		m, err := s.cfg.Outbox.Retry(ctx, outbox.ID(in.ID))
		return &body[Message]{messageOf(m)}, retry(err)
	})
	post(s, huma.Operation{
		OperationID: "cancelMessage", Path: writebackPath + "/{id}/cancel", Summary: "Cancel a message that the EHR does not have", Tags: tags,
		Description: "One that is just being sent may arrive all the same, and is then delivered.",
	}, func(ctx context.Context, in *messagePath) (*body[Message], error) {
		m, err := s.cfg.Outbox.Cancel(ctx, outbox.ID(in.ID))
		return &body[Message]{messageOf(m)}, retry(err)
	})
}

func (s *server) sendMessages(c *gin.Context) error {
	sent, err := s.cfg.Outbox.Send(c.Request.Context(), c.Query("to"), bodyReader{c.Request.Body})
	if err != nil {
		return retry(err)
	}
	c.JSON(http.StatusAccepted, messagesOf(sent))
	return nil
}

// bodyReader is a request's body, whose errors say what is wrong with the request.
type bodyReader struct{ io.Reader }

func (b bodyReader) Read(p []byte) (int, error) {
	n, err := b.Reader.Read(p)
	if err != nil && err != io.EOF { //nolint:errorlint // readers return io.EOF itself
		err = front.BodyError(err)
	}
	return n, err
}

func (s *server) messages(ctx context.Context, in *struct {
	State  string `query:"state" enum:"waiting,delivered,failed,cancelled" doc:"Only in this state"`
	Before int64  `query:"before" minimum:"0" doc:"Only older than this one"`
	Limit  int    `query:"limit" minimum:"1" maximum:"1000" default:"100"`
},
) (*body[Messages], error) {
	list, err := s.cfg.Outbox.Messages(ctx, outbox.ID(in.Before), in.Limit, outbox.State(in.State))
	return &body[Messages]{messagesOf(list)}, err
}

func (s *server) endpoints(context.Context, *struct{}) (*body[Endpoints], error) {
	all, err := s.cfg.Outbox.Endpoints()
	if err != nil {
		return nil, err
	}
	list := make([]Endpoint, 0, len(all))
	for _, e := range all {
		view := Endpoint{Name: e.Name, URL: e.URL, Types: append([]string{}, e.Types...)}
		if e.Err != nil {
			view.Error = e.Err.Error()
		}
		list = append(list, view)
	}
	return &body[Endpoints]{Endpoints{list}}, nil
}

func messagesOf(list []outbox.Message) Messages {
	views := make([]Message, 0, len(list))
	for _, m := range list {
		views = append(views, messageOf(m))
	}
	return Messages{views}
}

func messageOf(m outbox.Message) Message {
	return Message{
		ID: strconv.FormatInt(int64(m.ID), 10), Endpoint: m.Endpoint, Type: m.Type, Identifier: m.Identifier, State: string(m.State), Asked: m.Asked.UTC(),
		Tried: moment(m.Tried), Next: moment(m.Next), Ended: moment(m.Ended), Attempts: m.Attempts, Reference: m.Reference, Error: m.Error,
	}
}

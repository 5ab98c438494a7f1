package api

import (
	"context"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/gin-gonic/gin"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/trialmesh/trialmesh/protocol/identity"
	"github.com/trialmesh/trialmesh/protocol/problem"
	"github.com/trialmesh/trialmesh/protocol/trial"
	"github.com/trialmesh/trialmesh/protocol/version"
)

// Status is how a node stands. It holds counts, no record.
type Status struct {
	DID       identity.DID     `json:"did"`
	Process   string           `json:"process,omitempty" doc:"Name of the process that answers, if it is one beside the node, which only does loads and does not speak to the hub"`
	Connected bool             `json:"connected" doc:"The hub is reached"`
	Protocol  *Protocol        `json:"protocol,omitempty" doc:"Absent of a process beside the node"`
	Tables    map[string]int64 `json:"tables" doc:"Rows by OMOP table"`
	Jobs      map[string]int64 `json:"jobs" doc:"Loads by state; completed ones of the last day"`
	Consents  []TrialConsents  `json:"consents" nullable:"false"`
	Decisions map[string]int64 `json:"decisions" doc:"Decisions of the release gate by refusing rule, and released"`
	Approvals int64            `json:"approvals" doc:"Questions that wait for a person of the site"`
	DiskFree  int64            `json:"diskFree" doc:"Free bytes where the node keeps its data; -1 if unknown"`
	Index     *Index           `json:"index,omitempty" doc:"What questions are answered from; absent of a process beside the node"`
}

// Protocol says whether node and hub understand each other.
type Protocol struct {
	Speaks version.Range  `json:"speaks" doc:"The protocol versions of this program"`
	Hub    *version.Range `json:"hub,omitempty" doc:"Those of the hub; absent unless it is reached"`
	Update string         `json:"update,omitempty" doc:"Why they cannot work together, and which of them to update"`
}

// Index is how the event index stands.
type Index struct {
	Phase    string `json:"phase" enum:"absent,building,updating,merging,current" doc:"What is being done; current as of the last look at the tables"`
	Segments int    `json:"segments" doc:"Files"`
	Bytes    int64  `json:"bytes" doc:"On disk"`
}

// errNoIndex is of a process that only takes loads.
var errNoIndex = problem.New(problem.NotFound, "this process has no event index: ask the node itself")

// rebuildIndex has the event index made anew.
func (s *server) rebuildIndex(ctx context.Context, _ *struct{}) (*body[Index], error) {
	if s.cfg.RebuildIndex == nil {
		return nil, errNoIndex
	}
	s.cfg.RebuildIndex()
	status, err := s.cfg.Status(ctx)
	if err == nil && status.Index == nil {
		err = errNoIndex
	}
	if err != nil {
		return nil, err
	}
	return &body[Index]{*status.Index}, nil
}

// Released is the key of the released ones in [Status.Decisions].
const Released = "released"

// TrialConsents says how many participants of a trial said what.
type TrialConsents struct {
	Trial     trial.ID `json:"trial"`
	Active    int64    `json:"active"`
	Withdrawn int64    `json:"withdrawn"`
	Refused   int64    `json:"refused"`
	Epoch     uint64   `json:"epoch" doc:"Number of the newest consent epoch on the ledger, 0 for none"`
	Current   bool     `json:"current" doc:"That epoch holds every change"`
}

// AllConsents counts the consents of every trial.
type AllConsents struct {
	Consents []TrialConsents `json:"consents" nullable:"false"`
}

// Decision is a record of the audit trail.
type Decision struct {
	At      time.Time    `json:"at"`
	Event   string       `json:"event"`
	Actor   identity.DID `json:"actor,omitempty" doc:"Who caused it; absent for the site itself"`
	Subject string       `json:"subject" doc:"A question's or document's digest, a trial, a job, a number of tasks"`
	Rule    string       `json:"rule,omitempty" doc:"The refusing rule"`
}

// Decisions is a page of the audit trail.
type Decisions struct {
	Decisions []Decision `json:"decisions" nullable:"false"`
}

func (s *server) routeStatus() {
	tags := []string{"state"}
	get(s, huma.Operation{OperationID: "status", Path: "/v1/status", Summary: "How the node stands", Tags: tags}, func(ctx context.Context, _ *struct{}) (*body[Status], error) {
		status, err := s.cfg.Status(ctx)
		return &body[Status]{status}, err
	})
	post(s, huma.Operation{
		OperationID: "rebuildIndex", Path: "/v1/index/rebuild", Summary: "Make the event index anew", Tags: tags, DefaultStatus: http.StatusAccepted,
		Description: "The index is made from the tables again in the background. Questions wait for it.",
	}, s.rebuildIndex)
	get(s, huma.Operation{OperationID: "audit", Path: "/v1/audit", Summary: "What the node decided, newest first", Tags: tags}, s.audit)
	get(s, huma.Operation{OperationID: "consents", Path: consentsPath, Summary: "Consents by trial", Tags: []string{"consents"}}, func(ctx context.Context, _ *struct{}) (*body[AllConsents], error) {
		status, err := s.cfg.Status(ctx)
		return &body[AllConsents]{AllConsents{status.Consents}}, err
	})

	s.router.GET("/healthz", func(c *gin.Context) { c.String(http.StatusOK, "ok\n") })
	s.router.GET("/readyz", s.router.Handle(s.ready))
	metrics := promhttp.HandlerFor(s.cfg.Metrics, promhttp.HandlerOpts{})
	s.router.GET("/metrics", s.authorized(func(c *gin.Context) error {
		metrics.ServeHTTP(c.Writer, c.Request)
		return nil
	}))
	text := &huma.Schema{Type: huma.TypeString}
	tags = []string{"operation"}
	s.document(huma.Operation{OperationID: "health", Method: http.MethodGet, Path: "/healthz", Summary: "Whether the process runs", Tags: tags}, http.StatusOK, "text/plain", text)
	s.document(huma.Operation{OperationID: "ready", Method: http.MethodGet, Path: "/readyz", Summary: "Whether the node can serve", Tags: tags}, http.StatusOK, "text/plain", text)
	s.document(huma.Operation{
		OperationID: "metrics", Method: http.MethodGet, Path: "/metrics", Summary: "Prometheus metrics", Tags: tags, Security: []map[string][]string{{bearer: {}}},
	}, http.StatusOK, "text/plain", text)
}

const readyTime = 2 * time.Second

func (s *server) ready(c *gin.Context) error {
	ctx, cancel := context.WithTimeout(c.Request.Context(), readyTime)
	defer cancel()
	if err := s.cfg.Ready(ctx); err != nil {
		return problem.New(problem.Unavailable, "the node cannot serve at the moment")
	}
	c.String(http.StatusOK, "ready\n")
	return nil
}

func (s *server) audit(ctx context.Context, in *struct {
	Limit int `query:"limit" minimum:"1" maximum:"1000" default:"100"`
},
) (*body[Decisions], error) {
	views, err := s.decisions(ctx, in.Limit)
	return &body[Decisions]{Decisions{views}}, err
}

func (s *server) decisions(ctx context.Context, limit int) ([]Decision, error) {
	list, err := s.cfg.Trail.Latest(ctx, limit)
	if err != nil {
		return nil, err
	}
	views := make([]Decision, 0, len(list))
	for _, r := range list {
		views = append(views, Decision{At: r.At, Event: string(r.Event), Actor: r.Actor, Subject: r.Subject, Rule: r.Rule})
	}
	return views, nil
}

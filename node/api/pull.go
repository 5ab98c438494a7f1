package api

import (
	"context"
	"strconv"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/trialmesh/trialmesh/node/pull"
	"github.com/trialmesh/trialmesh/protocol/problem"
)

// Pulls fetches from the site's FHIR servers; pull.Puller is one.
type Pulls interface {
	List(ctx context.Context) ([]pull.Listed, error)

	// Start opens a run, which is durable when Start returns; Cancel ends the one that is
	// under way. Refusals are of type problem.Error.
	Start(ctx context.Context, name string) (pull.Run, error)
	Cancel(ctx context.Context, name string) (pull.Run, error)

	// Runs returns the newest runs of a pull with their files, newest first.
	Runs(ctx context.Context, name string, limit int) ([]pull.Run, error)
}

// Pull is a FHIR server that the site has the node fetch from.
type Pull struct {
	Name     string     `json:"name"`
	URL      string     `json:"url,omitempty" doc:"Base URL of the server"`
	Kind     string     `json:"kind,omitempty" doc:"bulk or search"`
	Schedule string     `json:"schedule,omitempty" doc:"As cron writes it; absent if the pull runs on request only"`
	Zone     string     `json:"zone,omitempty" doc:"Of the schedule's clocks"`
	Next     *time.Time `json:"next,omitempty" doc:"When it falls due"`
	Error    string     `json:"error,omitempty" doc:"What is wrong with its settings; it does not run"`
	Last     *PullRun   `json:"last,omitempty" doc:"The newest run, without its files"`
}

// PullsList is all pulls, by name.
type PullsList struct {
	Pulls []Pull `json:"pulls" nullable:"false"`
}

// PullRun is one fetch.
type PullRun struct {
	ID       string           `json:"id"`
	Pull     string           `json:"pull"`
	State    string           `json:"state" enum:"waiting,exporting,fetching,completed,completed with problems,failed,cancelled,overdue"`
	Asked    time.Time        `json:"asked" doc:"By the site or by the schedule"`
	Ended    *time.Time       `json:"ended,omitempty"`
	Since    *time.Time       `json:"since,omitempty" doc:"Only what changed from then on was asked for"`
	Until    *time.Time       `json:"until,omitempty" doc:"As of when the data are, by the server's clock"`
	Progress string           `json:"progress,omitempty" doc:"As the server puts it"`
	Error    string           `json:"error,omitempty" doc:"Of the last attempt that failed"`
	Findings map[string]int64 `json:"findings" doc:"What was seen and not stored: what the server says is deleted, by type, and what went wrong there, by severity and code"`
	Files    []PullFile       `json:"files" nullable:"false"`
}

// PullFile is a file that a run fetches.
type PullFile struct {
	Kind    string `json:"kind" enum:"output,deleted,error,search"`
	Type    string `json:"type,omitempty" doc:"Of FHIR"`
	Fetched bool   `json:"fetched"`
	FileID  string `json:"fileId,omitempty" doc:"SHA-256 of the content; absent if it is empty or not kept"`
	JobID   string `json:"jobId,omitempty"`
}

// PullRuns is the newest runs of a pull.
type PullRuns struct {
	Runs []PullRun `json:"runs" nullable:"false"`
}

// noPulls is a node that fetches from nowhere.
type noPulls struct{}

var errNoPulls = problem.New(problem.NotFound, "this node fetches from nowhere")

func (noPulls) List(context.Context) ([]pull.Listed, error) { return nil, nil }

func (noPulls) Start(context.Context, string) (pull.Run, error) { return pull.Run{}, errNoPulls }

func (noPulls) Cancel(context.Context, string) (pull.Run, error) { return pull.Run{}, errNoPulls }

func (noPulls) Runs(context.Context, string, int) ([]pull.Run, error) { return nil, errNoPulls }

// pullPath names a pull.
type pullPath struct {
	Name string `path:"name" maxLength:"40"`
}

func (s *server) routePulls() {
	tags := []string{"pulls"}
	get(s, huma.Operation{OperationID: "pulls", Path: "/v1/ingest/pulls", Summary: "FHIR servers that the node fetches from", Tags: tags}, s.pulls)
	post(s, huma.Operation{
		OperationID: "startPull", Path: "/v1/ingest/pulls/{name}/runs", Summary: "Fetch now", Tags: tags,
		Description: "The run is durable when the answer comes. While one of the same pull is under way it is a conflict.",
	}, func(ctx context.Context, in *pullPath) (*body[PullRun], error) {
		r, err := s.cfg.Pulls.Start(ctx, in.Name)
		return &body[PullRun]{runOf(r)}, retry(err)
	})
	get(s, huma.Operation{OperationID: "pullRuns", Path: "/v1/ingest/pulls/{name}/runs", Summary: "The newest fetches", Tags: tags}, s.pullRuns)
	post(s, huma.Operation{
		OperationID: "cancelPull", Path: "/v1/ingest/pulls/{name}/cancel", Summary: "Cancel the fetch that is under way", Tags: tags,
		Description: "The server is told. What was fetched is loaded all the same.",
	}, func(ctx context.Context, in *pullPath) (*body[PullRun], error) {
		r, err := s.cfg.Pulls.Cancel(ctx, in.Name)
		return &body[PullRun]{runOf(r)}, retry(err)
	})
}

func (s *server) pulls(ctx context.Context, _ *struct{}) (*body[PullsList], error) {
	all, err := s.cfg.Pulls.List(ctx)
	if err != nil {
		return nil, err
	}
	list := make([]Pull, 0, len(all))
	for _, p := range all {
		view := Pull{Name: p.Name, URL: p.URL, Kind: string(p.Kind), Schedule: p.Cron, Next: moment(p.Next)}
		if p.Cron != "" {
			view.Zone = p.Zone
		}
		if p.Err != nil {
			view.Error = p.Err.Error()
		}
		if p.Last != nil {
			last := runOf(*p.Last)
			view.Last = &last
		}
		list = append(list, view)
	}
	return &body[PullsList]{PullsList{list}}, nil
}

func (s *server) pullRuns(ctx context.Context, in *struct {
	Name  string `path:"name" maxLength:"40"`
	Limit int    `query:"limit" minimum:"1" maximum:"100" default:"10"`
},
) (*body[PullRuns], error) {
	runs, err := s.cfg.Pulls.Runs(ctx, in.Name, in.Limit)
	if err != nil {
		return nil, err
	}
	list := make([]PullRun, 0, len(runs))
	for _, r := range runs {
		list = append(list, runOf(r))
	}
	return &body[PullRuns]{PullRuns{list}}, nil
}

func runOf(r pull.Run) PullRun {
	view := PullRun{
		ID: strconv.FormatInt(r.ID, 10), Pull: r.Pull, State: string(r.State), Asked: r.Asked.UTC(), Ended: moment(r.Ended),
		Since: moment(r.Since), Until: moment(r.Until), Progress: r.Progress, Error: r.Error, Findings: r.Findings, Files: make([]PullFile, 0, len(r.Files)),
	}
	for _, f := range r.Files {
		file := PullFile{Kind: string(f.Kind), Type: f.Type, Fetched: f.Fetched, FileID: f.Digest}
		if f.Job != 0 {
			file.JobID = strconv.FormatInt(int64(f.Job), 10)
		}
		view.Files = append(view.Files, file)
	}
	return view
}

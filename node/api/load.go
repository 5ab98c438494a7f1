package api

import (
	"context"
	"errors"
	"io"
	"mime"
	"net/http"
	"strconv"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/gin-gonic/gin"

	"github.com/trialmesh/trialmesh/federation/front"
	"github.com/trialmesh/trialmesh/localstore/raw"
	"github.com/trialmesh/trialmesh/localstore/sqldb"
	"github.com/trialmesh/trialmesh/node/ingest"
	"github.com/trialmesh/trialmesh/protocol/problem"
)

const filesPath = "/v1/ingest/files"

var (
	errFull   = problem.New(problem.Unavailable, "the node has no room left; what was not acknowledged is not stored")
	errAway   = problem.New(problem.Unavailable, "the node does not reach its database or its raw store; what was not acknowledged is not stored, try again")
	errLocked = problem.New(problem.Unavailable, "the node's database is busy; what was not acknowledged is not stored, try again")
	errNoFile = problem.New(problem.Invalid, "the form holds no file")
	errJobID  = problem.New(problem.Invalid, "a job's id is a number")
)

// Upload is a file that is durable.
type Upload struct {
	FileID string `json:"fileId" doc:"SHA-256 of the content"`
	JobID  string `json:"jobId"`
}

// Job is one load of one file.
type Job struct {
	ID      string `json:"id"`
	FileID  string `json:"fileId"`
	Name    string `json:"name"`
	State   string `json:"state" enum:"queued,running,completed,completed with problems,failed,cancelled" doc:"A job that waits for its next attempt is queued; failed is one that was given up"`
	Attempt int    `json:"attempt"`
	Error   string `json:"error,omitempty" doc:"Of the last attempt that failed"`
	Held    string `json:"held,omitempty" doc:"Why the node can go on with no load at the moment; absent if it can, and of loads that are over"`

	BytesTotal int64 `json:"bytesTotal"`
	BytesRead  int64 `json:"bytesRead"`
	Records    int64 `json:"records" doc:"Records that could be read"`
	Stored     int64 `json:"stored" doc:"Rows that were new"`
	Replaced   int64 `json:"replaced" doc:"Rows that were known with another content"`
	Duplicates int64 `json:"duplicates" doc:"Rows that were known"`
	Removed    int64 `json:"removed" doc:"Rows that an earlier load made of the file and this one did not"`
	Rejected   int64 `json:"rejected" doc:"Records or parts of them that were not stored"`
	Unmapped   int64 `json:"unmapped" doc:"Codes without a standard concept"`

	ByType     map[string]int64 `json:"byType" doc:"Records by FHIR type"`
	UnmappedBy map[string]int64 `json:"unmappedBy" doc:"Codes without a standard concept, by vocabulary"`
	Findings   map[string]int64 `json:"findings" doc:"Findings of the quality checks, by rule"`

	Accepted time.Time  `json:"accepted"`
	Started  *time.Time `json:"started,omitempty"`
	Ended    *time.Time `json:"ended,omitempty"`

	Problems []Problem `json:"problems" nullable:"false" doc:"A page of what was rejected; absent in lists"`
}

// Problem is a record, or a part of one, that was not stored. It holds no value.
type Problem struct {
	File   string `json:"file"`
	Line   int    `json:"line" doc:"On which the record begins, from 1; 0 if unknown or of no record"`
	Path   string `json:"path"`
	Rule   string `json:"rule"`
	Detail string `json:"detail,omitempty"`
}

// Jobs is a page of jobs.
type Jobs struct {
	Jobs []Job `json:"jobs" nullable:"false"`
}

func (s *server) routeLoads() {
	maxName := ingest.MaxName
	s.router.POST(filesPath, s.authorized(s.upload))
	s.document(huma.Operation{
		OperationID: "upload", Method: http.MethodPost, Path: filesPath, Summary: "Load a file", Tags: []string{"loads"},
		Description: "The body is the file, or a multipart form that holds it. The answer comes when the file is durable. Sending the same content again is harmless. A file of 0 bytes is refused. A large file is better sent to " + uploadsPath + ", where it can go on after a broken connection.",
		Security:    []map[string][]string{{bearer: {}}},
		Parameters:  []*huma.Param{{Name: "name", In: "query", Description: "Name of the file, for people; at most 255 bytes", Schema: &huma.Schema{Type: huma.TypeString, MaxLength: &maxName}}, keyParam()},
		RequestBody: &huma.RequestBody{Required: true, Content: map[string]*huma.MediaType{
			"application/octet-stream": {Schema: &huma.Schema{Type: huma.TypeString, Format: "binary"}},
			"multipart/form-data":      {Schema: &huma.Schema{Type: huma.TypeObject, Properties: map[string]*huma.Schema{"file": {Type: huma.TypeString, Format: "binary"}}}},
		}},
	}, http.StatusAccepted, "application/json", s.router.Schema(Upload{}))
	get(s, huma.Operation{OperationID: "jobs", Path: "/v1/ingest/jobs", Summary: "Loads, newest first", Tags: []string{"loads"}}, s.jobs)
	get(s, huma.Operation{OperationID: "job", Path: "/v1/ingest/jobs/{id}", Summary: "How a load is going", Tags: []string{"loads"}}, s.job)
	post(s, huma.Operation{
		OperationID: "retry", Path: "/v1/ingest/jobs/{id}/retry", Summary: "Load again what failed or was cancelled", Tags: []string{"loads"},
		Description: "The load goes on where its last batch ended. One that neither failed nor was cancelled is a conflict.",
	}, func(ctx context.Context, in *jobPath) (*body[Job], error) { return s.act(ctx, in, s.cfg.Loads.Retry) })
	post(s, huma.Operation{
		OperationID: "cancel", Path: "/v1/ingest/jobs/{id}/cancel", Summary: "Cancel a load", Tags: []string{"loads"},
		Description: "When the answer comes nothing more of the file is stored; what was stored before stays. A load that is over is a conflict.",
	}, func(ctx context.Context, in *jobPath) (*body[Job], error) { return s.act(ctx, in, s.cfg.Loads.Cancel) })
}

// upload streams a file into the raw store.
func (s *server) upload(c *gin.Context) error {
	file, name, err := uploaded(c.Request)
	if err != nil {
		return err
	}
	key, err := idempotencyKey(c.Request.Header)
	if err != nil {
		return err
	}
	body := &noting{r: file}
	digest, job, err := s.cfg.Loads.AcceptOnce(c.Request.Context(), key, name, body)
	if err != nil {
		return uploadError(body.err, err)
	}
	id := strconv.FormatInt(int64(job), 10)
	c.Header("Location", "/v1/ingest/jobs/"+id)
	c.JSON(http.StatusAccepted, Upload{FileID: digest.String(), JobID: id})
	return nil
}

// uploadError is what to tell of a body that was not accepted; sent is the error of
// reading it, if that was it.
func uploadError(sent, err error) error {
	switch {
	case sent != nil:
		return front.BodyError(sent)
	case errors.Is(err, raw.ErrTooLarge):
		return front.ErrBody
	}
	return retry(err)
}

// retry says of what fails for a while that it may be tried again.
func retry(err error) error {
	switch {
	case errors.Is(err, sqldb.ErrFull):
		return errors.Join(errFull, err)
	case errors.Is(err, sqldb.ErrLocked):
		return errors.Join(errLocked, err)
	case errors.Is(err, sqldb.ErrUnavailable):
		return errors.Join(errAway, err)
	}
	return err
}

// uploaded returns the file that a request brings: its body, or the first file
// of its form.
func uploaded(r *http.Request) (io.Reader, string, error) {
	name := r.URL.Query().Get("name")
	if kind, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type")); kind != "multipart/form-data" {
		return r.Body, name, nil
	}
	form, err := r.MultipartReader()
	if err != nil {
		return nil, "", front.BodyError(err)
	}
	for {
		part, err := form.NextPart()
		switch {
		case errors.Is(err, io.EOF):
			return nil, "", errNoFile
		case err != nil:
			return nil, "", front.BodyError(err)
		case part.FileName() != "" && name != "":
			return part, name, nil
		case part.FileName() != "":
			return part, part.FileName(), nil
		}
	}
}

// noting remembers that reading failed, to tell the client's failure from the
// store's.
type noting struct {
	r   io.Reader
	err error
}

func (n *noting) Read(p []byte) (int, error) {
	got, err := n.r.Read(p)
	if err != nil && !errors.Is(err, io.EOF) {
		n.err = err
	}
	return got, err
}

func (s *server) jobs(ctx context.Context, in *struct {
	Before int64  `query:"before" minimum:"0" doc:"Only jobs accepted before this one"`
	Limit  int    `query:"limit" minimum:"1" maximum:"1000" default:"50"`
	State  string `query:"state" enum:"queued,running,completed,completed with problems,failed,cancelled" doc:"Only jobs in this state; of those that failed, the last 1,000"`
},
) (*body[Jobs], error) {
	list, err := s.cfg.Loads.Jobs(ctx, ingest.JobID(in.Before), in.Limit, statesOf(in.State)...)
	if err != nil {
		return nil, err
	}
	views := make([]Job, 0, len(list))
	for _, j := range list {
		views = append(views, s.jobOf(j, nil))
	}
	return &body[Jobs]{Jobs{views}}, nil
}

func (s *server) job(ctx context.Context, in *struct {
	ID     string `path:"id" maxLength:"20"`
	Offset int    `query:"offset" minimum:"0" doc:"How many problems to skip"`
	Limit  int    `query:"limit" minimum:"1" maximum:"1000" default:"100" doc:"How many problems to list"`
},
) (*body[Job], error) {
	id, err := jobID(in.ID)
	if err != nil {
		return nil, err
	}
	job, err := s.cfg.Loads.Job(ctx, id)
	if err != nil {
		return nil, err
	}
	problems, err := s.cfg.Loads.Problems(ctx, job.ID, in.Offset, in.Limit)
	return &body[Job]{s.jobOf(job, problems)}, err
}

// jobPath names a job.
type jobPath struct {
	ID string `path:"id" maxLength:"20"`
}

func jobID(text string) (ingest.JobID, error) {
	id, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		return 0, errJobID
	}
	return ingest.JobID(id), nil
}

// act does something to a job and returns how it stands then.
func (s *server) act(ctx context.Context, in *jobPath, do func(context.Context, ingest.JobID) error) (*body[Job], error) {
	id, err := jobID(in.ID)
	if err != nil {
		return nil, err
	}
	if err := do(ctx, id); err != nil {
		return nil, retry(err)
	}
	job, err := s.cfg.Loads.Job(ctx, id)
	return &body[Job]{s.jobOf(job, nil)}, err
}

// states are how the API names a job's states.
var states = map[ingest.State]string{ingest.Failed: "queued", ingest.Dead: "failed"}

// statesOf returns the states that the API calls by a name, none for "".
func statesOf(name string) []ingest.State {
	switch name {
	case "":
		return nil
	case "queued":
		return []ingest.State{ingest.Queued, ingest.Failed}
	case "failed":
		return []ingest.State{ingest.Dead}
	}
	return []ingest.State{ingest.State(name)}
}

func (s *server) jobOf(j ingest.Job, problems []ingest.Problem) Job {
	view := Job{
		ID: strconv.FormatInt(int64(j.ID), 10), FileID: j.File.String(), Name: j.Name, State: string(j.State), Attempt: j.Attempt, Error: j.Error,
		BytesTotal: j.BytesTotal, BytesRead: j.Counts.BytesRead, Records: j.Counts.Records, Stored: j.Counts.Stored,
		Replaced: j.Counts.Replaced, Duplicates: j.Counts.Duplicates, Removed: j.Counts.Removed, Rejected: j.Counts.Rejected,
		ByType: tally(j.Counts.ByType), UnmappedBy: tally(j.Counts.Unmapped), Findings: tally(j.Counts.Findings),
		Accepted: j.Accepted.UTC(), Started: moment(j.Started), Ended: moment(j.Ended), Problems: make([]Problem, 0, len(problems)),
	}
	if !j.State.Ended() {
		view.Held = held(s.cfg.Loads.Held())
	}
	if name, other := states[j.State]; other {
		view.State = name
	}
	for _, n := range j.Counts.Unmapped {
		view.Unmapped += n
	}
	for _, p := range problems {
		view.Problems = append(view.Problems, Problem{File: j.Name, Line: p.Line, Path: p.Path, Rule: p.Rule, Detail: p.Detail})
	}
	return view
}

// tally is an object also of what nothing was counted of yet.
func tally(counts map[string]int64) map[string]int64 {
	if counts == nil {
		return map[string]int64{}
	}
	return counts
}

// held says in public what keeps the node from its loads, "" for nothing.
func held(err error) string {
	switch {
	case err == nil:
		return ""
	case errors.Is(err, sqldb.ErrFull):
		return "the node cannot write: no room is left on its disk"
	case errors.Is(err, sqldb.ErrLocked):
		return "the node cannot write: another program holds its database"
	}
	return "the node cannot write: its database does not take it, the log says why"
}

// moment returns nil for a time that has not come.
func moment(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	t = t.UTC()
	return &t
}

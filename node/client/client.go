// Package client talks to a node's HTTP API, from the same machine.
package client

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/trialmesh/trialmesh/protocol/message"
	"github.com/trialmesh/trialmesh/protocol/problem"
	"github.com/trialmesh/trialmesh/protocol/version"
)

// Client is a connection to a node. It is safe for concurrent use.
type Client struct {
	origin string
	token  string
	http   *http.Client
}

const maxAnswer = 16 << 20

// New returns a client for the API at origin, for example
// "http://127.0.0.1:7421", with the node's bearer token.
func New(origin, token string) (*Client, error) {
	u, err := url.Parse(origin)
	if err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Host == "" {
		return nil, errors.New("node client: the API's URL must be like http://127.0.0.1:port")
	}
	return &Client{origin: u.Scheme + "://" + u.Host, token: token, http: &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 4}}}, nil
}

// Origin is the origin at which the client reaches the API.
func (c *Client) Origin() string { return c.origin }

// NewSecured is [New] for an API that is secured with a certificate, in PEM: the node at
// origin must have its key, whatever host the certificate is for.
func NewSecured(origin, token string, certificate []byte) (*Client, error) {
	c, err := New(origin, token)
	if err != nil {
		return nil, err
	}
	block, _ := pem.Decode(certificate)
	if block == nil {
		return nil, errors.New("node client: the API's certificate is no PEM file")
	}
	leaf, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		return nil, errors.New("node client: the API's certificate is malformed")
	}
	roots := x509.NewCertPool()
	roots.AddCert(leaf)
	secured := &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}
	switch {
	case len(leaf.DNSNames) > 0:
		secured.ServerName = strings.Replace(leaf.DNSNames[0], "*", "node", 1)
	case len(leaf.IPAddresses) > 0:
		secured.ServerName = leaf.IPAddresses[0].String()
	}
	c.http.Transport = &http.Transport{MaxIdleConnsPerHost: 4, TLSClientConfig: secured}
	return c, nil
}

// Close drops idle connections.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// What became of a request that has no answer.
var (
	errUnreachable = errors.New("reach the node (is it running?)")
	errSource      = errors.New("read what is to be sent")
)

// request makes a request with the node's token.
func (c *Client) request(ctx context.Context, method, path string, body io.Reader) (*http.Request, error) {
	req, err := http.NewRequestWithContext(ctx, method, c.origin+path, body)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Authorization", "Bearer "+c.token)
	return req, nil
}

// source is what is sent of a file. It tells its own failures from the connection's.
type source struct {
	r    io.Reader
	left int64 // what has to come yet, below 0 if that is not known
}

func (s *source) Read(p []byte) (int, error) {
	n, err := s.r.Read(p)
	s.left -= int64(n)
	switch {
	case errors.Is(err, io.EOF) && s.left > 0:
		err = fmt.Errorf("%w: %w", errSource, ErrChanged)
	case err != nil && !errors.Is(err, io.EOF):
		err = fmt.Errorf("%w: %w", errSource, err)
	}
	return n, err
}

// send returns the answer to a request, whatever its status.
func (c *Client) send(req *http.Request) (*http.Response, error) {
	resp, err := c.http.Do(req)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errUnreachable, err)
	}
	return resp, nil
}

// answerOf reads an answer to its end. A problem document is an error of its kind.
func answerOf(resp *http.Response) ([]byte, error) {
	raw, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errUnreachable, err)
	}
	if resp.StatusCode < http.StatusBadRequest {
		return raw, nil
	}
	var d problem.Document
	switch err := json.Unmarshal(raw, &d); {
	case err == nil && d.Type != "":
		return nil, d.Err()
	case resp.StatusCode == http.StatusServiceUnavailable: // in the answer to a HEAD
		return nil, problem.New(problem.Unavailable, "the node cannot take it at the moment")
	}
	return nil, fmt.Errorf("the node answered with status %d", resp.StatusCode)
}

func (c *Client) do(ctx context.Context, method, path, contentType string, body io.Reader, answer any) error {
	req, err := c.request(ctx, method, path, body)
	if err != nil {
		return err
	}
	if contentType != "" {
		req.Header.Set("Content-Type", contentType)
	}
	resp, err := c.send(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	raw, err := answerOf(resp)
	if err != nil || answer == nil {
		return err
	}
	if err := json.Unmarshal(raw, answer); err != nil {
		return errors.New("the node's answer is malformed")
	}
	return nil
}

// ask is do with an answer of type T.
func ask[T any](ctx context.Context, c *Client, method, path, contentType string, body io.Reader) (T, error) {
	var answer T
	err := c.do(ctx, method, path, contentType, body, &answer)
	return answer, err
}

// Upload is a file that the node has acknowledged: it is durable.
type Upload struct {
	File string `json:"fileId"` // SHA-256 of the content
	Job  string `json:"jobId"`
}

// Upload sends a file to be loaded. It returns when the node has it on disk.
func (c *Client) Upload(ctx context.Context, name string, r io.Reader) (Upload, error) {
	return ask[Upload](ctx, c, http.MethodPost, "/v1/ingest/files?"+url.Values{"name": {name}}.Encode(), "application/octet-stream", &source{r: r, left: -1})
}

// Observe brings time series, as a document of package
// connectors/source/observation, and returns the job. It returns when the node has
// it on disk.
func (c *Client) Observe(ctx context.Context, document io.Reader) (job string, err error) {
	accepted, err := ask[struct {
		Job string `json:"jobId"`
	}](ctx, c, http.MethodPost, "/v1/ingest/observations", "application/json", document)
	return accepted.Job, err
}

// Job is the state of a load.
type Job struct {
	ID         string           `json:"id"`
	Name       string           `json:"name"`
	State      string           `json:"state"` // queued, running, completed, completed with problems, failed, cancelled
	Error      string           `json:"error,omitempty"`
	Held       string           `json:"held,omitempty"` // why the node goes on with no load at the moment, "" if it does
	Records    int64            `json:"records"`
	Stored     int64            `json:"stored"`
	Replaced   int64            `json:"replaced"`
	Duplicates int64            `json:"duplicates"`
	Removed    int64            `json:"removed"` // rows that an earlier load made of the file and this one did not
	Rejected   int64            `json:"rejected"`
	ByType     map[string]int64 `json:"byType"`
	Unmapped   int64            `json:"unmapped"`
	Findings   map[string]int64 `json:"findings"` // of checks that kept no row out, by rule
	Accepted   time.Time        `json:"accepted"`
	Ended      time.Time        `json:"ended,omitzero"` // zero while it goes on
	Problems   []Problem        `json:"problems"`
}

// Done reports whether the load is over.
func (j Job) Done() bool { return j.State != "queued" && j.State != "running" }

// Problem is a record that was not loaded as it is. It holds no value.
type Problem struct {
	File string `json:"file"`
	Line int    `json:"line"`
	Path string `json:"path"`
	Rule string `json:"rule"`

	// Detail says more about some, in the node's words.
	Detail string `json:"detail,omitempty"`
}

// maxProblems is how many problems of a load the node lists at most, and how many
// it gives at once.
const maxProblems = "1000"

// Job returns the state of a load, with all problems that are listed.
func (c *Client) Job(ctx context.Context, id string) (Job, error) {
	return ask[Job](ctx, c, http.MethodGet, "/v1/ingest/jobs/"+url.PathEscape(id)+"?limit="+maxProblems, "", nil)
}

// Jobs returns the newest loads, at most limit (1 to 1,000), newest first and
// without their problems; of one state if that is not "".
func (c *Client) Jobs(ctx context.Context, limit int, state string) ([]Job, error) {
	query := url.Values{"limit": {strconv.Itoa(limit)}}
	if state != "" {
		query.Set("state", state)
	}
	answer, err := ask[struct{ Jobs []Job }](ctx, c, http.MethodGet, "/v1/ingest/jobs?"+query.Encode(), "", nil)
	return answer.Jobs, err
}

// Retry makes a load that failed or was cancelled go on where it was.
func (c *Client) Retry(ctx context.Context, id string) (Job, error) {
	return ask[Job](ctx, c, http.MethodPost, "/v1/ingest/jobs/"+url.PathEscape(id)+"/retry", "", nil)
}

// Cancel ends a load that is not over. What was stored stays.
func (c *Client) Cancel(ctx context.Context, id string) (Job, error) {
	return ask[Job](ctx, c, http.MethodPost, "/v1/ingest/jobs/"+url.PathEscape(id)+"/cancel", "", nil)
}

// Wait returns the load's state once it is over, or when ctx ends.
func (c *Client) Wait(ctx context.Context, id string) (Job, error) {
	return c.Watch(ctx, id, func(Job) {})
}

// Watch is [Client.Wait] that shows every state it sees, at least one a second.
func (c *Client) Watch(ctx context.Context, id string, show func(Job)) (Job, error) {
	for pause := 20 * time.Millisecond; ; pause = min(2*pause, time.Second) {
		job, err := c.Job(ctx, id)
		if err != nil {
			return job, err
		}
		if show(job); job.Done() {
			return job, nil
		}
		timer := time.NewTimer(pause)
		select {
		case <-ctx.Done():
			timer.Stop()
			return job, ctx.Err()
		case <-timer.C:
		}
	}
}

// Consent is a signed message about consent with the patient it is of, by the
// id of their FHIR Patient resource.
type Consent struct {
	Patient string           `json:"patient"`
	Consent message.Envelope `json:"consent"`
}

// RecordConsents brings signed messages about consent. It returns when all are
// durable, with how many were new.
func (c *Client) RecordConsents(ctx context.Context, list []Consent) (recorded int, err error) {
	var body bytes.Buffer
	enc := json.NewEncoder(&body)
	for _, one := range list {
		if err := enc.Encode(one); err != nil {
			return 0, err
		}
	}
	var answer struct {
		Recorded int `json:"recorded"`
		Problems []struct {
			Line int    `json:"line"`
			Rule string `json:"rule"`
			Text string `json:"title"`
		} `json:"problems"`
	}
	if err := c.do(ctx, http.MethodPost, "/v1/consents", "application/x-ndjson", &body, &answer); err != nil {
		return 0, err
	}
	if len(answer.Problems) > 0 {
		p := answer.Problems[0]
		return answer.Recorded, fmt.Errorf("%d consents were not recorded; the first at line %d: %s", len(answer.Problems), p.Line, p.Text)
	}
	return answer.Recorded, nil
}

// Status is what a node says of itself.
type Status struct {
	DID       string           `json:"did"`
	Process   string           `json:"process,omitempty"` // that answers beside the node, empty for the node itself
	Connected bool             `json:"connected"`
	Protocol  *Protocol        `json:"protocol,omitempty"` // nil of a process beside the node, and of one from before versions
	Tables    map[string]int64 `json:"tables"`
	Jobs      map[string]int64 `json:"jobs"`      // by state
	Approvals int64            `json:"approvals"` // questions that wait for a person
	Consents  []struct {
		Trial     string `json:"trial"`
		Active    int64  `json:"active"`
		Withdrawn int64  `json:"withdrawn"`
		Refused   int64  `json:"refused"`
		Epoch     uint64 `json:"epoch"`   // newest on the ledger, 0 for none
		Current   bool   `json:"current"` // the newest epoch holds all changes
	} `json:"consents"`
	Decisions map[string]int64 `json:"decisions"` // by refusing rule, and "released"
	DiskFree  int64            `json:"diskFree"`  // bytes, -1 if unknown
	Index     *Index           `json:"index,omitempty"`
}

// Protocol says whether node and hub understand each other.
type Protocol struct {
	Speaks version.Range  `json:"speaks"`
	Hub    *version.Range `json:"hub,omitempty"`    // nil unless the hub is reached
	Update string         `json:"update,omitempty"` // why they cannot work together, and which to update
}

// Index is how the node's event index stands.
type Index struct {
	Phase    string `json:"phase"` // absent, building, updating, merging or current
	Segments int    `json:"segments"`
	Bytes    int64  `json:"bytes"`
}

// RebuildIndex has the node make its event index anew, which goes on when it returns.
func (c *Client) RebuildIndex(ctx context.Context) (Index, error) {
	return ask[Index](ctx, c, http.MethodPost, "/v1/index/rebuild", "", nil)
}

// Status returns the node's state.
func (c *Client) Status(ctx context.Context) (Status, error) {
	return ask[Status](ctx, c, http.MethodGet, "/v1/status", "", nil)
}

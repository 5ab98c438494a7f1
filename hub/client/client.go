// Package client talks to a hub's HTTPS API.
//
// A [Client] recognizes the hub by the root certificate it was given and no
// other. Methods return the hub's refusals as errors of package problem, with
// the rule that refused.
package client

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/trialmesh/trialmesh/protocol/identity"
	"github.com/trialmesh/trialmesh/protocol/ledger"
	"github.com/trialmesh/trialmesh/protocol/message"
	"github.com/trialmesh/trialmesh/protocol/problem"
	"github.com/trialmesh/trialmesh/protocol/query"
	"github.com/trialmesh/trialmesh/protocol/trial"
	"github.com/trialmesh/trialmesh/protocol/version"
)

// Config configures a [Client]. URL is required.
type Config struct {
	// URL is the origin of the hub's API, for example "https://hub.example:7420", or those of
	// its replicas with commas between them. The first that can be reached is used.
	URL string

	// Root is the hub's root certificate in PEM form. Without it the system's
	// roots are used.
	Root []byte

	// Token is a bearer token; reading needs none.
	Token string

	// Timeout of one request, waiting included. Defaults to 2 min.
	Timeout time.Duration
}

// Client is a connection to a hub. It is safe for concurrent use.
type Client struct {
	origin   string
	token    string
	http     *http.Client
	replicas int
}

// ErrUnreachable says that the hub did not answer: no connection to it was made, or it broke.
var ErrUnreachable = errors.New("reach the hub")

// maxAnswer bounds what is read of an answer.
const maxAnswer = 16 << 20

// New returns a Client; it connects to nothing yet.
func New(cfg Config) (*Client, error) {
	var hosts []string
	for text := range strings.SplitSeq(cfg.URL, ",") {
		u, err := url.Parse(strings.TrimSpace(text))
		if err != nil || u.Scheme != "https" || u.Host == "" {
			return nil, errors.New("hub client: the hub's URL must be like https://host:port")
		}
		hosts = append(hosts, u.Host)
	}
	if cfg.Timeout == 0 {
		cfg.Timeout = 2 * time.Minute
	}
	conf := &tls.Config{MinVersion: tls.VersionTLS13}
	if len(cfg.Root) > 0 {
		conf.RootCAs = x509.NewCertPool()
		if !conf.RootCAs.AppendCertsFromPEM(cfg.Root) {
			return nil, errors.New("hub client: the root certificate is not PEM")
		}
	}
	transport := &http.Transport{Proxy: http.ProxyFromEnvironment, TLSClientConfig: conf, ForceAttemptHTTP2: true}
	if len(hosts) > 1 {
		transport.DialContext = dialAny(hosts)
	}
	return &Client{origin: "https://" + hosts[0], token: cfg.Token, http: &http.Client{Timeout: cfg.Timeout, Transport: transport}, replicas: len(hosts)}, nil
}

// dialTime is how long one replica has to take a connection before the next is tried.
const dialTime = 5 * time.Second

// dialAny reaches the first host's address at whichever of the hosts is there: the replicas of
// a hub are one to whoever asks, and have one certificate.
func dialAny(hosts []string) func(ctx context.Context, network, address string) (net.Conn, error) {
	var addresses []string
	for _, host := range hosts {
		if _, _, err := net.SplitHostPort(host); err != nil {
			host = net.JoinHostPort(strings.Trim(host, "[]"), "443")
		}
		addresses = append(addresses, host)
	}
	dialer := net.Dialer{Timeout: dialTime}
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		if address != addresses[0] { // a proxy
			return dialer.DialContext(ctx, network, address)
		}
		var failures []error
		for _, address := range addresses {
			conn, err := dialer.DialContext(ctx, network, address)
			if err == nil {
				return conn, nil
			}
			failures = append(failures, err)
		}
		return nil, errors.Join(failures...)
	}
}

// HTTP returns the underlying client, which trusts the hub's root only.
func (c *Client) HTTP() *http.Client { return c.http }

// Origin returns the hub's origin.
func (c *Client) Origin() string { return c.origin }

// Close drops idle connections.
func (c *Client) Close() { c.http.CloseIdleConnections() }

func (c *Client) do(ctx context.Context, method, path string, body, answer any) error {
	var reader io.Reader
	if body != nil {
		raw, err := json.Marshal(body)
		if err != nil {
			return err
		}
		reader = bytes.NewReader(raw)
	}
	req, err := http.NewRequestWithContext(ctx, method, c.origin+path, reader)
	if err != nil {
		return err
	}
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	if c.token != "" {
		req.Header.Set("Authorization", "Bearer "+c.token)
	}
	resp, err := c.send(req)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrUnreachable, err)
	}
	defer resp.Body.Close()
	raw, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if err != nil {
		return fmt.Errorf("read the hub's answer: %w", err)
	}
	if resp.StatusCode >= http.StatusBadRequest {
		var d problem.Document
		if err := json.Unmarshal(raw, &d); err != nil || d.Type == "" {
			return fmt.Errorf("the hub answered with status %d", resp.StatusCode)
		}
		return d.Err()
	}
	if answer == nil {
		return nil
	}
	if err := json.Unmarshal(raw, answer); err != nil {
		return errors.New("the hub's answer is malformed")
	}
	return nil
}

// send sends a request. One that only reads goes to another replica if that which had it is lost.
func (c *Client) send(req *http.Request) (*http.Response, error) {
	for try := 1; ; try++ {
		resp, err := c.http.Do(req)
		var late net.Error
		if err == nil || try >= c.replicas || req.Method != http.MethodGet || req.Context().Err() != nil || errors.As(err, &late) && late.Timeout() {
			return resp, err
		}
	}
}

// Trust returns the hub's own trust document. It is worth as much as the
// connection: a regulator gets it on another way.
func (c *Client) Trust(ctx context.Context) (ledger.Trust, error) {
	var t ledger.Trust
	return t, c.do(ctx, http.MethodGet, "/v1/trust", nil, &t)
}

// Invitation is what a new node needs.
type Invitation struct {
	Invitation string    `json:"invitation"`
	Expires    time.Time `json:"expires"`
}

// Invite makes a one-time invitation for a node. It needs an operator's token.
func (c *Client) Invite(ctx context.Context, name, organization string, ttl time.Duration) (Invitation, error) {
	var i Invitation
	return i, c.do(ctx, http.MethodPost, "/v1/invitations",
		map[string]any{"name": name, "organization": organization, "ttlSeconds": int64(ttl / time.Second)}, &i)
}

// NewToken is a bearer token that was just made. Token is its secret; the hub
// shows it once.
type NewToken struct {
	ID      string    `json:"id"`
	Token   string    `json:"token"`
	Expires time.Time `json:"expires"`
}

// IssueToken makes a bearer token for the holder of a key. It needs an
// operator's token.
func (c *Client) IssueToken(ctx context.Context, holder identity.DID, role string, ttl time.Duration) (NewToken, error) {
	var t NewToken
	return t, c.do(ctx, http.MethodPost, "/v1/tokens",
		map[string]any{"holder": holder, "role": role, "ttlSeconds": int64(ttl / time.Second)}, &t)
}

// Token is a bearer token as the hub's operator sees it, without its secret.
type Token struct {
	ID      string       `json:"id"`
	Holder  identity.DID `json:"holder"`
	Role    string       `json:"role"`
	Issued  time.Time    `json:"issued"`
	Expires time.Time    `json:"expires"`
	Revoked bool         `json:"revoked"`
}

// Tokens returns every token that was issued, oldest first. It needs an
// operator's token.
func (c *Client) Tokens(ctx context.Context) ([]Token, error) {
	var answer struct {
		Tokens []Token `json:"tokens"`
	}
	return answer.Tokens, c.do(ctx, http.MethodGet, "/v1/tokens", nil, &answer)
}

// RevokeTokens revokes the token with an id, or all tokens of the holder of a
// key. It needs an operator's token.
func (c *Client) RevokeTokens(ctx context.Context, of string) error {
	return c.do(ctx, http.MethodPost, "/v1/tokens/"+url.PathEscape(of)+"/revoke", nil, nil)
}

// RevokeNode bars a node for good. It needs an operator's token.
func (c *Client) RevokeNode(ctx context.Context, node identity.DID, reason string) error {
	return c.do(ctx, http.MethodPost, "/v1/nodes/"+url.PathEscape(string(node))+"/revoke", map[string]any{"reason": reason}, nil)
}

// RegisterTrial registers an approved trial, or renews its approvals, and says
// whether that changed anything. It needs a sponsor's token.
func (c *Client) RegisterTrial(ctx context.Context, r trial.Registration) (changed bool, err error) {
	var answer struct {
		Existed bool `json:"existed"`
	}
	err = c.do(ctx, http.MethodPost, "/v1/trials", r, &answer)
	return err == nil && !answer.Existed, err
}

// Trial returns a trial with the approvals that are in force.
func (c *Client) Trial(ctx context.Context, id trial.ID) (trial.Registration, error) {
	var answer struct {
		Registration trial.Registration `json:"registration"`
	}
	err := c.do(ctx, http.MethodGet, "/v1/trials/"+url.PathEscape(string(id)), nil, &answer)
	return answer.Registration, about("trial", string(id), err)
}

// Ask submits a signed question of normal priority and returns its id. It needs a
// researcher's token.
func (c *Client) Ask(ctx context.Context, e message.Envelope, deadline time.Duration) (query.ID, error) {
	return c.Queue(ctx, e, deadline, query.Normal)
}

// Queue is [Client.Ask] with a priority among the researcher's own questions.
func (c *Client) Queue(ctx context.Context, e message.Envelope, deadline time.Duration, p query.Priority) (query.ID, error) {
	var answer struct {
		ID query.ID `json:"id"`
	}
	err := c.do(ctx, http.MethodPost, "/v1/queries", map[string]any{"envelope": e, "deadlineSeconds": int64(deadline / time.Second), "priority": p}, &answer)
	return answer.ID, err
}

// Cancel submits a signed cancellation and says whether that changed anything. It needs
// the token of the researcher who asked, or of the trial's sponsor.
func (c *Client) Cancel(ctx context.Context, id query.ID, e message.Envelope) (changed bool, err error) {
	var answer struct {
		Existed bool `json:"existed"`
	}
	err = c.do(ctx, http.MethodPost, "/v1/queries/"+id.String()+"/cancel", map[string]any{"envelope": e}, &answer)
	return err == nil && !answer.Existed, err
}

// Question is a question as the hub shows it.
type Question struct {
	ID          query.ID       `json:"id"`
	Trial       trial.ID       `json:"trial"`
	Researcher  identity.DID   `json:"researcher"`
	State       query.State    `json:"state"`
	Asked       time.Time      `json:"asked"`
	Deadline    time.Time      `json:"deadline"`
	WaitsUntil  time.Time      `json:"waitsUntil"` // how long nodes' people have to approve; zero from a hub of before
	Priority    query.Priority `json:"priority"`
	LedgerIndex int64          `json:"ledgerIndex"`
	ResultIndex int64          `json:"resultIndex"` // -1 while open
	Request     query.Request  `json:"request"`
	Rounds      int            `json:"rounds,omitempty"` // sums that were begun, of a method in rounds
	Waiting     []identity.DID `json:"waiting"`          // nodes whose people have not decided yet
	Result      *query.Result  `json:"result,omitempty"`
	Accesses    []Access       `json:"accesses"`
	ProofsDone  bool           `json:"proofsDone"` // every proof that is to come is there and on the chain, if there is one
}

// Access is a node's access proof as the hub shows it.
type Access struct {
	Node        identity.DID `json:"node"`
	LedgerIndex int64        `json:"ledgerIndex"`
	Tx          string       `json:"tx,omitempty"`
	Block       uint64       `json:"block,omitempty"`
	Gas         uint64       `json:"gas,omitempty"`
}

// What to wait for.
const (
	WaitResult = "result"
	WaitProofs = "proofs"
)

// Question returns a question by its id or a unique prefix of it of at least
// eight hex digits. With wait it answers when the result, or all proofs, are
// there, or after the given time.
func (c *Client) Question(ctx context.Context, id, wait string, limit time.Duration) (Question, error) {
	path := "/v1/queries/" + url.PathEscape(id)
	if wait != "" {
		path += "?" + url.Values{"wait": {wait}, "seconds": {fmt.Sprint(int64(limit / time.Second))}}.Encode()
	}
	var q Question
	return q, about("question", id, c.do(ctx, http.MethodGet, path, nil, &q))
}

// about names what a request was about in its error: the hub repeats nothing.
func about(what, name string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s %s: %w", what, name, err)
}

// MaxQuestions is how many questions a hub lists at most.
const MaxQuestions = 100

// Questions returns the newest questions, limit of them, 1 to [MaxQuestions].
func (c *Client) Questions(ctx context.Context, limit int) ([]Question, error) {
	var answer struct {
		Queries []Question `json:"queries"`
	}
	return answer.Queries, c.do(ctx, http.MethodGet, fmt.Sprintf("/v1/queries?limit=%d", limit), nil, &answer)
}

// Node is a node as the hub shows it.
type Node struct {
	DID          identity.DID `json:"did"`
	Name         string       `json:"name"`
	Organization string       `json:"organization"`
	Enrolled     time.Time    `json:"enrolled"`
	Revoked      bool         `json:"revoked"`
	Present      bool         `json:"present"`

	Speaks *version.Range `json:"speaks,omitempty"` // protocol versions, if the node is connected
	Update string         `json:"update,omitempty"` // why hub and node cannot work together, and which to update
}

// Nodes returns the network's nodes.
func (c *Client) Nodes(ctx context.Context) ([]Node, error) {
	var answer struct {
		Nodes []Node `json:"nodes"`
	}
	return answer.Nodes, c.do(ctx, http.MethodGet, "/v1/nodes", nil, &answer)
}

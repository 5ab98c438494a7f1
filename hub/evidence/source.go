package evidence

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/trialmesh/trialmesh/hub/ledger"
	"github.com/trialmesh/trialmesh/protocol/message"
)

// Source gives a log and its documents. Nothing it returns is believed.
type Source interface {
	ledger.Source

	// Document returns the bytes of a public document by their SHA-256. It fails
	// with [ErrNoDocument] if the source has none, and refuses more than
	// [MaxDocument] bytes.
	Document(ctx context.Context, digest message.Digest) ([]byte, error)
}

// ErrNoDocument reports a document that a source does not have.
var ErrNoDocument = errors.New("no such document")

// MaxDocument bounds a document in bytes: the largest is a trial's design with
// all its approvals.
const MaxDocument = 40 << 20

// Remote is a hub.
type Remote struct {
	log    ledger.Remote
	base   *url.URL
	client *http.Client
}

// NewRemote returns the hub at a URL, for example https://hub.example.org. The
// client decides whose certificates count and how long a request may take.
// When the hub says that it is asked too often, requests wait and are repeated.
func NewRemote(hub string, client *http.Client) (*Remote, error) {
	base, err := url.Parse(hub)
	if err != nil {
		return nil, fmt.Errorf("evidence: the hub's address is not a URL")
	}
	patient := *client
	patient.Transport = patience{client.Transport}
	log, err := ledger.NewHTTPSource(hub, &patient)
	if err != nil {
		return nil, err
	}
	return &Remote{log: log, base: base, client: &patient}, nil
}

// Read implements [ledger.Source].
func (r *Remote) Read(ctx context.Context, path string) ([]byte, error) { return r.log.Read(ctx, path) }

// Document implements [Source].
func (r *Remote) Document(ctx context.Context, digest message.Digest) ([]byte, error) {
	where := r.base.JoinPath("v1", "documents", digest.String())
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, where.String(), nil)
	if err != nil {
		return nil, fmt.Errorf("document %s: %w", digest, err)
	}
	res, err := r.client.Do(req)
	if err != nil {
		return nil, fmt.Errorf("document %s: %w", digest, err)
	}
	defer res.Body.Close()
	switch res.StatusCode {
	case http.StatusOK:
		return readDocument(digest, res.Body)
	case http.StatusNotFound, http.StatusGone:
		return nil, fmt.Errorf("document %s: %w", digest, ErrNoDocument)
	default:
		return nil, fmt.Errorf("document %s: the hub answered with status %d", digest, res.StatusCode)
	}
}

func readDocument(digest message.Digest, r io.Reader) ([]byte, error) {
	raw, err := io.ReadAll(io.LimitReader(r, MaxDocument+1))
	if err != nil {
		return nil, fmt.Errorf("document %s: %w", digest, err)
	}
	if len(raw) > MaxDocument {
		return nil, fmt.Errorf("document %s: larger than %d bytes", digest, MaxDocument)
	}
	return raw, nil
}

// patience repeats requests that a hub refused for now.
type patience struct{ next http.RoundTripper }

// Limits of patience.
const (
	maxTries     = 8
	firstPause   = 250 * time.Millisecond
	longestPause = 10 * time.Second
)

// RoundTrip implements http.RoundTripper, for requests without a body.
func (p patience) RoundTrip(r *http.Request) (*http.Response, error) {
	next := p.next
	if next == nil {
		next = http.DefaultTransport
	}
	for try, pause := 1, firstPause; ; try, pause = try+1, min(2*pause, longestPause) {
		res, err := next.RoundTrip(r)
		if err != nil || try == maxTries || (res.StatusCode != http.StatusTooManyRequests && res.StatusCode != http.StatusServiceUnavailable) {
			return res, err
		}
		if seconds, err := strconv.Atoi(res.Header.Get("Retry-After")); err == nil && seconds > 0 {
			pause = min(time.Duration(seconds)*time.Second, longestPause)
		}
		_ = res.Body.Close() // the refusal itself says nothing more
		timer := time.NewTimer(pause)
		select {
		case <-r.Context().Done():
			timer.Stop()
			return nil, r.Context().Err()
		case <-timer.C:
		}
	}
}

// pinned is a source at one checkpoint, however much its log grows meanwhile.
type pinned struct {
	Source
	checkpoint []byte
}

// pin reads the present checkpoint once.
func pin(ctx context.Context, src Source) (pinned, error) {
	raw, err := src.Read(ctx, checkpointPath)
	if err != nil && !errors.Is(err, ledger.ErrNotFound) {
		return pinned{}, err
	}
	return pinned{src, raw}, nil
}

// checkpointPath is the file of a log that changes.
const checkpointPath = "checkpoint"

// Read implements [ledger.Source].
func (p pinned) Read(ctx context.Context, path string) ([]byte, error) {
	if path != checkpointPath {
		return p.Source.Read(ctx, path)
	}
	if p.checkpoint == nil {
		return nil, ledger.ErrNotFound
	}
	return p.checkpoint, nil
}

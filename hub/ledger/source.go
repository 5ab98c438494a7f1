package ledger

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/url"
	"strings"

	"github.com/trialmesh/trialmesh/federation/cosign"
)

// ErrNotFound reports a file that the log does not have (yet): a bad path, or a
// tile that no published checkpoint covers.
var ErrNotFound = errors.New("no such file in the log")

// Source gives the public files of a log.
type Source interface {
	// Read returns the file at a C2SP path without leading slash: "checkpoint",
	// "tile/0/x001/234", "tile/entries/000.p/17". It fails with [ErrNotFound] if
	// there is none, and refuses a file larger than any log file can be. What it
	// returns is not verified.
	Read(ctx context.Context, path string) ([]byte, error)
}

// Files is a log in a file system, as [Export] writes it.
type Files struct {
	fsys fs.FS
}

// Dir returns the log in a directory tree. Use os.DirFS for one on disk.
func Dir(fsys fs.FS) Files { return Files{fsys} }

// Read implements [Source].
func (f Files) Read(ctx context.Context, path string) ([]byte, error) {
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("ledger: read %s: %w", path, err)
	}
	file, err := f.fsys.Open(path)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrInvalid) {
		return nil, fmt.Errorf("ledger: read %s: %w", path, ErrNotFound)
	}
	if err != nil {
		return nil, fmt.Errorf("ledger: read %s: %w", path, err)
	}
	defer file.Close()
	return readFile(path, file)
}

// Remote is a log on a web server.
type Remote struct {
	base   *url.URL
	client *http.Client
}

// NewHTTPSource returns the log under a URL prefix, for example
// https://hub.example.org/log. The client's limits on time, redirects and
// certificates apply to every request.
func NewHTTPSource(prefix string, client *http.Client) (Remote, error) {
	base, err := url.Parse(prefix)
	if err != nil || (base.Scheme != "http" && base.Scheme != "https") || base.Host == "" {
		return Remote{}, fmt.Errorf("ledger: %q is not an http or https URL", prefix)
	}
	return Remote{base: base, client: client}, nil
}

// Read implements [Source]. Any status but 200, 404 and 410 is an error.
func (r Remote) Read(ctx context.Context, path string) ([]byte, error) {
	where := r.base.JoinPath(strings.Split(path, "/")...)
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, where.String(), nil)
	if err != nil {
		return nil, fmt.Errorf("ledger: read %s: %w", path, err)
	}
	res, err := r.client.Do(req)
	if err != nil {
		return nil, fmt.Errorf("ledger: read %s: %w", path, err)
	}
	defer res.Body.Close()
	switch res.StatusCode {
	case http.StatusOK:
		return readFile(path, res.Body)
	case http.StatusNotFound, http.StatusGone:
		return nil, fmt.Errorf("ledger: read %s: %w", path, ErrNotFound)
	default:
		return nil, fmt.Errorf("ledger: read %s: server answered %s", path, res.Status)
	}
}

// readFile reads at most what a file of a log can have.
func readFile(path string, r io.Reader) ([]byte, error) {
	limit := int64(maxFile)
	if path == checkpointPath {
		limit = cosign.MaxNote
	}
	data, err := io.ReadAll(io.LimitReader(r, limit+1))
	if err != nil {
		return nil, fmt.Errorf("ledger: read %s: %w", path, err)
	}
	if int64(len(data)) > limit {
		return nil, fmt.Errorf("ledger: read %s: larger than %d bytes", path, limit)
	}
	return data, nil
}

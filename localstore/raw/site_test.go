package raw

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/johannesboyne/gofakes3"
	"github.com/johannesboyne/gofakes3/backend/s3mem"
	"github.com/stretchr/testify/require"

	"github.com/trialmesh/trialmesh/localstore/bucket"
)

// site is a store and all that it is made of: its folder, or an S3 in this process.
type site struct {
	*Store

	cfg  Config
	wire *wire // nil for a disk
}

// each runs a test on a store on a disk and on one in S3.
func each(t *testing.T, test func(t *testing.T, s *site)) {
	t.Helper()
	for name, where := range map[string]func(testing.TB) *site{"disk": onDisk, "s3": inS3} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, where(t))
		})
	}
}

func onDisk(t testing.TB) *site {
	t.Helper()
	s := &site{cfg: Config{Dir: filepath.Join(t.TempDir(), "raw"), KeyFile: newKey(t)}}
	s.open(t)
	return s
}

// minPart is the size of parts of an object. S3 wants 5 MiB, the one here is content.
const minPart = 64 << 10

func inS3(t testing.TB) *site {
	t.Helper()
	fake := s3mem.New()
	require.NoError(t, fake.CreateBucket("site"))
	w := &wire{handler: gofakes3.New(fake).Server()}
	b, err := bucket.Open(t.Context(), bucket.Config{Address: "s3://site/north/raw?endpoint=http://127.0.0.1", Transport: w, Backoff: time.Nanosecond, Part: minPart})
	require.NoError(t, err)
	s := &site{cfg: Config{Dir: filepath.Join(t.TempDir(), "raw"), KeyFile: newKey(t), Bucket: b}, wire: w}
	s.open(t)
	return s
}

// open makes s the store of another process.
func (s *site) open(t require.TestingT) {
	var err error
	s.Store, err = Open(s.cfg)
	require.NoError(t, err)
}

// later makes s the store of a process at another time.
func (s *site) later(t require.TestingT, by time.Duration) {
	s.cfg.Now = func() time.Time { return time.Now().Add(by) }
	s.open(t)
}

// names are those of all encrypted files, but for the secret.
func (s *site) names(t require.TestingT) (names []string) {
	for _, folder := range []string{filesFolder, partialFolder} {
		list, err := s.files.list(context.Background(), folder)
		require.NoError(t, err)
		for _, name := range list {
			names = append(names, folder+"/"+name)
		}
	}
	return names
}

func (s *site) stored(t require.TestingT, name string) []byte {
	f, _, err := s.files.get(context.Background(), name)
	require.NoError(t, err)
	defer func() { require.NoError(t, f.Close()) }()
	content, err := io.ReadAll(f)
	require.NoError(t, err)
	return content
}

func (s *site) overwrite(t *testing.T, name string, content []byte) {
	t.Helper()
	from := filepath.Join(t.TempDir(), "new")
	require.NoError(t, os.WriteFile(from, content, 0o600))
	require.NoError(t, s.files.put(t.Context(), from, name, true))
}

// wire is an S3 and the way there.
type wire struct {
	handler http.Handler

	mu    sync.Mutex
	fault func(*http.Request, int) fault // of a request and its number, from 0; nil for none
	n     int
}

// fault is what happens to a request.
type fault int

const (
	none   fault = iota
	lost         // it does not come there
	refuse       // the answer is 503
	broken       // the answer is 500
	unsaid       // it comes there, and its answer is lost
	half         // the answer breaks off in its middle
	hang         // nothing comes back
)

// with makes requests meet faults, and counts them anew.
func (w *wire) with(f func(*http.Request, int) fault) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.fault, w.n = f, 0
}

func (w *wire) count() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.n
}

func (w *wire) meets(r *http.Request) fault {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.n++
	if w.fault == nil {
		return none
	}
	return w.fault(r, w.n-1)
}

func (w *wire) RoundTrip(r *http.Request) (*http.Response, error) {
	met := w.meets(r)
	answer := httptest.NewRecorder()
	switch met {
	case lost:
		return nil, io.ErrUnexpectedEOF
	case hang:
		<-r.Context().Done()
		return nil, r.Context().Err()
	case refuse:
		answer.WriteHeader(http.StatusServiceUnavailable)
	case broken:
		answer.WriteHeader(http.StatusInternalServerError)
	default:
		sent := r.Clone(r.Context()) // as a server sees it
		if sent.Body == nil {
			sent.Body = http.NoBody
		}
		sent.Header.Set("Content-Length", strconv.FormatInt(r.ContentLength, 10))
		w.handler.ServeHTTP(answer, sent)
	}
	if met == unsaid {
		return nil, io.ErrUnexpectedEOF
	}
	result := answer.Result()
	if met == half {
		middle := answer.Body.Len() / 2
		result.Body = io.NopCloser(io.MultiReader(strings.NewReader(answer.Body.String()[:middle]), failed{}))
	}
	return result, nil
}

// failed is the rest of a connection that broke off.
type failed struct{}

func (failed) Read([]byte) (int, error) { return 0, io.ErrUnexpectedEOF }

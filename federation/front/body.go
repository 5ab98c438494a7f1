package front

import (
	"io"
	"net/http"
	"strings"
	"time"
)

// limitBody bounds size and time of a request's body. It reports false when
// the size that the client announces is too large.
func (f *Front) limitBody(w *answer, r *http.Request) bool {
	if r.Body == nil || r.Body == http.NoBody {
		return true
	}
	limit, streamed := f.cfg.MaxBody, false
	for _, path := range []string{r.URL.Path, r.URL.Path[:strings.LastIndexByte(r.URL.Path, '/')+1]} {
		if larger, found := f.cfg.Streams[path]; found {
			limit, streamed = larger, true
		}
	}
	if r.ContentLength > limit {
		w.Header().Set("Connection", "close") // rather than reading it all to keep the connection
		return false
	}
	timed := &timedBody{ReadCloser: r.Body, connection: w.connection, time: f.cfg.BodyTime, each: streamed}
	timed.extend()
	r.Body = http.MaxBytesReader(w, timed, limit)
	return true
}

// timedBody gives a body a deadline: as a whole, or for each read.
type timedBody struct {
	io.ReadCloser
	connection *http.ResponseController
	time       time.Duration
	each       bool
}

// extend sets the deadline. Deadlines of connections are of the wall clock. A
// server that knows none, as in some tests, has no slow clients either.
func (b *timedBody) extend() { _ = b.connection.SetReadDeadline(time.Now().Add(b.time)) }

// lift takes the deadline away: the server goes on reading behind the body to
// notice a client that leaves, and must not mistake the deadline for that.
func (b *timedBody) lift() { _ = b.connection.SetReadDeadline(time.Time{}) }

func (b *timedBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	switch {
	case err != nil:
		b.lift()
	case b.each:
		b.extend()
	}
	return n, err
}

func (b *timedBody) Close() error {
	b.lift()
	return b.ReadCloser.Close()
}

package fhirapi

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"time"

	"golang.org/x/sync/semaphore"
)

// What is reckoned for a request, in bytes of memory.
const (
	perBodyByte   = 12 // for each byte of a body that is being worked on
	perAnswerByte = 3  // for each byte of a list of resources, until it is written
	firstBuffer   = 64 << 10
)

// memory is what all requests together may take. What is being worked on and what still
// arrives have parts of their own: senders that are slow keep nobody from working. The
// nil memory bounds nothing, for what is done inside of a request that has its part.
type memory struct {
	arriving, working *semaphore.Weighted
	most              int64         // of working
	wait              time.Duration // for a body, and for room
}

func newMemory(size int64, wait time.Duration) *memory {
	most := size / 4 * 3
	return &memory{arriving: semaphore.NewWeighted(size - most), working: semaphore.NewWeighted(most), most: most, wait: wait}
}

var (
	errCrowded = refuse(http.StatusServiceUnavailable, "transient", "the node works on as much as it has memory for; nothing was stored, try again")
	errSlow    = refuse(http.StatusRequestTimeout, "timeout", "the request body took too long to arrive")
)

// take waits until there is room to work with so many bytes, or with all that there
// are, and returns what gives it back.
func (m *memory) take(ctx context.Context, bytes int64) (leave func(), err error) {
	if m == nil {
		return func() {}, nil
	}
	bytes = min(bytes, m.most)
	if m.working.TryAcquire(bytes) {
		return func() { m.working.Release(bytes) }, nil
	}
	patient, cancel := context.WithTimeout(ctx, m.wait)
	defer cancel()
	if err := m.working.Acquire(patient, bytes); err != nil {
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		return nil, errCrowded
	}
	return func() { m.working.Release(bytes) }, nil
}

// spare is take for what can be left out: it does not wait.
func (m *memory) spare(bytes int64) (leave func(), ok bool) {
	if m == nil {
		return func() {}, true
	}
	bytes = min(bytes, m.most)
	return func() { m.working.Release(bytes) }, m.working.TryAcquire(bytes)
}

// body is a request body that has arrived.
type body struct {
	text []byte
	held int64 // of memory.arriving
}

// read reads a body of up to MaxBody bytes. It has room for what has come, not for what
// is announced; where there is none it does not wait, as what waits would wait for
// each other.
func (m *memory) read(r *http.Request) (b body, err error) {
	defer func() {
		if err != nil {
			m.release(b)
			b = body{}
		}
	}()
	begun := time.Now() // deadlines of connections are of the wall clock
	for {
		if len(b.text) == cap(b.text) {
			more := min(max(firstBuffer, int64(cap(b.text))), MaxBody+1-int64(cap(b.text)))
			if m != nil && !m.arriving.TryAcquire(more) {
				return b, errCrowded
			}
			b.held += more
			b.text = append(make([]byte, 0, b.held), b.text...)
		}
		n, err := r.Body.Read(b.text[len(b.text):cap(b.text)])
		b.text = b.text[:len(b.text)+n]
		_, large := errors.AsType[*http.MaxBytesError](err)
		switch {
		case large || int64(len(b.text)) > MaxBody:
			return b, errLarge
		case errors.Is(err, io.EOF):
			return b, nil
		case err != nil:
			return b, errBody
		case m != nil && time.Since(begun) > m.wait:
			return b, errSlow
		}
	}
}

func (m *memory) release(b body) {
	if m != nil {
		m.arriving.Release(b.held)
	}
}

// taking adapts a handler of a body of FHIR: it has the whole of it before it begins,
// and as much memory as cost says that it needs.
func (s *server) taking(cost func([]byte) int64, handler func(w http.ResponseWriter, r *http.Request, body []byte) error) func(http.ResponseWriter, *http.Request) error {
	return func(w http.ResponseWriter, r *http.Request) error {
		if kind, _, _ := strings.Cut(r.Header.Get("Content-Type"), ";"); !isJSON(strings.TrimSpace(kind)) {
			return errMedia
		}
		if r.ContentLength > MaxBody {
			return errLarge
		}
		sent, err := s.memory.read(r)
		if err != nil {
			return err
		}
		leave, err := s.memory.take(r.Context(), cost(sent.text))
		s.memory.release(sent)
		if err != nil {
			return err
		}
		defer leave()
		return handler(w, r, sent.text)
	}
}

// resourceCost is the cost of a resource by itself.
func resourceCost(body []byte) int64 { return perBodyByte * int64(len(body)) }

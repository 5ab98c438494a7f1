// Package mllp takes HL7 v2 messages from a site's interface engine and acknowledges
// them once they are durable.
//
// A [Listener] serves any number of connections of the minimal lower layer protocol.
// What all of them have sent while the last messages were being written is kept
// together, as one file and one load, so that a disk that syncs a hundred times a
// second takes thousands of messages. A sender may send on before it is answered;
// answers come in the order of its messages.
//
// AA says that a message is durable and will be loaded, AE that it cannot be read, so
// that sending it again is of no use, AR that it was not kept now and should be sent
// again. What is wrong inside of a message that was kept is a problem of its load.
package mllp

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/semaphore"

	"github.com/trialmesh/trialmesh/connectors/source/hl7v2"
	"github.com/trialmesh/trialmesh/localstore/raw"
	"github.com/trialmesh/trialmesh/node/ingest"
)

// Loads takes files; ingest.Service is one.
type Loads interface {
	// Accept keeps a file and enqueues its load; both are durable when it returns.
	Accept(ctx context.Context, name string, r io.Reader) (raw.Digest, ingest.JobID, error)
}

// Config configures a [Listener]. Loads is required.
type Config struct {
	Loads Loads

	// TLS is how connections are secured. Defaults to not at all.
	TLS *tls.Config

	// MaxMessage is the size of one message in bytes. Defaults to 16 MiB.
	MaxMessage int

	// MaxConnections is how many senders may be connected, 1 to 10,000. Defaults
	// to 256.
	MaxConnections int

	// Idle is how long a connection may be silent. Defaults to 1 h.
	Idle time.Duration

	// Answer is how long a sender may take to read an answer. Defaults to 30 s.
	Answer time.Duration

	Log *slog.Logger     // Defaults to discarding.
	Now func() time.Time // Defaults to time.Now.
}

func (c Config) withDefaults() Config {
	if c.MaxMessage == 0 {
		c.MaxMessage = 16 << 20
	}
	if c.MaxConnections == 0 {
		c.MaxConnections = 256
	}
	if c.Idle == 0 {
		c.Idle = time.Hour
	}
	if c.Answer == 0 {
		c.Answer = 30 * time.Second
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	return c
}

func (c Config) validate() error {
	switch {
	case c.Loads == nil:
		return errors.New("loads are required")
	case c.MaxMessage < 1:
		return errors.New("the largest message must have 1 byte or more")
	case c.MaxConnections < 1 || c.MaxConnections > 10_000:
		return errors.New("connections must be 1 to 10,000")
	case c.Idle < 0 || c.Answer < 0:
		return errors.New("waits must be positive")
	}
	return nil
}

// Listener takes messages. Its methods may be used by many goroutines.
type Listener struct {
	cfg     Config
	waiting chan kept
	coming  *semaphore.Weighted // bytes of the messages that arrive
	room    *semaphore.Weighted // bytes of the messages that wait or are being written
	number  atomic.Int64        // of the last answer
	answers *prometheus.CounterVec
}

// New returns a Listener; it starts nothing.
func New(cfg Config) (*Listener, error) {
	cfg = cfg.withDefaults()
	if err := cfg.validate(); err != nil {
		return nil, fmt.Errorf("mllp: %w", err)
	}
	l := &Listener{
		cfg:     cfg,
		waiting: make(chan kept, maxTogether),
		coming:  semaphore.NewWeighted(maxComing * int64(cfg.MaxMessage)),
		room:    semaphore.NewWeighted(maxWaiting),
		answers: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "trialmesh_mllp_messages_total", Help: "HL7 v2 messages by acknowledgment code.",
		}, []string{"code"}),
	}
	l.number.Store(cfg.Now().UnixNano())
	return l, nil
}

// Collectors returns the metrics.
func (l *Listener) Collectors() []prometheus.Collector { return []prometheus.Collector{l.answers} }

// acceptPause is how long the listener waits when the system has no room for a
// connection.
const acceptPause = 100 * time.Millisecond

// Serve takes messages of the connections of ln until ctx ends, and closes them and
// ln. It returns nil after a clean stop.
func (l *Listener) Serve(ctx context.Context, ln net.Listener) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var group sync.WaitGroup
	defer group.Wait()
	group.Go(func() { l.keep(ctx) })
	stop := context.AfterFunc(ctx, func() { _ = ln.Close() })
	defer stop()
	places := make(chan struct{}, l.cfg.MaxConnections)
	for {
		conn, err := ln.Accept()
		if ctx.Err() != nil {
			return nil
		}
		if passing := syscall.Errno(0); errors.As(err, &passing) && passing.Temporary() {
			l.cfg.Log.WarnContext(ctx, "a sender of HL7 v2 could not be let in", "err", err) // such as no free descriptor
			select {
			case <-ctx.Done():
			case <-time.After(acceptPause):
			}
			continue
		}
		if err != nil {
			cancel()
			return fmt.Errorf("mllp: %w", err)
		}
		select {
		case places <- struct{}{}:
		default:
			l.cfg.Log.WarnContext(ctx, "a sender of HL7 v2 was turned away: too many are connected", "from", conn.RemoteAddr(), "most", l.cfg.MaxConnections)
			_ = conn.Close()
			continue
		}
		group.Go(func() {
			defer func() { <-places }()
			if l.cfg.TLS != nil {
				conn = tls.Server(conn, l.cfg.TLS)
			}
			l.serve(ctx, conn)
		})
	}
}

// kept is a message on its way to the disk.
type kept struct {
	message []byte
	done    chan<- error // has room for the outcome
}

// Bounds of what is written at once.
const (
	maxTogether = 1000    // messages
	maxBytes    = 4 << 20 // of messages, unless one alone has more
)

// maxWaiting is how many bytes of messages wait for the disk or are on their way to
// it. Senders then wait: for each of them one message more is in memory, of which those
// of all together have maxComing times the largest, beyond the first 16 KiB of each. One
// for which that is not enough is to be sent again.
const (
	maxWaiting = 32 << 20
	maxComing  = 4
)

// enqueue takes a message to be kept, when there is room for it. An error is that ctx
// has ended.
func (l *Listener) enqueue(ctx context.Context, message []byte) (<-chan error, error) {
	if err := l.room.Acquire(ctx, room(message)); err != nil {
		return nil, err
	}
	done := make(chan error, 1)
	select {
	case l.waiting <- kept{message, done}:
		return done, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// room is what a message takes of maxWaiting, all of it if it is larger.
func room(message []byte) int64 { return min(int64(len(message)), maxWaiting) }

// keep writes what waits, all at once, until ctx ends.
func (l *Listener) keep(ctx context.Context) {
	for {
		var batch []kept
		select {
		case first := <-l.waiting:
			batch = append(batch, first)
		case <-ctx.Done():
			return
		}
		for size := len(batch[0].message); size < maxBytes && len(batch) < maxTogether; {
			select {
			case next := <-l.waiting:
				batch, size = append(batch, next), size+len(next.message)
				continue
			default:
			}
			break
		}
		err := l.write(ctx, batch)
		if err != nil && ctx.Err() == nil {
			l.cfg.Log.ErrorContext(ctx, "HL7 v2 messages were not kept", "messages", len(batch), "err", err)
		}
		for _, k := range batch {
			k.done <- err
			l.room.Release(room(k.message))
		}
	}
}

func (l *Listener) write(ctx context.Context, batch []kept) error {
	var file bytes.Buffer
	for _, k := range batch {
		if err := hl7v2.WriteFrame(&file, k.message); err != nil {
			return err
		}
	}
	_, _, err := l.cfg.Loads.Accept(ingest.SentBy(ctx, "mllp", "hl7v2"), "mllp", &file)
	return err
}

// answerID is unique over restarts, as the clock does not stand still between them.
func (l *Listener) answerID() string {
	return strings.ToUpper(strconv.FormatInt(l.number.Add(1), 36))
}

package inprocess

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/trialmesh/trialmesh/federation/transport"
	"github.com/trialmesh/trialmesh/protocol/identity"
	"github.com/trialmesh/trialmesh/protocol/problem"
)

// HandleCall serves a protocol's calls, as transport.Host.HandleCall.
func (e *Endpoint) HandleCall(protocol string, handle func(ctx context.Context, from identity.DID, request []byte) ([]byte, error)) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.calls[protocol] = handle
}

// Call sends one request and returns the answer, as transport.Host.Call. The
// network's faults apply; a lost request or response fails at once with
// transport.ErrUnreachable, as a broken stream does.
func (e *Endpoint) Call(ctx context.Context, to identity.DID, protocol string, request []byte) ([]byte, error) {
	answer, err := e.call(ctx, to, protocol, request)
	if err != nil {
		return nil, fmt.Errorf("inprocess: call %s of %s: %w", protocol, to, err)
	}
	return answer, nil
}

func (e *Endpoint) call(ctx context.Context, to identity.DID, protocol string, request []byte) ([]byte, error) {
	if len(request) > MessageBytes {
		return nil, transport.ErrTooLarge
	}
	fault := e.n.fault(Message{From: e.did, To: to, Protocol: protocol})
	if err := sleep(ctx, fault.Delay); err != nil {
		return nil, fmt.Errorf("%w: %w", transport.ErrUnreachable, err)
	}
	if fault.LoseRequest {
		return nil, fmt.Errorf("%w: request lost", transport.ErrUnreachable)
	}
	target, err := e.n.peer(e, to)
	if err != nil {
		return nil, err
	}
	answer, err := target.deliver(ctx, e.did, protocol, request)
	if fault.Repeat {
		// The answer to the first is kept: that is what the caller acts on.
		_, _ = target.deliver(ctx, e.did, protocol, request)
	}
	// A partition or crash while the handler ran takes the response with it.
	if now, gone := e.n.peer(e, to); gone != nil || now != target {
		return nil, fmt.Errorf("%w: connection broke", transport.ErrUnreachable)
	}
	if fault.LoseResponse {
		return nil, fmt.Errorf("%w: response lost", transport.ErrUnreachable)
	}
	return answer, err
}

// deliver runs the handler at e for a request of from.
func (e *Endpoint) deliver(ctx context.Context, from identity.DID, protocol string, request []byte) ([]byte, error) {
	e.mu.Lock()
	handle := e.calls[protocol]
	e.mu.Unlock()
	if handle == nil {
		return nil, fmt.Errorf("%w: %w", transport.ErrUnreachable, errNoHandler)
	}
	type outcome struct {
		answer []byte
		err    error
	}
	done := make(chan outcome, 1)
	request = bytes.Clone(request) // no memory is shared across a network
	err := e.start(func() {
		// Values of the caller's context do not cross, its end does.
		inner, cancel := context.WithCancel(e.ctx)
		defer cancel()
		stop := context.AfterFunc(ctx, cancel)
		defer stop()
		if deadline, ok := ctx.Deadline(); ok {
			inner, cancel = context.WithDeadline(inner, deadline)
			defer cancel()
		}
		answer, err := handle(inner, from, request)
		var public *problem.Error
		switch {
		case err != nil && inner.Err() != nil && !errors.As(err, &public):
			done <- outcome{err: fmt.Errorf("%w: %w", transport.ErrUnreachable, inner.Err())} // cut short: no answer
		case err != nil:
			done <- outcome{err: problem.From(err).Err()}
		case len(answer) > MessageBytes:
			done <- outcome{err: transport.ErrTooLarge}
		default:
			done <- outcome{answer: bytes.Clone(answer)}
		}
	})
	if err != nil {
		return nil, err
	}
	select {
	case o := <-done:
		return o.answer, o.err
	case <-ctx.Done():
		return nil, fmt.Errorf("%w: %w", transport.ErrUnreachable, ctx.Err())
	case <-e.ctx.Done():
		return nil, fmt.Errorf("%w: %w", transport.ErrUnreachable, errors.New("the peer went away"))
	}
}

func sleep(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return ctx.Err()
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

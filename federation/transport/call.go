package transport

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/protocol"

	"github.com/trialmesh/trialmesh/protocol/identity"
	"github.com/trialmesh/trialmesh/protocol/problem"
)

// Call sends one request to a peer and returns its answer, which may be empty.
// It takes at most as long as ctx and Limits.CallTime allow, and the handler
// at the other end is told of that deadline and of ctx ending.
//
// An error that the peer's handler returned comes back as a
// [*problem.Error] of the same kind and text. Everything else that prevents an
// answer matches [ErrUnreachable], [ErrNotAdmitted] or [ErrTooLarge], or is a refusal by
// version.Rule: the two programs share no protocol version.
func (h *Host) Call(ctx context.Context, to identity.DID, protocolName string, request []byte) ([]byte, error) {
	answer, err := h.call(ctx, to, protocolName, request)
	if err != nil {
		return nil, fmt.Errorf("transport: call %s of %s: %w", protocolName, to, err)
	}
	return answer, nil
}

func (h *Host) call(ctx context.Context, to identity.DID, protocolName string, request []byte) ([]byte, error) {
	if len(request) > h.cfg.Limits.MessageBytes {
		return nil, ErrTooLarge
	}
	ctx, cancel := context.WithTimeout(ctx, h.cfg.Limits.CallTime)
	defer cancel()
	s, err := h.open(ctx, to, protocolName)
	if err != nil {
		return nil, err
	}
	stop := context.AfterFunc(ctx, func() { _ = s.Reset() })
	defer stop()
	if err := h.understood(ctx, s, protocolName); err != nil {
		_ = s.Reset()
		return nil, err
	}

	// A peer may refuse a request before it has read all of it, so reading does
	// not wait for the write. The reset ends a write nobody takes, and tells the
	// handler of a call given up.
	written := make(chan struct{})
	defer func() { <-written }()
	defer func() { _ = s.Reset() }()
	deadline, _ := ctx.Deadline()
	go func() {
		defer close(written)
		// If it fails, so does the read.
		_ = writeRequest(s, request, time.Until(deadline))
	}()
	answer, refusal, err := readResponse(s, h.cfg.Limits.MessageBytes)
	switch {
	case refusal != nil:
		return nil, refusal
	case errors.Is(err, ErrTooLarge):
		return nil, ErrTooLarge
	case err != nil:
		if time.Until(deadline) <= 0 { // the peer, who has the same deadline, was quicker to break off
			<-ctx.Done()
		}
		return nil, fmt.Errorf("%w: %w", ErrUnreachable, errors.Join(ctx.Err(), err))
	}
	return answer, nil
}

// HandleCall serves a protocol's calls. The handler's context ends at the
// caller's deadline, when the caller gives up and when the host closes. An
// error reaches the caller as [problem.From] describes it: one that carries no
// kind becomes a plain "internal error", and its text is only logged here.
func (h *Host) HandleCall(protocolName string, handle func(ctx context.Context, from identity.DID, request []byte) ([]byte, error)) {
	h.host.SetStreamHandler(protocol.ID(protocolName), func(s network.Stream) {
		from, err := DIDOf(s.Conn().RemotePeer())
		if err != nil || !h.admits(s.Conn().RemotePeer()) || !h.begin() {
			_ = s.Reset()
			return
		}
		defer h.tasks.Done()
		if err := h.answer(s, from, handle); err != nil {
			_ = s.Reset()
			h.log.DebugContext(h.ctx, "call ended without a response", "protocol", protocolName, "peer", from, "err", err)
			return
		}
		_ = s.Close()
	})
}

// answer reads a request from s, runs the handler and writes the response.
func (h *Host) answer(s network.Stream, from identity.DID, handle func(context.Context, identity.DID, []byte) ([]byte, error)) error {
	limits := h.cfg.Limits
	// Reset stops reads and writes when the host closes.
	stop := context.AfterFunc(h.ctx, func() { _ = s.Reset() })
	defer stop()
	if err := s.SetDeadline(time.Now().Add(limits.ReadTime)); err != nil {
		return err
	}
	if err := h.understood(h.ctx, s, string(s.Protocol())); err != nil {
		return h.refuse(s, err)
	}
	request, wait, err := readRequest(s, limits.MessageBytes, func(bytes int) error {
		// Released with the stream.
		if s.Scope().ReserveMemory(bytes, network.ReservationPriorityMedium) != nil {
			return errBusy
		}
		return nil
	})
	if errors.Is(err, ErrTooLarge) || errors.Is(err, errBusy) {
		return h.refuse(s, err)
	}
	if err != nil {
		return err
	}
	if err := s.SetDeadline(time.Time{}); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(h.ctx, min(wait, limits.CallTime))
	defer cancel()
	gone := make(chan struct{})
	defer func() { // closing the read half ends the goroutine below
		_ = s.CloseRead()
		_ = s.SetReadDeadline(time.Now())
		<-gone
	}()
	go func() { // nothing follows a request, so a read ends when the caller does
		defer close(gone)
		var b [1]byte
		_, _ = s.Read(b[:])
		cancel()
	}()
	response, err := handle(ctx, from, request)
	var public *problem.Error
	if err != nil && ctx.Err() != nil && !errors.As(err, &public) {
		return err // cut short: that is no answer
	}
	if err == nil && len(response) > limits.MessageBytes {
		h.log.ErrorContext(ctx, "response is too large", "protocol", s.Protocol(), "peer", from, "bytes", len(response))
		err = ErrTooLarge
	}
	if err := s.SetWriteDeadline(time.Now().Add(limits.ReadTime)); err != nil {
		return err
	}
	if err == nil {
		return writeResponse(s, statusAnswer, response)
	}
	if !errors.As(err, &public) || public.Kind == problem.Internal {
		h.log.ErrorContext(ctx, "call failed", "protocol", s.Protocol(), "peer", from, "err", err)
	}
	return h.refuse(s, err)
}

func (h *Host) refuse(s network.Stream, cause error) error {
	doc, err := json.Marshal(problem.From(cause))
	if err != nil {
		return err
	}
	if len(doc) > maxProblemBytes {
		doc, err = json.Marshal(problem.From(errors.New("problem document is too long")))
		if err != nil {
			return err
		}
	}
	return writeResponse(s, statusProblem, doc)
}

package mllp

import (
	"context"
	"errors"
	"io"
	"net"
	"sync"
	"time"

	"github.com/trialmesh/trialmesh/connectors/source/fhir"
	"github.com/trialmesh/trialmesh/connectors/source/hl7v2"
)

// RuleNotKept is the rule of an AR: the message is not on the node's disk.
const RuleNotKept fhir.Rule = "not-kept"

// maxUnanswered is how many messages a sender may be ahead of its answers.
const maxUnanswered = 64

// owed is an answer that is due. done is nil for one that is known at once.
type owed struct {
	header  hl7v2.Header
	problem *fhir.Problem
	done    <-chan error
}

// serve takes the messages of one connection until it ends.
func (l *Listener) serve(ctx context.Context, conn net.Conn) {
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { _ = conn.SetReadDeadline(time.Unix(1, 0)) }) // what is owed is still answered
	defer stop()
	answers := make(chan owed, maxUnanswered)
	var group sync.WaitGroup
	group.Go(func() { l.answer(ctx, conn, answers) })
	err := l.take(ctx, conn, answers)
	close(answers)
	group.Wait()
	if err != nil && !errors.Is(err, io.EOF) && ctx.Err() == nil {
		l.cfg.Log.WarnContext(ctx, "a sender of HL7 v2 is gone", "from", conn.RemoteAddr(), "err", err)
	}
}

// take reads messages and hands them on, in the order in which they are answered.
func (l *Listener) take(ctx context.Context, conn net.Conn, answers chan<- owed) error {
	frames := hl7v2.NewFrameReader(alive{ctx, conn, l.cfg.Idle}, l.cfg.MaxMessage)
	frames.Share(l.coming)
	defer frames.Release()
	for {
		message, err := frames.Next()
		if errors.Is(err, hl7v2.ErrFrameTooLarge) {
			answers <- owed{problem: &fhir.Problem{Rule: fhir.RuleTooLarge, Line: 1, Detail: "the message is over the node's limit"}}
			continue
		}
		if errors.Is(err, hl7v2.ErrFrameNoRoom) {
			refused := make(chan error, 1)
			refused <- err
			answers <- owed{done: refused}
			continue
		}
		if err != nil {
			return err
		}
		header, err := hl7v2.ParseHeader(message)
		if problem, bad := fhir.AsProblem(err); bad {
			answers <- owed{header: header, problem: problem}
			continue
		}
		done, err := l.enqueue(ctx, message)
		if err != nil {
			return nil //nolint:nilerr // the listener ends; not answered, so the sender sends it again
		}
		answers <- owed{header: header, done: done}
	}
}

// answer writes what is owed. A sender that does not read is cut off, and what is
// owed to it then is dropped: it has to send again what it has no answer to.
func (l *Listener) answer(ctx context.Context, conn net.Conn, answers <-chan owed) {
	gone := false
	for o := range answers {
		code, problem := hl7v2.Accepted, o.problem
		switch {
		case problem != nil:
			code = hl7v2.Failed
		case !l.outcome(ctx, o.done):
			code, problem = hl7v2.Rejected, &fhir.Problem{Rule: RuleNotKept, Line: 1, Detail: "the node could not write; send it again"}
		}
		l.answers.WithLabelValues(string(code)).Inc()
		if gone {
			continue
		}
		reply := o.header.Acknowledge(hl7v2.Reply{Code: code, ID: l.answerID(), At: l.cfg.Now(), Problem: problem})
		err := conn.SetWriteDeadline(time.Now().Add(l.cfg.Answer))
		if err == nil {
			err = hl7v2.WriteFrame(conn, reply)
		}
		if err != nil {
			gone = true
			_ = conn.Close() // ends take too
		}
	}
}

// outcome reports whether a message was kept.
func (l *Listener) outcome(ctx context.Context, done <-chan error) bool {
	select {
	case err := <-done:
		return err == nil
	case <-ctx.Done():
	}
	select { // it may have been kept just before
	case err := <-done:
		return err == nil
	default:
		return false
	}
}

// alive ends a connection that is silent for too long.
type alive struct {
	ctx  context.Context //nolint:containedctx // lives as long as the connection
	conn net.Conn
	idle time.Duration
}

func (a alive) Read(p []byte) (int, error) {
	if a.ctx.Err() != nil {
		return 0, io.EOF
	}
	if err := a.conn.SetReadDeadline(time.Now().Add(a.idle)); err != nil {
		return 0, err
	}
	if a.ctx.Err() != nil { // between the two: the deadline was set anew
		return 0, io.EOF
	}
	return a.conn.Read(p)
}

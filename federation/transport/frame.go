package transport

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"time"

	"github.com/trialmesh/trialmesh/protocol/problem"
)

// A call is one request and one response on a stream of its own, integers
// big-endian:
//
//	request   uint32 milliseconds the caller waits, uint32 length, body
//	response  byte 0 (answer) or 1 (problem), uint32 length, body
//
// The body of a problem is a problem document in JSON. The stream carries
// nothing after the response.
const (
	statusAnswer  = 0
	statusProblem = 1

	headBytes       = 8
	maxProblemBytes = 16 << 10
)

// errBusy is the answer to a request when its sender already occupies its share
// of memory.
var errBusy = problem.New(problem.TooMany, "too many large requests at once")

// ErrTooLarge reports a request or response over Limits.MessageBytes.
var ErrTooLarge = problem.New(problem.TooLarge, "the message is larger than this peer accepts")

// writeRequest rounds wait up, so that the caller gives up first and knows why.
func writeRequest(w io.Writer, body []byte, wait time.Duration) error {
	milliseconds := (wait + time.Millisecond - 1) / time.Millisecond
	frame := make([]byte, headBytes, headBytes+len(body))
	binary.BigEndian.PutUint32(frame, uint32(min(max(milliseconds, 1), 1<<32-1)))
	binary.BigEndian.PutUint32(frame[4:], uint32(len(body)))
	_, err := w.Write(append(frame, body...))
	return err
}

// readRequest returns a request of at most limit bytes, or [ErrTooLarge]
// without reading the body. Before it reads the body it asks reserve for that
// much memory, and returns its error.
func readRequest(r io.Reader, limit int, reserve func(bytes int) error) (body []byte, wait time.Duration, err error) {
	var head [headBytes]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return nil, 0, fmt.Errorf("read request: %w", err)
	}
	wait = time.Duration(binary.BigEndian.Uint32(head[:])) * time.Millisecond
	length := binary.BigEndian.Uint32(head[4:])
	if int64(length) <= int64(limit) {
		if err := reserve(int(length)); err != nil {
			return nil, 0, err
		}
	}
	body, err = readBody(r, length, limit)
	return body, wait, err
}

func writeResponse(w io.Writer, status byte, body []byte) error {
	frame := make([]byte, 5, 5+len(body))
	frame[0] = status
	binary.BigEndian.PutUint32(frame[1:], uint32(len(body)))
	_, err := w.Write(append(frame, body...))
	return err
}

// readResponse returns the answer, or the error that a problem document
// describes as refusal, or what went wrong in reading as err.
func readResponse(r io.Reader, limit int) (body []byte, refusal, err error) {
	var head [5]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return nil, nil, fmt.Errorf("read response: %w", err)
	}
	length := binary.BigEndian.Uint32(head[1:])
	switch head[0] {
	case statusAnswer:
		body, err = readBody(r, length, limit)
		return body, nil, err
	case statusProblem:
		if body, err = readBody(r, length, maxProblemBytes); err != nil {
			return nil, nil, err
		}
		var doc problem.Document
		if err := json.Unmarshal(body, &doc); err != nil {
			return nil, nil, fmt.Errorf("read problem: %w", err)
		}
		return nil, doc.Err(), nil
	default:
		return nil, nil, fmt.Errorf("response has unknown status %d", head[0])
	}
}

// readBody reads length bytes. Memory grows with what arrives, not with what
// was announced.
func readBody(r io.Reader, length uint32, limit int) ([]byte, error) {
	if int64(length) > int64(limit) {
		return nil, ErrTooLarge
	}
	var body bytes.Buffer
	if _, err := io.CopyN(&body, r, int64(length)); err != nil {
		if err == io.EOF { //nolint:errorlint // CopyN returns it bare
			err = io.ErrUnexpectedEOF
		}
		return nil, fmt.Errorf("read body: %w", err)
	}
	return body.Bytes(), nil
}

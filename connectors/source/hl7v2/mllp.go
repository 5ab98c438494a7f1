package hl7v2

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
)

// ErrFrameTooLarge reports a frame over the reader's limit. The reader has skipped to
// the frame's end, so the caller may answer with a rejection and go on.
var ErrFrameTooLarge = errors.New("hl7v2: frame over the size limit")

// FrameReader reads the frames of the minimal lower layer protocol: 0x0B, a message,
// 0x1C 0x0D. It is not safe for concurrent use.
//
// Source: HL7 "Transport Specification: MLLP, Release 1".
type FrameReader struct {
	br      *bufio.Reader
	limit   int
	skipped int64
}

// NewFrameReader returns a FrameReader of r that refuses messages of more than limit
// bytes, 16 MiB if limit is not positive.
func NewFrameReader(r io.Reader, limit int) *FrameReader {
	if limit <= 0 {
		limit = 16 << 20
	}
	return &FrameReader{br: bufio.NewReaderSize(r, 32<<10), limit: limit}
}

// Skipped is how many bytes were thrown away because they stood outside a frame or in
// one that its sender began anew.
func (f *FrameReader) Skipped() int64 { return f.skipped }

// Next returns the next message without its frame; it is the caller's to keep. The
// error is io.EOF if the stream ends between frames, io.ErrUnexpectedEOF if it ends
// inside one, [ErrFrameTooLarge], or that of the stream.
//
// A frame ends with 0x1C: the CR behind it is not waited for, as senders that forget
// it wait for the acknowledgment.
func (f *FrameReader) Next() ([]byte, error) {
	if err := f.seek(); err != nil {
		return nil, err
	}
	var message []byte
	over := false
	for {
		chunk, err := f.chunk()
		if err != nil {
			return nil, inFrame(err)
		}
		at := bytes.IndexAny(chunk, "\x0b\x1c")
		content := chunk
		if at >= 0 {
			content = chunk[:at]
		}
		if over = over || len(message)+len(content) > f.limit; over {
			f.skipped += int64(len(message) + len(content))
			message = nil
		} else {
			message = append(message, content...)
		}
		if at < 0 {
			_, _ = f.br.Discard(len(chunk))
			continue
		}
		last := chunk[at]
		_, _ = f.br.Discard(at + 1)
		if last == frameStart { // the sender began again
			f.skipped += int64(len(message)) + 1
			message, over = message[:0], false
			continue
		}
		if over {
			return nil, ErrFrameTooLarge
		}
		return message, nil
	}
}

// seek skips to the inside of the next frame. The CR of the last one and line ends
// between frames are no garbage.
func (f *FrameReader) seek() error {
	for {
		chunk, err := f.chunk()
		if err != nil {
			return err
		}
		at := bytes.IndexByte(chunk, frameStart)
		skip := chunk
		if at >= 0 {
			skip = chunk[:at]
		}
		for _, c := range skip {
			if c != '\r' && c != '\n' {
				f.skipped++
			}
		}
		if at >= 0 {
			_, _ = f.br.Discard(at + 1)
			return nil
		}
		_, _ = f.br.Discard(len(chunk))
	}
}

// chunk is what has arrived, at least one byte.
func (f *FrameReader) chunk() ([]byte, error) {
	if _, err := f.br.Peek(1); err != nil {
		return nil, err
	}
	return f.br.Peek(f.br.Buffered())
}

func inFrame(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

// WriteFrame writes message as one frame, in one call of Write. It refuses a message
// that holds a byte of the framing, with which a receiver could be led astray.
func WriteFrame(w io.Writer, message []byte) error {
	if bytes.ContainsAny(message, "\x0b\x1c") {
		return errors.New("hl7v2: message holds a framing byte")
	}
	frame := make([]byte, 0, len(message)+3)
	frame = append(frame, frameStart)
	frame = append(frame, message...)
	frame = append(frame, frameEnd, '\r')
	if _, err := w.Write(frame); err != nil {
		return fmt.Errorf("hl7v2: write frame: %w", err)
	}
	return nil
}

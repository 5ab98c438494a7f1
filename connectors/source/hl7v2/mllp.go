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

// ErrFrameNoRoom reports a frame for which the memory that readers share had no room. The
// reader has skipped to the frame's end, so the caller may ask for it again and go on.
var ErrFrameNoRoom = errors.New("hl7v2: no room for the frame at the moment")

// Room is memory that several readers share, in bytes. A [semaphore.Weighted] of
// golang.org/x/sync is one.
type Room interface {
	TryAcquire(n int64) bool
	Release(n int64)
}

// freeFrame is how many bytes of a message take no room that is shared: nearly all have
// fewer.
const freeFrame = 16 << 10

// FrameReader reads the frames of the minimal lower layer protocol: 0x0B, a message,
// 0x1C 0x0D. It is not safe for concurrent use.
//
// Source: HL7 "Transport Specification: MLLP, Release 1".
type FrameReader struct {
	br      *bufio.Reader
	limit   int
	skipped int64

	room Room  // nil for no bound
	held int64 // of room
}

// Share has messages take room as they arrive. A message has its room until the next call
// of Next or Release.
func (f *FrameReader) Share(r Room) { f.room = r }

// Release gives back the room of the last message.
func (f *FrameReader) Release() {
	if f.held > 0 {
		f.room.Release(f.held)
		f.held = 0
	}
}

// grow reports whether there is room for a message of so many bytes.
func (f *FrameReader) grow(bytes int) bool {
	more := int64(bytes) - freeFrame - f.held
	if f.room == nil || more <= 0 {
		return true
	}
	if !f.room.TryAcquire(more) {
		return false
	}
	f.held += more
	return true
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
// inside one, [ErrFrameTooLarge], [ErrFrameNoRoom], or that of the stream.
//
// A frame ends with 0x1C: the CR behind it is not waited for, as senders that forget
// it wait for the acknowledgment.
func (f *FrameReader) Next() ([]byte, error) {
	f.Release()
	if err := f.seek(); err != nil {
		return nil, err
	}
	var message []byte
	var over error
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
		switch size := len(message) + len(content); {
		case over != nil:
		case size > f.limit:
			over = ErrFrameTooLarge
		case !f.grow(size):
			over = ErrFrameNoRoom
		}
		if over != nil {
			f.skipped += int64(len(message) + len(content))
			message = nil
			f.Release()
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
			message, over = message[:0], nil
			continue
		}
		if over != nil {
			return nil, over
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

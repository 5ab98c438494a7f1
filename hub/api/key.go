package api

import (
	"errors"
	"io"
)

// keyReader reads a key that can only write itself, from any place, so that a
// download can be resumed. Close it, or the writer waits for ever.
type keyReader struct {
	key    ProvingKey
	offset int64
	pipe   *io.PipeReader // nil until the first read after a seek
	done   chan struct{}  // closed when the writer behind pipe has returned
}

func (r *keyReader) Seek(offset int64, whence int) (int64, error) {
	switch whence {
	case io.SeekCurrent:
		offset += r.offset
	case io.SeekEnd:
		offset += r.key.Size()
	}
	if offset < 0 {
		return 0, errors.New("seek before the start of the key")
	}
	r.stop()
	r.offset = offset
	return offset, nil
}

func (r *keyReader) Read(p []byte) (int, error) {
	if r.pipe == nil {
		r.start()
	}
	n, err := r.pipe.Read(p)
	r.offset += int64(n)
	return n, err
}

func (r *keyReader) Close() error {
	r.stop()
	return nil
}

func (r *keyReader) start() {
	var w *io.PipeWriter
	r.pipe, w = io.Pipe()
	r.done = make(chan struct{})
	go func(skip int64) {
		defer close(r.done)
		_, err := r.key.WriteTo(&tail{w: w, skip: skip})
		w.CloseWithError(err) // io.EOF for the reader when err is nil
	}(r.offset)
}

func (r *keyReader) stop() {
	if r.pipe == nil {
		return
	}
	_ = r.pipe.Close() // always nil
	<-r.done
	r.pipe = nil
}

// tail passes on what comes behind the first skip bytes.
type tail struct {
	w    io.Writer
	skip int64
}

func (t *tail) Write(p []byte) (int, error) {
	cut := min(t.skip, int64(len(p)))
	t.skip -= cut
	if cut == int64(len(p)) {
		return len(p), nil
	}
	n, err := t.w.Write(p[cut:])
	return int(cut) + n, err
}

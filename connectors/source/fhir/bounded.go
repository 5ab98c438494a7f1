package fhir

import "io"

// Bounded ends an input when more than Most bytes come without a call of Renew, so that
// no part of it is larger, however long the whole is. It begins with nothing left.
type Bounded struct {
	Src  io.Reader
	Most int   // bytes
	Over error // what the end is, once there was too much

	left int
}

// Renew lets Most bytes more come.
func (b *Bounded) Renew() { b.left = b.Most }

func (b *Bounded) Read(p []byte) (int, error) {
	if b.left <= 0 {
		return 0, b.Over
	}
	n, err := b.Src.Read(p[:min(len(p), b.left)])
	b.left -= n
	return n, err
}

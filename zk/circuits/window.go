package circuits

import (
	"fmt"
	"time"
)

// Window is the time an epoch's bitmaps hold for: From <= t < To, in seconds
// since 1970, so until 2106.
type Window struct {
	From uint32 `json:"from"`
	To   uint32 `json:"to"`
}

// NewWindow converts times; fractions of a second are cut off.
func NewWindow(from, to time.Time) (Window, error) {
	f, t := from.Unix(), to.Unix()
	if f < 0 || f > t || t >= 1<<timeBits {
		return Window{}, fmt.Errorf("window: not in order between 1970 and 2106")
	}
	return Window{From: uint32(f), To: uint32(t)}, nil
}

// Validate reports a window that ends before it starts.
func (w Window) Validate() error {
	if w.From > w.To {
		return fmt.Errorf("window: ends before it starts")
	}
	return nil
}

// Covers reports whether t lies in the window.
func (w Window) Covers(t time.Time) bool {
	return t.Unix() >= int64(w.From) && t.Unix() < int64(w.To)
}

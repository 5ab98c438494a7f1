package hub

import (
	"sync"

	"github.com/trialmesh/trialmesh/hub/registry"
	"github.com/trialmesh/trialmesh/protocol/message"
	"github.com/trialmesh/trialmesh/protocol/query"
)

// changes tells any number of waiting readers that the state changed.
type changes struct {
	mu   sync.Mutex
	next chan struct{}            // closed at the next change; nil while nobody waits
	of   map[query.ID]*concerning // questions whose result or proofs somebody waits for
}

// concerning is closed at the next change of a question's result or proofs. waits counts
// who is to be told; it is guarded by changes.mu.
type concerning struct {
	changed chan struct{}
	waits   int
}

// Changed returns a channel that is closed after the next change.
func (c *changes) Changed() <-chan struct{} {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.next == nil {
		c.next = make(chan struct{})
	}
	return c.next
}

// ChangedOf returns a channel that is closed after the next change of a question's result
// or proofs that was proposed here, and what to call when nobody waits for it any more.
func (c *changes) ChangedOf(id query.ID) (changed <-chan struct{}, done func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.of == nil {
		c.of = make(map[query.ID]*concerning)
	}
	w := c.of[id]
	if w == nil {
		w = &concerning{changed: make(chan struct{})}
		c.of[id] = w
	}
	w.waits++
	return w.changed, func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		if w.waits--; w.waits == 0 && c.of[id] == w {
			delete(c.of, id)
		}
	}
}

// announce wakes everybody who waits for any change.
func (c *changes) announce() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.next != nil {
		close(c.next)
		c.next = nil
	}
}

// announceOf wakes those who wait for a question.
func (c *changes) announceOf(id query.ID) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if w := c.of[id]; w != nil {
		close(w.changed)
		delete(c.of, id)
	}
}

// committed tells those whom a command concerns. A step of a question is of interest to
// who watches it alone: there are twenty to a question, and other parts would read the
// whole state anew at each.
func (h *Hub) committed(body registry.Body) {
	switch b := body.(type) {
	case registry.RecordAnswer, registry.CloseStep, registry.RecordStep, registry.RecordRound:
		h.announce()
		return
	case registry.RecordSum:
		if b.Finish == nil {
			h.announce()
			return
		}
		h.announceOf(b.Step.Query)
	case registry.FinishQuestion:
		h.announceOf(b.Result.Query)
	case registry.CancelQuestion:
		if c, err := message.Stored[query.Cancellation](b.Envelope, query.KindCancellation); err == nil {
			h.announceOf(c.Query)
		}
	case registry.RecordAccess:
		if access, err := message.Stored[query.Access](b.Envelope, query.KindAccess); err == nil {
			h.announceOf(access.Query)
		}
	case registry.RecordAccessTx:
		h.announceOf(b.Query)
	}
	h.notify()
}

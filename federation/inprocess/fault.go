package inprocess

import (
	"math/rand/v2"
	"sync"
	"time"

	"github.com/trialmesh/trialmesh/protocol/identity"
)

// Message is a call about to be made, for [Network.Inject] to judge.
type Message struct {
	From, To identity.DID
	Protocol string
	Number   int // of all calls on the network, from 1
}

// Fault is what happens to one call. Its parts combine.
type Fault struct {
	Delay        time.Duration // before delivery
	LoseRequest  bool          // the handler never runs, the caller gets an error
	LoseResponse bool          // the handler runs, the caller gets an error all the same
	Repeat       bool          // the handler runs twice, one after the other
}

// Inject lets judge decide the fault of every call from now on; nil ends
// faults. judge is called from many goroutines.
func (n *Network) Inject(judge func(Message) Fault) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.inject = judge
}

func (n *Network) fault(m Message) Fault {
	n.mu.Lock()
	n.calls++
	m.Number = n.calls
	judge := n.inject
	n.mu.Unlock()
	if judge == nil {
		return Fault{}
	}
	return judge(m)
}

// Random returns a judge for [Network.Inject] under which each kind of fault
// befalls a call with probability p, 0 to 1, and every call is delayed by up to
// delay. The same seed gives the same sequence of faults.
func Random(seed uint64, p float64, delay time.Duration) func(Message) Fault {
	var mu sync.Mutex
	r := rand.New(rand.NewPCG(seed, 0)) //nolint:gosec // tests want to be repeatable
	return func(Message) Fault {
		mu.Lock()
		defer mu.Unlock()
		f := Fault{LoseRequest: r.Float64() < p, LoseResponse: r.Float64() < p, Repeat: r.Float64() < p}
		if delay > 0 {
			f.Delay = time.Duration(r.Int64N(int64(delay)))
		}
		return f
	}
}

package consensus

import (
	"sync"

	"github.com/hashicorp/raft"
)

// failure is what ended a replica's work: the first command that could not be
// carried out, or the first write to its disk that failed. What follows is
// refused until the replica is opened again.
type failure struct {
	once sync.Once
	done chan struct{} // closed when err is set
	err  error
}

func newFailure() *failure { return &failure{done: make(chan struct{})} }

// set keeps err if it is the first, and returns it.
func (f *failure) set(err error) error {
	f.once.Do(func() {
		f.err = err
		close(f.done)
	})
	return err
}

// cause returns the failure, nil as long as there is none.
func (f *failure) cause() error {
	select {
	case <-f.done:
		return f.err
	default:
		return nil
	}
}

// disk holds raft's log, and its term and vote.
type disk struct {
	raft.LogStore
	raft.StableStore
	failure *failure
}

// IsMonotonic says that the log must have no gaps; raft asks.
func (disk) IsMonotonic() bool { return true }

func (d disk) StoreLog(entry *raft.Log) error { return d.StoreLogs([]*raft.Log{entry}) }

func (d disk) StoreLogs(entries []*raft.Log) error {
	if err := d.failure.cause(); err != nil {
		return err
	}
	if err := d.LogStore.StoreLogs(entries); err != nil {
		return d.failure.set(err)
	}
	return nil
}

func (d disk) Set(key, value []byte) error {
	return d.keep(func() error { return d.StableStore.Set(key, value) })
}

func (d disk) SetUint64(key []byte, value uint64) error {
	return d.keep(func() error { return d.StableStore.SetUint64(key, value) })
}

// keep writes a term or a vote. It never returns an error: raft panics at one.
// A term or vote that is not on disk must not be heard of, so after a failure
// no stream carries anything, see link.
func (d disk) keep(write func() error) error {
	if d.failure.cause() == nil {
		if err := write(); err != nil {
			_ = d.failure.set(err)
		}
	}
	return nil
}

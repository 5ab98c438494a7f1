package node

import (
	"context"
	"path/filepath"
	"time"

	"github.com/trialmesh/trialmesh/node/api"
	"github.com/trialmesh/trialmesh/node/eventindex"
)

// indexPause is how often the event index is brought up to date between questions, so that
// a question finds little to do. One that changed nothing costs some look-ups.
const indexPause = 10 * time.Second

// openIndex opens the event index of the process that is the node: only it answers
// questions.
func (n *Node) openIndex() (err error) {
	if n.cfg.Process != "" {
		return nil
	}
	n.stale = make(chan struct{}, 1)
	n.index, err = eventindex.Open(eventindex.Config{
		Dir: filepath.Join(n.cfg.Dir, indexDir), DB: n.db, Store: n.people, Vocabulary: n.vocab, Log: n.cfg.Logger, Now: n.cfg.Now,
	})
	return err
}

// followIndex builds the event index and keeps it current. Trouble of the database or the
// disk, which the index logs, is no reason to end the node.
func (n *Node) followIndex(ctx context.Context) error {
	for {
		pause := indexPause
		if snapshot, err := n.index.Snapshot(ctx); err == nil {
			snapshot.Close()
		} else {
			pause *= 6
		}
		select {
		case <-ctx.Done():
			return nil
		case <-n.stale:
		case <-time.After(pause):
		}
	}
}

// rebuildIndex has the event index made anew, nil of a process that has none.
func (n *Node) rebuildIndex() func() {
	if n.index == nil {
		return nil
	}
	return func() {
		n.index.Discard()
		select {
		case n.stale <- struct{}{}:
		default: // it is told already
		}
	}
}

// indexStatus says how the event index stands.
func (n *Node) indexStatus() *api.Index {
	if n.index == nil {
		return nil
	}
	s := n.index.Status()
	return &api.Index{Phase: s.Phase, Segments: s.Segments, Bytes: s.Bytes}
}

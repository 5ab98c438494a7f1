package peer

import (
	"context"
	"fmt"
	"time"

	"golang.org/x/time/rate"

	"github.com/trialmesh/trialmesh/localstore/sqldb"
	"github.com/trialmesh/trialmesh/node/audit"
	protocol "github.com/trialmesh/trialmesh/protocol/query"
)

// The trail only grows, and a hub can make tasks up as fast as it can send them.
// So refusals get records of their own up to a burst and then one a minute, 0.5 MB
// a day at most; the others are counted together.
const (
	refusalBurst = 100
	tallyPause   = time.Minute
	tallyWait    = 5 * time.Second // for the last tally of a node that stops
)

func newRefusals() *rate.Limiter { return rate.NewLimiter(rate.Every(tallyPause), refusalBurst) }

// refuse records that a task was refused. A refusal changes nothing else here.
// Tasks that name no question of this node's are only ever counted.
func (p *Peer) refuse(ctx context.Context, id protocol.ID, rule string) error {
	now := p.cfg.Now()
	if rule == ErrTask.Rule || rule == ErrUnasked.Rule || !p.refusals.AllowN(now, 1) {
		p.counted.Add(1)
		return nil
	}
	return p.cfg.DB.Write(ctx, func(tx *sqldb.Tx) error {
		return p.cfg.Trail.Add(ctx, tx, audit.Record{At: now, Event: audit.QuestionRefused, Subject: id.String(), Rule: rule})
	})
}

// Run records once a minute, and when ctx ends, how many tasks were refused
// without a record of their own. It blocks until ctx ends and returns nil. A
// process that is killed loses the count of its last minute.
func (p *Peer) Run(ctx context.Context) error {
	ticker := time.NewTicker(tallyPause)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			last, cancel := context.WithTimeout(context.WithoutCancel(ctx), tallyWait)
			defer cancel()
			p.tally(last)
			return nil
		case <-ticker.C:
			p.tally(ctx)
		}
	}
}

// tally records what was counted; what cannot be written is counted on.
func (p *Peer) tally(ctx context.Context) {
	n := p.counted.Swap(0)
	if n == 0 {
		return
	}
	if err := p.cfg.DB.Write(ctx, func(tx *sqldb.Tx) error {
		return p.cfg.Trail.Add(ctx, tx, audit.Record{At: p.cfg.Now(), Event: audit.TasksRefused, Subject: fmt.Sprintf("%d tasks", n)})
	}); err != nil {
		p.counted.Add(n)
		p.cfg.Log.WarnContext(ctx, "refused tasks are not on record yet", "tasks", n, "err", err)
	}
}

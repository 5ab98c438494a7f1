package wearable

import (
	"context"
	"errors"
	"strings"
	"time"

	maker "github.com/trialmesh/trialmesh/connectors/partner/wearable"
	"github.com/trialmesh/trialmesh/localstore/jobs"
	"github.com/trialmesh/trialmesh/localstore/sqldb"
)

// pauses are those after trouble that may pass; the last one repeats.
var pauses = []time.Duration{time.Minute, 5 * time.Minute, 15 * time.Minute, time.Hour}

// Outcomes of an attempt, as the metric has them.
const (
	completed = "completed"
	partly    = "completed with problems"
	later     = "to be tried again"
	failed    = "failed"
	over      = "needs connecting again"
)

// carry makes one attempt to pull a connection and writes how it went. One that ctx has ended
// stays begun, and is taken up by whoever looks next.
func (s *Service) carry(ctx context.Context, id int64) {
	l, c, err := s.acquire(ctx, id)
	if err != nil {
		if !errors.Is(err, errLost) && !errors.Is(err, errUnknown) && ctx.Err() == nil {
			s.cfg.Log.WarnContext(ctx, "a connection was not pulled, trying again", "connection", id, "err", err)
		}
		return
	}
	defer s.release(ctx, l)
	began := s.cfg.Now()
	if c.State != Connected {
		return
	}
	if err := s.update(ctx, l, `began_at = ?`, began); err != nil {
		return // the next turn
	}
	missed, err := s.fetch(ctx, l, c)
	if ctx.Err() != nil || errors.Is(err, errLost) {
		return
	}
	if err := s.conclude(ctx, l, c, missed, err); err != nil && !errors.Is(err, errLost) && ctx.Err() == nil {
		s.cfg.Log.WarnContext(ctx, "the end of a pull could not be written", "connection", id, "err", err)
	}
}

// conclude writes how an attempt ended. missed are the feeds that could not be had.
func (s *Service) conclude(ctx context.Context, l lease, c Connection, missed []string, err error) error {
	now := s.cfg.Now()
	state, outcome, text := Connected, completed, ""
	var retry, success *time.Time
	failures := 0
	var busy *maker.BusyError
	switch {
	case err == nil:
		success = &now
		if len(missed) > 0 {
			outcome, text = partly, "not fetched: "+strings.Join(missed, "; ")
		}
	case errors.Is(err, maker.ErrRevoked):
		state, outcome, text = Over, over, err.Error()
	case errors.As(err, &busy):
		outcome, text = later, err.Error()
		retry = optional(now.Add(busy.Wait))
	case maker.Passing(err), jobs.Passing(err):
		outcome, text = later, err.Error()
		retry = optional(now.Add(pauses[min(c.failures, len(pauses)-1)]))
		failures = c.failures + 1
	default:
		outcome, text = failed, err.Error()
	}
	werr := s.cfg.DB.Write(ctx, func(tx *sqldb.Tx) error {
		if err := l.set(ctx, tx, `state = ?, ended_at = ?, retry_at = ?, failures = ?, error = ?`, string(state), now, retry, failures, text); err != nil {
			return err
		}
		if success != nil {
			return l.set(ctx, tx, `success_at = ?`, *success)
		}
		if state == Over { // worth nothing, to us
			return l.set(ctx, tx, `tokens = ?`, []byte{})
		}
		return nil
	})
	if werr != nil {
		return werr
	}
	s.ended.WithLabelValues(outcome).Inc()
	level := s.cfg.Log.InfoContext
	if outcome != completed {
		level = s.cfg.Log.WarnContext
	}
	level(ctx, "pull from a wearable's maker ended", "connector", c.Maker, "connection", c.ID, "outcome", outcome, "err", text)
	return nil
}

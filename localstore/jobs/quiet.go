package jobs

import (
	"context"
	"log/slog"
	"sync"
	"time"
)

// repeatPause is how long the same warning or error is not logged again.
const repeatPause = 30 * time.Second

// quiet keeps river's notes on its own working out of the log. What concerns a
// job is logged by whoever registered it; warnings and errors pass, each once in
// repeatPause, since a database out of reach would bring several a second.
type quiet struct {
	slog.Handler
	*said
}

func newQuiet(h slog.Handler, failed func()) quiet {
	return quiet{h, &said{failed: failed, at: make(map[string]time.Time)}}
}

// Enabled reports whether a record of this level is kept.
func (q quiet) Enabled(ctx context.Context, level slog.Level) bool {
	return level >= slog.LevelWarn && (level >= slog.LevelError || q.Handler.Enabled(ctx, level))
}

// Handle tells of errors, and passes on what was not said a moment ago.
func (q quiet) Handle(ctx context.Context, r slog.Record) error {
	if r.Level >= slog.LevelError {
		q.failed()
	}
	if !q.Handler.Enabled(ctx, r.Level) || q.again(r) {
		return nil
	}
	return q.Handler.Handle(ctx, r)
}

// WithAttrs keeps the handler quiet.
func (q quiet) WithAttrs(attrs []slog.Attr) slog.Handler {
	return quiet{q.Handler.WithAttrs(attrs), q.said}
}

// WithGroup keeps the handler quiet.
func (q quiet) WithGroup(name string) slog.Handler { return quiet{q.Handler.WithGroup(name), q.said} }

// said remembers what was logged when.
type said struct {
	failed func()

	mu sync.Mutex
	at map[string]time.Time // by message and error; guarded by mu
}

// again reports whether the record's message was logged with the same error
// within repeatPause, and remembers it otherwise.
func (s *said) again(r slog.Record) bool {
	key := r.Message
	r.Attrs(func(a slog.Attr) bool {
		if a.Key == "err" || a.Key == "error" {
			key += "\n" + a.Value.String()
		}
		return true
	})
	s.mu.Lock()
	defer s.mu.Unlock()
	for k, at := range s.at {
		if r.Time.Sub(at) >= repeatPause {
			delete(s.at, k)
		}
	}
	if _, known := s.at[key]; known {
		return true
	}
	s.at[key] = r.Time
	return false
}

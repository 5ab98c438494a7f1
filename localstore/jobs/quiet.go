package jobs

import (
	"context"
	"log/slog"
)

// quiet keeps river's notes on its own working out of the log. What concerns a
// job is logged by whoever registered it; warnings and errors pass.
type quiet struct{ slog.Handler }

// Enabled reports whether a record of this level is kept.
func (q quiet) Enabled(ctx context.Context, level slog.Level) bool {
	return level >= slog.LevelWarn && q.Handler.Enabled(ctx, level)
}

// WithAttrs keeps the handler quiet.
func (q quiet) WithAttrs(attrs []slog.Attr) slog.Handler { return quiet{q.Handler.WithAttrs(attrs)} }

// WithGroup keeps the handler quiet.
func (q quiet) WithGroup(name string) slog.Handler { return quiet{q.Handler.WithGroup(name)} }

package consensus

import (
	"context"
	"io"
	"log/slog"

	"github.com/hashicorp/go-hclog"
)

// newLogger returns a logger for raft that writes to l.
func newLogger(l *slog.Logger) hclog.Logger {
	logger := hclog.NewInterceptLogger(&hclog.LoggerOptions{Name: "raft", Level: hclog.Off, Output: io.Discard})
	logger.RegisterSink(sink{l})
	return logger
}

// sink receives hclog's records. Raft elects, retries and snapshots by itself,
// so its information is our debugging, and its errors are our warnings.
type sink struct{ log *slog.Logger }

func (s sink) Accept(name string, level hclog.Level, msg string, args ...any) {
	to := slog.LevelDebug
	if level >= hclog.Warn {
		to = slog.LevelWarn
	}
	if level <= hclog.Debug || !s.log.Enabled(context.Background(), to) {
		return
	}
	s.log.Log(context.Background(), to, msg, append([]any{"part", name}, args...)...)
}

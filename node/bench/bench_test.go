package bench_test

import (
	"context"
	"encoding/json"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/trialmesh/trialmesh/node/bench"
)

// tiny measures as little as gives figures.
func tiny(t *testing.T, name string, change ...func(*bench.Config)) []bench.Figure {
	t.Helper()
	cfg := bench.Config{Dir: t.TempDir(), For: time.Millisecond, Size: 64 << 10, Points: 20_000, Persons: 1000, Programs: t.TempDir()}
	for _, c := range change {
		c(&cfg)
	}
	figures, err := bench.Run(t.Context(), bench.All(), name, cfg)
	require.NoError(t, err)
	left, err := os.ReadDir(cfg.Dir)
	require.NoError(t, err)
	require.Empty(t, left, "all files are removed")
	return figures
}

// TestFigures runs each benchmark and checks that its figures agree with themselves.
func TestFigures(t *testing.T) {
	t.Parallel()
	want := map[string][]string{
		"cohort":              {"cohort-count-2.5", "cohort-count-100", "cohort-definition"}, // without PostgreSQL
		"cohort-index":        {"cohort-index", "cohort-index-size", "cohort-index-update", "cohort-index-memory", "cohort-index-question"},
		"ingest-curve":        {"ingest-curve", "ingest-curve-10000", "ingest-curve-60000"},
		"ingest-fhir":         {"ingest-fhir", "ingest-fhir-latency"},
		"ingest-memory":       {"ingest-memory"},
		"ingest-mllp":         {"ingest-mllp", "ingest-mllp-stored"},
		"ingest-observations": {"ingest-observations", "ingest-observations-ack"},
	}
	for _, b := range bench.All() {
		require.NotEmpty(t, b.Explain)
		require.Contains(t, want, b.Name)
		t.Run(b.Name, func(t *testing.T) {
			t.Parallel()
			figures := tiny(t, b.Name)
			var names []string
			for _, f := range figures {
				names = append(names, f.Name)
				require.Positive(t, f.Value, f.Name)
				require.NotEmpty(t, f.Unit, f.Name)
				require.Equal(t, f.Reference == nil, f.Ratio == nil, f.Name)
				if f.Ratio != nil {
					require.InDelta(t, f.Value/f.Reference.Value, *f.Ratio, 1e-9, f.Name)
				}
				if f.Bar == nil {
					require.True(t, f.OK, f.Name)
					continue
				}
				require.Equal(t, f.Most && f.Value <= *f.Bar || !f.Most && f.Value >= *f.Bar, f.OK, f.Name)
			}
			require.Equal(t, want[b.Name], names)
		})
	}
	require.Len(t, bench.All(), len(want))
}

// TestFiguresComeFromWhatIsLoaded: a larger file has another reference, and the bar
// that is asked for decides.
func TestFiguresComeFromWhatIsLoaded(t *testing.T) {
	t.Parallel()
	impossible := func(c *bench.Config) { c.Bar = 0.001 }
	small, large := tiny(t, "ingest-memory", impossible)[0], tiny(t, "ingest-memory", func(c *bench.Config) { c.Size = 1 << 20 })[0]
	require.InDelta(t, 1.0/16, small.Reference.Value, 1e-9)
	require.InDelta(t, 1, large.Reference.Value, 1e-9)
	require.False(t, small.OK)
	require.Greater(t, *small.Ratio, *large.Ratio)
}

func TestFigureIsALineOfJSON(t *testing.T) {
	t.Parallel()
	bar, ratio := 3.0, 2.0
	line, err := json.Marshal(bench.Figure{
		Name: "n", Value: 4, Unit: "u", Reference: &bench.Reference{Name: "r", Value: 2}, Ratio: &ratio, Bar: &bar, OK: true,
	})
	require.NoError(t, err)
	require.JSONEq(t, `{"name":"n","value":4,"unit":"u","reference":{"name":"r","value":2},"ratio":2,"bar":3,"ok":true}`, string(line))
}

func TestRunRefuses(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		bench string
		cfg   bench.Config
		want  error
	}{
		"an unknown name":     {"ingest", bench.Config{}, bench.ErrName},
		"a file too small":    {"ingest-memory", bench.Config{Size: 1}, bench.ErrConfig},
		"a curve too short":   {"ingest-curve", bench.Config{Points: 10}, bench.ErrConfig},
		"a time gone by":      {"ingest-fhir", bench.Config{For: -1}, bench.ErrConfig},
		"a bar below nothing": {"ingest-fhir", bench.Config{Bar: -1}, bench.ErrConfig},
		"another database":    {"ingest-fhir", bench.Config{Database: "mysql://x"}, bench.ErrConfig},
	} {
		c.cfg.Dir = t.TempDir()
		_, err := bench.Run(t.Context(), bench.All(), c.bench, c.cfg)
		require.ErrorIs(t, err, c.want, name)
	}
}

// TestStoppingRemovesTheFiles stops a run in its first round.
func TestStoppingRemovesTheFiles(t *testing.T) {
	t.Parallel()
	ctx, stop := context.WithCancel(t.Context())
	dir := t.TempDir()
	_, err := bench.Run(ctx, bench.All(), "ingest-fhir", bench.Config{Dir: dir, For: 500 * time.Millisecond, Progress: func(text string) {
		if strings.HasPrefix(text, "round") {
			stop()
		}
	}})
	require.ErrorIs(t, err, context.Canceled)
	left, err := os.ReadDir(dir)
	require.NoError(t, err)
	require.Empty(t, left)
}

// TestPostgreSQLFindsTheSameRows compares the first definitions, and stops: each run ends at
// a difference.
func TestPostgreSQLFindsTheSameRows(t *testing.T) {
	t.Parallel()
	ctx, stop := context.WithCancel(t.Context())
	compared, missing := 0, false
	_, err := bench.Run(ctx, bench.All(), "cohort", bench.Config{Dir: t.TempDir(), Persons: 1000, Progress: func(text string) {
		missing = missing || strings.HasPrefix(text, "no PostgreSQL")
		if strings.HasSuffix(text, "the same rows") {
			compared++
		}
		if compared == 4 || missing {
			stop()
		}
	}})
	if missing && os.Getenv("CI") != "true" {
		t.Skip("no PostgreSQL")
	}
	require.ErrorIs(t, err, context.Canceled)
	require.Equal(t, 4, compared)
}

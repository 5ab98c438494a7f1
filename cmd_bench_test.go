package main

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestBenchPrintsFiguresAndJudges(t *testing.T) {
	t.Parallel()
	run := []string{"bench", "ingest-memory", "--size", "64KiB", "--dir", t.TempDir()}
	out, err := execute(t, append(run, "--json", "--bar", "100000")...)
	require.Equal(t, exitOK, statusOf(err), "%v", err)
	var line map[string]any
	require.NoError(t, json.Unmarshal([]byte(out), &line))
	for _, key := range []string{"name", "value", "unit", "reference", "ratio", "bar", "ok"} {
		require.Contains(t, line, key)
	}
	require.Len(t, line, 7)
	require.Equal(t, true, line["ok"])

	out, err = execute(t, append(run, "--bar", "0.001")...)
	require.Equal(t, exitError, statusOf(err))
	require.ErrorContains(t, err, "and the bar is at most 0.001")
	require.Len(t, strings.Split(strings.TrimSpace(out), "\n"), 2, "a heading and a figure")
}

func TestBenchListExplains(t *testing.T) {
	t.Parallel()
	out, err := execute(t, "bench", "list")
	require.NoError(t, err)
	for _, name := range benchNames() {
		require.Contains(t, out, name+"\n")
	}
}

func TestBenchCalledWronglyIsStatus2(t *testing.T) {
	t.Parallel()
	for _, args := range []string{
		"bench", "bench ingest", "bench ingest-fhir ingest-mllp", "bench ingest-fhir --for 0s", "bench ingest-fhir --for x",
		"bench ingest-memory --size much", "bench ingest-memory --size 9999999GiB", "bench ingest-memory --size 1KiB",
		"bench ingest-curve --points 1", "bench ingest-fhir --bar -1", "bench grid --nodes 2", "bench grid --delays -1s", "bench concurrent --questions -1", "bench ingest-fhir --database sqlite:x", "bench list x",
	} {
		_, err := execute(t, strings.Fields(args)...)
		require.Equal(t, exitUsage, statusOf(err), "%s: %v", args, err)
	}
}

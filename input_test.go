//go:build linux

package main

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/spf13/cobra"
	"github.com/stretchr/testify/require"

	"github.com/trialmesh/trialmesh/protocol/query"
	"github.com/trialmesh/trialmesh/protocol/trial"
)

func TestFilesWithUnknownFieldsAreRefused(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		text  string
		into  any
		field string
	}{
		"a question's":      {`{"trial":"a","foo":1}`, new(query.Request), `"foo"`},
		"an analysis's":     {`{"analysis":{"kind":"count","where":"x"}}`, new(query.Request), `"where"`},
		"stratifiers'":      {`{"analysis":{"kind":"count","bye":["sex"]}}`, new(query.Request), `"bye"`},
		"a variable's":      {`{"analysis":{"variable":{"lo":50}}}`, new(query.Request), `"lo"`},
		"a design's":        {`{"id":"a","disclosre":{}}`, new(trial.Design), `"disclosre"`},
		"disclosure limits": {`{"disclosure":{"minCel":50}}`, new(trial.Design), `"minCel"`},
		"what follows":      {`{"trial":"a"} {"foo":1}`, new(query.Request), "more follows"},
		"half a file":       {`{"trial":"a"`, new(query.Request), "unexpected EOF"},
		"an empty file":     {" \n", new(query.Request), "empty"},
	} {
		path := filepath.Join(t.TempDir(), "file.json")
		require.NoError(t, os.WriteFile(path, []byte(c.text), 0o600))
		err := readValue(&cobra.Command{}, path, c.into)
		require.ErrorAs(t, err, new(usageError), name)
		require.ErrorContains(t, err, c.field, name)
		require.ErrorContains(t, err, path, name)
	}
}

func TestConsentsWithUnknownFieldsAreRefused(t *testing.T) {
	t.Parallel()
	_, err := parseConsents([]byte("{\"patient\":\"a\",\"consent\":{}}\n\n{\"patient\":\"b\",\"consnt\":{}}\n"))
	require.ErrorContains(t, err, "line 3 is not a consent")
}

func TestTrialSignRefusesAnAnalysisThatIsNone(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	key, design := filepath.Join(dir, "key"), filepath.Join(dir, "design.json")
	must(t, "key", "new", key)
	did := must(t, "key", "show", key)
	write := func(analyses string) {
		require.NoError(t, os.WriteFile(design, []byte(`{"id":"a-trial","title":"A","nodes":["`+did+`"],"researchers":["`+did+
			`"],"analyses":[`+analyses+`],"opens":"2026-01-01T00:00:00Z","closes":"2027-01-01T00:00:00Z"}`), 0o600))
	}
	write(`"count","kaplan"`)
	c := call(t, "trial", "sign", design, "--key", key)
	require.Equal(t, exitError, c.status)
	require.Contains(t, c.stderr, `analyses: "kaplan" is unknown; known are count, moments, glm, cox, kaplan-meier, crosstab, describe,`)
	require.Empty(t, c.stdout)
	write(`"count","moments"`)
	must(t, "trial", "sign", design, "--key", key)
}

package extract_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/trialmesh/trialmesh/localstore/omop"
	"github.com/trialmesh/trialmesh/node/extract"
)

func TestTheExampleHasTheDefaults(t *testing.T) {
	t.Parallel()
	example, err := extract.Parse([]byte(extract.Example))
	require.NoError(t, err)
	least := parse(t, "study: example-2026\n")
	require.NotEqual(t, least.Digest, example.Digest)
	example.Digest = least.Digest
	require.Equal(t, least, example)
	for _, table := range least.Tables {
		for _, column := range table.Columns {
			require.False(t, strings.HasSuffix(column, "_source_value") || strings.HasSuffix(column, "_datetime") || strings.HasSuffix(column, "_source_concept_id"), column)
		}
	}
	require.False(t, least.Read()[omop.ObservationTable])
}

func TestWhatIsWrongWithASpecificationIsNamed(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"version: 2\nstudy: a":                                                                                         "version: want 1",
		"version: 1\nstudy: A b":                                                                                       "study: want",
		"version: 1\nstudy: a\ncolour: red":                                                                            "line 3: field colour is no setting",
		"version: 1\nstudy: a\n---\nversion: 1":                                                                        "more than one YAML document",
		"version: 1\nstudy: a\nas-of: tomorrow":                                                                        "as-of: want a day",
		"version: 1\nstudy: a\nk: 1":                                                                                   "k: want 2 or more",
		"version: 1\nstudy: a\nl: 2":                                                                                   "name what is sensitive",
		"version: 1\nstudy: a\nsuppression-limit: 1":                                                                   "suppression limit",
		"version: 1\nstudy: a\nsuppression-limit: .nan":                                                                "suppression limit",
		"version: 1\nstudy: a\nbirth-year-bands: [5, 8]":                                                               "each a multiple",
		"version: 1\nstudy: a\nbirth-year-bands: [5, 5]":                                                               "each a multiple",
		"version: 1\nstudy: a\nbirth-year-bands: []":                                                                   "one width or more",
		"version: 1\nstudy: a\nquasi-identifiers: [gender, gender]":                                                    "each once",
		"version: 1\nstudy: a\nquasi-identifiers: [name]":                                                              "quasi-identifiers: want some of",
		"version: 1\nstudy: a\ntables: [{table: person}]":                                                              "tables of events",
		"version: 1\nstudy: a\ntables: [{table: measurement}, {table: measurement}]":                                   "each once",
		"version: 1\nstudy: a\ntables: [{table: observation, columns: [value_as_string]}]":                             `no column "value_as_string" that can be written`,
		"version: 1\nstudy: a\ntables: [{table: condition_occurrence, columns: [condition_source_value]}]":             "texts, source values and keys cannot",
		"version: 1\nstudy: a\ntables: [{table: measurement, columns: [measurement_datetime]}]\ndates: {method: year}": "no times of day",
		"version: 1\nstudy: a\ndates: {method: year, days: 5}":                                                         "are of shifted dates",
		"version: 1\nstudy: a\ndates: {days: 3, weekdays: true}":                                                       "7 or more",
		"version: 1\nstudy: a\ndates: {method: none}":                                                                  "want shift or year",
		"version: 1\nstudy: a\nsensitive: [{name: x, table: person, concepts: [1]}]":                                   "sensitive: table",
		"version: 1\nstudy: a\nsensitive: [{name: x, table: observation_period, concepts: [1]}]":                       "sensitive: table",
		"version: 1\nstudy: a\nsensitive: [{name: x, table: measurement}]":                                             "concepts: want one or more",
		"version: 1\nstudy: a\nrare-concepts: -1":                                                                      "rare-concepts",
	} {
		_, err := extract.Parse([]byte(text))
		require.ErrorContains(t, err, want, text)
	}
	_, err := extract.Parse([]byte("study: A\nk: 0\n"))
	for _, want := range []string{"version", "study", "k: want"} {
		require.ErrorContains(t, err, want, "all that is wrong is listed")
	}
}

// FuzzParse checks that what a specification says can be asked of the store.
func FuzzParse(f *testing.F) {
	f.Add(extract.Example)
	f.Add("version: 1\nstudy: a\nbirth-year-bands: [1, 2, 4]\nquasi-identifiers: []\n")
	f.Add("version: 1\nstudy: a\nsensitive: [{name: x, table: measurement, concepts: [1, 2]}]\nentropy-l: 1.5\ndates: {method: year}\n")
	f.Add("version: 1\nstudy: a\ntables: []\n")
	f.Add("&a [*a, *a]")
	f.Fuzz(func(t *testing.T, text string) {
		s, err := extract.Parse([]byte(text))
		if err != nil {
			return
		}
		require.NoError(t, s.Goal.Validate())
		require.NotEmpty(t, s.Bands)
		for _, table := range s.Tables {
			for _, column := range table.Columns {
				require.Contains(t, omop.Extractable(table.Table), column)
			}
			require.Contains(t, table.Columns, omop.StartColumn(table.Table))
		}
	})
}

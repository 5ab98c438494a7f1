package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/trialmesh/trialmesh/connectors/source/cdm"
	"github.com/trialmesh/trialmesh/connectors/source/table"
)

// tables is where the examples of package table are.
const tables = "connectors/source/table/testdata/"

func TestAProposedMappingIsTriedAndChecked(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"observations", "medications", "patients"} {
		out := filepath.Join(t.TempDir(), name+".yaml")
		text, err := execute(t, "node", "map", "suggest", tables+"synthea/"+name+".csv.gz", "--out", out)
		require.NoError(t, err)
		require.Empty(t, text, "the proposal is in the file")
		_, err = execute(t, "node", "map", "check", out)
		require.NoError(t, err)
	}
	out := filepath.Join(t.TempDir(), "observations.yaml")
	text, err := execute(t, "node", "map", "suggest", tables+"synthea/observations.csv.gz")
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(out, []byte(text), 0o600))

	text, err = execute(t, "node", "map", "preview", tables+"synthea/observations.csv.gz", "--map", out, "--json")
	require.NoError(t, err)
	var p previewed
	require.NoError(t, json.Unmarshal([]byte(text), &p))
	require.Equal(t, int64(990), p.Records)
	require.Equal(t, map[string]int64{"Observation": 990}, p.ByType)
	require.Empty(t, p.Problems)
	require.Equal(t, []previewSpelling{{"CODE", "DALY", 25}, {"CODE", "QALY", 25}, {"CODE", "QOLS", 25}}, p.Codes)
	require.Len(t, p.Sample, 5)

	_, err = execute(t, "node", "map", "suggest", tables+"synthea/observations.csv.gz", "--out", out)
	require.ErrorContains(t, err, "exists", "a mapping is not written over")
}

// TestParquetIsMappedAsCSV proposes, tries and stages a table that is Parquet.
func TestParquetIsMappedAsCSV(t *testing.T) {
	t.Parallel()
	const customers = "connectors/source/parquet/testdata/apache/delta_encoding_optional_column.parquet"
	text, err := execute(t, "node", "map", "suggest", customers)
	require.NoError(t, err)
	require.Contains(t, text, "c_customer_sk, c_current_cdemo_sk")
	mapping := filepath.Join(t.TempDir(), "customers.yaml")
	require.NoError(t, os.WriteFile(mapping, []byte("version: 1\nname: customers\ncolumns: [c_customer_id, c_birth_year]\nextra: true\n"+
		"patient: {id: c_customer_id}\nrecords:\n  - patient: {birth: c_birth_year}\n"), 0o600))
	text, err = execute(t, "node", "map", "preview", customers, "--map", mapping, "--json")
	require.NoError(t, err)
	var p previewed
	require.NoError(t, json.Unmarshal([]byte(text), &p))
	require.Equal(t, int64(100), p.Rows)
	require.Equal(t, map[string]int64{"Patient": p.Used}, p.ByType)
	_, err = execute(t, "node", "map", "preview", "connectors/source/parquet/testdata/apache/list_columns.parquet", "--map", mapping)
	require.ErrorContains(t, err, "nested-column")

	set, err := table.LoadSet(os.DirFS(filepath.Dir(mapping)))
	require.NoError(t, err)
	for file, want := range map[string]bool{customers: true, "connectors/source/parquet/testdata/person.parquet": true, "connectors/source/parquet/testdata/apache/alltypes_plain.parquet": false} {
		stage, wanted := stageOf(t.Context(), file, set)
		require.Equal(t, want, wanted, file)
		require.Equal(t, want, stage == cdm.PersonStage, file)
	}
}

func TestAPreviewShowsPatientsOnlyWhenAsked(t *testing.T) {
	t.Parallel()
	call := []string{"node", "map", "preview", tables + "examples/lab.csv", "--map", tables + "examples/lab.yaml"}
	text, err := execute(t, call...)
	require.NoError(t, err)
	text = strings.Join(strings.Fields(text), " ")
	require.Contains(t, text, "line 2 Observation patient: id, time: time with zone, code: http://loinc.org, value: number in UCUM, status: word")
	require.Contains(t, text, "problem spreadsheet Result 1 times, line 7 ")
	require.Contains(t, text, "rows 7 that made records 5 of no record 2 problem invalid-number of Result 1 problem spreadsheet of Result 1 passed over 0 records 5", "they add up")
	require.Contains(t, text, "problem invalid-number Result 1 times, line 8 ")
	for _, secret := range []string{"5.9", "2024-01-31", "2823-3", "0017"} {
		require.NotContains(t, text, secret)
	}
	text, err = execute(t, append(call, "--values", "--rows", "1")...)
	require.NoError(t, err)
	require.Contains(t, text, "time 2024-01-31T14:05:00-05:00, code 2823-3, value 5.9 mEq/L, status final")
	require.NotContains(t, text, "line 3 ")
}

// TestWhatIsUndecidedIsSaid by check and preview, which go on all the same.
func TestWhatIsUndecidedIsSaid(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	lab, out := filepath.Join(dir, "lab.csv"), filepath.Join(dir, "lab.yaml")
	rows := "MRN,Date,Code,Result,Units\n1,2024-01-31,2823-3,5.9,mmol/L\n2,2024-01-31,2345-7,NA,mg/dL\n"
	require.NoError(t, os.WriteFile(lab, []byte(rows), 0o600))
	_, err := execute(t, "node", "map", "suggest", lab, "--out", out)
	require.NoError(t, err)

	text, err := execute(t, "node", "map", "check", out, tables+"examples/lab.yaml")
	require.NoError(t, err)
	require.Equal(t, "warning: "+out+": 1 lines with \"decide\" are left: 9\nno problem in 2 mappings\n", text)
	text, err = execute(t, "node", "map", "check", out, tables+"examples/lab.yaml", "--json")
	require.NoError(t, err)
	var checked struct{ Undecided []mapUndecided }
	require.NoError(t, json.Unmarshal([]byte(text), &checked))
	require.Equal(t, []mapUndecided{{out, []int{9}}}, checked.Undecided)

	preview := []string{"node", "map", "preview", lab, "--map", out}
	text, err = execute(t, preview...)
	require.NoError(t, err)
	require.Contains(t, text, "warning: "+out+": 1 lines with \"decide\" are left: 9\n")
	text, err = execute(t, append(preview, "--json")...)
	require.NoError(t, err)
	var p previewed
	require.NoError(t, json.Unmarshal([]byte(text), &p))
	require.Equal(t, mapUndecided{out, []int{9}}, p.Open)

	raw, err := os.ReadFile(out)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(out, []byte(strings.ReplaceAll(string(raw), "decide:", "decided,")), 0o600))
	text, err = execute(t, preview...)
	require.NoError(t, err)
	require.NotContains(t, text, "warning")
	text, err = execute(t, "node", "map", "check", out, "--json")
	require.NoError(t, err)
	require.JSONEq(t, `{"files": 1, "faults": [], "undecided": []}`, text)
}

func TestMappingsAreCheckedAsASet(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	raw, err := os.ReadFile(tables + "examples/lab.yaml")
	require.NoError(t, err)
	write := func(name, text string) string {
		path := filepath.Join(dir, name)
		require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
		return path
	}
	good, named := string(raw), write("named.yaml", string(raw))
	same := write("same.yaml", strings.Replace(good, "name: north-lab", "name: south-lab", 1))
	wrong := write("wrong.yaml", good+"\nzones: UTC\n")

	text, err := execute(t, "node", "map", "check", tables+"examples/lab.yaml", tables+"examples/clinic.yaml", tables+"examples/stays.yaml")
	require.NoError(t, err)
	require.Equal(t, "no problem in 3 mappings\n", text)

	text, err = execute(t, "node", "map", "check", tables+"examples/lab.yaml", named, same, wrong)
	require.ErrorContains(t, err, "faults in 4 mappings")
	require.Equal(t, exitError, statusOf(err))
	require.Contains(t, text, named+":1: name: "+tables+"examples/lab.yaml has it as well")
	require.Contains(t, text, same+":1: columns: "+tables+"examples/lab.yaml is for the same header")
	require.Contains(t, text, `a mapping has no "zones"; did you mean "zone"?`)

	text, err = execute(t, "node", "map", "check", wrong, "--json")
	require.Error(t, err)
	var found struct {
		Files  int        `json:"files"`
		Faults []mapFault `json:"faults"`
	}
	require.NoError(t, json.Unmarshal([]byte(text), &found))
	require.Len(t, found.Faults, 1)
	require.Equal(t, wrong, found.Faults[0].File)
}

func TestWrongUsageOfMappingsIsStatus2(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	broken, empty := filepath.Join(dir, "broken.yaml"), filepath.Join(dir, "empty.csv")
	require.NoError(t, os.WriteFile(broken, []byte("version: 9\n"), 0o600))
	require.NoError(t, os.WriteFile(empty, []byte("a,b\n"), 0o600))
	lab := tables + "examples/lab"
	for _, c := range []struct {
		args   string
		status int
		says   string
	}{
		{"node map", exitUsage, "needs a command"},
		{"node map bogus", exitUsage, `unknown command "bogus"`},
		{"node map suggest --help", exitOK, ""},
		{"node map suggest", exitUsage, "accepts 1 arg"},
		{"node map preview " + lab + ".csv", exitUsage, `"map"`},
		{"node map preview --map " + lab + ".yaml", exitUsage, "accepts 1 arg"},
		{"node map preview " + lab + ".csv --rows -1 --map " + lab + ".yaml", exitUsage, "want 0 to 1000"},
		{"node map preview " + lab + ".csv --map " + broken, exitUsage, "line 1: version"},
		{"node map check", exitUsage, "requires at least 1 arg"},
		{"node map suggest " + filepath.Join(dir, "none.csv"), exitError, "no such file"},
		{"node map suggest " + empty, exitError, "no table was found"},
		{"node map preview " + empty + " --map " + lab + ".yaml", exitError, "gives no record"},
		{"node map preview " + lab + ".csv --map " + filepath.Join(dir, "none.yaml"), exitError, "no such file"},
	} {
		_, err := execute(t, strings.Fields(c.args)...)
		require.Equal(t, c.status, statusOf(err), "%s: %v", c.args, err)
		if c.says != "" {
			require.ErrorContains(t, err, c.says, c.args)
		}
	}
}

// TestPreviewCommandsNoTerminal: a cell is shown, not obeyed.
func TestPreviewCommandsNoTerminal(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	file, mapping := filepath.Join(dir, "lab.csv"), filepath.Join(dir, "lab.yaml")
	require.NoError(t, os.WriteFile(file, []byte("MRN,Taken,Test,Result\n1,2024-01-31,\x1b[2J\x1b]0;owned\x07,4.1\n"), 0o600))
	require.NoError(t, os.WriteFile(mapping, []byte(`version: 1
name: hostile
columns: [MRN, Taken, Test, Result]
patient: {id: MRN}
codes:
  Test: {K: LOINC 2823-3}
records:
  - observation: {time: Taken, code: Test, value: Result}
`), 0o600))
	c := call(t, "node", "map", "preview", file, "--map", mapping, "--values")
	require.Contains(t, c.stdout, "owned")
	require.NotContains(t, c.stdout+c.stderr, "\x1b")
}

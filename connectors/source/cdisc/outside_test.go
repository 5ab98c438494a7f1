package cdisc

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/trialmesh/trialmesh/connectors/source/fhir"
	"github.com/trialmesh/trialmesh/connectors/source/sourcetest"
)

// TestTransportFilesHaveTheRowsThatTheirPublisherCounts: the counts of the data set's README,
// and those of the CSV files without repeated rows.
func TestTransportFilesHaveTheRowsThatTheirPublisherCounts(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]map[string]int{
		"dm": {"Patient": 306}, "ae": {"Condition": 961}, "sv": {"Encounter": 3559}, "ex": {"MedicationRequest": 591},
		"suppae": {"SUPPAE": 961}, "ta": {"TA": 11},
	} {
		g := readFile(t, "testdata/phuse/"+name+".xpt.gz")
		require.Empty(t, g.problems, name)
		require.Equal(t, want, g.types(), name)
	}
}

// TestSubjectsAreThoseThatTheirPublisherCounts by sex and death.
func TestSubjectsAreThoseThatTheirPublisherCounts(t *testing.T) {
	t.Parallel()
	by := map[string]int{}
	for _, rec := range readFile(t, "testdata/phuse/dm.xpt.gz").records {
		p := rec.Resource.(*fhir.Patient)
		by[p.Gender]++
		if !p.Died.IsZero() {
			by["dead"]++
		}
	}
	require.Equal(t, map[string]int{"female": 179, "male": 127, "dead": 3}, by)
}

// TestDataSetsHaveTheRowsThatTheySay in their member records.
func TestDataSetsHaveTheRowsThatTheySay(t *testing.T) {
	t.Parallel()
	for _, name := range files(t, "*.json*") {
		var said struct{ Records int }
		text := file(t, name)
		if strings.Contains(name, ".ndjson") {
			text, _, _ = bytes.Cut(text, []byte("\n"))
		}
		require.NoError(t, json.Unmarshal(text, &said))
		g := readFile(t, name)
		require.Empty(t, g.problems, name)
		require.Len(t, g.records, said.Records, name)
	}
}

// TestContainersOfADataSetGiveEqualRecords: SAS transport, Dataset-JSON, NDJSON and CSV.
func TestContainersOfADataSetGiveEqualRecords(t *testing.T) {
	t.Parallel()
	compared, rows := 0, 0
	for _, name := range files(t, "*.xpt*") {
		folder, base := filepath.Split(name)
		stem, zipped, _ := strings.Cut(base, ".xpt")
		want := readFile(t, name)
		require.Empty(t, want.problems, name)
		for _, other := range []string{
			folder + stem + ".json" + zipped, folder + stem + ".ndjson" + zipped, folder + stem + ".dsjc", strings.Replace(folder, "-xpt", "-csv", 1) + stem + ".csv" + zipped,
		} {
			if _, err := os.Stat(other); err != nil {
				continue
			}
			g := readFile(t, other)
			require.Len(t, g.records, len(want.records), other)
			for i, rec := range g.records {
				rec.Line = want.records[i].Line
				if !reflect.DeepEqual(want.records[i], rec) {
					t.Fatalf("%s row %d differs", other, i+1)
				}
			}
			compared++
			rows += len(g.records)
		}
	}
	require.GreaterOrEqual(t, compared, 18)
	t.Logf("%d pairs of files, %d rows", compared, rows)
}

// TestSubjectsOfADSLAreThoseOfDM by their ids, with the same sex, race and year of birth, as
// far as an estimate goes: the analysis data are of another issue of the same trial, whose 254
// randomized subjects are among DM's 306.
func TestSubjectsOfADSLAreThoseOfDM(t *testing.T) {
	t.Parallel()
	known := map[string]*fhir.Patient{}
	for _, rec := range readFile(t, "testdata/phuse/dm.xpt.gz").records {
		known[rec.ID] = rec.Resource.(*fhir.Patient)
	}
	g := readFile(t, "testdata/msg/adsl.xpt.gz")
	require.Empty(t, g.problems)
	require.Equal(t, map[string]int{"Patient": 254}, g.types())
	for _, rec := range g.records {
		p := rec.Resource.(*fhir.Patient)
		require.NotNil(t, known[rec.ID])
		require.Equal(t, known[rec.ID].Gender, p.Gender)
		require.Equal(t, known[rec.ID].RaceText, p.RaceText)
		require.Equal(t, known[rec.ID].BirthDate.Text, p.BirthDate.Text)
	}
}

// TestRepeatedRowsAreNamed: whoever wrote the CSV files filled them up to the next hundred
// rows with the last row or a fragment, again and again.
func TestRepeatedRowsAreNamed(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]struct {
		rows, repeated int
		key            string
	}{
		"dm": {306, 93, "USUBJID"}, "ae": {961, 38, ""}, "sv": {3559, 40, "USUBJID, VISITNUM"}, "ex": {591, 8, ""}, "relrec": {212, 88, ""},
	} {
		g := readFile(t, "testdata/phuse/"+name+".csv.gz")
		require.Len(t, g.records, want.rows, name)
		require.Equal(t, want.repeated, g.rules()[RuleRepeatedRow], name)
		require.LessOrEqual(t, len(g.problems), want.repeated+1, "%s: besides them the fragment that was repeated", name)
		last := g.problems[len(g.problems)-1]
		require.Equal(t, want.key, last.Path, name)
		require.Equal(t, len(g.records)+len(g.problems)+1, last.Line, "%s: the line in the file", name)
	}
}

// TestRecordsSayWhatTheTextSays compares transport files with what the standard library reads
// in the text of the same data sets: subjects, dates, terms, results and units.
func TestRecordsSayWhatTheTextSays(t *testing.T) {
	t.Parallel()
	ledger := sourcetest.NewLedger("rows")
	for _, name := range []string{"phuse/dm", "phuse/ae", "phuse/sv", "phuse/ex", "msg/dm", "msg/ae", "msg/vs", "msg/lb", "msg/mh"} {
		g := readFile(t, "testdata/"+name+".xpt.gz")
		text := "testdata/" + name + ".csv.gz"
		if strings.HasPrefix(name, "msg/") {
			text = "testdata/" + name + ".json.gz"
		}
		rows := independently(t, text)
		require.Len(t, g.records, len(rows), name)
		for i, row := range rows {
			ledger.Compare(name, factsOf(g.records[i].Resource), stated(row, strings.ToUpper(filepath.Base(name))))
		}
	}
	ledger.Golden(t, "differences.tsv")
}

// TestTheYearOfBirthIsEstimatedWell: CDISC's example has the years of birth of its subjects
// beside their ages.
func TestTheYearOfBirthIsEstimatedWell(t *testing.T) {
	t.Parallel()
	var header, right, wrong int
	for _, row := range independently(t, "testdata/msg/dm.json.gz") {
		p := only[*fhir.Patient](t, rowOf("DOMAIN=DM", "SUBJID=1", "SEX="+row["SEX"], "AGE="+row["AGE"], "AGEU="+row["AGEU"],
			"RFSTDTC="+row["RFSTDTC"], "RFICDTC="+row["RFICDTC"]))
		switch year := p.BirthDate.At.Year(); {
		case year == atoi(row["BRTHDTC"]):
			right++
		case year-atoi(row["BRTHDTC"]) == 1, year-atoi(row["BRTHDTC"]) == -1:
			wrong++
		}
		header++
	}
	require.Equal(t, []int{18, 18}, []int{header, right + wrong})
	require.GreaterOrEqual(t, right, 9)
	t.Logf("%d of %d years of birth are right, the others off by one", right, header)
}

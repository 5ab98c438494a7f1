package table

import (
	"bytes"
	"fmt"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/trialmesh/trialmesh/connectors/source/fhir"
)

func suggest(t testing.TB, name, text string) *Suggestion {
	t.Helper()
	s, err := Suggest(t.Context(), strings.NewReader(text), name)
	require.NoError(t, err)
	return s
}

// TestProposalsForSyntheaReadEveryRow: nobody has to touch them.
func TestProposalsForSyntheaReadEveryRow(t *testing.T) {
	t.Parallel()
	set := map[string]string{}
	for name, want := range synthea {
		text := file(t, "synthea/"+name+".csv.gz")
		s := suggest(t, name, string(text))
		set[name+".yaml"] = string(s.YAML)
		g := readAll(t, parse(t, string(s.YAML)), text, Options{})
		// One medication was ordered twice in a visit and differs in its end only, which
		// no key may have.
		repeated := map[string]int{"medications": 1}[name]
		require.Equal(t, repeated, g.rules()[RuleRepeatedKey], name)
		require.Len(t, g.problems, repeated, name)
		require.Equal(t, map[string]int{want.resource: want.rows - repeated}, g.types(), name)

		ours, at := readAll(t, mapping(t, "synthea/"+name+".yaml"), text, Options{}), map[int]fhir.Record{}
		for _, rec := range ours.records {
			at[rec.Line] = rec
		}
		for _, rec := range g.records {
			require.Equal(t, summary(at[rec.Line]), summary(rec), name)
		}
	}
	all, err := LoadSet(folder(set))
	require.NoError(t, err)
	for name := range synthea {
		m, err := all.Detect(file(t, "synthea/"+name+".csv.gz"))
		require.NoError(t, err)
		require.Equal(t, name, m.Name, "the proposals lie in one folder without getting into each other's way")
	}
}

// summary is what a record says that both mappings of Synthea must agree on.
func summary(rec fhir.Record) string {
	var parts []any
	switch r := rec.Resource.(type) {
	case *fhir.Patient:
		parts = []any{r.ID, r.Gender, r.BirthDate.Text, r.Died.Text, len(r.Race), len(r.Ethnicity)}
	case *fhir.Encounter:
		parts = []any{r.ID, r.Subject.ID, r.Class.Code, r.Period.Start.Text, r.Period.End.Text, codesOf(r.Type[0])}
	case *fhir.Observation:
		unit := ""
		if r.Value.Quantity != nil {
			unit = r.Value.Quantity.Value.Text + r.Value.Quantity.Code
		}
		parts = []any{r.Subject.ID, r.Encounter.ID, r.Effective.Text, codesOf(r.Code), unit, len(r.Category)}
	case *fhir.Condition:
		parts = []any{r.Subject.ID, r.Encounter.ID, r.Onset.Text, r.Abated.Text, codesOf(r.Code)}
	case *fhir.MedicationRequest:
		parts = []any{r.Subject.ID, r.Encounter.ID, r.Authored.Text, r.Dispense.Validity.End.Text, codesOf(r.Medication)}
	case *fhir.Procedure:
		parts = []any{r.Subject.ID, r.Encounter.ID, r.Performed.Text, r.During.Start.Text, r.During.End.Text, codesOf(r.Code)}
	case *fhir.Immunization:
		parts = []any{r.Patient.ID, r.Encounter.ID, r.Occurred.Text, codesOf(r.Vaccine)}
	case *fhir.AllergyIntolerance:
		parts = []any{r.Patient.ID, r.Encounter.ID, r.Onset.Text, codesOf(r.Code), r.Type, r.Category}
	}
	return fmt.Sprint(parts...)
}

func codesOf(c fhir.CodeableConcept) string {
	var all []string
	for _, coding := range c.Coding {
		all = append(all, coding.System+"|"+coding.Code)
	}
	return strings.Join(all, " ") + c.Text
}

// TestProposalsHoldNoCellButCodesAndUnits looks for every other cell of the tables in what
// is proposed for them, with and without their header.
func TestProposalsHoldNoCellButCodesAndUnits(t *testing.T) {
	t.Parallel()
	mayStand := map[string]bool{"CODE": true, "UNITS": true, "SYSTEM": true, "RACE": true, "ETHNICITY": true, "ETHNIC": true, "ENCOUNTERCLASS": true, "LBTESTCD": true, "LBORRESU": true, "LBNRIND": true}
	tables := []string{"pbc/pbc", "sdtm/dm", "sdtm/lbur"}
	for name := range synthea {
		tables = append(tables, "synthea/"+name)
	}
	words := []string{"procedure", "allergy"} // of the mapping language
	for _, name := range tables {
		text := file(t, name+".csv.gz")
		_, body, _ := bytes.Cut(text, []byte("\n"))
		rows, cells := independently(t, text), map[string]string{}
		for _, row := range rows {
			for column, cell := range row {
				if len(cell) > 4 && !mayStand[column] {
					cells[cell] = column
				}
			}
		}
		for i, given := range [][]byte{text, body} {
			if i == 1 && len(rows) > 500 {
				continue // as the others, and slow
			}
			s := suggest(t, "table", string(given))
			proposed := string(s.YAML) + strings.Join(s.Notes, "\n")
			for column := range rows[0] {
				proposed = strings.ReplaceAll(proposed, column, "")
			}
			for cell, column := range cells {
				if strings.Contains(proposed, cell) {
					require.Contains(t, words, cell, "%s has a cell of %s", name, column)
				}
			}
		}
	}
}

func TestAWideTableIsProposedAsOne(t *testing.T) {
	t.Parallel()
	s := suggest(t, "pbc", string(file(t, "pbc/pbc.csv.gz")))
	_, err := Parse(s.YAML)
	require.ErrorContains(t, err, `observation: time: is still "?"`, "the table has no dates")
	m := parse(t, strings.Replace(string(s.YAML), `time: "?"`, "time: {const: 1974-01-01}", 1))
	var names []string
	for _, v := range m.records[len(m.records)-1].wide {
		names = append(names, m.columns[v.column])
	}
	require.Subset(t, names, []string{"bili", "chol", "albumin", "copper", "alk.phos", "ast", "trig", "platelet", "protime"})
	require.NotContains(t, names, "id")
	require.NotContains(t, names, "age")
}

func TestATableOfPatientsIsProposedAsOne(t *testing.T) {
	t.Parallel()
	s := suggest(t, "dm", string(file(t, "sdtm/dm.csv.gz")))
	require.Contains(t, string(s.YAML), "      birth: \"?\" # decide: no column has birth dates, and an age cannot be read")
	require.Contains(t, string(s.YAML), "BRTHDTC", "where to get them")
	require.NotContains(t, string(s.YAML), "const: ...", "nobody is asked to make one up")
	require.Contains(t, string(s.YAML), "  - patient: # decide", "only a column of sexes speaks for it")
	require.Contains(t, string(s.YAML), "BLACK OR AFRICAN AMERICAN: \"2054-5\"")
	parse(t, strings.Replace(string(s.YAML), `birth: "?"`, "birth: {const: 1935-01-01}", 1))
}

func TestALabTableIsProposedWithItsLocalCodes(t *testing.T) {
	t.Parallel()
	text := file(t, "sdtm/lbur.csv.gz")
	s := suggest(t, "lb", string(text))
	require.Contains(t, string(s.YAML), "#     KETONES: ?\n")
	require.Contains(t, string(s.YAML), "unit: LBSTRESU\n")
	g := readAll(t, parse(t, string(s.YAML)), text, Options{})
	require.Equal(t, map[string]int{"Observation": 4913}, g.types())
	require.Empty(t, g.tally.Units, "mU/L and pmol/L are UCUM")
	numbers, words := 0, 0
	for _, rec := range g.records {
		if v := rec.Resource.(*fhir.Observation).Value; v.Quantity != nil {
			numbers++
		} else if v.String != nil {
			words++
		}
	}
	rows := independently(t, text)
	want := []int{0, 0}
	for _, row := range rows[:4913] {
		if _, err := strconv.ParseFloat(row["LBSTRESC"], 64); err == nil {
			want[0]++
		} else {
			want[1]++
		}
	}
	require.Equal(t, want, []int{numbers, words}, "words are not 0, as LBSTRESN of this file has them")
}

// TestSodiumIsNotTakenForNothing: NA is a test of every laboratory.
func TestSodiumIsNotTakenForNothing(t *testing.T) {
	t.Parallel()
	var b strings.Builder
	b.WriteString("MRN,Date,Test,Result,Units\n")
	for i := range 60 {
		for _, test := range []string{"K", "NA", "CRP", "GLU"} {
			value := "5.9"
			if i == 7 && test == "GLU" {
				value = "NA"
			}
			fmt.Fprintf(&b, "%d,2024-01-31,%s,%s,mmol/L\n", i, test, value)
		}
	}
	s := suggest(t, "lab", b.String())
	require.NotContains(t, string(s.YAML), "\nnull:")
	require.Contains(t, string(s.YAML), "# decide: null: NA stands in Test too")
	require.Contains(t, string(s.YAML), "#     NA: ?\n")
	require.Contains(t, strings.Join(s.Notes, "\n"), "null: NA stands in Test too")
	g := readAll(t, parse(t, string(s.YAML)), []byte(b.String()), Options{})
	require.Empty(t, rules(g.problems))
	require.Len(t, g.records, 240)

	// As a person decides it: sodium has a code, and the NA of a result is nothing.
	m := parse(t, string(s.YAML)+"\nnull: [NA]\ncodes:\n  Test:\n    NA: LOINC 2951-2\n")
	g = readAll(t, m, []byte(b.String()), Options{})
	require.Empty(t, rules(g.problems))
	sodium, nothing := 0, 0
	for _, rec := range g.records {
		o := rec.Resource.(*fhir.Observation)
		if o.Code.Coding[0].Code == "2951-2" {
			sodium++
		}
		if !o.Absent.IsZero() {
			nothing++
		}
	}
	require.Equal(t, []int{60, 1}, []int{sodium, nothing})

	standard := strings.NewReplacer(",K,", ",2823-3,", ",CRP,", ",1988-5,", ",GLU,", ",2345-7,").Replace(b.String())
	s = suggest(t, "lab", standard)
	require.Contains(t, string(s.YAML), "null: [NA]\n# decide: null: NA stands in Test too", "among LOINC codes it is no code, but said")
}

// TestKeysAreOfColumnsThatDoNotChange: ids are made of them.
func TestKeysAreOfColumnsThatDoNotChange(t *testing.T) {
	t.Parallel()
	text := file(t, "synthea/medications.csv.gz")
	s := suggest(t, "medications", string(text))
	require.Contains(t, string(s.YAML), "\nkey: [START, CODE, ENCOUNTER] # decide: ")
	require.Contains(t, strings.Join(s.Notes, "\n"), "key: 1 of these rows still have the key of another one")

	// A medication that ends later stays the one it was.
	m := parse(t, string(s.YAML))
	before := readAll(t, m, text, Options{})
	after := readAll(t, m, bytes.ReplaceAll(text, []byte("Z,,"), []byte("Z,2030-01-01T00:00:00Z,")), Options{})
	require.Len(t, after.records, len(before.records))
	ended := 0
	for i, rec := range before.records {
		require.Equal(t, rec.ID, after.records[i].ID)
		if summary(rec) != summary(after.records[i]) {
			ended++
		}
	}
	require.Positive(t, ended)

	twice := suggest(t, "lab", "MRN,Result ID,Date,Code,Result,Units\n1,7,2024-01-31,2823-3,5.9,mmol/L\n1,8,2024-01-31,2823-3,6.1,mmol/L\n")
	require.Contains(t, string(twice.YAML), "\nkey: [Result ID] #", "an id of the row's own is enough")
	for name, table := range map[string]string{
		"value":  "MRN,Date,Code,Result,Units\n1,2024-01-31,2823-3,5.9,mmol/L\n1,2024-01-31,2823-3,6.1,mmol/L\n",
		"end":    "MRN,Start,Stop,Code\n1,2024-01-31,2024-02-01,2823-3\n1,2024-01-31,2024-02-02,2823-3\n",
		"status": "MRN,Date,Code,Result,Status\n1,2024-01-31,2823-3,5.9,final\n1,2024-01-31,2823-3,5.9,amended\n",
	} {
		s := suggest(t, name, table)
		require.NotContains(t, string(s.YAML), "\nkey:", name)
		require.Contains(t, string(s.YAML), "# decide: key: ", name)
		require.Contains(t, strings.Join(s.Notes, "\n"), "name the columns that tell them apart", name)
	}
}

// TestNoAuthorityIsMadeUp: with a made-up one, patients of other tables are not found.
func TestNoAuthorityIsMadeUp(t *testing.T) {
	t.Parallel()
	s := suggest(t, "lab", "MRN,Date,Code,Result,Units\n1,2024-01-31,2823-3,5.9,mmol/L\n2,2024-01-31,2345-7,5.9,mg/dL\n")
	require.Contains(t, string(s.YAML), "  # decide: authority: ")
	require.Contains(t, string(s.YAML), "all tables of a site")
	require.Contains(t, string(s.YAML), "unknown-person")
	require.Empty(t, parse(t, string(s.YAML)).authority)
	require.Contains(t, strings.Join(s.Notes, "\n"), "the same in all tables of a site")
}

func TestFormsAreFoundByTheCells(t *testing.T) {
	t.Parallel()
	table := func(delimiter, day, value string) string {
		var b strings.Builder
		for _, row := range [][]string{{"MRN", "Date", "Code", "Result", "Units"}, {"1", day, "2823-3", value, "mmol/L"}, {"2", day, "2345-7", value, "mg/dL"}, {"3", day, "718-7", value, "g/dL"}} {
			b.WriteString(strings.Join(row, delimiter) + "\n")
		}
		return b.String()
	}
	for name, c := range map[string]struct {
		text       string
		says, lack []string
	}{
		"iso":            {table(",", "2024-01-31", "5.9"), []string{"system: {const: LOINC}"}, []string{"dates:", "decimal:"}},
		"us":             {table(",", "1/31/2024", "5.9"), []string{"dates: us"}, nil},
		"eu":             {table(";", "31.1.2024", "5,9"), []string{"dates: eu", "decimal: comma"}, nil},
		"eu by slash":    {table("\t", "31/1/2024", "5.9"), []string{"dates: eu"}, nil},
		"not to tell":    {table(",", "1/2/2024", "5.9"), []string{`dates: "?" # decide`}, nil},
		"yyyymmdd":       {table("|", "20240131", "5.9"), []string{"dates: yyyymmdd"}, nil},
		"without a zone": {table(",", "2024-01-31 10:00", "5.9"), []string{"# zone: Europe/Berlin # decide"}, nil},
		"nulls":          {table(",", "2024-01-31", "5.9") + "4,2024-01-31,718-7,NA,g/dL\n5,2024-01-31,718-7,-999,g/dL\n", []string{`null: [NA, "-999"]`}, nil},
		"units":          {table(",", "2024-01-31", "5.9") + "4,2024-01-31,789-8,5,M/uL\n", []string{"units:\n  M/uL: \"10*6/uL\""}, nil},
		"numbers of forms": {
			"MRN,Date,Form,Diagnosis\n1,2024-01-31,E07,Goiter\n2,2024-01-31,E08,Goiter\n3,2024-01-31,F01,Asthma\n",
			[]string{`code: "?"`},
			[]string{"ICD"},
		},
		"ICD-10-CM": {
			"MRN,Date,Form,Diagnosis\n1,2024-01-31,E07.9,Goiter\n2,2024-01-31,I10,Hypertension\n3,2024-01-31,E11.9,Diabetes\n",
			[]string{"code: Form", "system: {const: ICD-10-CM}", "  - condition:\n"},
			nil,
		},
		"an empty column": {"MRN,Start,Stop reason,Drug code\n1,2024-01-31,,1191\n2,2024-01-31,,5640\n", []string{"  - medication:"}, []string{"end:"}},
		"two of a name":   {"MRN,Date,Date,Code,Result\n1,2024-01-31,2024-01-31,2823-3,5.9\n", []string{"header: false # decide"}, nil},
		"Latin-1":         {strings.ReplaceAll(table(",", "2024-01-31", "5.9"), "Result", "Gr\xf6\xdfe"), []string{"encoding: latin-1", `"Größe"`}, nil},
	} {
		s := suggest(t, name, c.text)
		for _, says := range c.says {
			require.Contains(t, string(s.YAML), says, name)
		}
		for _, lack := range c.lack {
			require.NotContains(t, string(s.YAML), lack, name)
		}
		require.Equal(t, strings.Contains(string(s.YAML), "decide:"), len(s.Notes) > 0, "%s: a comment for each note", name)
		require.Len(t, Undecided(s.YAML), strings.Count(string(s.YAML), "decide:"), name)
	}
}

// TestARowOfAPatientIsNotTakenForNames: a table without a header, and one that has only
// texts, of which nobody can tell.
func TestARowOfAPatientIsNotTakenForNames(t *testing.T) {
	t.Parallel()
	for _, text := range []string{
		"Smith,John,2024-01-31,5.9\nDoe,Jane,2024-01-31,6.1\n", "Smith,John,positive\nDoe,Jane,negative\n", "Smith,John,5.9\nSmith,Jane,6.1\nDoe,Jane,7\n",
		strings.Repeat("x", 201) + ",name,value\n1,2,3\n",
	} {
		s := suggest(t, "x", text)
		require.Contains(t, string(s.YAML), "columns: [column-1, column-2, column-3")
		require.Contains(t, string(s.YAML), "header: false # decide")
		require.NotContains(t, string(s.YAML), "Smith")
	}
}

func TestWhatIsNoTableGetsNoProposal(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"", "x", "a,b\n", "just\nlines\nof text\n", "{\"a\": 1}\n"} {
		_, err := Suggest(t.Context(), strings.NewReader(text), "x")
		require.ErrorIs(t, err, ErrNoTable, "%q", text)
	}
	_, err := Suggest(t.Context(), strings.NewReader("\x1f\x8b\x08\x00damaged gzip"), "x")
	require.Error(t, err)
	require.NotContains(t, err.Error(), "damaged gzip")
}

func TestNamesOfMappingsComeFromThoseOfFiles(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]string{"lab": "lab", "Lab results (2)": "Lab-results--2", "": "table", "..": "table", "é": "table", strings.Repeat("a", 70): strings.Repeat("a", 64)} {
		require.Equal(t, want, mappingNameOf(name), name)
	}
	require.Equal(t, `"a: b"`, plainText("a: b"))
	require.Equal(t, `"yes"`, plainText("yes"))
	require.Equal(t, "a b.c", plainText("a b.c"))
}

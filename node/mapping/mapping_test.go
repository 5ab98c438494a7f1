package mapping_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/trialmesh/trialmesh/connectors/source/fhir"
	"github.com/trialmesh/trialmesh/localstore/omop"
	"github.com/trialmesh/trialmesh/localstore/sqldb"
	"github.com/trialmesh/trialmesh/localstore/vocab"
	"github.com/trialmesh/trialmesh/node/mapping"
)

// mapped maps one resource, given without its type's and id's boilerplate.
func mapped(t testing.TB, v mapping.Vocabulary, resourceType, members string) (omop.Batch, mapping.Result) {
	t.Helper()
	var b omop.Batch
	var result mapping.Result
	text := fmt.Sprintf(`{"resourceType":%q,"id":"r1",%s}`, resourceType, members)
	for rec, err := range fhir.Read(t.Context(), strings.NewReader(text), fhir.Options{}) {
		require.NoError(t, err)
		result, err = mapping.New(v).Map(t.Context(), rec, &b)
		require.NoError(t, err)
	}
	return b, result
}

const (
	ofPatient = `"subject":{"reference":"Patient/p1"},"encounter":{"reference":"Encounter/e1"},`
	snomed    = `{"coding":[{"system":"http://snomed.info/sct","code":%q}]}`
	loinc     = `{"coding":[{"system":"http://loinc.org","code":%q}]}`
)

func coded(form, code string) string { return fmt.Sprintf(form, code) }

func record(id string) omop.Record {
	return omop.Record{
		Key: omop.NewKey("fhir|" + id), Person: mapping.PersonKey("p1"), Visit: omop.NewKey("fhir|Encounter/e1"), Pointer: "line 1",
	}
}

var morning = time.Date(2020, 3, 1, 7, 30, 0, 0, time.UTC)

// TestPersonsOfACDMHaveNames that no id of FHIR is.
func TestPersonsOfACDMHaveNames(t *testing.T) {
	t.Parallel()
	require.Equal(t, mapping.CDMKey("person", -7), mapping.PersonKey("person/-7"))
	require.NotEqual(t, mapping.PersonKey("7"), mapping.PersonKey("person/7"))
}

func TestPatient(t *testing.T) {
	t.Parallel()
	const core = "http://hl7.org/fhir/us/core/StructureDefinition/us-core-"
	race := func(codes ...string) string {
		var parts []string
		for _, c := range codes {
			parts = append(parts, fmt.Sprintf(`{"url":"ombCategory","valueCoding":{"code":%q}}`, c))
		}
		return fmt.Sprintf(`{"url":"%srace","extension":[%s]}`, core, strings.Join(parts, ","))
	}
	for name, c := range map[string]struct {
		members string
		want    omop.Person
	}{
		"all that is known": {
			`"gender":"female","birthDate":"1950-07-09","extension":[` + race("2106-3") + `,{"url":"` + core + `ethnicity","extension":[{"url":"ombCategory","valueCoding":{"code":"2135-2"}}]}]`,
			omop.Person{
				GenderConceptID: 8532, GenderSource: "female", YearOfBirth: 1950, MonthOfBirth: 7, DayOfBirth: 9,
				RaceConceptID: 8527, RaceSource: "2106-3", EthnicityConceptID: 38003563, EthnicitySource: "2135-2",
			},
		},
		"a year only":    {`"gender":"male","birthDate":"1950"`, omop.Person{GenderConceptID: 8507, GenderSource: "male", YearOfBirth: 1950}},
		"a month only":   {`"birthDate":"1950-07"`, omop.Person{YearOfBirth: 1950, MonthOfBirth: 7}},
		"another gender": {`"gender":"other","birthDate":"1950"`, omop.Person{GenderSource: "other", YearOfBirth: 1950}},
		"two races":      {`"birthDate":"1950","extension":[` + race("2106-3", "2028-9") + `]`, omop.Person{YearOfBirth: 1950, RaceSource: "2106-3"}},
		"a race and its details": {
			`"birthDate":"1950","extension":[` + race("2028-9", "2033-9") + `]`, omop.Person{YearOfBirth: 1950, RaceSource: "2028-9", RaceConceptID: 8515},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b, result := mapped(t, words(t), "Patient", c.members)
			c.want.Key, c.want.Pointer, c.want.SourceValue = mapping.PersonKey("r1"), "line 1", "r1"
			require.Equal(t, []omop.Person{c.want}, b.Persons)
			require.Empty(t, b.Deaths)
			require.Empty(t, result)
		})
	}
	t.Run("dead since", func(t *testing.T) {
		t.Parallel()
		b, _ := mapped(t, words(t), "Patient", `"birthDate":"1950","deceasedDateTime":"2020-03-01T23:30:00-05:00"`)
		require.Len(t, b.Deaths, 1)
		require.Equal(t, "2020-03-01", b.Deaths[0].Date.String(), "the day where it happened")
		require.Equal(t, 4, b.Deaths[0].Time.UTC().Hour())
	})
	t.Run("dead, not known since when", func(t *testing.T) {
		t.Parallel()
		b, result := mapped(t, words(t), "Patient", `"birthDate":"1950","deceasedBoolean":true`)
		require.Len(t, b.Persons, 1)
		require.Empty(t, b.Deaths)
		require.Equal(t, []mapping.Problem{{Rule: mapping.NoDate, Path: "deceasedDateTime"}}, result.Problems)
	})
}

func TestEncounter(t *testing.T) {
	t.Parallel()
	b, result := mapped(t, words(t), "Encounter", `"status":"finished","class":{"code":"EMER"},"subject":{"reference":"Patient/p1"},
		"period":{"start":"2020-03-01T07:30:00Z","end":"2020-03-02T01:00:00Z"}`)
	require.Empty(t, result)
	r := record("Encounter/r1")
	r.Visit = omop.Key{}
	day := sqldb.Day(2020, 3, 1)
	require.Equal(t, []omop.Visit{{
		Record: r, ConceptID: 9203, SourceValue: "EMER", TypeConceptID: 32817,
		Start: day, StartTime: morning, End: day + 1, EndTime: time.Date(2020, 3, 2, 1, 0, 0, 0, time.UTC),
	}}, b.Visits)

	b, _ = mapped(t, words(t), "Encounter", `"status":"planned","class":{"code":"X"},"subject":{"reference":"Patient/p1"},"period":{"start":"2020-03-01"}`)
	require.Zero(t, b.Visits[0].ConceptID, "a class without a concept")
	require.Equal(t, day, b.Visits[0].End, "it has not ended")
	require.True(t, b.Visits[0].StartTime.IsZero(), "only a day was sent")
	require.True(t, b.Visits[0].Invalid, "it has not taken place")
}

// several is a vocabulary in which one code says two things.
var several = memory{{"SNOMED", "1"}: {
	Source:   vocab.Concept{ID: 10},
	Standard: []vocab.Concept{{ID: 11, Domain: "Condition", Standard: true}, {ID: 12, Domain: "Procedure", Standard: true}, {ID: 13, Domain: "Device", Standard: true}},
}}

func TestRowsGoWhereTheConceptBelongs(t *testing.T) {
	t.Parallel()
	b, result := mapped(t, several, "Condition", ofPatient+`"onsetDateTime":"2020-03-01T07:30:00Z","code":`+coded(snomed, "1"))
	require.Empty(t, result)
	require.Len(t, b.Conditions, 1)
	require.Len(t, b.Procedures, 1)
	require.Len(t, b.Observations, 1, "there is no table for devices")
	require.Equal(t, record("Condition/r1"), b.Conditions[0].Record)
	require.Equal(t, record("Condition/r1+1"), b.Procedures[0].Record)
	require.Equal(t, record("Condition/r1+2"), b.Observations[0].Record)
	require.EqualValues(t, 11, b.Conditions[0].ConceptID)
	require.EqualValues(t, 12, b.Procedures[0].ConceptID)
	require.EqualValues(t, 13, b.Observations[0].ConceptID)
	require.EqualValues(t, 10, b.Observations[0].SourceConceptID)

	for resource, members := range map[string]string{
		"Condition":          `"onsetDateTime":"2020","code":` + coded(snomed, "none"),
		"Procedure":          `"status":"completed","performedDateTime":"2020","code":` + coded(snomed, "none"),
		"MedicationRequest":  `"status":"active","authoredOn":"2020","medicationCodeableConcept":` + coded(snomed, "none"),
		"Observation":        `"status":"final","effectiveDateTime":"2020","code":` + coded(loinc, "none"),
		"AllergyIntolerance": `"recordedDate":"2020","patient":{"reference":"Patient/p1"},"code":` + coded(snomed, "none"),
		"Immunization":       `"status":"completed","occurrenceDateTime":"2020","patient":{"reference":"Patient/p1"},"vaccineCode":{"text":"a vaccine"}`,
	} {
		b, result := mapped(t, several, resource, ofPatient+members)
		require.Len(t, result.Unmapped, 1, resource)
		usual := map[string]int{
			"Condition": len(b.Conditions), "Procedure": len(b.Procedures), "MedicationRequest": len(b.Drugs), "Immunization": len(b.Drugs),
			"Observation": len(b.Observations), "AllergyIntolerance": len(b.Observations),
		}
		require.Equal(t, 1, usual[resource], "%s without a concept stays in its usual table", resource)
		require.Equal(t, 1, len(b.Conditions)+len(b.Procedures)+len(b.Drugs)+len(b.Observations)+len(b.Measurements))
	}
}

func TestTheBestCodingCounts(t *testing.T) {
	t.Parallel()
	v := memory{
		{"ICD10CM", "I10"}: {Source: vocab.Concept{ID: 20}},
		{"SNOMED", "1"}:    {Source: vocab.Concept{ID: 10}, Standard: []vocab.Concept{{ID: 11, Domain: "Condition"}}},
	}
	own, icd, sct := `{"system":"urn:local","code":"L"}`, `{"system":"http://hl7.org/fhir/sid/icd-10-cm","code":"I10"}`, `{"system":"http://snomed.info/sct","code":"1"}`
	for codings, want := range map[string][3]any{
		own + "," + icd + "," + sct: {int64(11), int64(10), "1"},
		own + "," + icd:             {int64(0), int64(20), "I10"},
		own:                         {int64(0), int64(0), "L"},
	} {
		b, _ := mapped(t, v, "Condition", ofPatient+`"recordedDate":"2020","code":{"coding":[`+codings+`],"text":"t"}`)
		c := b.Conditions[0]
		require.Equal(t, want, [3]any{c.ConceptID, c.SourceConceptID, c.SourceValue})
	}
}

func TestBloodPressureIsThreeRows(t *testing.T) {
	t.Parallel()
	part := func(code, number string) string {
		return `{"code":` + coded(loinc, code) + `,"valueQuantity":{"value":` + number + `,"system":"http://unitsofmeasure.org","code":"mm[Hg]"}}`
	}
	b, result := mapped(t, words(t), "Observation", ofPatient+`"status":"final","effectiveDateTime":"2020-03-01T07:30:00Z","code":`+coded(loinc, "55284-4")+
		`,"component":[`+part("8480-6", "121.5")+`,`+part("8462-4", "80")+`]`)
	require.Empty(t, result)
	require.Len(t, b.Measurements, 3)
	row := func(id, pointer, source string, concept int64) omop.Measurement {
		r := record(id)
		r.Pointer = pointer
		return omop.Measurement{
			Record: r, ConceptID: concept, SourceConceptID: concept, SourceValue: source, TypeConceptID: 32817,
			Start: sqldb.Day(2020, 3, 1), StartTime: morning,
		}
	}
	want := []omop.Measurement{
		row("Observation/r1", "line 1", "55284-4", 40758413),
		row("Observation/r1#0", "line 1.component[0]", "8480-6", 3004249),
		row("Observation/r1#1", "line 1.component[1]", "8462-4", 3012888),
	}
	for i, number := range []float64{121.5, 80} {
		m := &want[i+1]
		m.Number, m.UnitConceptID, m.UnitSource, m.UnitSourceConceptID = &number, 8876, "mm[Hg]", 8876
	}
	require.Equal(t, want, b.Measurements)
}

func TestValues(t *testing.T) {
	t.Parallel()
	n := func(f float64) *float64 { return &f }
	const lab = `"category":[{"coding":[{"code":"laboratory"}]}],`
	for name, c := range map[string]struct {
		members string
		want    omop.Measurement
	}{
		"a number below the limit of detection": {
			`"valueQuantity":{"value":0.5,"comparator":"<","system":"http://unitsofmeasure.org","code":"mg/dL"}`,
			omop.Measurement{Number: n(0.5), OperatorConceptID: 4171756, UnitConceptID: 8840, UnitSource: "mg/dL", UnitSourceConceptID: 8840},
		},
		"a unit in another system":  {`"valueQuantity":{"value":1,"unit":"mg","system":"urn:local","code":"mg/dL"}`, omop.Measurement{Number: n(1), UnitSource: "mg/dL"}},
		"a unit without its system": {`"valueQuantity":{"value":1,"code":"kg"}`, omop.Measurement{Number: n(1), UnitConceptID: 9529, UnitSource: "kg", UnitSourceConceptID: 9529}},
		"a unit for people":         {`"valueQuantity":{"value":1,"unit":"pounds"}`, omop.Measurement{Number: n(1), UnitSource: "pounds"}},
		"a normal range":            {`"valueInteger":3,"referenceRange":[{"low":{"value":1},"high":{"value":4}}]`, omop.Measurement{Number: n(3), RangeLow: n(1), RangeHigh: n(4)}},
		"ranges by age":             {`"valueInteger":3,"referenceRange":[{"low":{"value":1}},{"low":{"value":2}}]`, omop.Measurement{Number: n(3)}},
		"a code":                    {`"valueCodeableConcept":` + coded(snomed, "44054006"), omop.Measurement{ValueConceptID: 201826, ValueSource: "44054006"}},
		"a text":                    {`"valueString":"clear"`, omop.Measurement{ValueSource: "clear"}},
		"yes":                       {`"valueBoolean":true`, omop.Measurement{ValueConceptID: 4188539, ValueSource: "true"}},
		"no":                        {`"valueBoolean":false`, omop.Measurement{ValueConceptID: 4188540, ValueSource: "false"}},
		"a titer":                   {`"valueRatio":{"numerator":{"value":1},"denominator":{"value":128}}`, omop.Measurement{ValueSource: "1:128"}},
		"a range":                   {`"valueRange":{"low":{"value":1.0}}`, omop.Measurement{ValueSource: "1.0.."}},
		"a time":                    {`"valueDateTime":"2020-01"`, omop.Measurement{ValueSource: "2020-01"}},
		"a time of day":             {`"valueTime":"10:30:00"`, omop.Measurement{ValueSource: "10:30:00"}},
		"a period":                  {`"valuePeriod":{"start":"2020","end":"2021"}`, omop.Measurement{ValueSource: "2020/2021"}},
		"none":                      {`"dataAbsentReason":{"text":"hemolyzed"}`, omop.Measurement{}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b, _ := mapped(t, words(t), "Observation", ofPatient+lab+`"status":"final","effectiveDateTime":"2020-03-01","code":{"text":"x"},`+c.members)
			require.Len(t, b.Measurements, 1)
			c.want.Record, c.want.Start, c.want.TypeConceptID, c.want.SourceValue = record("Observation/r1"), sqldb.Day(2020, 3, 1), 32817, "x"
			require.Equal(t, c.want, b.Measurements[0])
		})
	}
}

func TestMedicationRequest(t *testing.T) {
	t.Parallel()
	const order = `"status":"active","intent":"order","authoredOn":"2020-03-01","medicationCodeableConcept":{"coding":[{"system":"http://www.nlm.nih.gov/research/umls/rxnorm","code":"313782"}]}`
	day := sqldb.Day(2020, 3, 1)
	b, result := mapped(t, words(t), "MedicationRequest", ofPatient+order+`,"dosageInstruction":[{"text":"one a day","doseAndRate":[{"doseQuantity":{"value":1,"unit":"tablet"}}]},{"text":"with water"}],
		"dispenseRequest":{"numberOfRepeatsAllowed":2,"quantity":{"value":30},"expectedSupplyDuration":{"value":30,"code":"d"}}`)
	require.Empty(t, result)
	require.Len(t, b.Drugs, 1)
	d := b.Drugs[0]
	require.EqualValues(t, 1127433, d.ConceptID, "acetaminophen 325 MG Oral Tablet")
	require.Equal(t, day+29, d.End, "30 days from the first")
	require.Nil(t, d.VerbatimEnd)
	require.Equal(t, 2, *d.Refills)
	require.InDelta(t, 30, *d.Quantity, 0)
	require.Equal(t, 30, *d.DaysSupply)
	require.Equal(t, "one a day; with water", d.Sig)
	require.Equal(t, "tablet", d.DoseUnitSource)

	b, _ = mapped(t, words(t), "MedicationRequest", ofPatient+order)
	require.Equal(t, day, b.Drugs[0].End, "the end is not known")
	b, _ = mapped(t, words(t), "MedicationRequest", ofPatient+order+`,"dispenseRequest":{"validityPeriod":{"end":"2020-04-01"},"expectedSupplyDuration":{"value":1e300,"code":"d"}}`)
	require.Equal(t, day+31, b.Drugs[0].End)
	require.Equal(t, day+31, *b.Drugs[0].VerbatimEnd)
	require.Nil(t, b.Drugs[0].DaysSupply, "nobody has that much")
}

func TestWhatDidNotHappenIsInvalid(t *testing.T) {
	t.Parallel()
	const confirmed, refuted = `{"coding":[{"code":"confirmed"}]}`, `{"coding":[{"code":"refuted"}]}`
	invalid := func(b omop.Batch) bool {
		var all []omop.Record
		for _, r := range b.Conditions {
			all = append(all, r.Record)
		}
		for _, r := range b.Drugs {
			all = append(all, r.Record)
		}
		for _, r := range b.Procedures {
			all = append(all, r.Record)
		}
		for _, r := range b.Observations {
			all = append(all, r.Record)
		}
		require.Len(t, all, 1)
		return all[0].Invalid
	}
	for resource, c := range map[string]struct{ rest, happened, not string }{
		"Condition":          {`"recordedDate":"2020","code":{"text":"x"}`, `"verificationStatus":` + confirmed, `"verificationStatus":` + refuted},
		"AllergyIntolerance": {`"recordedDate":"2020","patient":{"reference":"Patient/p1"},"code":{"text":"x"}`, `"verificationStatus":` + confirmed, `"verificationStatus":` + refuted},
		"Procedure":          {`"performedDateTime":"2020","code":{"text":"x"}`, `"status":"completed"`, `"status":"not-done"`},
		"Immunization":       {`"occurrenceDateTime":"2020","patient":{"reference":"Patient/p1"},"vaccineCode":{"text":"x"}`, `"status":"completed"`, `"status":"not-done"`},
		"Observation":        {`"effectiveDateTime":"2020","code":{"text":"x"}`, `"status":"amended"`, `"status":"entered-in-error"`},
		"MedicationRequest":  {`"authoredOn":"2020","medicationCodeableConcept":{"text":"x"},"status":"active"`, `"intent":"order"`, `"intent":"proposal"`},
	} {
		b, _ := mapped(t, words(t), resource, ofPatient+c.rest+","+c.happened)
		require.False(t, invalid(b), resource)
		b, _ = mapped(t, words(t), resource, ofPatient+c.rest+","+c.not)
		require.True(t, invalid(b), resource)
	}
}

func TestProblems(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		resource, members string
		want              mapping.Problem
	}{
		"nobody's":           {"Condition", `"subject":{"reference":"Group/g"},"recordedDate":"2020","code":{"text":"x"}`, mapping.Problem{Rule: mapping.NoPerson, Path: "subject"}},
		"no day":             {"Procedure", ofPatient + `"status":"completed","code":{"text":"x"}`, mapping.Problem{Rule: mapping.NoDate, Path: "performedDateTime"}},
		"no substance":       {"AllergyIntolerance", `"patient":{"reference":"Patient/p1"},"recordedDate":"2020"`, mapping.Problem{Rule: mapping.NoCode, Path: "code"}},
		"a drug elsewhere":   {"MedicationRequest", ofPatient + `"status":"active","authoredOn":"2020","medicationReference":{"reference":"Medication/m"}`, mapping.Problem{Rule: mapping.NoCode, Path: "medicationReference"}},
		"no day of birth":    {"Patient", `"gender":"male"`, mapping.Problem{Rule: mapping.NoBirthDate, Path: "birthDate"}},
		"a visit at no time": {"Encounter", `"status":"finished","subject":{"reference":"Patient/p1"}`, mapping.Problem{Rule: mapping.NoDate, Path: "period.start"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b, result := mapped(t, words(t), c.resource, c.members)
			require.Equal(t, []mapping.Problem{c.want}, result.Problems)
			require.Zero(t, b, "and no row")
		})
	}
}

func TestAVocabularyThatFailsFailsTheRecord(t *testing.T) {
	t.Parallel()
	gone := errors.New("gone")
	for rec, err := range fhir.Read(t.Context(), strings.NewReader(`{"resourceType":"Condition","id":"c",`+ofPatient+`"recordedDate":"2020","code":`+coded(snomed, "1")+`}`), fhir.Options{}) {
		require.NoError(t, err)
		_, err = mapping.New(failing{gone}).Map(t.Context(), rec, &omop.Batch{})
		require.ErrorIs(t, err, gone)
	}
}

func TestUnitConcept(t *testing.T) {
	t.Parallel()
	m := mapping.New(words(t))
	for code, want := range map[string]int64{"mm[Hg]": 8876, "kg": 9529, "stone": 0} {
		id, err := m.UnitConcept(t.Context(), code)
		require.NoError(t, err)
		require.Equal(t, want, id)
	}
	_, err := mapping.New(failing{errors.New("gone")}).UnitConcept(t.Context(), "kg")
	require.Error(t, err)
}

func TestPeriods(t *testing.T) {
	t.Parallel()
	row := func(person string, invalid bool) omop.Record {
		return omop.Record{Key: omop.NewKey("k"), Person: mapping.PersonKey(person), Invalid: invalid}
	}
	b := omop.Batch{
		Visits:       []omop.Visit{{Record: row("a", false), Start: 100, End: 110}},
		Conditions:   []omop.Condition{{Record: row("a", false), Start: 90}},
		Measurements: []omop.Measurement{{Record: row("a", true), Start: 5}, {Record: row("b", false), Start: 7}},
		Observations: []omop.Observation{{Record: row("c", true), Start: 1}},
	}
	mapping.Periods(&b)
	require.Equal(t, []omop.ObservationPeriod{
		{Person: mapping.PersonKey("a"), Start: 90, End: 110, TypeConceptID: 32817},
		{Person: mapping.PersonKey("b"), Start: 7, End: 7, TypeConceptID: 32817},
	}, b.Periods, "what is invalid observes nobody")
}

// FuzzMap maps whatever the reader accepts: it ends without a panic, and every row
// has a key, a person and a pointer that repeats nothing of the input.
func FuzzMap(f *testing.F) {
	f.Add([]byte(`{"resourceType":"Observation","id":"o",` + ofPatient + `"status":"final","effectiveDateTime":"2020","code":` + coded(loinc, "8480-6") + `,"valueQuantity":{"value":1,"code":"kg"},"component":[{"code":{"text":"x"},"valueRatio":{}}]}`))
	f.Add([]byte(`{"resourceType":"MedicationRequest","id":"m",` + ofPatient + `"status":"active","authoredOn":"0001","medicationCodeableConcept":{"coding":[{}]},"dispenseRequest":{"expectedSupplyDuration":{"value":-1e308,"code":"a"}}}`))
	f.Add([]byte(`{"resourceType":"Patient","id":"p","birthDate":"9999-12-31","deceasedBoolean":true}`))
	f.Add([]byte(`{"resourceType":"Bundle","type":"batch","entry":[{"resource":{"resourceType":"Condition","id":"c","subject":{"reference":"urn:uuid:"},"code":{"text":"t"},"onsetPeriod":{"end":"2020"}}}]}`))
	vocabulary := words(f)
	f.Fuzz(func(t *testing.T, data []byte) {
		mapper := mapping.New(vocabulary)
		var b omop.Batch
		for rec, err := range fhir.Read(t.Context(), strings.NewReader(string(data)), fhir.Options{}) {
			if err != nil {
				continue
			}
			_, err = mapper.Map(t.Context(), rec, &b)
			require.NoError(t, err)
		}
		mapping.Periods(&b)
		for _, m := range b.Measurements {
			require.False(t, m.Key.IsZero() || m.Person.IsZero())
			require.Regexp(t, `^(line \d+|entry\[\d+\])(\.component\[\d+\])?$`, m.Pointer)
		}
		for _, d := range b.Drugs {
			require.False(t, d.Key.IsZero() || d.Person.IsZero())
		}
	})
}

package fhir

import (
	"bytes"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// find returns the resource of type R called id in a bundle of testdata.
func find[R Resource](t *testing.T, file, id string) R {
	t.Helper()
	for _, r := range collect(t, open(t, file), Options{}).records {
		if resource, ok := r.Resource.(R); ok && (id == "" || r.ID == id) {
			return resource
		}
	}
	require.FailNow(t, "no such resource", id)
	panic("unreachable")
}

func decodeOne[R Resource](t *testing.T, text string) R {
	t.Helper()
	c := collectText(t, text)
	require.Empty(t, c.places())
	require.Len(t, c.records, 1)
	r, ok := c.records[0].Resource.(R)
	require.True(t, ok)
	return r
}

// The expected values were read from the file by eye.
func TestDecodeSyntheaPatient(t *testing.T) {
	t.Parallel()
	p := find[*Patient](t, "synthea/kidney.json.gz", "")
	require.Equal(t, "0c15e136-827d-4d70-a5b1-a63bf159b31c", p.ID)
	require.Equal(t, "female", p.Gender)
	require.Equal(t, "F", p.BirthSex)
	require.Equal(t, "1926-06-06", p.BirthDate.Text)
	require.Equal(t, PrecisionDay, p.BirthDate.Precision)
	require.Equal(t, time.Date(1926, 6, 6, 0, 0, 0, 0, time.UTC), p.BirthDate.At)
	require.True(t, p.Died.At.Equal(time.Date(2006, 12, 18, 18, 38, 58, 0, time.UTC)))
	require.Nil(t, p.Deceased)
	require.Len(t, p.Race, 1)
	require.Equal(t, "urn:oid:2.16.840.1.113883.6.238", p.Race[0].System)
	require.Len(t, p.Ethnicity, 1)
	require.Equal(t, "2186-5", p.Ethnicity[0].Code)
	require.Equal(t, "Not Hispanic or Latino", p.EthnicityText)
}

func TestDecodeSyntheaObservation(t *testing.T) {
	t.Parallel()
	o := find[*Observation](t, "synthea/kidney.json.gz", "d3ba501c-313e-4bcb-a4a7-ad124c2800c7")
	require.Equal(t, "final", o.Status)
	code, ok := o.Code.In("http://loinc.org")
	require.True(t, ok)
	require.Equal(t, "8302-2", code.Code)
	require.Equal(t, Decimal{Text: "175.9835412341186", Value: 175.9835412341186}, *o.Value.Quantity.Value)
	require.Equal(t, "cm", o.Value.Quantity.Code)
	require.Equal(t, "http://unitsofmeasure.org", o.Value.Quantity.System)
	require.Equal(t, "1997-03-02T18:38:58+00:00", o.Effective.Text)
	require.True(t, o.Effective.Zoned)
	require.Equal(t, Reference{Form: ReferenceLiteral, Type: "Patient", ID: "0c15e136-827d-4d70-a5b1-a63bf159b31c", URN: "urn:uuid:0c15e136-827d-4d70-a5b1-a63bf159b31c"}, o.Subject)
	require.Equal(t, "Encounter", o.Encounter.Type)
}

// What real senders do, kept as sent: zero-width spaces in displays, two units for one code.
func TestDecodeSyntheaOddities(t *testing.T) {
	t.Parallel()
	units, zeroWidth, pressures := map[string]int{}, 0, 0
	for _, file := range []string{"synthea/kidney.json.gz", "synthea/alltypes.json.gz"} {
		for _, r := range collect(t, open(t, file), Options{}).records {
			o, ok := r.Resource.(*Observation)
			if !ok {
				continue
			}
			code := o.Code.Coding[0]
			if code.Code == "33914-3" {
				units[o.Value.Quantity.Unit]++
			}
			if bytes.ContainsRune([]byte(code.Display), '\u200b') {
				zeroWidth++
			}
			if code.Code == "55284-4" {
				pressures++
				require.Nil(t, o.Value.Quantity)
				require.Len(t, o.Components, 2)
				require.Equal(t, "8462-4", o.Components[0].Code.Coding[0].Code)
				require.Equal(t, "mm[Hg]", o.Components[1].Value.Quantity.Code)
			}
		}
	}
	require.Equal(t, map[string]int{"mL/min": 1, "mL/min/{1.73_m2}": 3}, units)
	require.Equal(t, 8, zeroWidth)
	require.Positive(t, pressures)
}

func TestDecodeOtherTypes(t *testing.T) {
	t.Parallel()
	file := "synthea/alltypes.json.gz"
	e := find[*Encounter](t, file, "")
	require.NotEmpty(t, e.Class.Code)
	require.False(t, e.Period.Start.IsZero())
	require.Equal(t, "Organization", e.ServiceProvider.Type)
	require.Equal(t, "Patient", find[*Condition](t, file, "").Subject.Type)
	require.Equal(t, "confirmed", find[*Condition](t, file, "").Verification.Coding[0].Code)
	m := find[*MedicationRequest](t, file, "")
	require.Equal(t, "http://www.nlm.nih.gov/research/umls/rxnorm", m.Medication.Coding[0].System)
	require.False(t, m.Authored.IsZero())
	require.False(t, find[*Procedure](t, file, "").During.End.IsZero())
	i := find[*Immunization](t, file, "")
	require.True(t, *i.PrimarySource)
	require.Equal(t, "http://hl7.org/fhir/sid/cvx", i.Vaccine.Coding[0].System)
	a := find[*AllergyIntolerance](t, file, "")
	require.Equal(t, "Patient", a.Patient.Type)
	require.NotEmpty(t, a.Category)
	d := find[*DiagnosticReport](t, file, "")
	require.NotEmpty(t, d.Results)
	require.Equal(t, "Observation", d.Results[0].Type)
}

func TestDecodeContainedMedication(t *testing.T) {
	t.Parallel()
	m := decodeOne[*MedicationRequest](t, `{"resourceType":"MedicationRequest","id":"m","status":"active","subject":{"reference":"Patient/p"},
		"contained":[{"resourceType":"Medication","id":"other"},{"resourceType":"Medication","id":"med","code":{"text":"aspirin"}}],
		"medicationReference":{"reference":"#med"},
		"dosageInstruction":[{"timing":{"repeat":{"frequency":2,"period":1.0,"periodUnit":"d"}},"doseAndRate":[{"doseQuantity":{"value":1.50}}]}],
		"dispenseRequest":{"numberOfRepeatsAllowed":3,"expectedSupplyDuration":{"value":30,"code":"d"}}}`)
	require.Equal(t, "aspirin", m.Medication.Text)
	require.True(t, m.MedicationRecord.IsZero())
	require.Equal(t, "1.50", m.Dosage[0].Dose.Value.Text)
	require.Equal(t, 2, *m.Dosage[0].Frequency)
	require.Equal(t, 3, *m.Dispense.Repeats)
	require.InDelta(t, 30, m.Dispense.Supply.Value.Value, 0)
}

func TestDecodeValues(t *testing.T) {
	t.Parallel()
	const head = `{"resourceType":"Observation","id":"o","status":"final","code":{"text":"c"},"subject":{"reference":"Patient/p"},`
	value := func(member string) Value { return decodeOne[*Observation](t, head+member+`}`).Value }
	require.Equal(t, "a \U0001f600\n", *value(`"valueString":"a \ud83d\ude00\n"`).String)
	require.False(t, *value(`"valueBoolean":false`).Boolean)
	require.Equal(t, -4, *value(`"valueInteger":-4`).Integer)
	require.Equal(t, "positive", value(`"valueCodeableConcept":{"text":"positive"}`).Concept.Text)
	require.Equal(t, "12:30:00", value(`"valueTime":"12:30:00"`).TimeText)
	require.Equal(t, PrecisionMonth, value(`"valueDateTime":"2020-02"`).Time.Precision)
	require.Nil(t, value(`"valueRange":{"high":{"value":3}}`).Range[0])
	require.InDelta(t, 64, value(`"valueRatio":{"numerator":{"value":1},"denominator":{"value":64}}`).Ratio[1].Value.Value, 0)
	require.Equal(t, "<", value(`"valueQuantity":{"value":0.10,"comparator":"<"}`).Quantity.Comparator)
	require.Equal(t, Value{}, value(`"valueQuantity":null`), "null is absence")
}

// STU3 spellings, as the $everything pages have them.
func TestDecodeSTU3(t *testing.T) {
	t.Parallel()
	require.Equal(t, "Encounter", find[*Observation](t, "pages/page00.json.gz", "").Encounter.Type)
	c := find[*Condition](t, "pages/page00.json.gz", "")
	require.Contains(t, []string{"active", "resolved"}, c.Clinical.Coding[0].Code)
	require.False(t, c.Recorded.IsZero())
	require.False(t, find[*Immunization](t, "pages/page00.json.gz", "").Occurred.IsZero())
	i := decodeOne[*Immunization](t, `{"resourceType":"Immunization","id":"i","status":"completed","notGiven":true,"vaccineCode":{"text":"v"},"patient":{"reference":"Patient/p"}}`)
	require.Equal(t, "not-done", i.Status)
}

func TestParseTime(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]struct {
		precision Precision
		zoned     bool
		utc       string
	}{
		"1970":                          {PrecisionYear, false, "1970-01-01T00:00:00Z"},
		"1970-06":                       {PrecisionMonth, false, "1970-06-01T00:00:00Z"},
		"2020-02-29":                    {PrecisionDay, false, "2020-02-29T00:00:00Z"},
		"2020-02-29T23:00:00-05:00":     {PrecisionSecond, true, "2020-03-01T04:00:00Z"},
		"2020-02-29T23:00:00.123456Z":   {PrecisionSecond, true, "2020-02-29T23:00:00.123456Z"},
		"2020-02-29T23:00:00":           {PrecisionSecond, false, "2020-02-29T23:00:00Z"},
		"2020-02-29T23:00+02:00":        {PrecisionMinute, true, "2020-02-29T21:00:00Z"},
		"9999-12-31T23:59:59.999+14:00": {PrecisionSecond, true, "9999-12-31T09:59:59.999Z"},
	} {
		got, ok := parseTime(text)
		require.True(t, ok, text)
		require.Equal(t, want.precision, got.Precision, text)
		require.Equal(t, want.zoned, got.Zoned, text)
		require.Equal(t, want.utc, got.At.UTC().Format(time.RFC3339Nano), text)
		require.Equal(t, text, got.Text)
	}
	for _, text := range []string{"", "70", "0000", "2021-02-29", "2020-13", "2020-1-1", "20200101", "2020-01-01T24:00:00Z", "2020-01-01 10:00:00", "yesterday", "2020-01-01T10:00:00+25:00"} {
		_, ok := parseTime(text)
		require.False(t, ok, text)
	}
}

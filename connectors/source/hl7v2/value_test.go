package hl7v2

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/trialmesh/trialmesh/connectors/source/fhir"
)

// observed is the observation of one OBX whose fields 2, 5 and 6 are given.
func observed(t testing.TB, kind, content, unit string) *fhir.Observation {
	t.Helper()
	return first[*fhir.Observation](t, collectText(t, about("ORU^R01", "7^^^HOSP^MR", "OBR|1||F1|c^C^L|||202401020800",
		"OBX|1|"+kind+"|718-7^Hb^LN||"+content+"|"+unit+"|12-16|H~A^Abn^HL70078|||F")))
}

func TestResult(t *testing.T) {
	t.Parallel()
	o := observed(t, "NM", "12.50", "g/dL^gram^UCUM")
	require.Equal(t, "12.50", o.Value.Quantity.Value.Text)
	require.Equal(t, fhir.Quantity{Value: o.Value.Quantity.Value, Unit: "gram", System: ucum, Code: "g/dL"}, *o.Value.Quantity)
	require.Equal(t, "12", o.Range[0].Low.Value.Text)
	require.Equal(t, "g/dL", o.Range[0].High.Code)
	require.Equal(t, fhir.Coding{System: interpretations, Code: "H"}, o.Interpreted[0].Coding[0])
	require.Equal(t, "2024-01-02T08:00:00Z", o.Effective.Text, "of the order, as the result has none")
	require.False(t, o.Effective.Zoned)
	require.Equal(t, "final", o.Status)
	require.Equal(t, "g/dL", observed(t, "NM", "1", "GM^gram^L^g/dL^gram^UCUM").Value.Quantity.Code, "UCUM among several")
}

func TestValueTypes(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ kind, content, unit, want string }{
		"number below a limit":        {"NM", "<15", "mL", "<15 mL"},
		"not a number":                {"NM", "NEG", "mL", "NEG"},
		"structured":                  {"SN", ">^1", "mL", ">1 mL"},
		"structured, plain":           {"SN", "^1.5", "mL", "1.5 mL"},
		"structured ratio":            {"SN", "^1^:^128", "", "1 : 128"},
		"structured range":            {"SN", "^1^-^3", "mL", "1 mL to 3 mL"},
		"structured grade":            {"SN", "^2^+", "", "2+"},
		"numeric range":               {"NR", "1^3", "mL", "1 mL to 3 mL"},
		"code":                        {"CWE", "260373001^Detected^SCT", "", snomed + "|260373001"},
		"code without system":         {"CE", "POS^Positive", "", "POS"},
		"only a text":                 {"CWE", "^Positive", "", "Positive"},
		"coded value":                 {"IS", "POS", "", "POS"},
		"text":                        {"ST", "seen", "", "seen"},
		"text with a component":       {"ST", "a^b", "", "a^b"},
		"number as text":              {"ST", "<0.01", "ng/mL", "<0.01 ng/mL"},
		"number as text without unit": {"ST", "12", "", "12"},
		"formatted":                   {"FT", `one\.br\two`, "", "one\ntwo"},
		"lines":                       {"TX", "one~~two", "", "one\n\ntwo"},
		"no type":                     {"", "28", "%", "28 %"},
		"date":                        {"DT", "20240102", "", "2024-01-02"},
		"time":                        {"TM", "2231", "", "22:31:00"},
		"stamp":                       {"TS", "20240102030405+0100", "", "2024-01-02T02:04:05Z"},
		"period":                      {"DR", "20240101^20240102", "", "2024-01-01 to 2024-01-02"},
		"a type that is not known":    {"XYZ", "what", "", "what"},
		"deleted":                     {"NM", `""`, "mL", ""},
		"a file":                      {"ED", "^TEXT^^Base64^AAAA", "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o := observed(t, c.kind, c.content, c.unit)
			require.Equal(t, c.want, ourValue(o.Value))
			require.Equal(t, c.want == "", len(o.Absent.Coding) > 0)
		})
	}
}

func TestRepeatedValuesAreComponents(t *testing.T) {
	t.Parallel()
	o := observed(t, "NM", "60~120", "/min")
	require.Len(t, o.Components, 2)
	require.Equal(t, "120 /min", ourValue(o.Components[1].Value))
	require.Equal(t, o.Code, o.Components[1].Code)
	require.Empty(t, ourValue(o.Value))
}

func TestCodingSystems(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]string{
		"LN": loinc, "SCT": snomed, "I10": "http://hl7.org/fhir/sid/icd-10", "HL70136": tables + "0136", "HL70005": race, "UCUM": ucum,
		"2.16.840.1.113883.6.1": "urn:oid:2.16.840.1.113883.6.1", "L": "L", "WinPath": "WinPath", "HL7": "HL7", "": "", "HL7nnnn": "HL7nnnn",
	} {
		require.Equal(t, want, systemOf(name, "x"), name)
	}
	require.Equal(t, snomed, systemOf("SNM3", "419511003"))
	require.Equal(t, "SNM3", systemOf("SNM3", "D-13000"))
}

func TestVisitStatus(t *testing.T) {
	t.Parallel()
	const began, ended = "20240101", "20240102"
	for event, c := range map[string]struct{ class, end, want string }{
		"A01": {"I", "", "in-progress"}, "A03": {"I", ended, "finished"}, "A08": {"I", ended, "finished"}, "A11": {"I", "", "cancelled"},
		"A05": {"P", "", "planned"}, "A13": {"I", ended, "in-progress"}, "A23": {"I", "", "entered-in-error"}, "A31": {"P", "", "planned"},
		"A04": {"P", "", "in-progress"},
	} {
		e := first[*fhir.Encounter](t, collectText(t, about("ADT^"+event, "7^^^HOSP^MR",
			"PV1|1|"+c.class+"|||||||||||||||||V9^^^HOSP|||||||||||||||||||||||||"+began+"|"+c.end)))
		require.Equal(t, c.want, e.Status, event)
		require.Equal(t, "2024-01-01", e.Period.Start.Text)
	}
}

// A result repeats the visit it belongs to. It says nothing new about it unless it says
// when the visit began.
func TestResultRefersToTheVisit(t *testing.T) {
	t.Parallel()
	got := collectText(t, about("ORU^R01", "7^^^HOSP^MR", "PV1|1|I|||||||||||||||||V9^^^HOSP", "OBR|1||F1|c^C^L", "OBX|1|NM|n^N^L||5"))
	require.Zero(t, got.summary.Decoded["Encounter"])
	require.Equal(t, "Encounter", first[*fhir.Observation](t, got).Encounter.Type)
	admitted := collectText(t, about("ADT^A01", "7^^^HOSP^MR", "PV1|1|I|||||||||||||||||V9^^^HOSP|||||||||||||||||||||||||20240101"))
	require.Equal(t, first[*fhir.Encounter](t, admitted).ID, first[*fhir.Observation](t, got).Encounter.ID)
}

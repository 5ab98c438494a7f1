package hl7v2

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/trialmesh/trialmesh/connectors/source/fhir"
)

// about is a message of one patient.
func about(kind, pid3 string, segments ...string) string {
	return "MSH|^~\\&|LAB|FAC|||20240102||" + kind + "|1|P|2.5\rPID|1||" + pid3 + "||||19800203|F\r" + strings.Join(segments, "\r") + "\r"
}

func ids(t testing.TB, text string) map[string]string {
	t.Helper()
	got := collectText(t, text)
	require.Empty(t, got.places())
	all := map[string]string{}
	for _, rec := range got.records {
		all[rec.Type] = rec.ID
	}
	return all
}

func TestOnePersonOverMessages(t *testing.T) {
	t.Parallel()
	same := ids(t, about("ADT^A08", "7^^^HOSP^MR"))["Patient"]
	for _, pid3 := range []string{"7^^^HOSP", "99^^^CITY^SS~7^^^HOSP^MR", "7^^^HOSP^MR~8^^^HOSP^AN", " 7 ^^^HOSP^PI"} {
		require.Equal(t, same, ids(t, about("ORU^R01", pid3))["Patient"], pid3)
	}
	for _, pid3 := range []string{"7^^^OTHER^MR", "70^^^HOSP^MR", "7", "HOSP^^^7^MR"} {
		require.NotEqual(t, same, ids(t, about("ORU^R01", pid3))["Patient"], pid3)
	}
	require.Equal(t, ids(t, about("ADT^A08", "7"))["Patient"], ids(t, about("ADT^A08", "7^^^FAC"))["Patient"],
		"without an authority, the facility that sent it")
	require.Equal(t, ids(t, about("ADT^A08", "7^^^A&1.2.3&ISO"))["Patient"], ids(t, about("ADT^A08", "7^^^B&1.2.3&ISO"))["Patient"],
		"the universal id, whatever the name")
}

func TestCorrectedResultTakesThePlaceOfTheFirst(t *testing.T) {
	t.Parallel()
	result := func(obr, obx string) map[string]string {
		return ids(t, about("ORU^R01", "7^^^HOSP^MR", "OBR|1|P1|"+obr, obx))
	}
	before := result("F1^LAB|24317-0^CBC^LN|||202401020800", "OBX|1|NM|718-7^Hb^LN||12|g/dL|||||P")
	after := result("F1^LAB|24317-0^CBC^LN|||202401020800", "OBX|3|NM|718-7^Hb^LN||13|g/dL|||||C|||202401020900")
	require.Equal(t, before["Observation"], after["Observation"])
	require.Equal(t, before["DiagnosticReport"], after["DiagnosticReport"])
	for _, other := range []map[string]string{
		result("F2^LAB|24317-0^CBC^LN|||202401020800", "OBX|1|NM|718-7^Hb^LN||12"),
		result("F1^LAB|24317-0^CBC^LN|||202401020800", "OBX|1|NM|718-7^Hb^LN|2|12"),
		result("F1^LAB|24317-0^CBC^LN|||202401020800", "OBX|1|NM|789-8^RBC^LN||12"),
		result("F1^LAB|1^Other^LN|||202401020800", "OBX|1|NM|718-7^Hb^LN||12"),
	} {
		require.NotEqual(t, before["Observation"], other["Observation"])
	}
}

// What comes twice with one code in an order is two results, and the same two when the
// message comes again.
func TestReadingTwiceChangesNothing(t *testing.T) {
	t.Parallel()
	text := about("ORU^R01", "7^^^HOSP^MR", "OBR|1||F1|c^C^L", "OBX|1|TX|n^Note^L||one", "OBX|2|TX|n^Note^L||two", "OBX|3|TX|n^Note^L||three")
	var seen [2][]string
	for i := range seen {
		for _, rec := range collectText(t, text).records {
			require.NotContains(t, seen[i], rec.ID)
			seen[i] = append(seen[i], rec.ID)
		}
	}
	require.Equal(t, seen[0], seen[1])
}

// Ids are what FHIR allows, whatever the numbers are made of.
func TestIDsAreFHIRs(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		id := fhir.Digest(rapid.SliceOfN(rapid.String(), 1, 5).Draw(t, "parts")...)
		if len(id) != 32 || strings.Trim(id, "0123456789abcdef") != "" {
			t.Fatal(id)
		}
	})
	require.NotEqual(t, fhir.Digest("a", "bc"), fhir.Digest("ab", "c"))
}

func TestMerges(t *testing.T) {
	t.Parallel()
	survivor, retired := ids(t, about("ADT^A08", "7^^^HOSP^MR"))["Patient"], ids(t, about("ADT^A08", "8^^^HOSP^MR"))["Patient"]
	for _, event := range []string{"A18", "A30", "A34", "A36", "A39", "A40", "A46", "A47", "A51"} {
		got := collectText(t, about("ADT^"+event, "7^^^HOSP^MR", "MRG|8^^^HOSP^MR"))
		require.Empty(t, got.places(), event)
		m := first[*Merge](t, got)
		require.Equal(t, fhir.To("Patient", survivor), m.Survivor, event)
		require.Equal(t, fhir.To("Patient", retired), m.Retired, event)
	}

	two := about("ADT^A40", "7^^^HOSP^MR", "MRG|8^^^HOSP^MR", "PID|2||9^^^HOSP^MR", "MRG|10^^^HOSP^MR")
	got := collectText(t, two)
	require.Equal(t, 2, got.summary.Decoded["Merge"])
	require.Equal(t, 1, got.summary.Decoded["Patient"], "a PID that only names the survivor replaces nothing")

	visits := first[*Merge](t, collectText(t, about("ADT^A42", "7^^^HOSP^MR", "MRG|7^^^HOSP^MR||||V8^^^HOSP", "PV1|1|I|||||||||||||||||V9^^^HOSP")))
	require.Equal(t, "Encounter", visits.Survivor.Type)
	require.NotEqual(t, visits.Survivor.ID, visits.Retired.ID)

	require.Equal(t, map[string]int{"MessageHeader": 1, "Move": 1},
		collectText(t, about("ADT^A45", "7^^^HOSP^MR", "MRG|8^^^HOSP^MR")).summary.Raw)
	require.Zero(t, collectText(t, about("ADT^A40", "7^^^HOSP^MR", "MRG|7^^^HOSP^MR")).summary.Decoded["Merge"], "nobody is merged with oneself")
	require.Equal(t, []string{"missing-field 1 message[1].MRG[1].1"}, collectText(t, about("ADT^A40", "7^^^HOSP^MR", "MRG|")).places())

	refs := fhir.NewReferences(100)
	for _, rec := range got.records {
		refs.Note("", rec)
	}
	require.Len(t, refs.Unresolved(), 1, "the second survivor is in no Patient of the file")
}

func TestDeletedAndHistoricalRecords(t *testing.T) {
	t.Parallel()
	c := first[*fhir.Condition](t, collectText(t, about("ADT^A08", "7^^^HOSP^MR", "DG1|1||I21^MI^I10|||F|||||||||||||||D")))
	require.Equal(t, "entered-in-error", c.Verification.Coding[0].Code)
	require.Equal(t, "http://hl7.org/fhir/sid/icd-10", c.Code.Coding[0].System)

	o := first[*fhir.Observation](t, collectText(t, about("ORU^R01", "7^^^HOSP^MR", "OBR|1||F1|c^C^L", "OBX|1|NM|n^N^L||5||||||W")))
	require.Equal(t, "entered-in-error", o.Status)

	i := first[*fhir.Immunization](t, collectText(t, about("VXU^V04", "7^^^HOSP^MR", "ORC|RE||F1", "RXA|0|1|20240101||88^flu^CVX|999|||01^Historical^NIP001||||||||||||A")))
	require.Nil(t, i.Dose, "999 is no amount")
	require.False(t, *i.PrimarySource)
	require.Equal(t, "completed", i.Status)
}

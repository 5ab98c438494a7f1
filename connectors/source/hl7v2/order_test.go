package hl7v2

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/trialmesh/trialmesh/connectors/source/fhir"
)

// types lists the types of the records in order.
func (c collected) types() []string {
	var all []string
	for _, rec := range c.records {
		all = append(all, rec.Type)
	}
	return all
}

func TestReportFollowsItsResults(t *testing.T) {
	t.Parallel()
	got := collectText(t, about("ORU^R01", "7^^^HOSP^MR",
		"ORC|RE|P1|F1", "OBR|1|P1|F1|24317-0^CBC^LN|||202401020800|||||||||||||||202401021000||HM|F", "OBX|1|NM|718-7^Hb^LN||12|g/dL|||||F", "OBX|2|NM|789-8^RBC^LN||4|||||||F",
		"OBR|2|P2|F2|2345-7^Glucose^LN|||202401020900|202401021200", "OBX|1|NM|2345-7^Glucose^LN||90|mg/dL|||||P"))
	require.Equal(t, []string{"MessageHeader", "Patient", "Observation", "Observation", "DiagnosticReport", "Observation", "DiagnosticReport"}, got.types())
	blood, glucose := got.records[4].Resource.(*fhir.DiagnosticReport), got.records[6].Resource.(*fhir.DiagnosticReport)
	require.Equal(t, []fhir.Reference{fhir.To("Observation", got.records[2].ID), fhir.To("Observation", got.records[3].ID)}, blood.Results)
	require.Equal(t, "final", blood.Status)
	require.Equal(t, "HM", blood.Category[0].Coding[0].Code)
	require.Equal(t, "2024-01-02T10:00:00Z", blood.Issued.Text)
	require.Equal(t, "2024-01-02T12:00:00Z", glucose.During.End.Text)
	require.Equal(t, "unknown", glucose.Status)
	o := got.records[2].Resource.(*fhir.Observation)
	require.Equal(t, "laboratory", o.Category[0].Coding[0].Code, "by the section of its report")
	require.Empty(t, got.records[5].Resource.(*fhir.Observation).Category)
	require.Equal(t, "preliminary", got.records[5].Resource.(*fhir.Observation).Status)
}

func TestRequestsAreCounted(t *testing.T) {
	t.Parallel()
	got := collectText(t, about("OML^O21", "7^^^HOSP^MR", "ORC|NW|P1", "OBR|1|P1||c^C^L", "OBX|1|ST|weight^W^L||80|kg|||||O", "ORC|NW|P2", "OBR|2|P2||d^D^L"))
	require.Equal(t, []string{"MessageHeader", "Patient", "ServiceRequest", "Observation", "ServiceRequest"}, got.types())
	require.Equal(t, "80 kg", ourValue(got.records[3].Resource.(*fhir.Observation).Value))
	require.NotEqual(t, got.records[2].ID, got.records[4].ID)
	require.Nil(t, got.records[2].Resource)
	require.Equal(t, "OBR|1|P1||c^C^L", string(got.records[2].Raw))
}

func TestDocumentHoldsItsText(t *testing.T) {
	t.Parallel()
	got := collectText(t, about("MDM^T02", "7^^^HOSP^MR", "TXA|1|PN|TX|202401020800||||||||D1", "OBX|1|TX|n^Note^L|1|one||||||F", "OBX|2|TX|n^Note^L|1|two||||||F"))
	require.Equal(t, []string{"MessageHeader", "Patient", "DocumentReference"}, got.types())
	require.Equal(t, "TXA|1|PN|TX|202401020800||||||||D1\rOBX|1|TX|n^Note^L|1|one||||||F\rOBX|2|TX|n^Note^L|1|two||||||F", string(got.records[2].Raw))
	require.Equal(t, got.records[2].ID, collectText(t, about("MDM^T08", "7^^^HOSP^MR", "TXA|1|PN|TX|202401020800||||||||D1")).records[2].ID,
		"an edited document is the same one")
}

func TestAppointmentsAreCounted(t *testing.T) {
	t.Parallel()
	booked := collectText(t, "MSH|^~\\&|S|FAC|||20240102||SIU^S12|1|P|2.5\rSCH|P1|F1\rPID|1||7^^^HOSP^MR||||19800203|F\rRGS|1\rAIS|1||c^C^L\r")
	require.Equal(t, []string{"MessageHeader", "Appointment", "Patient"}, booked.types())
	canceled := collectText(t, "MSH|^~\\&|S|FAC|||20240103||SIU^S15|2|P|2.5\rSCH|P1|F1\r")
	require.Equal(t, booked.records[1].ID, canceled.records[1].ID)
}

// What was ordered and what the pharmacy makes of it are one exposure.
func TestOneOrderIsOneMedicationRequest(t *testing.T) {
	t.Parallel()
	ordered := collectText(t, about("OMP^O09", "7^^^HOSP^MR", "ORC|NW|P1|||||||20240102", "RXO|1^Brand^L|2||mg^^UCUM||||||||30|tab|3", "RXR|PO^Oral^HL70162"))
	encoded := collectText(t, about("RDE^O11", "7^^^HOSP^MR", "ORC|NW|P1|||||||20240102", "RXO|1^Brand^L|2||mg", "RXR|PO^Oral",
		"RXE||2^Generic^NDC|5|6|mg^^UCUM||^with food|||90|tab|1", "RXR|IV^Intravenous", "ORC|CA|P2|||||||20240102", "RXO|3^Other^NDC|1"))
	require.Equal(t, 1, ordered.summary.Decoded["MedicationRequest"])
	require.Equal(t, 2, encoded.summary.Decoded["MedicationRequest"])
	o, e := first[*fhir.MedicationRequest](t, ordered), first[*fhir.MedicationRequest](t, encoded)
	require.Equal(t, o.ID, e.ID)
	require.Equal(t, "original-order", o.Intent)
	require.Equal(t, "filler-order", e.Intent)
	require.Equal(t, "2", e.Medication.Coding[0].Code)
	require.Equal(t, "5 mg", ourQuantity(e.Dosage[0].Dose))
	require.Equal(t, "with food", e.Dosage[0].Text)
	require.Equal(t, "90 tab", ourQuantity(e.Dispense.Quantity))
	require.Equal(t, 1, *e.Dispense.Repeats)
	require.Equal(t, "IV", e.Dosage[0].Route.Coding[0].Code)
	require.Equal(t, tables+"0162", o.Dosage[0].Route.Coding[0].System)
	require.Equal(t, "active", e.Status)
	require.Equal(t, "cancelled", encoded.records[len(encoded.records)-1].Resource.(*fhir.MedicationRequest).Status)
}

func TestProblemListAndProcedures(t *testing.T) {
	t.Parallel()
	added := first[*fhir.Condition](t, collectText(t, about("PPR^PC1", "7^^^HOSP^MR", "PRB|AD|20240102|596.5^Bladder^I9|26744|||20240101||20240105|||||ACTIVE||20231224")))
	require.Equal(t, "active", added.Clinical.Coding[0].Code)
	require.Equal(t, "problem-list-item", added.Category[0].Coding[0].Code)
	require.Equal(t, "2023-12-24", added.Onset.Text)
	require.Equal(t, "2024-01-05", added.Abated.Text)
	deleted := first[*fhir.Condition](t, collectText(t, about("PPR^PC3", "7^^^HOSP^MR", "PRB|DE|20240102|596.5^Bladder^I9|26744")))
	require.Equal(t, added.ID, deleted.ID)
	require.Equal(t, "entered-in-error", deleted.Verification.Coding[0].Code)

	p := first[*fhir.Procedure](t, collectText(t, about("ADT^A08", "7^^^HOSP^MR", "PR1|1||76164006^Biopsy^SCT|Biopsy of colon|20240102|||||||||| 799008^Ulcer^SCT")))
	require.Equal(t, snomed, p.Code.Coding[0].System)
	require.Equal(t, "Biopsy of colon", p.Code.Text)
	require.Equal(t, "799008", p.Reason[0].Coding[0].Code)

	long := first[*fhir.Procedure](t, collectText(t, about("ADT^A08", "7^^^HOSP^MR", "PR1|1||1^P^L||202401022350||25")))
	require.Equal(t, "2024-01-03T00:15:00Z", long.During.End.Text)
	require.True(t, long.Performed.IsZero())

	a := first[*fhir.AllergyIntolerance](t, collectText(t, about("ADT^A60", "7^^^HOSP^MR", "IAM|1|DA|1^Penicillin^L|SV|Hives|A|A1||||2020||20200102||||C")))
	require.Equal(t, []string{"medication"}, a.Category)
	require.Equal(t, "high", a.Criticality)
	require.Equal(t, "confirmed", a.Verification.Coding[0].Code)
	require.Equal(t, "2020", a.Onset.Text)
	require.Equal(t, "Hives", a.Reactions[0].Manifestation[0].Text)
	require.Equal(t, "severe", a.Reactions[0].Severity)
}

func TestAdministrationsOutsideVaccination(t *testing.T) {
	t.Parallel()
	got := collectText(t, about("RAS^O17", "7^^^HOSP^MR", "ORC|RE|P1", "RXA|0|1|20240101||1^Drug^L|5"))
	require.Equal(t, []string{"MessageHeader", "Patient", "MedicationAdministration"}, got.types())
	got = collectText(t, about("RDS^O13", "7^^^HOSP^MR", "ORC|RE|P1", "RXD|1|1^Drug^L|20240101|5"))
	require.Equal(t, []string{"MessageHeader", "Patient", "MedicationDispense"}, got.types())
}

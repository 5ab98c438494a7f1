package ccda

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/trialmesh/trialmesh/connectors/source/fhir"
)

const (
	encounter = `<encounter moodCode="EVN"><id root="1.2.9" extension="V1"/><code code="99213" codeSystem="2.16.840.1.113883.6.12"/><effectiveTime value="20240102"/>` +
		`<entryRelationship><act><entryRelationship typeCode="SUBJ"><observation>` + asthma + `</observation></entryRelationship></act></entryRelationship></encounter>`

	dose = `<substanceAdministration moodCode="INT"><statusCode code="active"/>` +
		`<effectiveTime xsi:type="IVL_TS"><low value="20240102"/><high value="20240301"/></effectiveTime>` +
		`<effectiveTime xsi:type="PIVL_TS" operator="A"><period value="12" unit="h"/></effectiveTime>` +
		`<routeCode code="C38288" codeSystem="2.16.840.1.113883.3.26.1.1"/><doseQuantity value="1.50" unit="mg"/>` +
		`<consumable><manufacturedProduct><manufacturedMaterial><code code="197380" codeSystem="2.16.840.1.113883.6.88"/></manufacturedMaterial></manufacturedProduct></consumable>` +
		`<entryRelationship><supply moodCode="INT"><templateId root="2.16.840.1.113883.10.20.22.4.17"/><repeatNumber value="3"/><quantity value="30"/></supply></entryRelationship></substanceAdministration>`

	allergy = `<act><entryRelationship typeCode="SUBJ"><observation><value xsi:type="CD" code="416098002" codeSystem="2.16.840.1.113883.6.96"/>` +
		`<participant><participantRole><playingEntity><code code="7980" codeSystem="2.16.840.1.113883.6.88"/></playingEntity></participantRole></participant></observation></entryRelationship></act>`
)

// reading is what one entry in a section gives, without the document's own records.
func reading(t testing.TB, code, narrative string, entries ...string) collected {
	t.Helper()
	got := collectText(t, document(section(code, narrative, entries...)))
	got.records = got.records[2:]
	return got
}

func TestConcepts(t *testing.T) {
	t.Parallel()
	const said = `<content ID="p">Chest  pain,
		<br/>severe</content>`
	for name, c := range map[string]struct{ value, codes, text string }{
		"translations follow":   {`<value code="1" codeSystem="2.16.840.1.113883.6.96"><translation code="J45" codeSystem="2.16.840.1.113883.6.90"/><translation code="J45" codeSystem="2.16.840.1.113883.6.90"/></value>`, snomed + "|1 http://hl7.org/fhir/sid/icd-10-cm|J45", ""},
		"a flavor has none":     {`<value nullFlavor="OTH" code="1" codeSystem="2.16.840.1.113883.6.96"><translation nullFlavor="UNK"/><translation code="X" codeSystem="1.2.3"/></value>`, "urn:oid:1.2.3|X", ""},
		"text of its own":       {`<value nullFlavor="OTH"><originalText> Chest <!-- no --> pain </originalText></value>`, "", "Chest pain"},
		"text in narrative":     {`<value nullFlavor="OTH"><originalText><reference value="#p"/></originalText></value>`, "", "Chest pain, severe"},
		"text of the problem":   {`<text><reference value="#p"/></text><value nullFlavor="OTH"/>`, "", "Chest pain, severe"},
		"a name for a code":     {`<value nullFlavor="OTH" displayName="Chest pain"/>`, "", "Chest pain"},
		"a reference to naught": {`<value code="1" codeSystem="2.16.840.1.113883.12.112"><originalText><reference value="#q"/></originalText></value>`, "http://terminology.hl7.org/CodeSystem/v2-0112|1", ""},
		"a system of words":     {`<value code="1" codeSystem="ours"/>`, "ours|1", ""},
	} {
		got := only[*fhir.Condition](t, reading(t, "11450-4", said, problem(c.value))).Code
		var codes []string
		for _, k := range got.Coding {
			codes = append(codes, k.System+"|"+k.Code)
		}
		require.Equal(t, c.codes, strings.Join(codes, " "), name)
		require.Equal(t, c.text, got.Text, name)
	}
	require.Equal(t, []string{"Entry"}, reading(t, "11450-4", "", problem(`<value nullFlavor="NI"/>`)).types(), "nothing is known")
}

func TestTimes(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ time, onset, abated string }{
		{`<effectiveTime value="2024"/>`, "2024", ""},
		{`<effectiveTime><low value="202402"/><high value="20240302"/></effectiveTime>`, "2024-02", "2024-03-02"},
		{`<effectiveTime><low value="202402031405-0500"/><high nullFlavor="UNK"/></effectiveTime>`, "2024-02-03T14:05:00-05:00", ""},
		{`<effectiveTime><low nullFlavor="NI"/><high value="20240203140506.789+0100"/></effectiveTime>`, "", "2024-02-03T14:05:06.789+01:00"},
		{`<effectiveTime><center value="20240203"/></effectiveTime>`, "2024-02-03", ""},
		{`<effectiveTime nullFlavor="UNK"/>`, "", ""},
		{``, "", ""},
	} {
		entry := strings.Replace(problem(asthma), `<effectiveTime><low value="20240102"/></effectiveTime>`, c.time, 1)
		got := only[*fhir.Condition](t, reading(t, "11450-4", "", entry))
		require.Equal(t, c.onset, got.Onset.Text, c.time)
		require.Equal(t, c.abated, got.Abated.Text, c.time)
	}
}

func TestProblems(t *testing.T) {
	t.Parallel()
	const any = `<value xsi:type="CD" code="55607006" codeSystem="2.16.840.1.113883.6.96"/>`
	deny := func(entry string) string {
		return strings.Replace(entry, "<observation", `<observation negationInd="true"`, 1)
	}
	status := func(code string) string {
		return `<entryRelationship typeCode="REFR"><observation><code code="33999-4"/><value code="` + code + `" codeSystem="2.16.840.1.113883.6.96"/></observation></entryRelationship>`
	}
	ended := strings.Replace(problem(asthma), `<low value="20240102"/>`, `<low value="20240102"/><high nullFlavor="UNK"/>`, 1)
	for name, c := range map[string]struct{ entry, clinical, verification string }{
		"of the concern":      {problem(asthma), "active", ""},
		"a concern no more":   {strings.Replace(problem(asthma), `"active"`, `"completed"`, 1), "inactive", ""},
		"observed":            {problem(asthma + status("413322009")), "resolved", ""},
		"ended, unknown when": {ended, "resolved", ""},
		"ended, said active":  {strings.Replace(ended, "</observation>", status("55561003")+"</observation>", 1), "inactive", ""},
		"denied":              {deny(problem(asthma)), "", "refuted"},
		"in error":            {strings.Replace(problem(asthma), `"active"`, `"nullified"`, 1), "", "entered-in-error"},
	} {
		got := only[*fhir.Condition](t, reading(t, "11450-4", "", c.entry))
		require.Equal(t, c.clinical, code(got.Clinical), name)
		require.Equal(t, c.verification, code(got.Verification), name)
	}
	for name, entry := range map[string]string{
		"no known problems":     deny(problem(any)),
		"none, as a code":       problem(`<value xsi:type="CD" code="160245001" codeSystem="2.16.840.1.113883.6.96"/>`),
		"denied without a code": deny(problem(`<value nullFlavor="NI"/>`)),
	} {
		require.Equal(t, []string{"Negation"}, reading(t, "11450-4", "", entry).types(), name)
	}
	require.Equal(t, []string{"Entry"}, reading(t, "11450-4", "", strings.Replace(problem(asthma), `"EVN"`, `"INT"`, 1)).types(), "a plan")
	got := reading(t, "11535-2", "", problem(asthma), strings.TrimSuffix(strings.TrimPrefix(problem(asthma), "<act"), "</act>"))
	require.Equal(t, "encounter-diagnosis", code(only[*fhir.Condition](t, got).Category[0]))
}

func TestAllergies(t *testing.T) {
	t.Parallel()
	got := only[*fhir.AllergyIntolerance](t, reading(t, "48765-2", "", allergy))
	require.Equal(t, "rxnorm|7980 allergy [medication]", fmt.Sprintf("%s %s %v", code(got.Code), got.Type, got.Category))
	deny := strings.Replace(allergy, "<observation", `<observation negationInd="true"`, 1)
	require.Equal(t, "refuted", code(only[*fhir.AllergyIntolerance](t, reading(t, "48765-2", "", deny)).Verification))
	for name, entry := range map[string]string{
		"no known allergies":      strings.Replace(deny, `code="7980"`, `nullFlavor="NA"`, 1),
		"no known drug allergies": strings.NewReplacer(`"7980"`, `"410942007"`, "2.16.840.1.113883.6.88", "2.16.840.1.113883.6.96").Replace(deny),
		"none, as a code":         strings.Replace(allergy, "416098002", "716186003", 1),
	} {
		require.Equal(t, []string{"Negation"}, reading(t, "48765-2", "", entry).types(), name)
	}
	alone := `<observation><value code="91936005" codeSystem="2.16.840.1.113883.6.96"/></observation>`
	require.Equal(t, "sct|91936005", code(only[*fhir.AllergyIntolerance](t, reading(t, "48765-2", "", alone)).Code), "the value names the substance")
	named := strings.Replace(allergy, `<code code="7980" codeSystem="2.16.840.1.113883.6.88"/>`, `<code nullFlavor="UNK"/><name>dust</name>`, 1)
	require.Equal(t, "dust", only[*fhir.AllergyIntolerance](t, reading(t, "48765-2", "", named)).Code.Text)
}

func TestMedications(t *testing.T) {
	t.Parallel()
	got := only[*fhir.MedicationRequest](t, reading(t, "10160-0", "", dose))
	d := got.Dosage[0]
	require.Equal(t, "active order rxnorm|197380", fmt.Sprintf("%s %s %s", got.Status, got.Intent, code(got.Medication)))
	require.Equal(t, "2024-01-02 2024-03-01", got.Dispense.Validity.Start.Text+" "+got.Dispense.Validity.End.Text)
	require.Equal(t, "1.50 mg, 1 per 12 h, C38288", fmt.Sprintf("%s %s, %d per %s %s, %s", d.Dose.Value.Text, d.Dose.Code, *d.Frequency, d.Period.Text, d.PeriodUnit, code(d.Route)))
	require.Equal(t, "30, 2 times more", fmt.Sprintf("%s, %d times more", got.Dispense.Quantity.Value.Text, *got.Dispense.Repeats))

	once := strings.Replace(dose, `<low value="20240102"/><high value="20240301"/></effectiveTime>`, `</effectiveTime>`, 1)
	once = strings.Replace(once, `xsi:type="IVL_TS"`, `value="20240102"`, 1)
	v := only[*fhir.MedicationRequest](t, reading(t, "10160-0", "", once)).Dispense.Validity
	require.Equal(t, "2024-01-02 2024-01-02", v.Start.Text+" "+v.End.Text)

	between := strings.Replace(dose, `<doseQuantity value="1.50" unit="mg"/>`, `<doseQuantity><low value="1"/><high value="2"/></doseQuantity>`, 1)
	require.Nil(t, only[*fhir.MedicationRequest](t, reading(t, "10160-0", "", between)).Dosage[0].Dose)

	require.Equal(t, []string{"Negation"}, reading(t, "10160-0", "", strings.Replace(dose, "moodCode", `negationInd="true" moodCode`, 1)).types())
	require.Equal(t, []string{"Entry"}, reading(t, "10160-0", "", strings.Replace(dose, `"INT"`, `"PRP"`, 1)).types(), "a proposal")
	require.Equal(t, []string{"MedicationRequest"}, reading(t, "10183-2", "", "<act><entryRelationship>"+dose+"</entryRelationship></act>").types())
}

func TestValues(t *testing.T) {
	t.Parallel()
	for value, want := range map[string]string{
		`<value xsi:type="PQ" value="1.20" unit="mg/dL"/>`:                                                                      "1.2 mg/dL",
		`<value xsi:type="PQ" value="1.2e3" unit="1"/>`:                                                                         "1200 1",
		`<value xsi:type="PQ" nullFlavor="OTH"><translation value="5"><originalText>THOUS</originalText></translation></value>`: "5 THOUS",
		`<value xsi:type="IVL_PQ"><low value="500" unit="mg" inclusive="false"/><high nullFlavor="PINF"/></value>`:              ">500 mg",
		`<value xsi:type="IVL_PQ"><high value="3" unit="mg"/></value>`:                                                          "<=3 mg",
		`<value xsi:type="IVL_PQ"><low value="1" unit="d"/><high value="2" unit="d"/></value>`:                                  "1 d to 2 d",
		`<value xsi:type="INT" value="4"/>`:                                                                                     "4",
		`<value xsi:type="REAL" value="-.5"/>`:                                                                                  "-0.5",
		`<value xsi:type="ST">  two   words </value>`:                                                                           "two words",
		`<value xsi:type="ED"><reference value="#n"/></value>`:                                                                  "in the narrative",
		`<value xsi:type="CD" code="A" codeSystem="2.16.840.1.113883.6.1"/>`:                                                    "loinc.org|A",
		`<value xsi:type="TS" value="20240102"/>`:                                                                               "2024-01-02",
		`<value xsi:type="PQ" value="&lt;0.5" unit="mg"/>`:                                                                      "<0.5 mg",
		`<value xsi:type="PQ" value="trace" unit="mg"/>`:                                                                        "trace mg",
		`<value xsi:type="INT" value="4.5"/>`:                                                                                   "4.5",
		`<value value="7" unit="kg"/>`:                                                                                          "7 kg",
		`<value>words</value>`:                                                                                                  "words",
		`<value xsi:type="ED" representation="B64">AAAA</value>`:                                                                "",
	} {
		entry := strings.Replace(pulse("1", "2024"), `<value xsi:type="PQ" value="1" unit="/min"/>`, value, 1)
		got := only[*fhir.Observation](t, reading(t, "30954-2", `<p ID="n">in the narrative</p>`, entry))
		require.Equal(t, want, found(got.Value), value)
	}
	ratio := strings.Replace(pulse("1", "2024"), `<value xsi:type="PQ" value="1" unit="/min"/>`, `<value xsi:type="RTO_PQ_PQ"><numerator value="1"/><denominator value="128"/></value>`, 1)
	v := only[*fhir.Observation](t, reading(t, "30954-2", "", ratio)).Value.Ratio
	require.Equal(t, "1:128", v[0].Value.Text+":"+v[1].Value.Text)
	for flavor, want := range map[string]string{"UNK": "unknown", "MSK": "masked", "NA": "not-applicable", "X": "unknown"} {
		entry := strings.Replace(pulse("1", "2024"), `value="1" unit="/min"`, `nullFlavor="`+flavor+`"`, 1)
		require.Equal(t, want, code(only[*fhir.Observation](t, reading(t, "30954-2", "", entry)).Absent))
	}
}

func TestRangesOfOtherInterpretationsAreLeftOut(t *testing.T) {
	t.Parallel()
	span := func(interpretation, low, high string) string {
		return `<referenceRange><observationRange><text>words</text><value xsi:type="IVL_PQ"><low value="` + low + `" unit="mg"/><high value="` + high + `" unit="mg"/></value>` +
			`<interpretationCode code="` + interpretation + `"/></observationRange></referenceRange>`
	}
	entry := strings.Replace(pulse("1", "2024"), "</observation>", span("H", "9", "20")+span("N", "4", "8")+"</observation>", 1)
	got := only[*fhir.Observation](t, reading(t, "30954-2", "", entry))
	require.Len(t, got.Range, 1)
	require.Equal(t, "4 mg to 8 mg, words", amount(got.Range[0].Low)+" to "+amount(got.Range[0].High)+", "+got.Range[0].Text)
}

func TestResultsOfAnOrganizer(t *testing.T) {
	t.Parallel()
	untimed := `<component><observation><code code="1-8"/><value xsi:type="INT" value="1"/></observation></component>`
	got := reading(t, "30954-2", "", `<organizer><code code="P"/><statusCode code="completed"/><effectiveTime><low value="20240102"/><high value="20240102"/></effectiveTime>`+
		untimed+`<component><organizer><statusCode code="active"/>`+strings.Replace(untimed, "1-8", "2-8", 1)+`</organizer></component>`+
		`<component><observation negationInd="true"><code code="3-8"/></observation></component></organizer>`)
	require.Empty(t, got.places())
	require.Equal(t, []string{"Observation", "Observation", "Negation", "DiagnosticReport"}, got.types())
	o := only[*fhir.Observation](t, got)
	require.Equal(t, "final 2024-01-02", o.Status+" "+o.Effective.Text, "those of the organizer")
	report := only[*fhir.DiagnosticReport](t, got)
	require.Equal(t, []string{got.records[0].ID, got.records[1].ID}, []string{report.Results[0].ID, report.Results[1].ID})
	require.Equal(t, []string{"Observation"}, reading(t, "8716-3", "", pulse("80", "2024")).types(), "vital signs are no report")

	bad := reading(t, "30954-2", "", `<organizer><code code="P"/><effectiveTime value="202413"/>`+untimed+strings.Replace(untimed, "<value", `<effectiveTime value="2024"/><value`, 1)+`</organizer>`)
	require.Equal(t, []string{"Observation", "DiagnosticReport"}, bad.types(), "what has a time of its own")
	require.Equal(t, []string{"invalid-time 3 section[Results].entry[1].organizer.component[1].effectiveTime"}, bad.places())
}

func TestVisits(t *testing.T) {
	t.Parallel()
	header := `<componentOf><encompassingEncounter><id root="1.2.9" extension="V1"/><code code="IMP" codeSystem="2.16.840.1.113883.5.4"/>` +
		`<effectiveTime><low value="20240101"/><high value="20240109"/></effectiveTime><dischargeDispositionCode code="01"/></encompassingEncounter></componentOf>`
	with := func(sections ...string) collected {
		return collectText(t, strings.Replace(document(sections...), "</recordTarget>", "</recordTarget>"+header, 1))
	}
	alone := with(section("11535-2", "", problem(asthma)))
	require.Equal(t, []string{"ClinicalDocument", "Patient", "Condition", "Encounter"}, alone.types())
	e := only[*fhir.Encounter](t, alone)
	require.Equal(t, "finished IMP 2024-01-01 2024-01-09 01", fmt.Sprintf("%s %s %s %s %s", e.Status, e.Class.Code, e.Period.Start.Text, e.Period.End.Text, code(e.Discharge)))
	require.Equal(t, e.ID, only[*fhir.Condition](t, alone).Encounter.ID)

	joined := with(section("46240-8", "", encounter))
	require.Equal(t, []string{"ClinicalDocument", "Patient", "Encounter", "Condition"}, joined.types(), "one visit, told twice")
	e = only[*fhir.Encounter](t, joined)
	require.Equal(t, "finished AMB 2024-01-02 2024-01-09 01", fmt.Sprintf("%s %s %s %s %s", e.Status, e.Class.Code, e.Period.Start.Text, e.Period.End.Text, code(e.Discharge)))
	require.Equal(t, e.ID, only[*fhir.Condition](t, joined).Encounter.ID)

	planned := reading(t, "46240-8", "", strings.Replace(encounter, "EVN", "APT", 1))
	require.Equal(t, "planned", only[*fhir.Encounter](t, planned).Status)
	lost := reading(t, "46240-8", "", strings.Replace(encounter, "20240102", "202401023", 1))
	require.Len(t, lost.problems, 1)
	require.True(t, only[*fhir.Condition](t, lost).Encounter.IsZero(), "its visit was not read")
}

func TestProceduresAndImmunizations(t *testing.T) {
	t.Parallel()
	for _, sort := range []string{"procedure", "act", "observation"} {
		entry := `<` + sort + ` moodCode="EVN"><code code="1" codeSystem="2.16.840.1.113883.6.96"/><statusCode code="completed"/><effectiveTime><low value="20240102"/><high value="20240103"/></effectiveTime></` + sort + `>`
		got := only[*fhir.Procedure](t, reading(t, "47519-4", "", entry))
		require.Equal(t, "completed 2024-01-02 2024-01-03", got.Status+" "+got.During.Start.Text+" "+got.During.End.Text, sort)
		require.Equal(t, "not-done", only[*fhir.Procedure](t, reading(t, "47519-4", "", strings.Replace(entry, "moodCode", `negationInd="true" moodCode`, 1))).Status)
		require.Equal(t, []string{"Entry"}, reading(t, "47519-4", "", strings.Replace(entry, "EVN", "RQO", 1)).types(), "a plan")
	}
	given := strings.NewReplacer("INT", "EVN", `code="active"`, `code="completed"`, "197380", "141", "6.88", "12.292").Replace(dose)
	i := only[*fhir.Immunization](t, reading(t, "11369-6", "", given))
	require.Equal(t, "completed 141 2024-01-02 1.5 mg", fmt.Sprintf("%s %s %s %s", i.Status, code(i.Vaccine), i.Occurred.Text, amount(i.Dose)))
	refused := strings.Replace(given, "moodCode", `negationInd="true" moodCode`, 1)
	require.Equal(t, "not-done", only[*fhir.Immunization](t, reading(t, "11369-6", "", refused)).Status)
	require.Equal(t, []string{"Negation"}, reading(t, "11369-6", "", strings.Replace(refused, `code="141"`, `nullFlavor="NA"`, 1)).types())
}

func TestSocialHistory(t *testing.T) {
	t.Parallel()
	entry := func(template, value string) string {
		return `<observation moodCode="EVN"><templateId root="` + template + `"/><code code="ASSERTION" codeSystem="2.16.840.1.113883.5.4"/><effectiveTime value="2024"/>` + value + `</observation>`
	}
	const smoker = `<value xsi:type="CD" code="8517006" codeSystem="2.16.840.1.113883.6.96"/>`
	got := only[*fhir.Observation](t, reading(t, "29762-2", "", entry("2.16.840.1.113883.10.20.22.4.78", smoker)))
	require.Equal(t, "loinc.org|72166-2 = sct|8517006", code(got.Code)+" = "+found(got.Value))
	got = only[*fhir.Observation](t, reading(t, "29762-2", "", entry("1.2.3", smoker)))
	require.Equal(t, "sct|8517006 = ", code(got.Code)+" = "+found(got.Value), "what is asserted is what it is about")
	require.Equal(t, []string{"Negation"}, reading(t, "29762-2", "", strings.Replace(entry("1.2.3", smoker), "moodCode", `negationInd="true" moodCode`, 1)).types())
}

func TestPatients(t *testing.T) {
	t.Parallel()
	who := func(ids, rest string) *fhir.Patient {
		text := strings.Replace(document(), somebody, "<recordTarget><patientRole>"+ids+"<patient>"+rest+"</patient></patientRole></recordTarget>", 1)
		return only[*fhir.Patient](t, collectText(t, text))
	}
	const own, ssn, root = `<id root="1.2" extension="a"/>`, `<id root="2.16.840.1.113883.4.1" extension="123456789"/>`, `<id root="0A1B2C3D-0000-0000-0000-000000000000"/>`
	require.Equal(t, who(own, "").ID, who(`<id nullFlavor="UNK"/>`+root+ssn+own, "").ID, "a site's number before a national one and a mere root")
	require.Equal(t, who(ssn, "").ID, who(root+ssn, "").ID)
	require.Equal(t, who(root, "").ID, who(strings.ToLower(root), "").ID)
	p := who(own, `<administrativeGenderCode code="UN"/><birthTime value="197002031405"/><sdtc:deceasedInd value="true"/>`+
		`<raceCode code="2035-4"/><sdtc:raceCode code="2028-9" displayName="Asian"/><ethnicGroupCode nullFlavor="UNK"/>`)
	require.Equal(t, "other 1970-02-03 true 2028-9 2035-4 Asian", fmt.Sprintf("%s %s %v %s %s %s", p.Gender, p.BirthDate.Text, *p.Deceased, p.Race[0].Code, p.Race[1].Code, p.RaceText))
	require.Empty(t, p.Ethnicity)
	require.Equal(t, "2020-01-02", who(own, `<sdtc:deceasedInd value="true"/><sdtc:deceasedTime value="20200102"/>`).Died.Text)
}

func TestWhatIsAboutOthersIsNotRead(t *testing.T) {
	t.Parallel()
	const newborn = `<subject><relatedSubject><code code="NCHILD"/></relatedSubject></subject>`
	whole := collectText(t, document(strings.Replace(section("8716-3", "", pulse("1", "2024")), "<entry>", newborn+"<entry>", 1)))
	require.Equal(t, []string{"ClinicalDocument", "Patient", "Section 8716-3"}, whole.types())
	entry := strings.Replace(pulse("1", "2024"), "<component>", newborn+"<component>", 1)
	require.Equal(t, []string{"Entry", "Observation"}, reading(t, "8716-3", "", entry, pulse("2", "2024")).types())
	inside := strings.Replace(pulse("1", "2024"), "<code", newborn+"<code", 1)
	require.Equal(t, []string{"Entry"}, reading(t, "8716-3", "", inside).types())
}

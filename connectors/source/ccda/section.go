package ccda

import "strconv"

// kind is what the entries of a section are read as.
type kind uint8

const (
	unread kind = iota
	problems
	diagnoses // of the visit that the document is about
	allergies
	medications
	immunizations
	procedures
	results
	vitals
	encounters
	social
)

// sectionTemplates is what the templates of sections begin with; -.1 behind them asks for
// coded entries.
const sectionTemplates = "2.16.840.1.113883.10.20.22.2."

// sectionType is a section that is known by its code or its template.
type sectionType struct {
	name      string // in places
	kind      kind
	codes     []string // of LOINC, the first for its records' type
	templates []string // behind sectionTemplates
}

// sectionTypes are the sections of C-CDA R2.1 (and R1.1, and DICOM's where they have the
// same shape). What is not read is listed to be counted by its code.
//
// Source: HL7 Consolidated CDA Templates for Clinical Notes R2.1, volume 2, section
// level templates.
var sectionTypes = []sectionType{
	{"Problems", problems, []string{"11450-4"}, []string{"5", "5.1"}},
	{"PastIllness", problems, []string{"11348-0"}, []string{"20"}},
	{"AdmissionDiagnosis", diagnoses, []string{"46241-6", "42347-5"}, []string{"43"}},
	{"DischargeDiagnosis", diagnoses, []string{"11535-2"}, []string{"24"}},
	{"PreoperativeDiagnosis", diagnoses, []string{"10219-4"}, []string{"34"}},
	{"PostoperativeDiagnosis", diagnoses, []string{"10218-6"}, []string{"35"}},
	{"PostprocedureDiagnosis", diagnoses, []string{"59769-0"}, []string{"36"}},
	{"ProcedureFindings", diagnoses, []string{"59776-5"}, []string{"28"}},
	{"Complications", diagnoses, []string{"55109-3"}, []string{"37"}},
	{"Allergies", allergies, []string{"48765-2"}, []string{"6", "6.1"}},
	{"Medications", medications, []string{"10160-0"}, []string{"1", "1.1"}},
	{"AdmissionMedications", medications, []string{"42346-7"}, []string{"44"}},
	{"MedicationsAdministered", medications, []string{"29549-3"}, []string{"38"}},
	{"DischargeMedications", medications, []string{"10183-2", "75311-1"}, []string{"11", "11.1"}},
	{"Immunizations", immunizations, []string{"11369-6"}, []string{"2", "2.1"}},
	{"Procedures", procedures, []string{"47519-4"}, []string{"7", "7.1"}},
	{"Anesthesia", procedures, []string{"59774-0"}, []string{"25"}},
	{"Results", results, []string{"30954-2"}, []string{"3", "3.1"}},
	{"VitalSigns", vitals, []string{"8716-3"}, []string{"4", "4.1"}},
	{"Encounters", encounters, []string{"46240-8"}, []string{"22", "22.1"}},
	{"SocialHistory", social, []string{"29762-2"}, []string{"17"}},

	{"AdvanceDirectives", unread, []string{"42348-3"}, []string{"21", "21.1"}},
	{"Assessment", unread, []string{"51848-0"}, []string{"8"}},
	{"AssessmentAndPlan", unread, []string{"51847-2"}, []string{"9"}},
	{"CareTeams", unread, []string{"85847-2"}, []string{"500"}},
	{"ChiefComplaint", unread, []string{"10154-3"}, nil},
	{"ChiefComplaintAndReason", unread, []string{"46239-0"}, []string{"13"}},
	{"CourseOfCare", unread, []string{"8648-8"}, []string{"64"}},
	{"DischargeInstructions", unread, []string{"8653-8"}, []string{"41"}},
	{"DischargePhysical", unread, []string{"10184-0"}, nil},
	{"DischargeStudies", unread, []string{"11493-4"}, []string{"16"}},
	{"EstimatedBloodLoss", unread, []string{"59770-8"}, nil},
	{"FamilyHistory", unread, []string{"10157-6"}, []string{"15"}},
	{"FetusSubjectContext", unread, []string{"121026"}, nil},
	{"Findings", unread, []string{"121070"}, nil},
	{"FunctionalStatus", unread, []string{"47420-5"}, []string{"14"}},
	{"GeneralStatus", unread, []string{"10210-3"}, nil},
	{"Goals", unread, []string{"61146-7"}, []string{"60"}},
	{"HealthConcerns", unread, []string{"75310-3"}, []string{"58"}},
	{"HealthStatusEvaluations", unread, []string{"11383-7"}, []string{"61"}},
	{"HospitalConsultations", unread, []string{"18841-7"}, []string{"42"}},
	{"Implants", unread, []string{"55122-6"}, []string{"33"}},
	{"Instructions", unread, []string{"69730-0"}, []string{"45"}},
	{"Interventions", unread, []string{"62387-6"}, nil},
	{"MedicalEquipment", unread, []string{"46264-8"}, []string{"23"}},
	{"MedicalHistory", unread, []string{"11329-0"}, []string{"39"}},
	{"MentalStatus", unread, []string{"10190-7"}, []string{"56"}},
	{"Notes", unread, []string{"11488-4", "34109-9"}, []string{"65"}},
	{"Nutrition", unread, []string{"61144-2"}, []string{"57"}},
	{"Objective", unread, []string{"61149-1"}, nil},
	{"OperativeNoteFluids", unread, []string{"10216-0"}, nil},
	{"OperativeNoteProcedure", unread, []string{"10223-6"}, nil},
	{"Payers", unread, []string{"48768-6"}, []string{"18"}},
	{"PhysicalExam", unread, []string{"29545-1"}, nil},
	{"PlannedProcedure", unread, []string{"59772-4"}, []string{"30"}},
	{"PlanOfTreatment", unread, []string{"18776-5"}, []string{"10"}},
	{"PresentIllness", unread, []string{"10164-2"}, nil},
	{"ProcedureDescription", unread, []string{"29554-3"}, []string{"27"}},
	{"ProcedureDisposition", unread, []string{"59775-7"}, nil},
	{"ProcedureImplants", unread, []string{"59771-6"}, []string{"40"}},
	{"ProcedureIndications", unread, []string{"59768-2"}, []string{"29"}},
	{"ProcedureSpecimens", unread, []string{"59773-2"}, []string{"31"}},
	{"ReasonForReferral", unread, []string{"42349-1"}, nil},
	{"ReasonForVisit", unread, []string{"29299-5"}, []string{"12"}},
	{"Referral", unread, []string{"18761-7"}, nil},
	{"ReviewOfSystems", unread, []string{"10187-3"}, nil},
	{"Subjective", unread, []string{"61150-9"}, nil},
	{"SurgicalDrains", unread, []string{"11537-8"}, nil},
	{"SurgeryDescription", unread, []string{"8724-7"}, []string{"26"}},
	{"SkinFindings", unread, []string{"8709-8"}, []string{"63"}},
	{"Addendum", unread, []string{"55107-7"}, nil},
	{"DICOMCatalog", unread, []string{"121181"}, nil},
	{"Impressions", unread, []string{"121072"}, nil},
	{"Conclusions", unread, []string{"121076"}, nil},
	{"Summary", unread, []string{"121111"}, nil},
	{"RequestedProcedures", unread, []string{"121109"}, nil},
}

// anySection is one that is not in the list. Its code might be anything, so it is not told.
var anySection = sectionType{name: "Other"}

var sectionsByCode, sectionsByTemplate = func() (byCode, byTemplate map[string]*sectionType) {
	byCode, byTemplate = map[string]*sectionType{}, map[string]*sectionType{}
	for i := range sectionTypes {
		t := &sectionTypes[i]
		for _, code := range t.codes {
			byCode[code] = t
		}
		for _, template := range t.templates {
			byTemplate[sectionTemplates+template] = t
		}
	}
	return byCode, byTemplate
}()

// recordType is the type of a record that holds the section unread: it is counted by it.
func (t *sectionType) recordType() string {
	if len(t.codes) == 0 {
		return "Section"
	}
	return "Section " + t.codes[0]
}

// typeOf finds a section's type by its templates, or else by its code.
func typeOf(section *element) *sectionType {
	for t := range section.each("templateId") {
		if found := sectionsByTemplate[t.attr("root")]; found != nil {
			return found
		}
	}
	if found := sectionsByCode[section.at("code").attr("code")]; found != nil {
		return found
	}
	return &anySection
}

// place names the nth section of a name, from 1.
func (t *sectionType) place(n int) place {
	if n == 1 {
		return place("section[" + t.name + "]")
	}
	return place("section[" + t.name + "#" + strconv.Itoa(n) + "]")
}

package table

import (
	"slices"
	"strings"
)

// role is what a column is for in a proposal.
type role uint8

const (
	rolePatient role = iota
	roleEncounter
	roleTime
	roleStart
	roleEnd
	roleCode
	roleSystem
	roleText
	roleValue
	roleUnit
	roleCategory
	roleFlag
	roleLow
	roleHigh
	roleOwnID
	roleClass
	roleDose
	roleRoute
	roleSig
	roleQuantity
	roleDays
	roleLot
	roleKind
	roleBirth
	roleDeath
	roleSex
	roleRace
	roleEthnicity
	roleStatus
	roleCount
)

// names are what systems call the columns of a role, in letters and digits only, the
// surest first. A name that ends in * is a beginning.
var roleNames = [roleCount][]string{
	rolePatient:   {"PATIENTID", "PATIENT", "USUBJID", "MRN", "PID", "PATID", "PATNR", "PATIENTNR", "SUBJECTID", "SUBJID", "SUBJECT", "PERSONID", "PARTICIPANTID", "CASEID", "ID"},
	roleEncounter: {"ENCOUNTERID", "ENCOUNTER", "VISITID", "VISITNUMBER", "VISITNO", "CSN", "HADMID", "ADMISSIONID", "STAYID", "FALLNR"},
	roleTime: {
		"COLLECTIONDATETIME", "COLLECTIONDATE", "COLLECTED*", "DRAW*", "SAMPLE*", "SPECIMEN*", "LBDTC", "VSDTC", "EFFECTIVE*", "OBSERVATION*", "ADMINISTERED*",
		"DATETIME", "CHARTTIME", "DATE", "TIME", "TIMESTAMP", "VISITDATE", "DATUM", "RESULT*", "EXAM*",
	},
	roleStart:     {"START", "STARTDATE", "STARTDATETIME", "STARTTIME", "START*", "ONSET*", "ADMIT*", "BEGIN*", "AESTDTC", "CMSTDTC", "MHSTDTC", "DIAGNOSISDATE", "DXDATE", "PROCEDUREDATE", "PRESCRI*", "ORDER*", "VON"},
	roleEnd:       {"STOP", "STOPDATE", "END", "ENDDATE", "ENDDATETIME", "END*", "STOP*", "DISCHARGE*", "RESOLVED*", "ABATE*", "AEENDTC", "CMENDTC", "BIS"},
	roleCode:      {"CODE", "LOINC", "LOINCCODE", "TESTCODE", "LBTESTCD", "VSTESTCD", "ANALYTECODE", "ANALYTE", "TESTID", "TEST", "COMPONENTCODE", "ICD10*", "ICD*", "DXCODE", "DIAGNOSISCODE", "DX", "SNOMED*", "RXNORM*", "RXCUI", "NDC*", "CVX*", "VACCINECODE", "DRUGCODE", "MEDICATIONCODE", "PROCEDURECODE", "PARAMETER", "AEDECOD", "MHDECOD", "CMDECOD"},
	roleSystem:    {"SYSTEM", "CODESYSTEM", "CODINGSYSTEM", "CODETYPE", "VOCABULARY"},
	roleText:      {"DESCRIPTION", "DISPLAY", "TESTNAME", "LBTEST", "VSTEST", "COMPONENTNAME", "ANALYTENAME", "DIAGNOSIS", "DIAGNOSISNAME", "DRUGNAME", "MEDICATIONNAME", "VACCINENAME", "NAME", "LABEL", "TEST"},
	roleValue:     {"VALUE", "RESULT", "RESULTVALUE", "LBORRES", "VSORRES", "VALUENUM", "NUMERICVALUE", "MEASUREMENT", "ERGEBNIS", "WERT"},
	roleUnit:      {"UNITS", "UNIT", "UOM", "RESULTUNIT", "RESULTUNITS", "VALUEUOM", "LBORRESU", "VSORRESU", "UNITOFMEASURE", "EINHEIT"},
	roleCategory:  {"CATEGORY"},
	roleFlag:      {"FLAG", "ABNORMALFLAG", "ABNORMAL", "INTERPRETATION", "LBNRIND"},
	roleLow:       {"LOW", "REFLOW", "REFRANGELOW", "RANGELOW", "REFERENCELOW", "LOWERLIMIT", "LBORNRLO"},
	roleHigh:      {"HIGH", "REFHIGH", "REFRANGEHIGH", "RANGEHIGH", "REFERENCEHIGH", "UPPERLIMIT", "LBORNRHI"},
	roleOwnID:     {"ID", "ENCOUNTERID", "VISITID", "VISITNUMBER", "CSN", "HADMID", "FALLNR"},
	roleClass:     {"ENCOUNTERCLASS", "PATIENTCLASS", "VISITTYPE", "ENCOUNTERTYPE", "CLASS", "ADMISSIONTYPE"},
	roleDose:      {"DOSE", "DOSEVALUE", "DOSEQUANTITY", "CMDOSE"},
	roleRoute:     {"ROUTE", "CMROUTE"},
	roleSig:       {"SIG", "INSTRUCTIONS", "DOSAGE"},
	roleQuantity:  {"QUANTITY", "DISPENSEQUANTITY", "QTY"},
	roleDays:      {"DAYSSUPPLY", "SUPPLYDAYS", "DAYS"},
	roleLot:       {"LOT", "LOTNUMBER", "BATCH"},
	roleKind:      {"TYPE"},
	roleBirth:     {"BIRTHDATE", "DATEOFBIRTH", "DOB", "BIRTHDT", "BIRTHDAY", "BRTHDTC", "BIRTH*", "GEBURT*"},
	roleDeath:     {"DEATHDATE", "DATEOFDEATH", "DOD", "DTHDTC", "DEATH*", "DECEASEDDATE"},
	roleSex:       {"SEX", "GENDER", "GESCHLECHT"},
	roleRace:      {"RACE"},
	roleEthnicity: {"ETHNICITY", "ETHNIC"},
	roleStatus:    {"STATUS", "RESULTSTATUS"},
}

// allowed says what the cells of a column with a role's name have to look like; nil for
// anything.
var allowed = [roleCount]func(*profile) bool{
	roleTime: dated, roleStart: dated, roleEnd: datedOrEmpty, roleBirth: dated, roleDeath: datedOrEmpty,
	roleSex: func(p *profile) bool { return len(p.distinct) <= 10 },
	roleValue: func(p *profile) bool {
		return p.share(p.dates()-p.packed) < 0.5
	},
	roleText:      func(p *profile) bool { return p.share(p.texts) > 0.5 },
	roleSystem:    func(p *profile) bool { return p.n == 0 || p.share(p.systems) > 0.8 },
	roleUnit:      func(p *profile) bool { return p.n == 0 || p.share(p.units) > 0.5 },
	roleLow:       numeric,
	roleHigh:      numeric,
	roleDose:      numeric,
	roleQuantity:  numeric,
	roleDays:      numeric,
	roleRace:      few,
	roleEthnicity: few,
	roleClass:     few,
	roleCategory:  few,
	roleFlag:      few,
	roleKind:      few,
	roleStatus:    few,
	roleCode:      func(p *profile) bool { return p.share(p.dates()) < 0.5 && p.longest <= 60 },
}

func dated(p *profile) bool        { return p.share(p.dates()) > 0.7 }
func datedOrEmpty(p *profile) bool { return p.n == 0 || dated(p) }
func numeric(p *profile) bool      { return p.n == 0 || p.share(p.numbers()) > 0.8 }
func few(p *profile) bool          { return len(p.distinct) <= 60 }

// find returns the column that is most likely for a role, nil for none. Columns that have
// another role are passed over.
func (s *sample) find(r role, taken func(*profile) bool) *profile {
	for _, name := range roleNames[r] {
		for _, p := range s.columns {
			begins, prefix := strings.CutSuffix(name, "*")
			if p.plain != name && (!prefix || !strings.HasPrefix(p.plain, begins)) || taken(p) || prefix && p.n == 0 {
				continue
			}
			if check := allowed[r]; check == nil || check(p) {
				return p
			}
		}
	}
	return nil
}

// findCode returns the column of codes: by its cells if it has a standard system's, best
// with a name that says so.
func (s *sample) findCode(taken func(*profile) bool) *profile {
	named := s.find(roleCode, taken)
	if named != nil && (named.codes() != "" || named.plain == "CODE") {
		return named
	}
	for _, p := range s.columns {
		if p.codes() != "" && !taken(p) && !strings.Contains(p.plain, "REASON") {
			return p
		}
	}
	return named
}

// hints are words in the names of a file and its columns that tell what rows are.
var hints = []struct {
	kind  string
	words []string
}{
	{"immunization", []string{"IMMUNI", "VACCIN", "CVX"}},
	{"allergy", []string{"ALLERG", "REACTION"}},
	{"medication", []string{"MEDICATION", "PRESCRI", "RXNORM", "DRUG", "DISPENSE", "NDC", "CMTRT"}},
	{"procedure", []string{"PROCEDURE", "SURGER"}},
	{"condition", []string{"CONDITION", "DIAGNOS", "PROBLEM", "ICD10", "AETERM", "MHTERM"}},
	{"encounter", []string{"ENCOUNTERCLASS", "PATIENTCLASS", "VISITTYPE", "ADMITTIME"}},
}

// sure is the score of a kind that nobody has to confirm: two things speak for it.
const sure = 5

// kind decides what a row of the table is, and how much speaks for it; empty if nothing
// says so.
func (s *sample) kind(file string, found *[roleCount]*profile) (best string, points int) {
	score := map[string]int{}
	named := letters(file)
	for _, h := range hints {
		for _, word := range h.words {
			if strings.Contains(named, word) {
				score[h.kind] += 3
			}
			if slices.ContainsFunc(s.columns, func(p *profile) bool { return strings.Contains(p.plain, word) }) {
				score[h.kind] += 2
			}
		}
	}
	if p := found[roleText]; p != nil {
		score["condition"] += tagged(p, "disorder", "finding")
		score["procedure"] += tagged(p, "procedure", "regime/therapy")
		score["allergy"] += tagged(p, "substance", "organism")
	}
	if p := found[roleCode]; p != nil {
		switch p.codes() {
		case "LOINC":
			score["observation"] += 6
		case "ICD-10-CM":
			score["condition"] += 4
		}
	}
	if found[roleValue] != nil && found[roleCode] != nil {
		score["observation"] += 4
		if found[roleUnit] != nil {
			score["observation"] += 2
		}
	}
	if found[roleBirth] != nil {
		score["patient"] += 6
	}
	if found[roleSex] != nil && found[roleCode] == nil && found[roleValue] == nil {
		score["patient"] += 3
	}
	if found[roleClass] != nil && found[roleStart] != nil && found[roleOwnID] != nil {
		score["encounter"] += 6
	}
	for _, k := range kinds {
		if score[k.name] > points {
			best, points = k.name, score[k.name]
		}
	}
	return best, points
}

// tagged is 3 if most names end in one of SNOMED CT's tags, 1 if many do.
func tagged(p *profile, tags ...string) int {
	n := 0
	for _, tag := range tags {
		n += p.tags[tag]
	}
	switch share := p.share(n); {
	case share > 0.5:
		return 3
	case share > 0.15:
		return 1
	}
	return 0
}

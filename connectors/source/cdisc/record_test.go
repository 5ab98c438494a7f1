package cdisc

import (
	"encoding/json"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/trialmesh/trialmesh/connectors/source/fhir"
	"github.com/trialmesh/trialmesh/protocol/ucum"
)

func TestSubjects(t *testing.T) {
	t.Parallel()
	dm := func(cells ...string) *fhir.Patient {
		return only[*fhir.Patient](t, rowOf(append([]string{"DOMAIN=DM", "SUBJID=1", "SEX=F"}, cells...)...))
	}
	p := dm("BRTHDTC=1950-07", "RACE=WHITE", "ETHNIC=HISPANIC OR LATINO", "DTHDTC=2014-11-01T08:00", "DTHFL=Y")
	require.Equal(t, []string{"female", "1950-07", "2014-11-01T08:00"}, []string{p.Gender, p.BirthDate.Text, p.Died.Text})
	require.Equal(t, "2106-3", p.Race[0].Code)
	require.Equal(t, "2135-2", p.Ethnicity[0].Code)
	require.Nil(t, p.Deceased)
	require.Equal(t, fhir.Digest("Patient", "S", "S-1"), p.ID, "one person there and here")

	p = dm("RACE=MULTIPLE", "ETHNIC=NOT REPORTED", "DTHFL=Y", "SEX=U")
	require.Empty(t, p.Race)
	require.Equal(t, []string{"MULTIPLE", "NOT REPORTED"}, []string{p.RaceText, p.EthnicityText})
	require.True(t, *p.Deceased, "it is not known when")
	require.True(t, p.BirthDate.IsZero())
}

// TestYearsOfBirthAreEstimated at the middle of the year in which someone of that age was born.
func TestYearsOfBirthAreEstimated(t *testing.T) {
	t.Parallel()
	for want, cells := range map[string][]string{
		"1950":                {"AGE=63", "AGEU=YEARS", "RFSTDTC=2014-01-02"},
		"1951":                {"AGE=63", "AGEU=YEARS", "RFSTDTC=", "RFICDTC=2014-12-02"},
		"1949":                {"AGE=64", "AGEU=YEARS", "RFSTDTC=", "DMDTC=2014-01-02"},
		"2013":                {"AGE=7", "AGEU=MONTHS", "RFSTDTC=2014-01-02"},
		"2014":                {"AGE=36", "AGEU=HOURS", "RFSTDTC=2014-01-09"},
		"":                    {"AGE=63", "AGEU=", "RFSTDTC=2014-01-02"},
		"no reference":        {"AGE=63", "AGEU=YEARS"},
		"an impossible age":   {"AGE=999", "AGEU=YEARS", "RFSTDTC=2014-01-02"},
		"no number of an age": {"AGE=NaN", "AGEU=YEARS", "RFSTDTC=2014-01-02"},
	} {
		p := only[*fhir.Patient](t, rowOf(append([]string{"DOMAIN=DM", "SUBJID=1", "SEX=F"}, cells...)...))
		if len(want) != 4 {
			want = ""
		}
		require.Equal(t, want, p.BirthDate.Text, cells)
		require.True(t, p.BirthDate.IsZero() || p.BirthDate.Precision == fhir.PrecisionYear)
	}
}

// TestSubjectsOfADaM have dates as numbers.
func TestSubjectsOfADaM(t *testing.T) {
	t.Parallel()
	p := only[*fhir.Patient](t, rowOf("SUBJID=1", "SEX=M", "BRTHDT=-3650", "DTHDT=19725"))
	require.Equal(t, []string{"1950-01-03", "2014-01-02"}, []string{p.BirthDate.Text, p.Died.Text})
	require.Equal(t, "1950", only[*fhir.Patient](t, rowOf("SUBJID=1", "SEX=M", "AGE=63", "AGEU=YEARS", "TRTSDT=19725")).BirthDate.Text)
	require.Equal(t, map[string]int{"ADAM": 1}, readText(t, rowOf("PARAMCD=SYSBP", "AVAL=120")).types(), "analysis values are counted only")
	require.Equal(t, map[fhir.Rule]int{fhir.RuleInvalidTime: 1}, readText(t, rowOf("SUBJID=1", "SEX=M", "BRTHDT=1.5")).rules())
}

func TestEvents(t *testing.T) {
	t.Parallel()
	ae := func(cells ...string) *fhir.Condition {
		return only[*fhir.Condition](t, rowOf(append([]string{"DOMAIN=AE", "AESEQ=1", "AETERM=FELT SICK"}, cells...)...))
	}
	c := ae("AEDECOD=NAUSEA", "AELLTCD=10028813", "AEPTCD=10028813", "AESTDTC=2013-02", "AEENDTC=2013-02-25", "AEDTC=2013-06-03")
	require.Equal(t, "NAUSEA", c.Code.Text)
	require.Equal(t, []string{"https://www.meddra.org", "10028813"}, []string{c.Code.Coding[0].System, c.Code.Coding[0].Code})
	require.Equal(t, []string{"2013-02", "2013-02-25", "2013-06-03"}, []string{c.Onset.Text, c.Abated.Text, c.Recorded.Text})
	require.Equal(t, "resolved", c.Clinical.Coding[0].Code)

	c = ae("AEDECOD=UNCODED", "AELLTCD=0", "AEDTC=2013-06-03", "AEENRTPT=ONGOING")
	require.Equal(t, "FELT SICK", c.Code.Text, "the words of the report")
	require.Empty(t, c.Code.Coding, "0 is no code")
	require.Equal(t, "active", c.Clinical.Coding[0].Code)

	refuted := only[*fhir.Condition](t, rowOf("DOMAIN=MH", "MHSEQ=1", "MHTERM=ASTHMA", "MHOCCUR=N", "MHDTC=2013"))
	require.Equal(t, "refuted", refuted.Verification.Coding[0].Code)
	for _, text := range []string{
		rowOf("DOMAIN=MH", "MHSEQ=1", "MHTERM=ASTHMA", "MHSTAT=NOT DONE", "MHDTC=2013"),
		rowOf("DOMAIN=MH", "MHSEQ=1", "MHTERM=ASTHMA", "MHOCCUR=N", "MHDTC="),
	} {
		require.Equal(t, map[string]int{"MH": 1}, readText(t, text).types(), "counted only")
	}
	p := only[*fhir.Procedure](t, rowOf("DOMAIN=PR", "PRSEQ=1", "PRTRT=MRI", "PRSTDTC=2013-02-01", "PRENDTC=2013-02-02", "VISITNUM=3"))
	require.Equal(t, []string{"completed", "2013-02-01", "2013-02-02"}, []string{p.Status, p.During.Start.Text, p.During.End.Text})
	p = only[*fhir.Procedure](t, rowOf("DOMAIN=PR", "PRSEQ=1", "PRTRT=MRI", "PROCCUR=N", "PRDTC=2013-02-01"))
	require.Equal(t, "not-done", p.Status)
	d := only[*fhir.Observation](t, rowOf("DOMAIN=DS", "DSSEQ=1", "DSTERM=MOVED AWAY", "DSDECOD=LOST TO FOLLOW-UP", "DSSTDTC=2013-02-01"))
	require.Equal(t, []string{"LOST TO FOLLOW-UP", "MOVED AWAY"}, []string{d.Code.Text, *d.Value.String})
}

func TestAStudyDayIsNoDate(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		text string
		rule fhir.Rule
		path string
	}{
		{rowOf("DOMAIN=AE", "AESEQ=1", "AETERM=X", "AESTDTC=", "AESTDY=5"), RuleStudyDayOnly, "AESTDY"},
		{rowOf("DOMAIN=LB", "LBSEQ=1", "LBTESTCD=ALB", "LBSTRESC=39", "LBDY=-3.0"), RuleStudyDayOnly, "LBDY"},
		{rowOf("DOMAIN=LB", "LBSEQ=1", "LBTESTCD=ALB", "LBSTRESC=39", "LBDY=0"), fhir.RuleMissingField, "LBDTC"},
		{rowOf("DOMAIN=CM", "CMSEQ=1", "CMTRT=ASPIRIN"), fhir.RuleMissingField, "CMSTDTC"},
		{rowOf("DOMAIN=SV", "VISITNUM=1", "SVSTDTC=", "SVSTDY=1"), RuleStudyDayOnly, "SVSTDY"},
	} {
		g := readText(t, c.text)
		require.Len(t, g.problems, 1, c.text)
		require.Equal(t, c.rule, g.problems[0].Rule)
		require.Equal(t, c.path, g.problems[0].Path)
		require.Equal(t, 2, g.problems[0].Line)
	}
}

func TestTreatments(t *testing.T) {
	t.Parallel()
	m := only[*fhir.MedicationRequest](t, rowOf("DOMAIN=EX", "EXSEQ=1", "EXTRT=PLACEBO", "EXDOSE=0", "EXDOSU=mg", "EXDOSFRM=PATCH", "EXDOSFRQ=QD",
		"EXROUTE=TRANSDERMAL", "EXSTDTC=2014-01-02", "EXENDTC=2014-01-16"))
	require.Equal(t, []string{"PLACEBO", "2014-01-02", "2014-01-16", "0 mg PATCH QD"},
		[]string{m.Medication.Text, m.Authored.Text, m.Dispense.Validity.End.Text, m.Dosage[0].Text})
	require.Equal(t, "0", m.Dosage[0].Dose.Value.Text)
	require.Equal(t, "45890007", m.Dosage[0].Route.Coding[1].Code)

	m = only[*fhir.MedicationRequest](t, rowOf("DOMAIN=CM", "CMSEQ=1", "CMTRT=ASPIRIN", "CMDOSE=0", "CMDOSTXT=1-2", "CMDOSU=TABLET", "CMENDTC=2013-01", "CMDTC=2013-12-26"))
	require.Nil(t, m.Dosage[0].Dose, "nobody takes nothing")
	require.Equal(t, "1-2 TABLET", m.Dosage[0].Text)
	require.Equal(t, "2013-01", m.Authored.Text, "the first day on which it is known to have been taken")
	require.Equal(t, "cancelled", only[*fhir.MedicationRequest](t, rowOf("DOMAIN=CM", "CMSEQ=1", "CMTRT=ASPIRIN", "CMOCCUR=N", "CMDTC=2013")).Status)

	s := only[*fhir.Observation](t, rowOf("DOMAIN=SU", "SUSEQ=1", "SUTRT=CIGARETTES", "SUDOSE=2", "SUDOSU=PACK", "SUDTC=2013"))
	require.Equal(t, []string{"2", "PACK"}, []string{s.Value.Quantity.Value.Text, s.Value.Quantity.Unit})
	s = only[*fhir.Observation](t, rowOf("DOMAIN=SU", "SUSEQ=1", "SUTRT=COFFEE", "SUOCCUR=N", "SUDTC=2013"))
	require.Equal(t, "N", *s.Value.String)
}

func TestFindings(t *testing.T) {
	t.Parallel()
	lb := func(cells ...string) *fhir.Observation {
		return only[*fhir.Observation](t, rowOf(append([]string{"DOMAIN=LB", "LBSEQ=1", "LBTESTCD=ALB", "LBTEST=Albumin"}, cells...)...))
	}
	o := lb("LBLOINC=1751-7", "LBORRES=3.9", "LBORRESU=g/dL", "LBSTRESC=39", "LBSTRESN=39", "LBSTRESU=g/L", "LBSTNRLO=35", "LBSTNRHI=46",
		"LBORNRLO=3.5", "LBORNRHI=4.6", "LBNRIND=NORMAL", "LBDTC=2012-11-23T11:20", "VISITNUM=1")
	require.Equal(t, []string{"1751-7", "ALB"}, []string{o.Code.Coding[0].Code, o.Code.Coding[1].Code})
	require.Equal(t, []string{"39", "g/L", "3.9 g/dL"}, []string{o.Value.Quantity.Value.Text, o.Value.Quantity.Code, o.Value.Collected})
	require.Equal(t, []string{"35", "46"}, []string{o.Range[0].Low.Value.Text, o.Range[0].High.Value.Text})
	require.Equal(t, []string{"N", "laboratory"}, []string{o.Interpreted[0].Coding[0].Code, o.Category[0].Coding[0].Code})
	v := only[*fhir.Encounter](t, rowOf("DOMAIN=SV", "VISITNUM=1.0", "VISIT=SCREENING", "SVSTDTC=2012-11-23"))
	require.Equal(t, v.ID, o.Encounter.ID)

	o = lb("LBORRES=98.6", "LBORRESU=F", "LBDTC=2012", "LBORNRHI=99", "LBSTRESC=")
	require.Equal(t, []string{"98.6", "[degF]", "99"}, []string{o.Value.Quantity.Value.Text, o.Value.Quantity.Code, o.Range[0].High.Value.Text})
	require.Empty(t, o.Value.Collected, "it is the value")
	o = lb("LBORRES=N", "LBSTRESC=NEGATIVE", "LBSTRESN=0", "LBSTNRLO=0", "LBSTNRHI=0", "LBORNRLO=", "LBDTC=2012")
	require.Equal(t, []string{"NEGATIVE", "N"}, []string{*o.Value.String, o.Value.Collected})
	require.Empty(t, o.Range, "0 stands for nothing in a CSV file")
	o = lb("LBSTRESC=<0.5", "LBSTRESU=furlong/fortnight", "LBDTC=2012")
	require.Equal(t, []string{"<", "0.5", "", "furlong/fortnight"},
		[]string{o.Value.Quantity.Comparator, o.Value.Quantity.Value.Text, o.Value.Quantity.Code, o.Value.Quantity.Unit})
	o = lb("LBSTRESN=7", "LBDTC=2012-01-01", "LBENDTC=2012-01-02")
	require.Equal(t, "7", o.Value.Quantity.Value.Text)
	require.Equal(t, "2012-01-02", o.During.End.Text)
	o = lb("LBSTAT=NOT DONE", "LBORRES=5", "LBDTC=2012")
	require.Equal(t, []string{"cancelled", "not-performed"}, []string{o.Status, o.Absent.Coding[0].Code})
	require.Nil(t, o.Value.Quantity)
	require.Equal(t, map[string]int{"LB": 1}, readText(t, rowOf("DOMAIN=LB", "LBSEQ=1", "LBTESTCD=ALB", "LBSTAT=NOT DONE")).types())
	require.Equal(t, "unknown", lb("LBORRES=", "LBDTC=2012").Absent.Coding[0].Code)

	fa := only[*fhir.Observation](t, rowOf("DOMAIN=FA", "FASEQ=1", "FATESTCD=OCCUR", "FATEST=Occurrence Indicator", "FAOBJ=RASH", "FASTRESC=Y", "FADTC=2012"))
	require.Equal(t, "Occurrence Indicator: RASH", fa.Code.Text)
	require.Empty(t, fa.Code.Coding)

	vs := only[*fhir.Observation](t, rowOf("DOMAIN=VS", "VSSEQ=1", "VSTESTCD=SYSBP", "VSSTRESC=120", "VSSTRESU=mmHg", "VSDTC=2012"))
	require.Equal(t, []string{"8480-6", "SYSBP", "mm[Hg]"}, []string{vs.Code.Coding[0].Code, vs.Code.Coding[1].Code, vs.Value.Quantity.Code})
}

// TestOtherDataSetsAreCounted by their names.
func TestOtherDataSetsAreCounted(t *testing.T) {
	t.Parallel()
	for want, text := range map[string]string{
		"SUPPLB": rowOf("RDOMAIN=LB", "IDVAR=LBSEQ", "IDVARVAL=1", "QNAM=X", "QVAL=1"),
		"RELREC": rowOf("RDOMAIN=AE", "IDVAR=AESEQ", "RELID=1"),
		"SE":     rowOf("DOMAIN=SE", "SESEQ=1", "ETCD=SCRN"),
		"EC":     rowOf("DOMAIN=EC", "ECSEQ=1", "ECTRT=X"),
		"TI":     "STUDYID,DOMAIN,IETESTCD\nS,TI,INCL01\n",
		"APMH":   "STUDYID,DOMAIN,APID,MHSEQ\nS,APMH,A1,1\n",
	} {
		g := readText(t, text)
		require.Empty(t, g.problems, want)
		require.Equal(t, map[string]int{want: 1}, g.types())
		require.Nil(t, g.records[0].Resource)
	}
}

// TestIdsAreThoseOfTheRow: the same in every file that has it, and different for every row.
func TestIdsAreThoseOfTheRow(t *testing.T) {
	t.Parallel()
	id := func(cells ...string) string {
		return only[*fhir.Observation](t, rowOf(append([]string{"DOMAIN=LB", "LBTESTCD=ALB", "LBDTC=2012", "LBSTRESC=1"}, cells...)...)).ID
	}
	require.Equal(t, id("LBSEQ=1"), id("LBSEQ=1.0", "LBSTRESC=2"), "a corrected value takes the place of the earlier one")
	require.NotEqual(t, id("LBSEQ=1"), id("LBSEQ=2"))
	require.NotEqual(t, id("LBSEQ="), id("LBSEQ=", "LBORRES=1"), "without a number the values tell rows apart")
}

// TestUnitsAreUCUM holds the table of units to the grammar.
func TestUnitsAreUCUM(t *testing.T) {
	t.Parallel()
	for term, code := range unitCodes {
		_, err := ucum.Parse(code)
		require.NoError(t, err, term)
	}
	for term, want := range map[string]string{"C": "Cel", "beats/min": "/min", "mmol/L": "mmol/L", "TABLET": "", "CAPSULE": "", "": "", "10^9/L": "10*9/L"} {
		require.Equal(t, want, ucumOf(term), term)
	}
	var u units
	for i := range maxUnits + 5 {
		u.set(&fhir.Quantity{}, fmt.Sprintf("X%d!", i))
	}
	require.Len(t, u, maxUnits)
}

func TestRecordsDoNotPrint(t *testing.T) {
	t.Parallel()
	g := readText(t, rowOf("DOMAIN=MH", "MHSEQ=1", "MHTERM=ASTHMA", "MHDTC=2013"))
	for _, verb := range []string{"%v", "%+v", "%#v", "%s"} {
		require.NotContains(t, fmt.Sprintf(verb, g.records[0]), "ASTHMA")
	}
	_, err := json.Marshal(g.records[0])
	require.Error(t, err)
}

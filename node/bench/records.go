package bench

import (
	"fmt"
	"io"
	"math/rand/v2"
	"strconv"
	"time"
)

// seed makes every run measure the same data.
const seed = 20_260_301

// records makes FHIR R4 resources as NDJSON, one patient after the other: the Patient,
// encounters, and in each encounter a condition now and then, findings with their
// units, an order now and then. It is an [io.Reader] that ends after as many resources
// or bytes as were asked for.
type records struct {
	patients *int // made so far, by all readers of a site: no id comes twice
	random   *rand.Rand

	resources, most  int // made so far, and to make; 0 for no limit
	bytes, mostBytes int64

	patient, encounter string
	visits, left       int // of the patient, and resources of the encounter
	at                 time.Time
	number             int // of the resource in its patient

	line []byte // not yet read
}

func newRecords(patients *int, resources int, size int64) *records {
	return &records{patients: patients, random: rand.New(rand.NewPCG(seed, uint64(*patients))), most: resources, mostBytes: size} //nolint:gosec // data to measure with
}

// Read implements [io.Reader].
func (r *records) Read(p []byte) (int, error) {
	n := 0
	for n < len(p) {
		if len(r.line) == 0 && !r.next() {
			break
		}
		moved := copy(p[n:], r.line)
		r.line, n = r.line[moved:], n+moved
	}
	if n == 0 && len(p) > 0 {
		return 0, io.EOF
	}
	return n, nil
}

// next makes one line.
func (r *records) next() bool {
	if r.most > 0 && r.resources >= r.most || r.mostBytes > 0 && r.bytes >= r.mostBytes {
		return false
	}
	r.resources++
	r.number++
	switch {
	case r.left > 0:
		r.left--
		r.at = r.at.Add(time.Duration(1+r.random.IntN(40)) * time.Minute)
		switch die := r.random.IntN(20); {
		case die < 2:
			r.condition()
		case die < 4:
			r.order()
		default:
			r.finding()
		}
	case r.visits > 0:
		r.visits--
		r.left = 8 + r.random.IntN(12)
		r.visit()
	default:
		*r.patients++
		r.number, r.visits = 0, 2+r.random.IntN(5)
		r.person()
	}
	r.bytes += int64(len(r.line))
	return true
}

func (r *records) person() {
	r.patient = "bench-" + strconv.Itoa(*r.patients)
	born := time.Date(1930+r.random.IntN(80), time.Month(1+r.random.IntN(12)), 1+r.random.IntN(28), 0, 0, 0, 0, time.UTC)
	r.at = time.Date(2018, 1, 1, 8, 0, 0, 0, time.UTC).AddDate(0, 0, r.random.IntN(1500))
	r.line = fmt.Appendf(r.line[:0], `{"resourceType":"Patient","id":"%s","meta":{"profile":["http://hl7.org/fhir/us/core/StructureDefinition/us-core-patient"]},`+
		`"identifier":[{"system":"urn:oid:2.16.840.1.113883.19.5","value":"MRN%08d"}],"name":[{"use":"official","family":"Family%d","given":["Given%d"]}],`+
		`"telecom":[{"system":"phone","value":"555-%04d","use":"home"}],"gender":"%s","birthDate":"%s","address":[{"line":["%d Main Street"],"city":"Springfield","country":"US"}]}`+"\n",
		r.patient, *r.patients, r.random.IntN(5000), r.random.IntN(500), r.random.IntN(10_000), pick(r.random, "male", "female"), born.Format(time.DateOnly), 1+r.random.IntN(999))
}

func (r *records) visit() {
	r.at = r.at.AddDate(0, 0, 10+r.random.IntN(300)).Truncate(24 * time.Hour).Add(time.Duration(7*60+r.random.IntN(600)) * time.Minute)
	r.encounter = r.id("e")
	r.line = fmt.Appendf(r.line[:0], `{"resourceType":"Encounter","id":"%s","status":"finished","class":{"system":"http://terminology.hl7.org/CodeSystem/v3-ActCode","code":"%s"},`+
		`"type":[{"text":"Visit"}],"subject":{"reference":"Patient/%s"},"period":{"start":"%s","end":"%s"}}`+"\n",
		r.encounter, pick(r.random, "AMB", "AMB", "AMB", "EMER", "IMP"), r.patient, r.time(), r.at.Add(12*time.Hour).Format(time.RFC3339))
}

func (r *records) condition() {
	r.line = fmt.Appendf(r.line[:0], `{"resourceType":"Condition","id":"%s","clinicalStatus":{"coding":[{"system":"http://terminology.hl7.org/CodeSystem/condition-clinical","code":"active"}]},`+
		`"verificationStatus":{"coding":[{"system":"http://terminology.hl7.org/CodeSystem/condition-ver-status","code":"confirmed"}]},`+
		`"category":[{"coding":[{"system":"http://terminology.hl7.org/CodeSystem/condition-category","code":"encounter-diagnosis"}]}],`+
		`"code":{"coding":[{"system":"%s","code":"%s"}],"text":"diagnosis"},"subject":{"reference":"Patient/%s"},"encounter":{"reference":"Encounter/%s"},"onsetDateTime":"%s","recordedDate":"%s"}`+"\n",
		r.id("c"), icd, diagnoses[r.random.IntN(len(diagnoses))].code, r.patient, r.encounter, r.time(), r.time())
}

func (r *records) finding() {
	f := findings[r.random.IntN(len(findings))]
	value := strconv.FormatFloat(f.low+(f.high-f.low)*r.random.Float64(), 'f', 1, 64)
	r.line = fmt.Appendf(r.line[:0], `{"resourceType":"Observation","id":"%s","status":"final","category":[{"coding":[{"system":"http://terminology.hl7.org/CodeSystem/observation-category","code":"laboratory","display":"laboratory"}]}],`+
		`"code":{"coding":[{"system":"%s","code":"%s"}],"text":"finding"},"subject":{"reference":"Patient/%s"},"encounter":{"reference":"Encounter/%s"},"effectiveDateTime":"%s","issued":"%s",`+
		`"valueQuantity":{"value":%s,"unit":"%s","system":"%s","code":"%s"}}`+"\n",
		r.id("o"), loinc, f.code, r.patient, r.encounter, r.time(), r.time(), value, f.unit, ucum, f.unit)
}

func (r *records) order() {
	r.line = fmt.Appendf(r.line[:0], `{"resourceType":"MedicationRequest","id":"%s","status":"active","intent":"order","medicationCodeableConcept":{"coding":[{"system":"%s","code":"%s"}],"text":"medicine"},`+
		`"subject":{"reference":"Patient/%s"},"encounter":{"reference":"Encounter/%s"},"authoredOn":"%s","requester":{"display":"A physician"},"dosageInstruction":[{"sequence":1,"text":"one a day"}],`+
		`"dispenseRequest":{"numberOfRepeatsAllowed":%d,"expectedSupplyDuration":{"value":30,"system":"%s","code":"d"}}}`+"\n",
		r.id("m"), rxnorm, medicines[r.random.IntN(len(medicines))], r.patient, r.encounter, r.time(), r.random.IntN(4), ucum)
}

func (r *records) id(kind string) string { return r.patient + "-" + kind + strconv.Itoa(r.number) }

func (r *records) time() string { return r.at.Format(time.RFC3339) }

func pick(random *rand.Rand, of ...string) string { return of[random.IntN(len(of))] }

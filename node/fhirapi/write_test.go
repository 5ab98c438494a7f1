package fhirapi_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/trialmesh/trialmesh/localstore/omop"
	"github.com/trialmesh/trialmesh/localstore/sqldb"
	"github.com/trialmesh/trialmesh/localstore/sqldb/sqltest"
	"github.com/trialmesh/trialmesh/node/ingest"
)

const (
	anna   = `{"resourceType":"Patient","id":"anna","identifier":[{"system":"urn:mrn","value":"4711"}],"name":[{"family":"Müller","given":["Anna Maria"]}],"gender":"female","birthDate":"1970-03-01"}`
	weight = `{"resourceType":"Observation","id":"w1","status":"final","code":{"coding":[{"system":"http://loinc.org","code":"29463-7"}]},"subject":{"reference":"Patient/anna"},"effectiveDateTime":"2024-05-01T10:00:00Z","valueQuantity":{"value":70.50,"unit":"kg","system":"http://unitsofmeasure.org","code":"kg"}}`
)

func TestVersions(t *testing.T) {
	t.Parallel()
	s := newSQLite(t)
	first := s.do("PUT", "/fhir/Patient/anna", anna)
	require.Equal(t, 201, first.status)
	require.Equal(t, "http://node.example:8080/fhir/Patient/anna/_history/1", first.header.Get("Location"))
	require.NotEmpty(t, first.header.Get("Trialmesh-Job"))
	s.pass(time.Hour)
	male := strings.Replace(anna, "female", "male", 1)

	refused(t, s.do("PUT", "/fhir/Patient/anna", male, "If-Match", `W/"2"`), 412, "conflict")
	refused(t, s.do("PUT", "/fhir/Patient/anna", male, "If-None-Match", `*`), 412, "conflict")
	refused(t, s.do("PUT", "/fhir/Patient/anna", male, "If-Match", `2`), 400, "value")
	second := s.do("PUT", "/fhir/Patient/anna", male, "If-Match", `W/"1"`)
	require.Equal(t, 200, second.status, second.body)
	require.Equal(t, `W/"2"`, second.header.Get("ETag"))
	require.Equal(t, "Sun, 22 Nov 2026 10:00:00 GMT", second.header.Get("Last-Modified"))

	require.Equal(t, value(t, anna), value(t, s.get("/fhir/Patient/anna/_history/1").body))
	require.Equal(t, value(t, male), value(t, s.get("/fhir/Patient/anna/_history/2").body))
	require.Contains(t, s.get("/fhir/Patient/anna").body, `"versionId":"2"`)
	refused(t, s.get("/fhir/Patient/anna/_history/3"), 404, "not-found")
	refused(t, s.get("/fhir/Patient/anna/_history/x"), 404, "not-found")
	unchanged := s.get("/fhir/Patient/anna", "If-None-Match", `W/"2"`)
	require.Equal(t, 304, unchanged.status)
	require.Empty(t, unchanged.body)
}

func TestDecimalsKeepTheirDigits(t *testing.T) {
	t.Parallel()
	s := newSQLite(t)
	s.put("/fhir/Observation/w1", weight)
	require.Contains(t, s.get("/fhir/Observation/w1").body, `"value":70.50`)
}

func TestCreate(t *testing.T) {
	t.Parallel()
	s := newSQLite(t)
	a := s.do("POST", "/fhir/Patient", anna)
	require.Equal(t, 201, a.status, a.body)
	var made struct{ ID string }
	require.NoError(t, json.Unmarshal([]byte(a.body), &made))
	require.Regexp(t, `^[0-9a-f-]{36}$`, made.ID, "an id in the body does not count")
	require.Equal(t, 200, s.get("/fhir/Patient/"+made.ID).status)

	t.Run("only if there is none", func(t *testing.T) {
		again := s.do("POST", "/fhir/Patient", anna, "If-None-Exist", "identifier=urn:mrn|4711")
		require.Equal(t, 200, again.status)
		require.Equal(t, a.header.Get("Location"), again.header.Get("Location"))
		require.Equal(t, value(t, a.body), value(t, again.body))
		require.Equal(t, 201, s.do("POST", "/fhir/Patient", anna, "If-None-Exist", "identifier=urn:mrn|4712").status)
		refused(t, s.do("POST", "/fhir/Patient", anna, "If-None-Exist", "identifier=urn:mrn|4711"), 412, "multiple-matches")
		refused(t, s.do("POST", "/fhir/Patient", anna, "If-None-Exist", "shoe-size=44"), 400, "not-supported")
	})
	t.Run("answers as is preferred", func(t *testing.T) {
		minimal := s.do("POST", "/fhir/Patient", anna, "Prefer", "return=minimal")
		require.Equal(t, 201, minimal.status)
		require.Empty(t, minimal.body)
		require.NotEmpty(t, minimal.header.Get("Location"))
		require.Contains(t, s.do("POST", "/fhir/Patient", anna, "Prefer", "return=OperationOutcome").body, `"OperationOutcome"`)
	})
}

func TestDelete(t *testing.T) {
	t.Parallel()
	s := newSQLite(t)
	s.run()
	s.put("/fhir/Patient/anna", anna)
	s.put("/fhir/Observation/w1", weight)
	s.loaded()
	n := s.rows()
	require.EqualValues(t, 1, n[omop.MeasurementTable]+n[omop.ObservationTable])
	invalid := func() (n int64) {
		require.NoError(t, s.db.Read(t.Context(), func(tx *sqldb.Tx) error {
			return tx.QueryRow(t.Context(), `SELECT count(*) FROM quality WHERE NOT is_valid`).Scan(&n)
		}))
		return n
	}
	require.Zero(t, invalid())

	refused(t, s.do("DELETE", "/fhir/Observation/w1", "", "If-Match", `W/"7"`), 412, "conflict")
	gone := s.do("DELETE", "/fhir/Observation/w1", "")
	require.Equal(t, 204, gone.status, gone.body)
	require.Empty(t, gone.body)
	refused(t, s.get("/fhir/Observation/w1"), 410, "deleted")
	refused(t, s.get("/fhir/Observation/w1/_history/2"), 410, "deleted")
	require.Equal(t, 200, s.get("/fhir/Observation/w1/_history/1").status)
	require.Empty(t, s.found("/fhir/Observation?patient=anna"))
	require.Equal(t, 204, s.do("DELETE", "/fhir/Observation/w1", "").status, "twice is once")
	refused(t, s.do("DELETE", "/fhir/Observation/other", ""), 404, "not-found")
	s.loaded()
	require.Equal(t, n, s.rows(), "the row is kept")
	require.EqualValues(t, 1, invalid(), "and counts no more")

	back := s.do("PUT", "/fhir/Observation/w1", weight)
	require.Equal(t, 201, back.status)
	require.Equal(t, `W/"3"`, back.header.Get("ETag"))
	s.loaded()
	require.Zero(t, invalid())

	refused(t, s.do("DELETE", "/fhir/Patient/anna", ""), 409, "business-rule")
}

// TestRowsDoNotDependOnTheOrderOfLoads pushes a patient, an encounter and a result one
// after the other, and has the last one loaded first.
func TestRowsDoNotDependOnTheOrderOfLoads(t *testing.T) {
	t.Parallel()
	s := newSQLite(t)
	s.put("/fhir/Patient/anna", anna)
	s.put("/fhir/Encounter/e1", `{"resourceType":"Encounter","id":"e1","status":"finished","class":{"code":"AMB"},"subject":{"reference":"Patient/anna"},"period":{"start":"2024-05-01","end":"2024-05-01"}}`)
	s.put("/fhir/Observation/w1", strings.Replace(weight, `"effective`, `"encounter":{"reference":"Encounter/e1"},"effective`, 1))
	list, err := s.loads.Jobs(t.Context(), 0, 10)
	require.NoError(t, err)
	require.Len(t, list, 3)
	for _, j := range list[1:] {
		require.NoError(t, s.loads.Cancel(t.Context(), j.ID))
	}
	s.run()
	last := s.loaded()[0]
	require.Equal(t, ingest.Completed, last.State)
	require.Equal(t, map[string]int64{"Patient": 1, "Encounter": 1, "Observation": 1, "Provenance": 1}, last.Counts.ByType)
	n := s.rows()
	require.EqualValues(t, 1, n[omop.PersonTable])
	require.EqualValues(t, 1, n[omop.VisitTable])
}

// TestAPatientWhoComesLast: rows of nobody are refused, and made when the patient comes.
func TestAPatientWhoComesLast(t *testing.T) {
	t.Parallel()
	s := newSQLite(t)
	s.run()
	s.put("/fhir/Observation/w1", weight)
	require.Equal(t, ingest.WithProblems, s.loaded()[0].State)
	s.put("/fhir/Patient/anna", anna)
	require.Equal(t, ingest.Completed, s.loaded()[0].State)
	n := s.rows()
	require.EqualValues(t, 1, n[omop.MeasurementTable]+n[omop.ObservationTable])
}

func TestConcurrentUpdatesLoseNothing(t *testing.T) {
	t.Parallel()
	sqltest.Each(t, func(t *testing.T, db *sqldb.DB) {
		const writers, rounds = 3, 3
		s := newSite(t, db)
		s.put("/fhir/Basic/counter", `{"resourceType":"Basic","id":"counter","extension":[{"url":"n","valueInteger":0}]}`)
		var group sync.WaitGroup
		for range writers {
			group.Go(func() {
				for done := 0; done < rounds; {
					a := s.get("/fhir/Basic/counter")
					var was struct{ Extension []struct{ ValueInteger int } }
					if json.Unmarshal([]byte(a.body), &was) != nil || len(was.Extension) != 1 {
						t.Errorf("read: %d", a.status)
						return
					}
					next := fmt.Sprintf(`{"resourceType":"Basic","id":"counter","extension":[{"url":"n","valueInteger":%d}]}`, was.Extension[0].ValueInteger+1)
					switch b := s.do("PUT", "/fhir/Basic/counter", next, "If-Match", a.header.Get("ETag")); b.status {
					case 200:
						done++
					case 412:
					default:
						t.Errorf("write: %d %s", b.status, b.body)
						return
					}
				}
			})
		}
		group.Wait()
		require.Contains(t, s.get("/fhir/Basic/counter").body, fmt.Sprintf(`"valueInteger":%d`, writers*rounds))
		require.Contains(t, s.get("/fhir/Basic/counter").body, fmt.Sprintf(`"versionId":"%d"`, writers*rounds+1))
	})
}

func TestProvenanceOfTheClient(t *testing.T) {
	t.Parallel()
	s := newSQLite(t)
	sent := `{"resourceType":"Provenance","recorded":"2026-11-22T08:59:00Z","agent":[{"who":{"reference":"Practitioner/7"}}]}`
	a := s.do("PUT", "/fhir/Patient/anna", anna, "X-Provenance", sent)
	require.Equal(t, 201, a.status, a.body)
	b := bundleOf(t, s.get("/fhir/Provenance?agent=Practitioner/7"))
	require.Len(t, b.Entry, 1)
	require.Equal(t, []any{map[string]any{"reference": "Patient/anna/_history/1"}}, b.Entry[0].Resource["target"])
	require.Len(t, s.found("/fhir/Provenance?target=Patient/anna&recorded=2026-11-22"), 2)
	require.Len(t, s.found("/fhir/Provenance?patient=anna"), 2)
	refused(t, s.do("PUT", "/fhir/Patient/anna", anna, "X-Provenance", `{"resourceType":"Basic"}`), 400, "invariant")
	refused(t, s.do("PUT", "/fhir/Patient/anna", anna, "X-Provenance", `{`), 400, "structure")
}

func TestReadsAreOnTheTrail(t *testing.T) {
	t.Parallel()
	s := newSQLite(t)
	s.put("/fhir/Patient/anna", anna)
	s.get("/fhir/Patient/anna")
	s.get("/fhir/Patient?name=m")
	s.get("/fhir/Patient?name=nobody")
	s.get("/fhir/Patient/anna/$everything")
	list, err := s.trail.Latest(t.Context(), 10)
	require.NoError(t, err)
	require.Len(t, list, 3, "who gets nothing has read nothing")
	require.Equal(t, "fhir Patient $everything, 1", list[0].Subject)
	require.Equal(t, "fhir Patient, 1", list[2].Subject)
}

// TestAnAttachmentFits stores a document of some pages as a scanner sends it, both by
// itself and in a transaction.
func TestAnAttachmentFits(t *testing.T) {
	t.Parallel()
	s := newSQLite(t)
	scan := `{"resourceType":"DocumentReference","id":"scan","status":"current","content":[{"attachment":{"contentType":"application/pdf","data":"` +
		strings.Repeat("JVBERi0x", 3<<20/8) + `"}}]}`
	s.put("/fhir/DocumentReference/scan", scan)
	require.Equal(t, value(t, scan), value(t, s.get("/fhir/DocumentReference/scan").body))
	b := bundleOf(t, s.do("POST", "/fhir", asked("transaction", post("", scan, ""))))
	require.Equal(t, "201 Created", b.Entry[0].Response.Status)
	bundleOf(t, s.do("POST", "/fhir/DocumentReference/_search", "_id=scan", "Content-Type", "application/x-www-form-urlencoded"))
	refused(t, s.do("POST", "/fhir/DocumentReference/_search", "_id="+strings.Repeat("a", 2<<20), "Content-Type", "application/x-www-form-urlencoded"), 413, "too-long")
}

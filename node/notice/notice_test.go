package notice_test

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/trialmesh/trialmesh/localstore/jobs"
	"github.com/trialmesh/trialmesh/localstore/sqldb"
	"github.com/trialmesh/trialmesh/localstore/sqldb/sqltest"
	"github.com/trialmesh/trialmesh/node/notice"
	"github.com/trialmesh/trialmesh/node/outbox"
)

// published returns an example of the specification, without what this package does not write.
func published(t *testing.T, resourceType, id string, without ...string) map[string]any {
	t.Helper()
	f, err := os.Open("../outbox/testdata/examples.ndjson.gz")
	require.NoError(t, err)
	defer f.Close()
	plain, err := gzip.NewReader(f)
	require.NoError(t, err)
	lines := bufio.NewScanner(plain)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var r map[string]any
		require.NoError(t, json.Unmarshal(lines.Bytes(), &r))
		if r["resourceType"] != resourceType || r["id"] != id {
			continue
		}
		for _, name := range append(without, "id", "text") {
			delete(r, name)
		}
		return r
	}
	require.Fail(t, "no such example", id)
	return nil
}

func written(t *testing.T, r notice.Resource) map[string]any {
	t.Helper()
	text, err := notice.JSON(r)
	require.NoError(t, err)
	var v map[string]any
	require.NoError(t, json.Unmarshal(text, &v))
	return v
}

func at(t *testing.T, text string) time.Time {
	t.Helper()
	v, err := time.Parse(time.RFC3339, text)
	require.NoError(t, err)
	return v
}

// TestResourcesAreThoseOfTheSpecification: its examples, written by this package.
func TestResourcesAreThoseOfTheSpecification(t *testing.T) {
	t.Parallel()
	patient := notice.Reference{Reference: "Patient/example"}
	want := published(t, "Communication", "example", "identifier", "instantiatesUri", "partOf", "medium", "encounter", "received", "payload")
	require.Equal(t, want, written(t, notice.Communication{
		Status:    "completed",
		Category:  []notice.Concept{{Coding: []notice.Coding{{System: "http://acme.org/messagetypes", Code: "Alert"}}, Text: "Alert"}},
		Subject:   patient,
		Sent:      at(t, "2014-12-12T18:01:10-08:00"),
		Recipient: []notice.Reference{{Reference: "Practitioner/example"}},
		Sender:    notice.Reference{Reference: "Device/f001"},
	}))
	want = published(t, "Task", "example1", "contained", "identifier", "basedOn", "groupIdentifier", "businessStatus", "encounter", "executionPeriod", "lastModified", "performerType", "reasonCode", "note", "relevantHistory")
	delete(want["restriction"].(map[string]any), "repetitions")
	require.Equal(t, want, written(t, notice.Task{
		Status: "in-progress", Intent: "order", Priority: "routine", Code: notice.Concept{Text: "Lipid Panel"},
		Description: "Create order for getting specimen, Set up inhouse testing,  generate order for any sendouts and submit with specimen",
		Focus:       notice.Reference{Reference: "ServiceRequest/lipid", Display: "Lipid Panel Request"},
		For:         notice.Reference{Reference: "Patient/example", Display: "Peter James Chalmers"},
		Authored:    at(t, "2016-10-31T08:25:05+10:00"),
		Requester:   notice.Reference{Reference: "Practitioner/example", Display: "Dr Adam Careful"},
		Owner:       notice.Reference{Reference: "Organization/1832473e-2fe0-452d-abe9-3cdb9879522f", Display: "Clinical Laboratory @ Acme Hospital"},
		Restriction: notice.Restriction{Period: notice.Period{End: at(t, "2016-11-02T09:45:05+10:00")}},
	}))
	require.Equal(t, published(t, "ServiceRequest", "example"), written(t, notice.ServiceRequest{
		Status: "completed", Intent: "order", Subject: patient,
		Category: []notice.Concept{{Coding: []notice.Coding{{System: "http://snomed.info/sct", Code: "103693007", Display: "Diagnostic procedure (procedure)"}}, Text: "Diagnostics Procedure"}},
		Code:     notice.Concept{Coding: []notice.Coding{{System: "http://snomed.info/sct", Code: "303653007", Display: "Computed tomography of head"}}},
	}))
	require.Equal(t, published(t, "ResearchStudy", "example"), written(t, notice.ResearchStudy{Status: "completed"}))
	want = published(t, "ResearchSubject", "example")
	delete(want["identifier"].([]any)[0].(map[string]any), "type")
	require.Equal(t, want, written(t, notice.ResearchSubject{
		Identifier: []notice.Identifier{{System: "http://example.org/studysubjectids", Value: "123"}}, Status: "candidate",
		Study: notice.Reference{Reference: "ResearchStudy/example"}, Individual: patient,
	}))
}

// TestNoticesAreTaken by the outbox, and once for a patient and a trial.
func TestNoticesAreTaken(t *testing.T) {
	t.Parallel()
	db, dir := sqltest.SQLite(t), t.TempDir()
	require.NoError(t, jobs.Migrate(t.Context(), db))
	require.NoError(t, os.WriteFile(dir+"/ehr.yaml", []byte("url: https://ehr.example"), 0o600))
	queue, err := jobs.New(jobs.Config{DB: db})
	require.NoError(t, err)
	box, err := outbox.Open(t.Context(), outbox.Config{
		DB: db, Jobs: queue, Dir: dir, System: "did:key:z6MkTest", Secret: bytes.Repeat([]byte{9}, 32),
		Known: func(_ context.Context, _ *sqldb.Tx, patient string) (bool, error) { return patient == "p1", nil },
	})
	require.NoError(t, err)
	trial := notice.Trial{Identifier: notice.Identifier{System: "https://clinicaltrials.gov", Value: "NCT00000001"}, Title: "Heart"}
	told := notice.Eligibility{Trial: trial, Patient: "p1", Text: "May be eligible", At: at(t, "2026-11-22T08:00:00Z"), From: notice.Reference{Display: "North"}}
	enrolled := notice.Enrollment{Trial: trial, Patient: "p1", Status: "on-study", From: at(t, "2026-11-22T08:00:00Z"), Number: notice.Identifier{Value: "7"}, Arm: "A"}
	add := func(list []outbox.Draft, err error) (types []string) {
		t.Helper()
		require.NoError(t, err)
		require.NoError(t, db.Write(t.Context(), func(tx *sqldb.Tx) error {
			for _, d := range list {
				m, err := box.Add(t.Context(), tx, "ehr", d)
				if err != nil {
					return err
				}
				types = append(types, m.Type)
			}
			return nil
		}))
		return types
	}
	require.Equal(t, []string{"Communication", "Task"}, add(told.Drafts()))
	require.Equal(t, []string{"ResearchSubject"}, add(enrolled.Drafts()))
	told.Text, told.At, told.To = "Still eligible", at(t, "2026-12-22T08:00:00Z"), notice.Reference{Reference: "Practitioner/1"}
	add(told.Drafts())
	sent, err := box.Messages(t.Context(), 0, 10, "")
	require.NoError(t, err)
	require.Len(t, sent, 3, "what was told is not told again")

	list, err := told.Drafts()
	require.NoError(t, err)
	require.JSONEq(t, `{"resourceType":"Task","status":"requested","intent":"proposal","description":"Still eligible",
"focus":{"type":"ResearchStudy","identifier":{"system":"https://clinicaltrials.gov","value":"NCT00000001"},"display":"Heart"},
"for":{"reference":"Patient/p1"},"authoredOn":"2026-12-22T08:00:00Z","requester":{"display":"North"},"owner":{"reference":"Practitioner/1"}}`, string(list[1].Resource))
	trial.Study = "ResearchStudy/3"
	enrolled.Trial = trial
	list, err = enrolled.Drafts()
	require.NoError(t, err)
	require.Contains(t, string(list[0].Resource), `"study":{"reference":"ResearchStudy/3","display":"Heart"}`)
}

func TestNoticesStayPrivate(t *testing.T) {
	t.Parallel()
	for _, v := range []any{
		notice.Communication{},
		notice.Task{Description: "Erika"},
		notice.ServiceRequest{},
		notice.ResearchStudy{},
		notice.ResearchSubject{},
		notice.Eligibility{Patient: "Erika"},
		notice.Enrollment{Patient: "Erika"},
	} {
		require.Equal(t, "notice:redacted", fmt.Sprintf("%+v", v))
		_, err := json.Marshal(v)
		require.Error(t, err)
	}
}

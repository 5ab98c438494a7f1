package cdshooks_test

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/trialmesh/trialmesh/localstore/sqldb"
	"github.com/trialmesh/trialmesh/localstore/sqldb/sqltest"
	"github.com/trialmesh/trialmesh/localstore/vocab"
	"github.com/trialmesh/trialmesh/node/cdshooks"
	"github.com/trialmesh/trialmesh/node/consent"
	"github.com/trialmesh/trialmesh/node/screen"
	"github.com/trialmesh/trialmesh/protocol/problem"
)

// noPatients knows nobody, or fails.
type noPatients struct{ err error }

func (p noPatients) Screen(context.Context, screen.Case, time.Time) ([]screen.Match, error) {
	return nil, p.err
}

func noCodes(context.Context, string, string) ([]vocab.Concept, error) { return nil, nil }

func TestACard(t *testing.T) {
	t.Parallel()
	s := newClinic(t)
	cards := s.cards(s.do("POST", viewPath, view(nil, nil)))
	require.Len(t, cards, 1)
	c := cards[0]
	require.Equal(t, "May be eligible: Glucose in *early* diabetes", c.Summary)
	require.Equal(t, "info", c.Indicator)
	require.Equal(t, "North Hospital", c.Source.Label)
	require.Equal(t, `**Glucose in \*early\* diabetes** (glucose-1)

Met, by what the site has on record:

- Type 2 diabetes

Exclusions that are not on record:

- Asthma

Cannot be told here, please check:

- Metformin \<any\>: the site has no record of that kind

No consent to this trial is on record: the patient is to be asked.

Contact: Trial office
`, c.Detail)
	require.Len(t, c.Links, 1)
	require.Equal(t, "https://trials.example/glucose-1", c.Links[0].URL)
	require.NotEqual(t, c.UUID, s.cards(s.do("POST", viewPath, view(nil, nil)))[0].UUID)

	s.words["glucose-1"] = consent.Granted
	require.Contains(t, s.cards(s.do("POST", viewPath, view(nil, nil)))[0].Detail, "The patient's consent to this trial is on record.")
	s.words["glucose-1"] = consent.Refused
	require.Empty(t, s.cards(s.do("POST", viewPath, view(nil, nil))))
	s.quiet()
}

func TestALongTitleIsCut(t *testing.T) {
	t.Parallel()
	s := newClinic(t)
	r, err := s.rules.One(t.Context(), "glucose-1")
	require.NoError(t, err)
	r.Title = strings.Repeat("ü", 150)
	require.NoError(t, s.rules.Add(t.Context(), r, s.now))
	c := s.cards(s.do("POST", viewPath, view(nil, nil)))[0]
	require.Len(t, []rune(c.Summary), 139)
	require.True(t, strings.HasSuffix(c.Summary, "ü…"))
}

func TestWhoHasNoCard(t *testing.T) {
	t.Parallel()
	s := newClinic(t)
	for name, body := range map[string]string{
		"a patient who is not known":         view(object{"patientId": "nobody"}, nil),
		"a patient whose demographics come":  view(object{"patientId": "nobody"}, object{"prefetch": object{"patient": object{"resourceType": "Patient", "id": "nobody", "gender": "male", "birthDate": "1925-12-23"}}}),
		"a patient who looks at their own":   view(object{"userId": "Patient/" + patient}, nil),
		"a relative":                         view(object{"userId": "RelatedPerson/1"}, nil),
		"another patient under the same id":  view(nil, object{"prefetch": object{"patient": object{"resourceType": "Patient", "id": patient, "gender": "female", "birthDate": "1925-12-23"}}}),
		"another birth date under their id":  view(nil, object{"prefetch": object{"patient": object{"resourceType": "Patient", "id": patient, "birthDate": "1925-12-24"}}}),
		"another birth year, less precisely": view(nil, object{"prefetch": object{"patient": object{"resourceType": "Patient", "id": patient, "birthDate": "1926"}}}),
	} {
		require.Empty(t, s.cards(s.do("POST", viewPath, body)), name)
	}
	s.quiet("nobody")
}

// TestPrefetch lists what an EHR may send of the patient.
func TestPrefetch(t *testing.T) {
	t.Parallel()
	s := newClinic(t)
	whole := object{"resourceType": "Patient", "id": patient, "gender": "male", "birthDate": "1925-12-23", "name": []object{{"family": "Mustermann"}}}
	for name, c := range map[string]struct {
		prefetch   any
		plain, too int // status, and that of an EHR that has to send the patient
	}{
		"absent":               {nil, 200, 412},
		"empty":                {object{}, 200, 412},
		"null":                 {object{"patient": nil}, 200, 412},
		"of other keys":        {object{"user": "123"}, 200, 412},
		"the patient":          {object{"patient": whole}, 200, 200},
		"of an unknown gender": {object{"patient": object{"resourceType": "Patient", "id": patient, "gender": "robot", "birthDate": "long ago"}}, 200, 200},
		"without an id":        {object{"patient": object{"resourceType": "Patient", "gender": "male"}}, 200, 412},
		"an error":             {object{"patient": object{"resourceType": "OperationOutcome", "issue": []object{{"severity": "error", "code": "forbidden"}}}}, 200, 412},
		"another patient":      {object{"patient": object{"resourceType": "Patient", "id": "other", "gender": "male"}}, 400, 400},
		"a text":               {object{"patient": "Patient/1"}, 400, 400},
		"a wrong type":         {object{"patient": object{"resourceType": "Patient", "id": 7}}, 400, 400},
	} {
		more := object{}
		if c.prefetch != nil {
			more["prefetch"] = c.prefetch
		}
		for i, want := range []int{c.plain, c.too} {
			s.register(cdshooks.Client{Issuer: issuer, Keys: theEHR().public(t), RequirePatient: i == 1})
			a := s.do("POST", viewPath, view(nil, more))
			require.Equal(t, want, a.status, "%s: %s", name, a.body)
			if want == 200 {
				require.Len(t, s.cards(a), 1, name)
			} else {
				s.refused(a, want, "prefetch.patient")
			}
		}
	}
	s.quiet("Mustermann")
}

func TestHostileBodies(t *testing.T) {
	t.Parallel()
	s := newClinic(t)
	orders := func(entries ...object) object {
		list := make([]object, len(entries))
		for i, e := range entries {
			list[i] = object{"resource": e}
		}
		return object{"hook": "order-select", "hookInstance": "d1577c69-dfbe-44ad-ba6d-3e05e953b2ea", "context": object{
			"userId": "Practitioner/1", "patientId": patient, "selections": []string{"ServiceRequest/1"}, "draftOrders": object{"resourceType": "Bundle", "entry": list},
		}}
	}
	in := func(o object, change object) string {
		for name, v := range change {
			o["context"].(object)[name] = v
		}
		return encode(o)
	}
	codings := make([]object, 501)
	for name, c := range map[string]struct {
		path, body string
		status     int
		says       string
	}{
		"nothing":                     {viewPath, " ", 400, "right form"},
		"no JSON":                     {viewPath, "<xml/>", 400, "right form"},
		"a list":                      {viewPath, "[]", 400, "right form"},
		"null":                        {viewPath, "null", 400, "hook"},
		"two values":                  {viewPath, view(nil, nil) + "{}", 400, "right form"},
		"one name twice":              {viewPath, strings.Replace(view(nil, nil), `"hook":`, `"hook":"order-sign","hook":`, 1), 400, "right form"},
		"a name in two cases":         {viewPath, strings.Replace(view(nil, nil), `"hook":`, `"Hook":"patient-view","hook":`, 1), 400, "right form"},
		"deep":                        {viewPath, view(nil, object{"extension": "DEEP"}), 400, "right form"},
		"bad UTF-8":                   {viewPath, view(nil, object{"extension": "\xff"}) + "\xff", 400, "right form"},
		"another hook":                {viewPath, view(nil, object{"hook": "order-select"}), 400, "hook is not"},
		"an unknown hook":             {viewPath, view(nil, object{"hook": "patient-erase"}), 400, "hook is not"},
		"no hookInstance":             {viewPath, view(nil, object{"hookInstance": nil}), 400, "hookInstance"},
		"a hookInstance of words":     {viewPath, view(nil, object{"hookInstance": "d1577c69"}), 400, "hookInstance"},
		"a hookInstance and more":     {viewPath, view(nil, object{"hookInstance": "d1577c69-dfbe-44ad-ba6d-3e05e953b2ea'; DROP TABLE person"}), 400, "hookInstance"},
		"no context":                  {viewPath, view(nil, object{"context": nil}), 400, "context"},
		"a context of words":          {viewPath, view(nil, object{"context": "x"}), 400, "context"},
		"no user":                     {viewPath, view(object{"userId": nil}, nil), 400, "context.userId"},
		"a user of another type":      {viewPath, view(object{"userId": "Device/1"}, nil), 400, "context.userId"},
		"no patient":                  {viewPath, view(object{"patientId": nil}, nil), 400, "context.patientId"},
		"a patient of a path":         {viewPath, view(object{"patientId": "person/17"}, nil), 400, "context.patientId"},
		"a patient of many":           {viewPath, view(object{"patientId": strings.Repeat("1", 65)}, nil), 400, "context.patientId"},
		"a patient as a number":       {viewPath, view(object{"patientId": 1288992}, nil), 400, "context"},
		"an encounter of a path":      {viewPath, view(object{"encounterId": "../1"}, nil), 400, "context.encounterId"},
		"prefetch of words":           {viewPath, view(nil, object{"prefetch": "all"}), 400, "right form"},
		"no selections":               {selectPath, in(orders(), object{"selections": nil}), 400, "context.selections"},
		"no drafts":                   {selectPath, in(orders(), object{"draftOrders": nil}), 400, "context.draftOrders"},
		"drafts that are no bundle":   {selectPath, in(orders(), object{"draftOrders": object{"resourceType": "Patient"}}), 400, "context.draftOrders"},
		"many drafts":                 {selectPath, encode(orders(make([]object, 201)...)), 400, "too many entries"},
		"many codings":                {selectPath, encode(orders(object{"code": object{"coding": codings}})), 400, "too many codings"},
		"a draft of the wrong form":   {selectPath, encode(orders(object{"subject": 7})), 400, "context.draftOrders"},
		"the order of another":        {selectPath, encode(orders(object{"subject": object{"reference": "Patient/other"}, "code": object{"coding": []object{{"code": "seen"}}}})), 200, ""},
		"a code of no form":           {selectPath, encode(orders(object{"code": "seen"})), 200, ""},
		"a server that is not there":  {viewPath, view(nil, object{"fhirServer": "http://169.254.169.254/latest", "fhirAuthorization": object{"access_token": "x", "token_type": "Bearer"}}), 200, ""},
		"extensions":                  {viewPath, view(nil, object{"extension": object{"com.example": []any{1, nil, "x"}}}), 200, ""},
		"feedback: nothing":           {viewPath + "/feedback", `{}`, 400, "want 1 to 500"},
		"feedback: many":              {viewPath + "/feedback", encode(object{"feedback": make([]object, 501)}), 400, "want 1 to 500"},
		"feedback: no card":           {viewPath + "/feedback", `{"feedback":[{"card":"x","outcome":"accepted","outcomeTimestamp":"2026-03-01T08:00:00Z"}]}`, 400, "card is no UUID"},
		"feedback: another outcome":   {viewPath + "/feedback", `{"feedback":[{"card":"4e0a3a1e-3283-4575-ab82-028d55fe2719","outcome":"ignored","outcomeTimestamp":"2026-03-01T08:00:00Z"}]}`, 400, "neither accepted"},
		"feedback: accepted what":     {viewPath + "/feedback", `{"feedback":[{"card":"4e0a3a1e-3283-4575-ab82-028d55fe2719","outcome":"accepted","outcomeTimestamp":"2026-03-01T08:00:00Z"}]}`, 400, "without acceptedSuggestions"},
		"feedback: no time":           {viewPath + "/feedback", `{"feedback":[{"card":"4e0a3a1e-3283-4575-ab82-028d55fe2719","outcome":"overridden"}]}`, 400, "outcomeTimestamp"},
		"feedback: of tomorrow":       {viewPath + "/feedback", `{"feedback":[{"card":"4e0a3a1e-3283-4575-ab82-028d55fe2719","outcome":"overridden","outcomeTimestamp":"2026-03-02T08:00:00Z"}]}`, 400, "outcomeTimestamp"},
		"feedback: a time of words":   {viewPath + "/feedback", `{"feedback":[{"card":"4e0a3a1e-3283-4575-ab82-028d55fe2719","outcome":"overridden","outcomeTimestamp":"soon"}]}`, 400, "right form"},
		"feedback: of another's card": {viewPath + "/feedback", `{"feedback":[{"card":"4e0a3a1e-3283-4575-ab82-028d55fe2719","outcome":"overridden","outcomeTimestamp":"2026-03-01T08:00:00Z"}]}`, 400, "none that this service showed"},
		"larger than is read":         {viewPath, view(nil, object{"extension": strings.Repeat("x", 1<<20)}), 413, "larger"},
	} {
		body := strings.Replace(c.body, `"DEEP"`, strings.Repeat("[", 70)+strings.Repeat("]", 70), 1)
		a := s.do("POST", c.path, body)
		require.Equal(t, c.status, a.status, "%s: %s", name, a.body)
		if c.status != 200 {
			s.refused(a, c.status, c.says)
		}
	}
	require.NotContains(t, s.asked, "|seen", "another patient's order is not looked at")
	s.refused(s.send("POST", viewPath, view(nil, nil), theEHR().token(t, s.now, nil, object{"aud": base + viewPath}), "Content-Type", "text/plain"), 415, "application/json")
	s.quiet("person/17")
}

// TestOurFaultsNameNobody: what fails below says nothing to the EHR, and uses no token up.
func TestOurFaultsNameNobody(t *testing.T) {
	t.Parallel()
	failing := noPatients{errors.New("disk is full")}
	s := newClinic(t, func(c *cdshooks.Config) { c.Patients = &failing })
	token := theEHR().token(t, s.now, nil, object{"aud": base + viewPath})
	a := s.send("POST", viewPath, view(nil, nil), token)
	s.refused(a, 500, "internal error")
	require.NotContains(t, a.body, "disk")
	require.Contains(t, s.log.String(), "disk is full")
	failing.err = problem.New(problem.Unavailable, "the node was restored from a backup")
	s.refused(s.send("POST", viewPath, view(nil, nil), token), 503, "restored")
	failing.err = nil
	require.Empty(t, s.cards(s.send("POST", viewPath, view(nil, nil), token)))
	s.quiet()
}

// TestNoCardIsShownThatIsNotOnRecord breaks each part of the record in turn.
func TestNoCardIsShownThatIsNotOnRecord(t *testing.T) {
	t.Parallel()
	sqltest.Each(t, func(t *testing.T, db *sqldb.DB) {
		s := newSite(t, db)
		s.fill()
		for _, table := range []string{"audit", "cds_card", "cds_token"} {
			token := theEHR().token(t, s.now, nil, object{"aud": base + viewPath})
			rename := func(from, to string) {
				require.NoError(t, db.Write(t.Context(), func(tx *sqldb.Tx) error {
					_, err := tx.Exec(t.Context(), "ALTER TABLE "+from+" RENAME TO "+to)
					return err
				}))
			}
			counts, err := s.clients.CountFeedback(t.Context())
			require.NoError(t, err)
			rename(table, "lost")
			s.refused(s.send("POST", viewPath, view(nil, nil), token), 500, "internal error")
			rename("lost", table)
			after, err := s.clients.CountFeedback(t.Context())
			require.NoError(t, err)
			require.Equal(t, counts, after, "%s: nothing of it remains", table)
			require.Len(t, s.cards(s.send("POST", viewPath, view(nil, nil), token)), 1, "%s: the token can be used again", table)
		}
		s.quiet()
	})
}

func TestCORS(t *testing.T) {
	t.Parallel()
	ask := []string{"Origin", origin, "Access-Control-Request-Method", "POST", "Access-Control-Request-Headers", "authorization,content-type"}
	off := newClinic(t)
	a := off.send("OPTIONS", viewPath, "", "", ask...)
	require.Equal(t, 405, a.status, "off unless it is asked for")
	require.Empty(t, a.header.Get("Access-Control-Allow-Origin"))

	s := newClinic(t, func(c *cdshooks.Config) { c.Origins = []string{origin} })
	a = s.send("OPTIONS", viewPath, "", "", ask...)
	require.Equal(t, 204, a.status)
	require.Equal(t, origin, a.header.Get("Access-Control-Allow-Origin"))
	require.Equal(t, "GET, POST", a.header.Get("Access-Control-Allow-Methods"))
	require.Equal(t, "Authorization, Content-Type", a.header.Get("Access-Control-Allow-Headers"))
	require.Empty(t, a.header.Get("Access-Control-Allow-Credentials"))
	require.Equal(t, "Origin", a.header.Get("Vary"))

	token := theEHR().token(t, s.now, nil, object{"aud": base + viewPath})
	a = s.send("POST", viewPath, view(nil, nil), token, "Origin", origin)
	require.Len(t, s.cards(a), 1)
	require.Equal(t, origin, a.header.Get("Access-Control-Allow-Origin"))

	ask[1] = "https://evil.example"
	for _, a := range []answer{s.send("OPTIONS", viewPath, "", "", ask...), s.send("POST", viewPath, "{}", "", "Origin", ask[1])} {
		require.Empty(t, a.header.Get("Access-Control-Allow-Origin"))
		require.Empty(t, a.header.Get("Access-Control-Allow-Methods"))
	}
	require.Equal(t, http.StatusMethodNotAllowed, s.send("OPTIONS", viewPath, "", "").status, "no preflight")
}

func TestFeedbackIsKept(t *testing.T) {
	t.Parallel()
	sqltest.Each(t, func(t *testing.T, db *sqldb.DB) {
		s := newSite(t, db)
		s.fill()
		s.rule("glucose-2", diabetes)
		var shown []string
		for range 3 {
			for _, c := range s.cards(s.do("POST", viewPath, view(nil, nil))) {
				shown = append(shown, c.UUID) // glucose-1, glucose-2, and so on
			}
		}
		require.Len(t, shown, 6)
		say := func(path string, entries ...object) answer {
			for _, e := range entries {
				if e["outcomeTimestamp"] == nil {
					e["outcomeTimestamp"] = s.now.Format(time.RFC3339)
				}
			}
			return s.do("POST", path, encode(object{"feedback": entries}))
		}
		reason := func(system, code string) object {
			return object{"reason": object{"system": system, "code": code, "display": "x"}, "userComment": "Mr Mustermann does not want to"}
		}
		const own = "urn:trialmesh:cds-hooks:override-reason"
		accepted := object{"card": shown[0], "outcome": "accepted", "acceptedSuggestions": []object{{"id": shown[0]}}}
		require.Equal(t, 200, say(viewPath+"/feedback", accepted,
			object{"card": strings.ToUpper(shown[2]), "outcome": "overridden", "overrideReason": reason(own, "declined")},
			object{"card": shown[1], "outcome": "overridden", "overrideReason": reason("urn:ehr", "declined")},
			object{"card": shown[3], "outcome": "overridden"},
			object{"card": shown[3], "outcome": "overridden", "overrideReason": object{"userComment": "Mustermann"}},
		).status)
		want := []cdshooks.Feedback{
			{Service: cdshooks.PatientView, Trial: "glucose-1", Shown: 3, Accepted: 1, Overridden: 1, Reasons: map[string]int64{"declined": 1}},
			{Service: cdshooks.PatientView, Trial: "glucose-2", Shown: 3, Overridden: 2, Reasons: map[string]int64{"other": 1}},
		}
		counts := func() []cdshooks.Feedback {
			list, err := s.clients.CountFeedback(t.Context())
			require.NoError(t, err)
			return list
		}
		require.Equal(t, want, counts())

		require.Equal(t, 200, say(viewPath+"/feedback", accepted).status)
		require.Equal(t, want, counts(), "the same again changes nothing")
		s.refused(say(viewPath+"/feedback", object{"card": shown[4], "outcome": "overridden"}, object{"card": "4e0a3a1e-3283-4575-ab82-028d55fe2719", "outcome": "overridden"}), 400, "none that this service")
		s.refused(say(selectPath+"/feedback", object{"card": shown[4], "outcome": "overridden"}), 400, "none that this service")
		require.Equal(t, want, counts(), "all of a request or nothing")
		require.Equal(t, 200, say(viewPath+"/feedback", object{"card": shown[0], "outcome": "overridden", "outcomeTimestamp": "2026-02-01T00:00:00Z"}).status)
		require.Equal(t, want, counts(), "what was said earlier and comes later")
		s.now = s.now.Add(time.Minute)
		require.Equal(t, 200, say(viewPath+"/feedback", object{"card": shown[0], "outcome": "overridden", "overrideReason": reason(own, "not-now")}).status)
		want[0].Accepted, want[0].Overridden, want[0].Reasons["not-now"] = 0, 2, 1
		require.Equal(t, want, counts(), "the last word counts")
		s.quiet("Mustermann")

		stranger := newEHR()
		s.register(cdshooks.Client{Issuer: "https://other.example/", Keys: stranger.public(t)})
		body := encode(object{"feedback": []object{{"card": shown[4], "outcome": "overridden", "outcomeTimestamp": s.now.Format(time.RFC3339)}}})
		s.refused(s.send("POST", viewPath+"/feedback", body, stranger.token(t, s.now, nil, object{"iss": "https://other.example/", "aud": base + viewPath + "/feedback"})), 400, "none that this service")
	})
}

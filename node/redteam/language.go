package redteam

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"time"

	"github.com/trialmesh/trialmesh/protocol/identity"
	"github.com/trialmesh/trialmesh/protocol/message"
	"github.com/trialmesh/trialmesh/protocol/query"
)

// These attacks fail because there are no words for them. Each is signed as a
// researcher would sign it and opened as a node opens it.

func ownVectors(_ context.Context, t *target) (Finding, error) {
	return t.unsayable("nothing: a question holds no vectors",
		`{"kind":"covariance","variable":{"concept":3004249,"unit":"mm[Hg]","take":"last","low":50,"high":250},"vectors":[[1,0,1]]}`,
		`{"kind":"moments","variable":{"concept":3004249,"unit":"mm[Hg]","take":"last","low":50,"high":250,"vector":[1,0,1]}}`)
}

func unknownWords(_ context.Context, t *target) (Finding, error) {
	return t.unsayable("nothing", `{"kind":"count","by":["person"]}`, `{"kind":"sum"}`, `{"kind":"count","where":"id=1"}`)
}

// unsayable finds that none of the analyses can be asked for.
func (t *target) unsayable(learned string, analyses ...string) (f Finding, err error) {
	key, err := identity.Generate(rand.Reader)
	if err != nil {
		return f, err
	}
	for _, analysis := range analyses {
		e, err := message.Seal(key, query.KindRequest, request("red team", analysis, 201826), t.now, time.Hour, rand.Reader)
		if err != nil {
			return f, err
		}
		r, err := message.Open[query.Request](e, query.KindRequest, t.now)
		if err == nil {
			err = r.Validate()
		}
		if err == nil {
			return Finding{Outcome: Succeeded, Learned: "an answer to " + analysis}, nil
		}
		if f, err = refusal(err, learned); err != nil {
			return f, err
		}
		if f.Rule == "" {
			f.Rule = "query.invalid" // as a node names what does not validate
		}
	}
	return f, nil
}

// request is a question in the wire's words, about a cohort of some concepts.
func request(purpose, analysis string, concepts ...int64) json.RawMessage {
	items := ""
	for i, concept := range concepts {
		if i > 0 {
			items += ","
		}
		items += fmt.Sprintf(`{"concept":{"CONCEPT_ID":%d}}`, concept)
	}
	return json.RawMessage(fmt.Sprintf(`{"trial":"red-team","purpose":%q,"cohort":{"ConceptSets":[{"id":0,"name":"c","expression":{"items":[%s]}}],
		"PrimaryCriteria":{"CriteriaList":[{"ConditionOccurrence":{"CodesetId":0}}],"ObservationWindow":{"PriorDays":0,"PostDays":0},
		"PrimaryCriteriaLimit":{"Type":"First"}}},"analysis":%s}`, purpose, items, analysis))
}

// questionOf returns by what a node knows a count of a cohort again.
func questionOf(purpose string, concepts ...int64) (string, error) {
	var r query.Request
	if err := json.Unmarshal(request(purpose, `{"kind":"count"}`, concepts...), &r); err != nil {
		return "", err
	}
	same, err := r.Question()
	return same.String(), err
}

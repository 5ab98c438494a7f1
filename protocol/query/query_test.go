package query_test

import (
	"encoding/binary"
	"encoding/json"
	"math"
	"strings"
	"testing"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/crypto"
	"github.com/stretchr/testify/require"

	"github.com/trialmesh/trialmesh/protocol/consent"
	"github.com/trialmesh/trialmesh/protocol/identity"
	"github.com/trialmesh/trialmesh/protocol/query"
)

func cohort(criteria string) json.RawMessage {
	return json.RawMessage(`{"PrimaryCriteria":{"CriteriaList":[` + criteria + `],"ObservationWindow":{"PriorDays":0,"PostDays":0}}}`)
}

func request() query.Request {
	return query.Request{Trial: "glucose-1", Cohort: cohort(`{"ConditionOccurrence":{}}`), Purpose: "safety", Analysis: query.Analysis{Kind: query.Count}}
}

func variable() *query.Variable {
	return &query.Variable{Concept: 3004249, Unit: "mm[Hg]", Take: query.TakeLast, Low: 50, High: 250}
}

func TestScopes(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		change func(*query.Request)
		want   []consent.Scope
	}{
		"a count":         {func(*query.Request) {}, []consent.Scope{consent.Conditions, consent.Statistics}},
		"by sex":          {func(r *query.Request) { r.Analysis.By = []query.Stratifier{query.BySex} }, []consent.Scope{consent.Demographics, consent.Conditions, consent.Statistics}},
		"a measured mean": {func(r *query.Request) { r.Analysis.Variable = variable() }, []consent.Scope{consent.Conditions, consent.Measurements, consent.Statistics}},
		"all domains": {func(r *query.Request) {
			r.Cohort = cohort(`{"DrugExposure":{}},{"ProcedureOccurrence":{}},{"Measurement":{}},{"Observation":{}},{"VisitOccurrence":{}}`)
		}, []consent.Scope{consent.Medications, consent.Measurements, consent.Procedures, consent.Visits, consent.Observations, consent.Statistics}},
	} {
		r := request()
		c.change(&r)
		got, err := r.Scopes()
		require.NoError(t, err)
		require.Equal(t, c.want, got.Scopes(), name)
	}
	_, err := query.Request{Cohort: json.RawMessage(`{`)}.Scopes()
	require.Error(t, err)
}

func TestValidate(t *testing.T) {
	t.Parallel()
	moments := func(change func(*query.Variable)) func(*query.Request) {
		return func(r *query.Request) {
			r.Analysis.Kind, r.Analysis.Variable = query.Moments, variable()
			change(r.Analysis.Variable)
		}
	}
	require.NoError(t, request().Validate())
	good := request()
	moments(func(*query.Variable) {})(&good)
	require.NoError(t, good.Validate())
	for name, c := range map[string]struct {
		change func(*query.Request)
		want   string
	}{
		"no purpose":           {func(r *query.Request) { r.Purpose = "" }, "purpose"},
		"long purpose":         {func(r *query.Request) { r.Purpose = strings.Repeat("x", query.MaxPurpose+1) }, "purpose"},
		"no cohort":            {func(r *query.Request) { r.Cohort = nil }, "cohort"},
		"no analysis":          {func(r *query.Request) { r.Analysis.Kind = "" }, "analysis.kind"},
		"an analysis of code":  {func(r *query.Request) { r.Analysis.Kind = "python" }, "analysis.kind"},
		"unknown stratifier":   {func(r *query.Request) { r.Analysis.By = []query.Stratifier{"person_id"} }, "analysis.by[0]"},
		"a stratifier twice":   {func(r *query.Request) { r.Analysis.By = []query.Stratifier{query.BySex, query.BySex} }, "analysis.by[1]"},
		"too many stratifiers": {func(r *query.Request) { r.Analysis.By = make([]query.Stratifier, 4) }, "at most 3"},
		"a count of something": {func(r *query.Request) { r.Analysis.Variable = variable() }, "analysis.variable"},
		"moments of nothing":   {func(r *query.Request) { r.Analysis.Kind = query.Moments }, "analysis.variable"},
		"no concept":           {moments(func(v *query.Variable) { v.Concept = 0 }), "concept"},
		"no unit":              {moments(func(v *query.Variable) { v.Unit = "" }), "unit"},
		"another choice":       {moments(func(v *query.Variable) { v.Take = "first" }), "take"},
		"empty range":          {moments(func(v *query.Variable) { v.High = v.Low }), "low"},
		"no number":            {moments(func(v *query.Variable) { v.Low = math.NaN() }), "low"},
		"endless range":        {moments(func(v *query.Variable) { v.High = math.Inf(1) }), "low"},
	} {
		r := request()
		c.change(&r)
		require.ErrorContains(t, r.Validate(), c.want, name)
	}
}

// TestQuestion: what is asked, not how it is written, by whom or what for.
func TestQuestion(t *testing.T) {
	t.Parallel()
	digest := func(change func(*query.Request)) string {
		r := request()
		change(&r)
		d, err := r.Question()
		require.NoError(t, err)
		return d.String()
	}
	same := digest(func(*query.Request) {})
	require.Equal(t, same, digest(func(r *query.Request) { r.Purpose = "another" }))
	require.Equal(t, same, digest(func(r *query.Request) {
		r.Cohort = json.RawMessage(`{ "PrimaryCriteria": {"ObservationWindow":{"PostDays":0,"PriorDays":0.0},"CriteriaList":[{"ConditionOccurrence":{}}]}}`)
	}))
	require.NotEqual(t, same, digest(func(r *query.Request) { r.Trial = "other" }))
	require.NotEqual(t, same, digest(func(r *query.Request) { r.Analysis.By = []query.Stratifier{query.BySex} }))
	require.NotEqual(t, same, digest(func(r *query.Request) { r.Cohort = cohort(`{"DrugExposure":{}}`) }))
}

// TestVenueHash recomputes the hash with go-ethereum, as a contract would.
func TestVenueHash(t *testing.T) {
	t.Parallel()
	v := query.Venue{ChainID: 31337, Contract: "0x00112233445566778899AABBccddeeff00112233"}
	node, question := identity.DID("did:key:z6MkhaXgBZDvotDkL5257faiztiGiC2QtKLGpbnnEGta2doK"), query.ID{7, 31: 9}
	got, err := v.Hash(node, question)
	require.NoError(t, err)
	tag := query.NodeTag(node)
	chain := make([]byte, 32)
	binary.BigEndian.PutUint64(chain[24:], v.ChainID)
	want := crypto.Keccak256(chain, common.HexToAddress(v.Contract).Bytes(), tag[:], question[:])
	require.Zero(t, got[0])
	require.Equal(t, want[:31], got[1:])
	for name, other := range map[string]func() (consent.Element, error){
		"chain": func() (consent.Element, error) {
			return query.Venue{ChainID: 1, Contract: v.Contract}.Hash(node, question)
		},
		"contract": func() (consent.Element, error) {
			return query.Venue{ChainID: v.ChainID, Contract: strings.Replace(v.Contract, "11", "12", 1)}.Hash(node, question)
		},
		"node":     func() (consent.Element, error) { return v.Hash(node+"x", question) },
		"question": func() (consent.Element, error) { return v.Hash(node, query.ID{8}) },
	} {
		h, err := other()
		require.NoError(t, err)
		require.NotEqual(t, got, h, name)
	}
	for _, bad := range []string{"", "0x", "0x00", v.Contract[2:], v.Contract + "00", "0xzz" + v.Contract[4:]} {
		_, err := query.Venue{Contract: bad}.Hash(node, question)
		require.Error(t, err, bad)
	}
}

func TestLevelsAreClosed(t *testing.T) {
	t.Parallel()
	for _, s := range []query.Stratifier{query.BySex, query.ByAgeGroup, query.ByRace} {
		require.Len(t, s.Names(), len(s.Levels()))
		seen := map[int64]bool{}
		for _, l := range s.Levels() {
			for _, c := range l.Concepts {
				require.False(t, seen[c], "a concept belongs to one level")
				seen[c] = true
			}
		}
	}
	ages := query.ByAgeGroup.Levels()
	require.Zero(t, ages[0].MinAge)
	for i := range ages[1:] {
		require.Equal(t, ages[i].MaxAge+1, ages[i+1].MinAge, "no age between two groups")
	}
	require.Nil(t, query.Stratifier("name").Levels())
}

func FuzzRequest(f *testing.F) {
	raw, err := json.Marshal(request())
	require.NoError(f, err)
	f.Add(raw)
	f.Fuzz(func(t *testing.T, raw []byte) {
		var r query.Request
		if json.Unmarshal(raw, &r) != nil || r.Validate() != nil {
			return
		}
		_, err := r.Scopes()
		require.NoError(t, err)
		first, err := r.Question()
		require.NoError(t, err)
		again, err := json.Marshal(r)
		require.NoError(t, err)
		var back query.Request
		require.NoError(t, json.Unmarshal(again, &back))
		second, err := back.Question()
		require.NoError(t, err)
		require.Equal(t, first, second)
	})
}

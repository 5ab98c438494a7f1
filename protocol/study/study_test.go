package study_test

import (
	"bytes"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/trialmesh/trialmesh/protocol/canonical"
	"github.com/trialmesh/trialmesh/protocol/cohort"
	"github.com/trialmesh/trialmesh/protocol/identity"
	"github.com/trialmesh/trialmesh/protocol/message"
	"github.com/trialmesh/trialmesh/protocol/query"
	"github.com/trialmesh/trialmesh/protocol/study"
)

func newKey(t *testing.T) identity.Key {
	t.Helper()
	key, err := identity.Generate(rand.Reader)
	require.NoError(t, err)
	return key
}

func sample() study.Study {
	cohort := json.RawMessage(`{"PrimaryCriteria":{"CriteriaList":[{"VisitOccurrence":{}}],"ObservationWindow":{"PriorDays":0,"PostDays":0}}}`)
	return study.Study{
		Name: "bp-outcomes", Version: "2026.1", Title: "Outcomes", Trial: "bp-2026", Purpose: "safety",
		Cohorts: map[string]json.RawMessage{"seen": cohort},
		Questions: []study.Question{
			{Name: "all", Cohort: "seen", Analysis: query.Analysis{Kind: query.Count}},
			{Name: "by-sex", Cohort: "seen", Analysis: query.Analysis{Kind: query.Count, By: []query.Stratifier{query.BySex}}, Purpose: "balance"},
		},
	}
}

func TestValidate(t *testing.T) {
	t.Parallel()
	require.NoError(t, sample().Validate())
	for name, change := range map[string]func(*study.Study){
		"name":                    func(s *study.Study) { s.Name = "BP" },
		"name with a path":        func(s *study.Study) { s.Name = "../bp" },
		"name with a version":     func(s *study.Study) { s.Name = "bp@1" },
		"no version":              func(s *study.Study) { s.Version = "" },
		"version with a slash":    func(s *study.Study) { s.Version = "1/2" },
		"no title":                func(s *study.Study) { s.Title = "" },
		"trial":                   func(s *study.Study) { s.Trial = "x" },
		"no questions":            func(s *study.Study) { s.Questions = nil },
		"a question twice":        func(s *study.Study) { s.Questions[1].Name = "all" },
		"question with a path":    func(s *study.Study) { s.Questions[0].Name = "../all" },
		"unknown cohort":          func(s *study.Study) { s.Questions[0].Cohort = "other" },
		"unused cohort":           func(s *study.Study) { s.Cohorts["other"] = s.Cohorts["seen"] },
		"unused cohort of a name": func(s *study.Study) { s.Cohorts["a b"] = s.Cohorts["seen"] },
		"cohort that is no JSON":  func(s *study.Study) { s.Cohorts["seen"] = json.RawMessage(`{`) },
		"cohort that is null":     func(s *study.Study) { s.Cohorts["seen"] = nil },
		"cohort of the future": func(s *study.Study) {
			s.Cohorts["seen"] = json.RawMessage(`{"PrimaryCriteria":{"CriteriaList":[{"Mood":{}}]}}`)
		},
		"analysis":   func(s *study.Study) { s.Questions[0].Analysis.Kind = "guess" },
		"no purpose": func(s *study.Study) { s.Purpose = "" },
		"too many questions": func(s *study.Study) {
			for i := range study.MaxQuestions {
				q := s.Questions[0]
				q.Name = fmt.Sprintf("q-%d", i)
				s.Questions = append(s.Questions, q)
			}
		},
		"too large": func(s *study.Study) { s.Title, s.Purpose = "x", strings.Repeat("x", study.MaxSize) },
	} {
		s := sample()
		change(&s)
		require.Error(t, s.Validate(), name)
	}
}

// TestARequestIsExactlyTheStudysQuestion: nothing of it can be changed while it still
// names the study.
func TestARequestIsExactlyTheStudysQuestion(t *testing.T) {
	t.Parallel()
	s := sample()
	r, err := s.Request("all")
	require.NoError(t, err)
	require.NoError(t, r.Validate())
	require.NoError(t, s.Check(r))
	require.Equal(t, "safety", r.Purpose)
	require.Equal(t, "bp-outcomes@2026.1", r.Study.String())
	other, err := s.Request("by-sex")
	require.NoError(t, err)
	require.Equal(t, "balance", other.Purpose)
	_, err = s.Request("none")
	require.ErrorIs(t, err, study.ErrQuestion)

	for name, change := range map[string]func(*query.Request){
		"no study":         func(r *query.Request) { r.Study = nil },
		"another question": func(r *query.Request) { r.Study.Question = "by-sex" },
		"no question":      func(r *query.Request) { r.Study.Question = "none" },
		"another version":  func(r *query.Request) { r.Study.Version = "2" },
		"another digest":   func(r *query.Request) { r.Study.Study[0]++ },
		"another trial":    func(r *query.Request) { r.Trial = "bp-2027" },
		"another purpose":  func(r *query.Request) { r.Purpose = "marketing" },
		"another analysis": func(r *query.Request) { r.Analysis.By = []query.Stratifier{query.ByAgeGroup} },
		"another cohort":   func(r *query.Request) { r.Cohort = json.RawMessage(`{}`) },
		"a broken cohort":  func(r *query.Request) { r.Cohort = json.RawMessage(`{`) },
	} {
		changed, err := s.Request("all")
		require.NoError(t, err)
		change(&changed)
		require.ErrorIs(t, s.Check(changed), study.ErrQuestion, name)
	}
	asked, err := r.Question()
	require.NoError(t, err)
	r.Study = nil
	alone, err := r.Question()
	require.NoError(t, err)
	require.Equal(t, alone, asked, "a study's question is the same question without the study")
}

// TestVerify: of whom the study is counts, not only what it says.
func TestVerify(t *testing.T) {
	t.Parallel()
	author, other := newKey(t), newKey(t)
	sign := func(key identity.Key, s study.Study) message.Envelope {
		e, err := message.Seal(key, study.KindStudy, s, time.Now().Add(-48*time.Hour), time.Hour, rand.Reader)
		require.NoError(t, err)
		return e
	}
	s := sample()
	r, err := s.Request("all")
	require.NoError(t, err)
	researchers := []identity.DID{author.DID()}
	good := sign(author, s)
	require.NoError(t, study.Verify(good, r, researchers), "long after the time to register it")
	require.NoError(t, study.Verify(sign(other, s), r, append(researchers, other.DID())), "another researcher's study")
	altered, renamed, next := good, sign(other, s), sample()
	altered.Body = bytes.Replace(good.Body, []byte("balance"), []byte("surplus"), 1)
	renamed.Issuer = author.DID()
	next.Version = "2026.2"
	for name, e := range map[string]message.Envelope{
		"none": {}, "altered": altered, "by nobody of the trial": sign(other, s), "in another's name": renamed, "another version": sign(author, next),
	} {
		require.ErrorIs(t, study.Verify(e, r, researchers), study.ErrQuestion, name)
	}
}

// TestDatasetsAlone: a study needs no cohort if its questions are about data sets.
func TestDatasetsAlone(t *testing.T) {
	t.Parallel()
	s := sample()
	s.Cohorts = nil
	for i := range s.Questions {
		s.Questions[i].Cohort, s.Questions[i].Dataset = "", "registry"
	}
	s.Questions[1].Analysis = query.Analysis{
		Kind: query.Histogram, Specs: query.Specs{Histogram: &query.HistogramSpec{Value: "crp", Breaks: []float64{0, 10, 500}}},
		Columns: []query.Column{{Name: "crp", From: query.FromDataset, Domain: cohort.Measurement, Dataset: "registry", Kind: query.NumericValues, Low: 0, High: 500}},
	}
	require.NoError(t, s.Validate())
	raw, err := canonical.Marshal(s)
	require.NoError(t, err)
	require.NotContains(t, string(raw), "cohort")
	r, err := s.Request("by-sex")
	require.NoError(t, err)
	require.Equal(t, "registry", r.Dataset)
	require.NoError(t, r.Validate())
	require.NoError(t, s.Check(r))
	r.Dataset = "other"
	require.ErrorIs(t, s.Check(r), study.ErrQuestion)
	s.Questions[0].Cohort = "seen"
	require.ErrorContains(t, s.Validate(), "about one of them")
	s.Questions[0].Cohort, s.Questions[0].Dataset = "", ""
	require.ErrorContains(t, s.Validate(), "a dataset in its place")
}

// TestDigest: layout means nothing, every word of the study does.
func TestDigest(t *testing.T) {
	t.Parallel()
	s := sample()
	first, err := s.Digest()
	require.NoError(t, err)
	raw, err := json.MarshalIndent(s, "", "\t")
	require.NoError(t, err)
	var again study.Study
	require.NoError(t, json.Unmarshal(raw, &again))
	second, err := again.Digest()
	require.NoError(t, err)
	require.Equal(t, first, second)
	again.Title += "!"
	third, err := again.Digest()
	require.NoError(t, err)
	require.NotEqual(t, first, third)
}

func TestParseRef(t *testing.T) {
	t.Parallel()
	name, version, err := study.ParseRef("bp-outcomes@2026.1")
	require.NoError(t, err)
	require.Equal(t, []string{"bp-outcomes", "2026.1"}, []string{name, version})
	name, version, err = study.ParseRef("bp-outcomes")
	require.NoError(t, err)
	require.Equal(t, []string{"bp-outcomes", ""}, []string{name, version})
	for _, bad := range []string{"", "@1", "bp@", "bp@1@2", "BP@1", "bp @1", "../bp@1"} {
		_, _, err := study.ParseRef(bad)
		require.Error(t, err, bad)
	}
}

package study_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/trialmesh/trialmesh/protocol/query"
	"github.com/trialmesh/trialmesh/protocol/study"
)

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

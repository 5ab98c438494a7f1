package report

import (
	"cmp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/trialmesh/trialmesh/node/ingest"
)

// Load is how good the data of one load, of one file, are.
type Load struct {
	Notice string    `json:"notice"`
	JobID  string    `json:"jobId"`
	FileID string    `json:"fileId" doc:"SHA-256 of the content"`
	File   string    `json:"file" doc:"Name of the file, as the sender called it"`
	State  string    `json:"state" doc:"Of the load; what follows grows until it is over"`
	Ended  time.Time `json:"ended,omitzero"`

	Records    int64 `json:"records" doc:"Records that could be read"`
	Stored     int64 `json:"stored"`
	Replaced   int64 `json:"replaced"`
	Duplicates int64 `json:"duplicates"`
	Rejected   int64 `json:"rejected" doc:"Records or parts of them that were not stored"`
	Unlisted   int64 `json:"unlisted" doc:"Of the rejected, those beyond the listed ones, whose rules are not known"`

	Categories []CategoryCount `json:"categories" nullable:"false"`
	Rules      []LoadRule      `json:"rules" nullable:"false" doc:"By category, then by count"`
}

// CategoryCount adds up the rules of a category.
type CategoryCount struct {
	Category Category `json:"category" enum:"conformance,completeness,plausibility"`
	Log      int64    `json:"log"`
	Flag     int64    `json:"flag"`
	Reject   int64    `json:"reject"`
}

// Total returns how often rules of the category were broken.
func (c CategoryCount) Total() int64 { return c.Log + c.Flag + c.Reject }

// Outcome says what became of the data that a rule was broken by.
type Outcome string

// The outcomes.
const (
	NotStored Outcome = "not-stored" // the record or a part of it was left out
	Kept      Outcome = "kept"       // the row is stored, and marked as the severity says
	Unmapped  Outcome = "unmapped"   // the row is stored without a standard concept
)

// LoadRule is how often a load has broken a rule.
type LoadRule struct {
	Rule        string      `json:"rule"`
	Where       string      `json:"where,omitempty" doc:"Column of the CDM, or vocabulary"`
	Category    Category    `json:"category" enum:"conformance,completeness,plausibility"`
	Subcategory Subcategory `json:"subcategory,omitempty" enum:"value,relational,computational,uniqueness,atemporal,temporal"`
	Severity    Severity    `json:"severity" enum:"log,flag,reject"`
	Outcome     Outcome     `json:"outcome" enum:"not-stored,kept,unmapped"`
	Count       int64       `json:"count"`
}

// ruleUnmapped is that of codes without a standard concept.
const ruleUnmapped = "unmapped-code"

// OfLoad returns the report of a load with the problems of it that are listed.
func OfLoad(j ingest.Job, listed []ingest.Problem) Load {
	l := Load{
		Notice: Notice, JobID: strconv.FormatInt(int64(j.ID), 10), FileID: j.File.String(), File: j.Name, State: string(j.State), Ended: j.Ended,
		Records: j.Counts.Records, Stored: j.Counts.Stored, Replaced: j.Counts.Replaced, Duplicates: j.Counts.Duplicates,
		Rejected: j.Counts.Rejected, Unlisted: j.Counts.Rejected, Rules: []LoadRule{},
	}
	rejected := map[string]int64{}
	for _, p := range listed {
		if _, kept := j.Counts.Findings[p.Rule+" "+p.Path]; kept {
			continue // the first row of a CDM with a finding that keeps no row out
		}
		rejected[p.Rule]++
		l.Unlisted = max(0, l.Unlisted-1)
	}
	for name, n := range rejected {
		r := kindOf(name)
		l.Rules = append(l.Rules, LoadRule{Rule: name, Category: r.category, Subcategory: r.subcategory, Severity: Reject, Outcome: NotStored, Count: n})
	}
	for name, n := range j.Counts.Findings {
		name, where, _ := strings.Cut(name, " ")
		r := kindOf(name)
		l.Rules = append(l.Rules, LoadRule{Rule: name, Where: where, Category: r.category, Subcategory: r.subcategory, Severity: cmp.Or(r.severity, Log), Outcome: Kept, Count: n})
	}
	for where, n := range j.Counts.Unmapped {
		l.Rules = append(l.Rules, LoadRule{Rule: ruleUnmapped, Where: where, Category: Completeness, Severity: Log, Outcome: Unmapped, Count: n})
	}
	slices.SortFunc(l.Rules, func(a, b LoadRule) int {
		return cmp.Or(cmp.Compare(slices.Index(Categories, a.Category), slices.Index(Categories, b.Category)),
			cmp.Compare(b.Count, a.Count), cmp.Compare(a.Rule, b.Rule), cmp.Compare(a.Where, b.Where), cmp.Compare(a.Outcome, b.Outcome))
	})
	sums := map[Category]*CategoryCount{}
	for _, c := range Categories {
		sums[c] = &CategoryCount{Category: c}
	}
	for _, r := range l.Rules {
		switch r.Severity {
		case Log:
			sums[r.Category].Log += r.Count
		case Flag:
			sums[r.Category].Flag += r.Count
		case Reject:
			sums[r.Category].Reject += r.Count
		}
	}
	for _, c := range Categories {
		l.Categories = append(l.Categories, *sums[c])
	}
	return l
}

// kind is where a rule of a load belongs; severity is that of a finding which keeps
// the row, empty for log.
type kind struct {
	category    Category
	subcategory Subcategory
	severity    Severity
}

// kindOf finds a rule. One that is not named below is of the form of the data: the
// rules of every format are.
func kindOf(rule string) kind {
	if k, known := kinds[rule]; known {
		return k
	}
	return kind{Conformance, Value, ""}
}

// kinds are the rules of node/quality, node/mapping, node/ingest, the stores and the
// sources that are not about the form of a value.
var kinds = func() map[string]kind {
	all := map[string]kind{
		"wrong-unit":        {Conformance, Value, Reject},
		"impossible-value":  {Plausibility, Atemporal, Reject},
		"implausible-value": {Plausibility, Atemporal, Flag},
		"before-birth":      {Plausibility, Temporal, Reject},
		"after-death":       {Plausibility, Temporal, Reject},
		"in-future":         {Plausibility, Temporal, Reject},
		"end-before-start":  {Plausibility, Temporal, Flag},
	}
	for k, names := range map[kind][]string{
		{Conformance, Relational, ""}: {
			"unknown-person", "unknown-visit", "unresolved-reference", "duplicate-primary-key", "keys-unchecked", "several-users", "ambiguous-user",
		},
		{Completeness, "", ""}: {
			"missing-field", "missing-key", "missing-value", "required-empty", "no-person", "no-patient", "no-date", "no-code", "no-birth-date",
			"no-unit", "no-record", "undated", "missing-timezone", "truncated", "batch-count", "not-kept", "table-not-stored", "unknown-concept",
		},
		{Plausibility, Uniqueness, ""}: {
			"duplicate", "superseded", "repeated-row", "repeated-key", "repeated-point", "conflicting-point",
			"merged", "merge-refused", "merged-elsewhere", "visit-merge-not-applied",
		},
		{Plausibility, Atemporal, ""}: {"unit-mismatch", "number-range"},
		{Plausibility, Temporal, ""}:  {"time-range", "date-range", "birth-date-range", "expired"},
	} {
		for _, name := range names {
			all[name] = k
		}
	}
	return all
}()

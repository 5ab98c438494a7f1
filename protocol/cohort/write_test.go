package cohort_test

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/trialmesh/trialmesh/protocol/cohort"
)

type members map[string]any

// write returns the definition as Circe JSON, with every default spelled out.
func write(t testing.TB, d cohort.Definition) []byte {
	t.Helper()
	out := members{
		"ConceptSets":       list(d.ConceptSets, writeSet),
		"QualifiedLimit":    members{"Type": d.QualifiedLimit},
		"ExpressionLimit":   members{"Type": d.ExpressionLimit},
		"CensoringCriteria": list(d.Censoring, writeCriterion),
		"CollapseSettings":  members{"CollapseType": "ERA", "EraPad": d.EraPad},
		"CensorWindow":      writePeriod(d.CensorWindow),
		"PrimaryCriteria": members{
			"CriteriaList":         list(d.Primary.Criteria, writeCriterion),
			"ObservationWindow":    members{"PriorDays": d.Primary.PriorDays, "PostDays": d.Primary.PostDays},
			"PrimaryCriteriaLimit": members{"Type": d.Primary.Limit},
		},
		"InclusionRules": list(d.Rules, func(r cohort.Rule) any {
			return members{"name": r.Name, "description": r.Description, "expression": writeGroup(r.Group)}
		}),
	}
	if d.Additional != nil {
		out["AdditionalCriteria"] = writeGroup(*d.Additional)
	}
	switch {
	case d.End.Offset != nil:
		out["EndStrategy"] = members{"DateOffset": members{"DateField": choose(d.End.Offset.FromEnd, "EndDate", "StartDate"), "Offset": d.End.Offset.Days}}
	case d.End.Era != nil:
		out["EndStrategy"] = members{"CustomEra": members{
			"DrugCodesetId": d.End.Era.ConceptSet, "GapDays": d.End.Era.GapDays, "Offset": d.End.Era.Offset, "DaysSupplyOverride": d.End.Era.DaysSupply,
		}}
	}
	raw, err := json.Marshal(out)
	require.NoError(t, err)
	return raw
}

func list[T any](parts []T, write func(T) any) []any {
	out := []any{}
	for _, p := range parts {
		out = append(out, write(p))
	}
	return out
}

func choose(first bool, a, b string) string {
	if first {
		return a
	}
	return b
}

func writeSet(s cohort.ConceptSet) any {
	return members{"id": s.ID, "name": s.Name, "expression": members{"items": list(s.Items, func(i cohort.Item) any {
		return members{
			"concept":    members{"CONCEPT_ID": i.Concept, "CONCEPT_NAME": i.Name, "STANDARD_CONCEPT": i.Standard, "INVALID_REASON": i.Invalid},
			"isExcluded": i.Excluded, "includeDescendants": i.Descendants, "includeMapped": i.Mapped,
		}
	})}}
}

func writeCriterion(c cohort.Criterion) any {
	out := writeFilters(c.Filters)
	if c.ConceptSet != nil {
		out["CodesetId"] = *c.ConceptSet
	}
	if c.First {
		out["First"] = true
	}
	if c.Correlated != nil {
		out["CorrelatedCriteria"] = writeGroup(*c.Correlated)
	}
	if a := c.DateAdjustment; a != nil {
		out["DateAdjustment"] = members{
			"StartWith": choose(a.StartWithEnd, "END_DATE", "START_DATE"), "StartOffset": a.StartOffset,
			"EndWith": choose(a.EndWithStart, "START_DATE", "END_DATE"), "EndOffset": a.EndOffset,
		}
	}
	return members{string(c.Domain): out}
}

func writeFilters(filters []cohort.Filter) members {
	out := members{}
	for _, f := range filters {
		switch {
		case f.Number != nil:
			out[f.Field] = members{"Op": f.Number.Op, "Value": f.Number.Value, "Extent": f.Number.Extent}
		case f.Date != nil:
			out[f.Field] = members{"Op": f.Date.Op, "Value": f.Date.Value, "Extent": f.Date.Extent}
		case f.Text != nil:
			out[f.Field] = members{"Op": f.Text.Op, "Text": f.Text.Text}
		case f.Set != nil:
			out[f.Field] = members{"CodesetId": f.Set.Set, "IsExclusion": f.Set.Exclusion}
		case f.Source != nil:
			out[f.Field] = *f.Source
		case f.Flag:
			out[f.Field] = true
		case f.Period != nil:
			out[f.Field] = writePeriod(*f.Period)
		default:
			var concepts []any
			for i, id := range f.Concepts {
				concept := members{"CONCEPT_ID": id}
				if i < len(f.Names) {
					concept["CONCEPT_NAME"] = f.Names[i]
				}
				concepts = append(concepts, concept)
			}
			out[f.Field] = concepts
			if f.Exclude {
				out[f.Field+"Exclude"] = true
			}
		}
	}
	return out
}

func writePeriod(p cohort.Period) members {
	out := members{}
	if p.Start != "" {
		out["StartDate"] = p.Start
	}
	if p.End != "" {
		out["EndDate"] = p.End
	}
	return out
}

func writeGroup(g cohort.Group) any {
	return members{
		"Type": g.Type, "Count": g.Count,
		"CriteriaList":            list(g.Criteria, writeCorrelated),
		"DemographicCriteriaList": list(g.Demographics, func(d cohort.Demographic) any { return writeFilters(d.Filters) }),
		"Groups":                  list(g.Groups, writeGroup),
	}
}

func writeCorrelated(c cohort.Correlated) any {
	times := members{"Type": c.Occurrence.Type, "Count": c.Occurrence.Count, "IsDistinct": c.Occurrence.Distinct}
	if c.Occurrence.CountColumn != "" {
		times["CountColumn"] = c.Occurrence.CountColumn
	}
	out := members{
		"Criteria": writeCriterion(c.Criterion), "StartWindow": writeWindow(c.Start), "Occurrence": times,
		"RestrictVisit": c.SameVisit, "IgnoreObservationPeriod": c.IgnoreObservationPeriod,
	}
	if c.End != nil {
		out["EndWindow"] = writeWindow(*c.End)
	}
	return out
}

func writeWindow(w cohort.Window) any {
	endpoint := func(e cohort.Endpoint) any { return members{"Days": e.Days, "Coeff": e.Coeff} }
	return members{"Start": endpoint(w.Start), "End": endpoint(w.End), "UseIndexEnd": w.UseIndexEnd, "UseEventEnd": w.UseEventEnd}
}

package cohort

import (
	"bytes"
	"encoding/json"
	"maps"
	"slices"
)

// neutral lists, per field at the top level, the values that ask for nothing.
// ATLAS writes all of these into every definition.
var neutral = map[string][]string{
	"QualifiedLimit":    {`{}`, `{"Type":"First"}`, `{"Type":"All"}`},
	"ExpressionLimit":   {`{}`, `{"Type":"First"}`, `{"Type":"All"}`},
	"InclusionRules":    {`[]`},
	"CensoringCriteria": {`[]`},
	"CollapseSettings":  {`{}`, `{"CollapseType":"ERA","EraPad":0}`},
	"CensorWindow":      {`{}`},
	"cdmVersionRange":   {`">=5.0.0"`, `"\u003e=5.0.0"`},
	"Title":             nil, // any
}

// evaluated are the fields that wireExpression and its parts read, by the
// path of the object they stand in. Concepts carry display fields that mean
// nothing to evaluation.
var evaluated = map[string][]string{
	"":                                     {"ConceptSets", "PrimaryCriteria"},
	"ConceptSets[]":                        {"id", "name", "expression"},
	"ConceptSets[].expression":             {"items"},
	"ConceptSets[].expression.items[]":     {"concept", "isExcluded", "includeDescendants", "includeMapped"},
	"PrimaryCriteria":                      {"CriteriaList", "ObservationWindow", "PrimaryCriteriaLimit"},
	"PrimaryCriteria.ObservationWindow":    {"PriorDays", "PostDays"},
	"PrimaryCriteria.PrimaryCriteriaLimit": {"Type"},
}

// opaque are subtrees that are checked elsewhere or mean nothing to evaluation.
var opaque = []string{"ConceptSets[].expression.items[].concept", "PrimaryCriteria.CriteriaList[]"}

// refuseUnsupported walks canonical JSON and refuses the first field that
// nothing here evaluates.
func refuseUnsupported(raw []byte) error { return walk(raw, "") }

func walk(raw json.RawMessage, path string) error {
	if slices.Contains(opaque, path) {
		return nil
	}
	switch raw[0] {
	case '[':
		var items []json.RawMessage
		if err := json.Unmarshal(raw, &items); err != nil {
			return invalid(path, "is malformed")
		}
		for _, item := range items {
			if err := walk(item, path+"[]"); err != nil {
				return err
			}
		}
	case '{':
		var fields map[string]json.RawMessage
		if err := json.Unmarshal(raw, &fields); err != nil {
			return invalid(path, "is malformed")
		}
		for _, name := range slices.Sorted(maps.Keys(fields)) { // the same first one everywhere
			value, at := fields[name], member(path, name)
			if slices.Contains(evaluated[path], name) {
				if err := walk(value, at); err != nil {
					return err
				}
				continue
			}
			allowed, known := neutral[name]
			if path != "" || !known {
				return unsupported(at)
			}
			if allowed != nil && !slices.ContainsFunc(allowed, func(text string) bool { return bytes.Equal(value, []byte(text)) }) {
				return unsupported(at)
			}
		}
	default:
		if path == "" {
			return invalid("definition", "must be an object")
		}
	}
	return nil
}

func member(path, name string) string {
	if path == "" {
		return name
	}
	return path + "." + name
}

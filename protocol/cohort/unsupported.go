package cohort

// unevaluated are the elements that are read but not evaluated, by domain or by domain
// and field, each with the reason.
var unevaluated = map[string]string{
	"LocationRegion":                         "it needs the table location_history, which CDM 5.3 and 5.4 lack",
	"VisitOccurrence.PlaceOfServiceLocation": "it needs the table location_history, which CDM 5.3 and 5.4 lack",
	"VisitDetail.PlaceOfServiceLocation":     "it needs the table location_history, which CDM 5.3 and 5.4 lack",
}

// Unsupported returns an error for each element of the definition that is not evaluated.
// A definition that has one gives no cohort.
func (d Definition) Unsupported() []Finding {
	var findings []Finding
	check := func(path, element string) {
		if reason, refused := unevaluated[element]; refused {
			findings = append(findings, Finding{Path: path, Severity: Error, Rule: "unsupported", Sentence: "it is not evaluated: " + reason})
		}
	}
	d.walk(visitor{
		criterion: func(path string, c Criterion) { check(path, string(c.Domain)) },
		filter:    func(path string, of Domain, f Filter) { check(path, string(of)+"."+f.Field) },
	})
	return findings
}

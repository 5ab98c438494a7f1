// Package report says how good the data of a site are, in the categories of Kahn et
// al. (2016): conformance, completeness and plausibility.
//
// Start from [Service.Run], which runs a closed list of checks over everything the
// node has stored, marks the outliers it finds and keeps the [Report]; [Service.Last]
// returns the last one, [WritePage] shows it. [OfLoad] says the same of one load, from
// what the load has counted.
//
// A report is for the site's own people and does not leave the site. It holds counts,
// exact ones, and distributions of variables with values of [MinPersons] persons or
// more: no identifier, and no value that one person has. DESIGN.md says why.
//
// All checks verify: they compare the data with the model and with what is known about
// any data, none with data of another source. The terms are those of Kahn et al., "A
// Harmonized Data Quality Assessment Terminology and Framework for the Secondary Use of
// Electronic Health Record Data", eGEMs 2016, as the OHDSI DataQualityDashboard (2.8.7)
// applies them.
package report

import (
	"cmp"
	"slices"
	"time"
)

// Category is what kind of quality a check is about.
type Category string

// The categories of Kahn et al.
const (
	Conformance  Category = "conformance"  // values and relations are as the model wants them
	Completeness Category = "completeness" // values are there, whatever they are
	Plausibility Category = "plausibility" // values are believable
)

// Categories are all of them, in the order in which they are shown.
var Categories = []Category{Conformance, Completeness, Plausibility}

// Subcategory divides conformance and plausibility; completeness has none.
type Subcategory string

// The subcategories of Kahn et al.
const (
	Value         Subcategory = "value"         // conformance: of the form and the list that the model has
	Relational    Subcategory = "relational"    // conformance: what is referred to exists
	Computational Subcategory = "computational" // conformance: what was computed can be computed again
	Uniqueness    Subcategory = "uniqueness"    // plausibility: nothing is said twice
	Atemporal     Subcategory = "atemporal"     // plausibility: values by themselves
	Temporal      Subcategory = "temporal"      // plausibility: values in time
)

// Severity says what a check that finds something leads to.
type Severity string

// The severities.
const (
	Log    Severity = "log"    // it is shown
	Flag   Severity = "flag"   // it is shown; outliers are marked as such, and stay in answers
	Reject Severity = "reject" // as flag, and over the threshold the data are not fit for use: the report fails
)

// MinPersons is of how many persons there must be values before their distribution is
// shown and outliers are looked for. It is the smallest cell of the disclosure
// defaults.
const MinPersons = 11

// Notice stands on every report.
const Notice = "For this site's own people. This report stays at the site: nothing of it is sent to the hub or to other sites. " +
	"It holds counts, which may be small, and distributions; no identifier and no value of a single person."

// Check is the result of one check. It holds no value of a record.
type Check struct {
	ID          string      `json:"id" doc:"Table, rule and, of a check of a variable, concept and unit: the same in every report"`
	Category    Category    `json:"category" enum:"conformance,completeness,plausibility"`
	Subcategory Subcategory `json:"subcategory,omitempty" enum:"value,relational,computational,uniqueness,atemporal,temporal" doc:"Absent for completeness"`
	Description string      `json:"description"`
	Table       string      `json:"table"`
	Field       string      `json:"field,omitempty"`
	Concept     int64       `json:"concept,omitempty" doc:"Standard concept of the variable"`
	Unit        int64       `json:"unit,omitempty" doc:"Concept of the unit, absent for none"`
	Variable    string      `json:"variable,omitempty" doc:"Name of the variable and its unit, as far as the site's vocabulary has them"`
	Denominator int64       `json:"denominator" doc:"Rows, persons or variables that the check is about"`
	Violations  int64       `json:"violations" doc:"Those of them that fail it"`
	Percent     float64     `json:"percent" doc:"Violations of the denominator, 0 to 100"`
	Threshold   float64     `json:"threshold" doc:"Percent up to which the check passes"`
	Severity    Severity    `json:"severity" enum:"log,flag,reject"`
	Passed      bool        `json:"passed" doc:"Also of a check with a denominator of 0"`
}

// finish fills in what follows from the counts.
func (c Check) finish() Check {
	if c.Denominator > 0 {
		c.Percent = 100 * float64(c.Violations) / float64(c.Denominator)
	}
	c.Passed = c.Percent <= c.Threshold
	return c
}

// Applies reports whether there was anything to check.
func (c Check) Applies() bool { return c.Denominator > 0 }

// Sum counts the checks of a category.
type Sum struct {
	Category Category `json:"category" enum:"conformance,completeness,plausibility"`
	Passed   int      `json:"passed"`
	Failed   int      `json:"failed"`
	Empty    int      `json:"empty" doc:"Checks that there were no rows for; they count as passed nowhere"`
}

// Marks is what the run has changed in the store.
type Marks struct {
	Set     int64 `json:"set" doc:"Measurements that became outliers"`
	Cleared int64 `json:"cleared" doc:"Measurements that a run had marked before and that are none any more"`
}

// Report is how good the data of a node are.
type Report struct {
	Notice     string         `json:"notice"`
	Context    string         `json:"context" enum:"verification"`
	Started    time.Time      `json:"started"`
	Ended      time.Time      `json:"ended"`
	Vocabulary string         `json:"vocabulary" doc:"Release that names come from, empty for none"`
	Passed     bool           `json:"passed" doc:"No check of severity reject has failed"`
	Rows       []TableRows    `json:"rows" nullable:"false" doc:"Rows by table"`
	Summary    []Sum          `json:"summary" nullable:"false"`
	Outliers   Marks          `json:"outliers"`
	Checks     []Check        `json:"checks" nullable:"false"`
	Variables  []Distribution `json:"variables" nullable:"false" doc:"By rows, most first, at most 1,000"`
	Unshown    int            `json:"unshown" doc:"Variables that are checked and not among those"`
}

// TableRows is how many rows a table has.
type TableRows struct {
	Table string `json:"table"`
	Rows  int64  `json:"rows"`
}

// summarize orders the checks and counts them.
func (r *Report) summarize() {
	slices.SortStableFunc(r.Checks, func(a, b Check) int {
		return cmp.Or(cmp.Compare(slices.Index(Categories, a.Category), slices.Index(Categories, b.Category)),
			cmp.Compare(a.Subcategory, b.Subcategory), cmp.Compare(a.ID, b.ID))
	})
	r.Summary, r.Passed = nil, true
	for _, category := range Categories {
		sum := Sum{Category: category}
		for _, c := range r.Checks {
			switch {
			case c.Category != category:
			case !c.Applies():
				sum.Empty++
			case c.Passed:
				sum.Passed++
			default:
				sum.Failed++
				r.Passed = r.Passed && c.Severity != Reject
			}
		}
		r.Summary = append(r.Summary, sum)
	}
}

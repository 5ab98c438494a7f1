package report_test

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/trialmesh/trialmesh/localstore/omop"
	"github.com/trialmesh/trialmesh/localstore/sqldb"
	"github.com/trialmesh/trialmesh/localstore/sqldb/sqltest"
	"github.com/trialmesh/trialmesh/node/report"
)

// reference is a data set and what R says of it; testdata/ORIGIN.md says how.
type reference struct {
	Name    string
	Values  []float64
	Fivenum []float64
	MAD     float64
	Outside int64 `json:"tukey1.5"`
	FarOut  int64 `json:"tukey3"`
	RobustZ int64 `json:"robustz3.5"`
}

func references(t testing.TB) (list []reference) {
	t.Helper()
	f, err := os.Open("testdata/outliers.ndjson")
	require.NoError(t, err)
	defer f.Close()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		var r reference
		require.NoError(t, json.Unmarshal(lines.Bytes(), &r))
		list = append(list, r)
	}
	require.Len(t, list, 15)
	return list
}

// firstConcept is that of the first reference; it has no bounds.
const firstConcept = 1001

// measure stores each reference as a variable of 20 persons.
func (s *site) measure(list []reference) {
	s.t.Helper()
	var b omop.Batch
	for p := range 20 {
		b.Persons = append(b.Persons, omop.Person{Key: omop.NewKey(fmt.Sprint("p", p)), GenderConceptID: omop.Male, YearOfBirth: 1970})
	}
	for i, r := range list {
		for j := range r.Values {
			m := measurement(fmt.Sprint("p", j%20), fmt.Sprint(r.Name, j), firstConcept+int64(i), r.Values[j], mmHg)
			m.Visit = omop.Key{}
			b.Measurements = append(b.Measurements, m)
		}
	}
	s.put(b)
}

// TestOutliersAreThoseOfR compares quartiles, MAD and outliers with R's, and the rows
// that are marked.
func TestOutliersAreThoseOfR(t *testing.T) {
	t.Parallel()
	list := references(t)
	sqltest.Each(t, func(t *testing.T, db *sqldb.DB) {
		s := newSite(t, db)
		s.measure(list)
		for _, run := range []struct {
			settings string
			want     func(reference) map[string]int64
		}{
			{"{least: 5, outliers: [{method: iqr, limit: 1.5, severity: flag}]}", func(r reference) map[string]int64 { return map[string]int64{"iqr": r.Outside} }},
			{"{least: 5, outliers: [{method: iqr, limit: 3, severity: log}, {method: robust-z, limit: 3.5, severity: flag}]}", func(r reference) map[string]int64 {
				return map[string]int64{"iqr": r.FarOut, "robust-z": r.RobustZ}
			}},
		} {
			s.configure(run.settings)
			r := s.report()
			require.Len(t, r.Variables, len(list))
			for _, d := range r.Variables {
				want := list[d.Concept-firstConcept]
				if want.MAD == 0 { // all but one are equal: R finds that one far out, here nothing is
					require.Empty(t, d.Fences, want.Name)
					continue
				}
				if d.Persons < report.MinPersons {
					t.Fatalf("%s has few persons", want.Name)
				}
				lower, median, upper := want.Fivenum[1], want.Fivenum[2], want.Fivenum[3]
				require.Equal(t, report.Spread{Lower: lower, Median: median, Upper: upper, MAD: d.Spread.MAD}, *d.Spread, want.Name)
				require.InEpsilon(t, want.MAD, d.Spread.MAD, 1e-6, want.Name) // it is printed with 7 digits
				found, marked := map[string]int64{}, int64(0)
				for _, f := range d.Fences {
					found[f.Method] = f.Below + f.Above
					if f.Severity == report.Flag {
						marked += f.Below + f.Above
					}
				}
				require.Equal(t, run.want(want), found, want.Name)
				require.Equal(t, marked, s.scalar(fmt.Sprintf("SELECT count(*) FROM quality q JOIN measurement m ON m.measurement_id = q.row_id WHERE q.is_outlier AND m.measurement_concept_id = %d", d.Concept)), want.Name)
			}
		}
	})
}

// values are a variable of 20 persons.
func values(numbers ...float64) []reference { return []reference{{Name: "x", Values: numbers}} }

// spread are 40 values between 1 and 40.
func spread() (list []float64) {
	for i := range 40 {
		list = append(list, float64(i+1))
	}
	return list
}

func TestMarksFollowTheData(t *testing.T) {
	t.Parallel()
	marks := "SELECT count(*) FROM quality WHERE is_outlier"
	sqltest.Each(t, func(t *testing.T, db *sqldb.DB) {
		s := newSite(t, db)
		s.measure(values(append(spread(), 500, -400)...))
		require.Equal(t, report.Marks{Set: 2}, s.report().Outliers)
		require.EqualValues(t, 2, s.scalar(marks))
		require.Zero(t, s.scalar("SELECT count(*) FROM quality WHERE NOT is_valid"), "an outlier stays in answers")
		require.Equal(t, report.Marks{}, s.report().Outliers, "a second run changes nothing")

		// What a load says stays.
		flagged, refused := measurement("p1", "flagged", firstConcept, 20, mmHg), measurement("p1", "refused", firstConcept, 900, mmHg)
		flagged.Outlier, refused.Invalid = true, true
		flagged.Visit, refused.Visit = omop.Key{}, omop.Key{}
		s.put(omop.Batch{Measurements: []omop.Measurement{flagged, refused}})
		require.Equal(t, report.Marks{}, s.report().Outliers, "what is invalid is no outlier besides")
		require.EqualValues(t, 3, s.scalar(marks))

		// A row that is replaced by a usual value is none any more.
		usual := measurement("p0", "x40", firstConcept, 21, mmHg)
		usual.Visit = omop.Key{}
		s.put(omop.Batch{Measurements: []omop.Measurement{usual}})
		require.EqualValues(t, 2, s.scalar(marks))
		require.Equal(t, report.Marks{}, s.report().Outliers)

		// Without a rule only the load's mark is left.
		s.configure(fmt.Sprintf("variables: [{concept: %d, outliers: []}]", firstConcept))
		r := s.report()
		require.Equal(t, report.Marks{Cleared: 1}, r.Outliers)
		require.EqualValues(t, 1, s.scalar(marks))
		require.EqualValues(t, 1, find(t, r, "measurement.marked-outlier").Violations)
		require.EqualValues(t, 1, find(t, r, "measurement.marked-invalid").Violations)

		// The rules of a unit go before those of its concept.
		s.configure(fmt.Sprintf("variables: [{concept: %d, unit: %d, outliers: [{method: robust-z, limit: 1, severity: reject}]}, {concept: %d, outliers: []}]", firstConcept, mmHg, firstConcept))
		r = s.report()
		require.Equal(t, r.Variables[0].Fences[0].Below+r.Variables[0].Fences[0].Above, s.scalar("SELECT count(*) FROM quality WHERE by_distribution"))
		require.False(t, r.Passed, "over 5 % of severity reject")
	})
}

func TestFewPersonsHaveNoDistribution(t *testing.T) {
	t.Parallel()
	s := newSite(t, sqltest.SQLite(t))
	few := values(spread()[:report.MinPersons-1]...)
	s.measure(few)
	s.configure("least: 5")
	d := s.report().Variables[0]
	require.EqualValues(t, report.MinPersons-1, d.Persons)
	require.Nil(t, d.Spread)
	require.Empty(t, d.Bins)
	require.Empty(t, d.Fences)
	require.EqualValues(t, report.MinPersons-1, d.Rows)

	s.empty()
	s.measure(values(spread()[:report.MinPersons]...))
	d = s.report().Variables[0]
	require.NotNil(t, d.Spread)
	require.NotEmpty(t, d.Fences)
}

// TestNoValueOfAPersonIsInAReport looks for values that one person has, at both ends
// and far out, in JSON and page.
func TestNoValueOfAPersonIsInAReport(t *testing.T) {
	t.Parallel()
	s := newSite(t, sqltest.SQLite(t))
	s.measure(values(append(spread(), 0.12345, 61.98765, 7654.321)...))
	r := s.report()
	text, err := json.Marshal(r)
	require.NoError(t, err)
	for _, value := range []string{"0.12345", "61.98765", "7654.321", "7654"} {
		require.False(t, shows(string(text), value), value)
		require.False(t, shows(html(t, r), value), value)
	}
}

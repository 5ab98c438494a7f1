package population

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"gonum.org/v1/gonum/stat"
)

// adult is one adult at the last visit.
type adult struct {
	age, male  float64
	conditions map[int64]float64
	drugs      map[int64]float64
	last       map[int64]float64 // measurements
}

func dateOfBirth(p Person) time.Time {
	return time.Date(p.YearOfBirth, time.Month(p.MonthOfBirth), p.DayOfBirth, 0, 0, 0, 0, time.UTC)
}

func adults(t *testing.T, size int64) (list []adult, asthmaticChildren, children float64) {
	t.Helper()
	for h, err := range generator(t, Config{Seed: 11, Size: size}).All(t.Context()) {
		require.NoError(t, err)
		a := adult{conditions: map[int64]float64{}, drugs: map[int64]float64{}, last: map[int64]float64{}}
		a.age = h.ObservationPeriod.EndDate.Sub(dateOfBirth(h.Person)).Hours() / 24 / daysPerYear
		a.male = indicator(h.Person.GenderConceptID == Male)
		for _, c := range h.Conditions {
			a.conditions[c.ConditionConceptID] = 1
		}
		for _, d := range h.Drugs {
			a.drugs[d.DrugConceptID] = 1
		}
		for _, m := range h.Measurements {
			a.last[m.MeasurementConceptID] = m.ValueAsNumber
		}
		if a.age >= 18 {
			list = append(list, a)
		} else {
			children++
			asthmaticChildren += a.conditions[Asthma]
		}
	}
	return list, asthmaticChildren, children
}

// prevalence is the percentage of those selected who have the condition.
func prevalence(list []adult, condition int64, who func(adult) bool) float64 {
	n, with := 0.0, 0.0
	for _, a := range list {
		if who(a) {
			n++
			with += a.conditions[condition]
		}
	}
	return 100 * with / n
}

// The published figures and their sources stand in model.go. Totals must be met within 1.5
// points, age groups within 5: the model has one slope where life has a curve.
func TestPrevalencesAreThePublishedOnes(t *testing.T) {
	t.Parallel()
	list, asthmatic, children := adults(t, 100_000)
	all := func(adult) bool { return true }
	between := func(low, high float64) func(adult) bool {
		return func(a adult) bool { return a.age >= low && a.age < high }
	}
	men := func(a adult) bool { return a.male == 1 }
	women := func(a adult) bool { return a.male == 0 }
	for _, tt := range []struct {
		name      string
		condition int64
		who       func(adult) bool
		percent   float64
		within    float64
	}{
		{"hypertension", Hypertension, all, 47.7, 1.5},
		{"hypertension 18-39", Hypertension, between(18, 40), 23.4, 5},
		{"hypertension 40-59", Hypertension, between(40, 60), 52.5, 5},
		{"hypertension 60+", Hypertension, between(60, 200), 71.6, 5},
		{"hypertension of men", Hypertension, men, 50.8, 1.5},
		{"hypertension of women", Hypertension, women, 44.6, 1.5},
		{"diabetes", Type2Diabetes, all, 11.3, 1.5},
		{"diabetes 20-39", Type2Diabetes, between(20, 40), 2.2, 5},
		{"diabetes 40-59", Type2Diabetes, between(40, 60), 12.1, 5},
		{"diabetes 60+", Type2Diabetes, between(60, 200), 20.5, 5},
		{"diabetes of men", Type2Diabetes, men, 12.9, 1.5},
		{"diabetes of women", Type2Diabetes, women, 9.7, 1.5},
		{"prediabetes", Prediabetes, all, 38.0, 1.5},
		{"kidney disease", ChronicKidney, all, 14, 1.5},
		{"kidney disease 18-44", ChronicKidney, between(18, 45), 6, 5},
		{"kidney disease 45-64", ChronicKidney, between(45, 65), 12.4, 5},
		{"kidney disease 65+", ChronicKidney, between(65, 200), 38.1, 5},
		{"asthma", Asthma, all, 8.0, 1.5},
	} {
		require.InDelta(t, tt.percent, prevalence(list, tt.condition, tt.who), tt.within, tt.name)
	}
	require.InDelta(t, 6.5, 100*asthmatic/children, 1.5)
	require.InDelta(t, 22.1, 100*children/100_000, 1)
	hypertensive, treated := 0.0, 0.0
	for _, a := range list {
		if a.conditions[Hypertension] == 1 {
			hypertensive++
			treated += max(a.drugs[Lisinopril], a.drugs[Amlodipine])
		}
		require.Zero(t, a.conditions[Prediabetes]*a.conditions[Type2Diabetes], "one or the other")
		require.LessOrEqual(t, a.drugs[Metformin], a.conditions[Type2Diabetes], "drugs have a reason")
		require.LessOrEqual(t, a.drugs[Albuterol], a.conditions[Asthma])
	}
	require.InDelta(t, 51.2, 100*treated/hypertensive, 2)
}

// Means and standard deviations are of the order that surveys of adults find; the
// tolerances catch a slip in the model, they claim no more.
func TestMomentsArePlausible(t *testing.T) {
	t.Parallel()
	list, _, _ := adults(t, 40_000)
	for _, tt := range []struct {
		concept           int64
		mean, within      float64
		leastSD, greatest float64
	}{
		{Systolic, 122, 4, 13, 21},
		{Diastolic, 73, 3, 6, 13},
		{BodyMassIndex, 29.4, 1, 5, 8},
		{HemoglobinA1c, 5.7, 0.2, 0.5, 1.2},
		{LDLCholesterol, 110, 5, 25, 40},
		{EGFR, 88, 6, 14, 28},
	} {
		var values []float64
		for _, a := range list {
			if v, ok := a.last[tt.concept]; ok {
				values = append(values, v)
			}
		}
		require.Greater(t, len(values), 20_000)
		mean, sd := stat.MeanStdDev(values, nil)
		require.InDelta(t, tt.mean, mean, tt.within, tt.concept)
		require.Greater(t, sd, tt.leastSD, tt.concept)
		require.Less(t, sd, tt.greatest, tt.concept)
	}
}

func TestCorrelationsHaveTheRightSign(t *testing.T) {
	t.Parallel()
	list, _, _ := adults(t, 40_000)
	age := func(a adult) float64 { return a.age }
	condition := func(c int64) func(adult) float64 { return func(a adult) float64 { return a.conditions[c] } }
	measured := func(c int64) func(adult) float64 { return func(a adult) float64 { return a.last[c] } }
	for _, tt := range []struct {
		name        string
		x, y        func(adult) float64
		least, most float64
	}{
		{"hypertension, age", condition(Hypertension), age, 0.3, 0.6},
		{"hypertension, BMI", condition(Hypertension), measured(BodyMassIndex), 0.1, 0.5},
		{"diabetes, hypertension", condition(Type2Diabetes), condition(Hypertension), 0.1, 0.4},
		{"kidney disease, diabetes", condition(ChronicKidney), condition(Type2Diabetes), 0.1, 0.4},
		{"asthma, sex", condition(Asthma), func(a adult) float64 { return a.male }, -0.2, -0.02},
		{"systolic, hypertension", measured(Systolic), condition(Hypertension), 0.2, 0.7},
		{"systolic, diastolic", measured(Systolic), measured(Diastolic), 0.5, 0.85},
		{"HbA1c, diabetes", measured(HemoglobinA1c), condition(Type2Diabetes), 0.4, 0.9},
		{"eGFR, kidney disease", measured(EGFR), condition(ChronicKidney), -0.9, -0.3},
		{"eGFR, age", measured(EGFR), age, -0.9, -0.4},
		{"LDL, statin", measured(LDLCholesterol), func(a adult) float64 { return a.drugs[Atorvastatin] }, -0.7, -0.2},
	} {
		var x, y []float64
		for _, a := range list {
			if len(a.last) == 6 {
				x, y = append(x, tt.x(a)), append(y, tt.y(a))
			}
		}
		r := stat.Correlation(x, y, nil)
		require.Greater(t, r, tt.least, tt.name)
		require.Less(t, r, tt.most, tt.name)
	}
	// Treatment lowers the pressure of people who all have hypertension and the same age.
	var treated, untreated []float64
	for _, a := range list {
		if v, ok := a.last[Systolic]; ok && a.conditions[Hypertension] == 1 && a.age > 55 && a.age < 65 {
			if a.drugs[Lisinopril]+a.drugs[Amlodipine] > 0 {
				treated = append(treated, v)
			} else {
				untreated = append(untreated, v)
			}
		}
	}
	require.Less(t, stat.Mean(treated, nil), stat.Mean(untreated, nil)-4)
}

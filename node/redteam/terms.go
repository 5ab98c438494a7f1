package redteam

import (
	"context"
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/trialmesh/trialmesh/protocol/query"
)

// These attacks choose what a method makes of the values: a function of them, a number of
// clusters, an order, a model of a score.

// measured is a column of measurements up to high.
func measured(name string, high float64) query.Column {
	return query.Column{Name: name, From: query.FromMeasurement, Concepts: []int64{1}, Unit: "mg/dL", Take: query.TakeLast, High: high}
}

// spreadOf is a value of a person's own.
func spreadOf(place int) float64 { return 60 + float64(place*37%450)/4 }

// sixthPowers takes the mean of the sixth powers of a measurement, in which the one great value
// has nearly all, and a small share of the values themselves.
func sixthPowers(ctx context.Context, t *target) (Finding, error) {
	const great = 29
	a := query.Analysis{
		Kind: query.GLM, Columns: []query.Column{measured("value", 30)},
		Specs: query.Specs{GLM: &query.GLMSpec{Formula: "I(value^6) ~ 1", Family: query.Gaussian}},
	}
	answer, err := t.answerTo(ctx, a, func(place int) []float64 {
		if place == 0 {
			return []float64{great}
		}
		return []float64{float64(place % 9)}
	})
	if err != nil {
		return failed(err, "that one person's value is far from the others")
	}
	r := answer.(*query.Regression)
	if found := math.Pow(float64(r.N)**r.Coefficients[0].Estimate, 1.0/6); math.Abs(found-great) < 0.5 {
		return Finding{Outcome: Succeeded, Learned: "the greatest value"}, nil
	}
	return Finding{Outcome: Blunted, Learned: "a mean of all"}, nil
}

// offsetAlone fits the intercept of a Poisson model with a measurement as offset: the ratio of the
// sum of the response and the sum of the exponentials of the offset, which is the greatest.
func offsetAlone(ctx context.Context, t *target) (Finding, error) {
	const great = 38
	a := query.Analysis{
		Kind: query.GLM, Columns: []query.Column{{Name: "age", From: query.FromAge}, measured("value", 40)},
		Specs: query.Specs{GLM: &query.GLMSpec{Formula: "age ~ offset(value)", Family: query.Poisson}},
	}
	ages := 0.0
	answer, err := t.answerTo(ctx, a, func(place int) []float64 {
		age := ageOf(place)
		ages += age
		if place == 0 {
			return []float64{age, great}
		}
		return []float64{age, float64(1 + place*7%33)}
	})
	if err != nil {
		return failed(err, "that one person's value is far from the others")
	}
	if found := math.Log(ages) - *answer.(*query.Regression).Coefficients[0].Estimate; math.Abs(found-great) < 0.5 {
		return Finding{Outcome: Succeeded, Learned: "the greatest value"}, nil
	}
	return Finding{Outcome: Blunted, Learned: "a sum over all"}, nil
}

// clusterMore divides everybody into nine clusters, and then into ten, whose last border lies a
// few persons further: sizes and centres tell the sum of their values.
func clusterMore(ctx context.Context, t *target) (Finding, error) {
	of := func(clusters int) query.Analysis {
		return query.Analysis{
			Kind: query.KMeans, Columns: []query.Column{measured("value", 200)},
			Specs: query.Specs{KMeans: &query.KMeansSpec{Values: []string{"value"}, Clusters: clusters, Steps: 1}},
		}
	}
	row := func(place int) []float64 { return []float64{spreadOf(place)} }
	return t.differ(ctx, of(9), of(10), [2]func(int) []float64{row, row}, func(answer any) float64 {
		clusters := answer.(*query.Clusters).Clusters
		return float64(clusters[len(clusters)-1].N)
	}, "the values of the few between two borders")
}

// otherOrder asks for a prediction with the same columns in another order, on which the hash
// depends that decides whom it is fitted to. The attacker knows which values come to which
// part in each order; enough orders, or one that moves a single combination of values, tell
// how many persons have each.
func otherOrder(ctx context.Context, t *target) (Finding, error) {
	event, value := survivalOf("", query.Specs{}).Columns[1], column("value", 1000)
	with := func(columns ...query.Column) query.Analysis {
		return query.Analysis{
			Kind: query.Predict, Columns: columns,
			Specs: query.Specs{Predict: &query.PredictSpec{Formula: "ended ~ value", Share: 0.5, Groups: 2}},
		}
	}
	for _, a := range []query.Analysis{with(event, value), with(value, event)} {
		if _, err := t.answerTo(ctx, a, func(place int) []float64 {
			row := []float64{float64(place / 3 % 2), float64(place % 40)}
			if a.Columns[0].Name == value.Name {
				row[0], row[1] = row[1], row[0]
			}
			return row
		}); err != nil {
			return failed(err, "how many are in one choice of half of the combinations of values")
		}
	}
	return Finding{Outcome: Succeeded, Learned: "how many are in another choice of half of the combinations"}, nil
}

// otherScore divides everybody into two strata by the score of a treatment by a value, and then by
// its square, which puts the border between two other values.
func otherScore(ctx context.Context, t *target) (Finding, error) {
	of := func(treatment string) query.Analysis {
		return query.Analysis{
			Kind: query.Propensity,
			Columns: []query.Column{
				measured("value", 200),
				{Name: "treated", From: query.FromEvent, Domain: "DrugExposure", Concepts: []int64{1}},
				{Name: "age", From: query.FromAge},
			},
			Specs: query.Specs{Propensity: &query.PropensitySpec{
				Treatment: treatment, Outcome: "age ~ treated", Family: query.Gaussian, Adjustment: query.Stratified, Estimand: query.ATE, Strata: 2,
			}},
		}
	}
	row := func(place int) []float64 {
		value := spreadOf(place)
		return []float64{value, ifBelow(place*13%230, int(value)), ageOf(place)}
	}
	return t.differ(ctx, of("treated ~ value"), of("treated ~ I(value^2)"), [2]func(int) []float64{row, row}, func(answer any) float64 {
		first := answer.(*query.PropensityEffect).Strata[0]
		return float64(first.Treated + first.Untreated)
	}, "how many have a value between two borders")
}

// twoScores divides everybody into two strata by the score of a treatment by a value, and for a
// comparison by its square.
func twoScores(ctx context.Context, t *target) (Finding, error) {
	treated := query.Column{Name: "treated", From: query.FromEvent, Domain: "DrugExposure", Concepts: []int64{1}}
	regression := query.Analysis{
		Kind: query.Propensity, Columns: []query.Column{measured("value", 200), treated, {Name: "age", From: query.FromAge}},
		Specs: query.Specs{Propensity: &query.PropensitySpec{
			Treatment: "treated ~ value", Outcome: "age ~ treated", Family: query.Gaussian, Adjustment: query.Stratified, Estimand: query.ATE, Strata: 2,
		}},
	}
	comparison := comparisonOf(query.Stratified, query.ATE)
	comparison.Comparison.Treatment, comparison.Comparison.Strata = "treated ~ I(value^2)", 2
	comparison.Columns[2] = measured("value", 200)
	given := func(place int) float64 { return ifBelow(place*13%230, int(spreadOf(place))) }
	return t.differ(ctx, regression, comparison, [2]func(int) []float64{
		func(place int) []float64 { return []float64{spreadOf(place), given(place), ageOf(place)} },
		func(place int) []float64 { return append(daysOf(place), spreadOf(place), given(place)) },
	}, func(answer any) float64 {
		var strata []query.PropensityStratum
		switch a := answer.(type) {
		case *query.PropensityEffect:
			strata = a.Strata
		case *query.Comparison:
			strata = a.Strata
		}
		return float64(strata[0].Treated + strata[0].Untreated)
	}, "how many have a value between two borders")
}

// steepOffset fits the intercept of a logistic model beside an age as offset: below a step the mean
// is 0 and above it 1, but for few of an age whom the intercept, or its error, tells.
func steepOffset(ctx context.Context, t *target) (Finding, error) {
	const step = 55
	older := 1.0
	row := func(place int) float64 {
		switch {
		case place < few:
			return step
		case place%2 == 0:
			return 30 + float64(place/2%15)
		}
		return 66 + float64(place/2%15)
	}
	for place := range t.persons {
		older += 1 - ifBelow(int(row(place)), step+1)
	}
	a := query.Analysis{
		Kind: query.GLM, Columns: []query.Column{{Name: "age", From: query.FromAge}, survivalOf("", query.Specs{}).Columns[1]},
		Specs: query.Specs{GLM: &query.GLMSpec{Formula: "ended ~ offset(age)", Family: query.Binomial}},
	}
	answer, err := t.answerTo(ctx, a, func(place int) []float64 { // events of anybody, as many as are older and one
		return []float64{row(place), ifBelow(place*31%len(t.persons), int(older))}
	})
	if err != nil {
		return failed(err, "that few are of some age")
	}
	intercept := answer.(*query.Regression).Coefficients[0]
	share := 1 / (1 + math.Exp(-*intercept.Estimate-step))
	if found := 1 / (*intercept.SE * *intercept.SE * share * (1 - share)); math.Abs(found-few) < 0.1 {
		return Finding{Outcome: Succeeded, Learned: "how many are of an age"}, nil
	}
	return Finding{Outcome: Blunted, Learned: "an intercept of many"}, nil
}

// manyModels regresses a value on products of other columns, nine at a time, whose values the
// attacker knows: each parameter is an equation about everybody's values. With as many as there
// are persons he solves them; of a hundred persons with columns like these the values come out to
// eight digits.
func manyModels(ctx context.Context, t *target) (Finding, error) {
	const persons, covariates, atOnce = 100, 8, 9
	of := *t
	of.persons = t.persons[:persons]
	terms := productsOf(covariates)
	equations := 0
	for ; equations < persons && len(terms) >= atOnce; terms = terms[atOnce:] {
		a := query.Analysis{Kind: query.GLM, Specs: query.Specs{GLM: &query.GLMSpec{Formula: "x0 ~ " + strings.Join(terms[:atOnce], " + "), Family: query.Gaussian}}}
		var places []int
		for j := range covariates + 1 {
			name := fmt.Sprintf("x%d", j)
			if !strings.Contains(a.GLM.Formula, name) {
				continue
			}
			c := measured(name, 200)
			c.Concepts = []int64{int64(1 + j)}
			a.Columns, places = append(a.Columns, c), append(places, j)
		}
		if _, err := of.answerTo(ctx, a, func(place int) (row []float64) {
			for _, j := range places {
				row = append(row, 60+float64((place*(13*j+7)+j*j*29)%801)/10)
			}
			return row
		}); err != nil {
			return failed(err, fmt.Sprintf("%d equations about the values of %d", equations, persons))
		}
		equations += atOnce
	}
	if equations < persons {
		return Finding{Outcome: Blunted, Learned: "fewer equations than there are values"}, nil
	}
	return Finding{Outcome: Succeeded, Learned: "everybody's value"}, nil
}

// elevenMore describes a value with as many other columns as there are persons more in one cohort than in
// another, less one, whose values the attacker knows. The products' sums differ by those of the eleven,
// and are equations for their values.
func elevenMore(ctx context.Context, t *target) (Finding, error) {
	const more = 11
	var columns []query.Column
	for j := range more {
		c := measured(fmt.Sprintf("x%d", j), 200)
		c.Concepts = []int64{int64(1 + j)}
		columns = append(columns, c)
	}
	of := func(place, column int) float64 {
		return 100 + 40*math.Sin(float64((place+17)*(place+17)*(column+5)))
	}
	var sums [more]float64 // of the value, and of it times each other column
	for from, sign := range map[int]float64{0: 1, more: -1} {
		answer, err := t.answerOf(ctx, t.everybody()[from:], described(false, columns...), func(place int) (row []float64) {
			for column := range columns {
				row = append(row, of(place, column))
			}
			return row
		})
		if err != nil {
			return failed(err, "nothing")
		}
		d := answer.(*query.Description)
		n, first := float64(d.N), total(answer, 0)
		sums[0] += sign * first
		for _, pair := range d.Pairs {
			if pair.First != columns[0].Name {
				continue
			}
			column := slices.IndexFunc(columns, func(c query.Column) bool { return c.Name == pair.Second })
			sums[column] += sign * ((n-1)**pair.Covariance + first*total(answer, column)/n)
		}
	}
	var equations [][]float64
	for column, sum := range sums {
		var equation []float64
		for place := range more {
			known := 1.0
			if column > 0 {
				known = of(place, column)
			}
			equation = append(equation, known)
		}
		equations = append(equations, append(equation, sum))
	}
	for place, value := range solved(equations) {
		if !about(value, of(place, 0)) {
			return Finding{Outcome: Blunted, Learned: "sums of all"}, nil
		}
	}
	return Finding{Outcome: Succeeded, Learned: "the values of the eleven"}, nil
}

// solved returns what solves as many linear equations as they have unknowns, each with its right side at
// the end.
func solved(equations [][]float64) []float64 {
	n := len(equations)
	for i := range n {
		for k := i + 1; k < n; k++ {
			if math.Abs(equations[k][i]) > math.Abs(equations[i][i]) {
				equations[i], equations[k] = equations[k], equations[i]
			}
		}
		for k := range n {
			if k == i {
				continue
			}
			by := equations[k][i] / equations[i][i]
			for j := i; j <= n; j++ {
				equations[k][j] -= by * equations[i][j]
			}
		}
	}
	values := make([]float64, n)
	for i, e := range equations {
		values[i] = e[n] / e[i]
	}
	return values
}

// productsOf are the columns x1 to xn, their squares, and the products of two and of three.
func productsOf(n int) (terms []string) {
	for i := 1; i <= n; i++ {
		terms = append(terms, fmt.Sprintf("x%d", i), fmt.Sprintf("I(x%d^2)", i), fmt.Sprintf("I(x%d^3)", i))
		for j := i + 1; j <= n; j++ {
			terms = append(terms, fmt.Sprintf("x%d:x%d", i, j))
			for k := j + 1; k <= n; k++ {
				terms = append(terms, fmt.Sprintf("x%d:x%d:x%d", i, j, k))
			}
		}
	}
	return terms
}

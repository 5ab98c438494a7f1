package analysis_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/trialmesh/trialmesh/federation/analysis"
	"github.com/trialmesh/trialmesh/protocol/query"
)

// TestProductsAreOfWhatAModelSums: ten rows, of which the last has the greatest values, none of
// them with most of a column's own sum.
func TestProductsAreOfWhatAModelSums(t *testing.T) {
	t.Parallel()
	columns := []analysis.Column{
		{Name: "y", Kind: analysis.Numeric, High: 20},
		{Name: "x", Kind: analysis.Numeric, High: 700},
		{Name: "w", Kind: analysis.Numeric, High: 20},
		{Name: "sex", Kind: analysis.Factor, Levels: []string{"female", "male"}},
	}
	f, err := analysis.NewFrame(columns)
	require.NoError(t, err)
	var rows []int
	for i := range 9 {
		require.NoError(t, f.Append([]float64{float64(2 * i % 9), float64(10 + i), float64(1 + i), float64(i % 2)}))
		rows = append(rows, i)
	}
	require.NoError(t, f.Append([]float64{18, 600, 18, 0}))
	rows = append(rows, 9)
	for formula, want := range map[string]struct {
		model query.Model
		name  string // what has a share above 90 %
	}{
		"y ~ sex":               {},
		"y ~ I(w^2)":            {},
		"I(y^6) ~ 1":            {name: "I(y^6)"},
		"exp(y) ~ sex":          {name: "exp(y)"},
		"w ~ exp(x)":            {name: "exp(x)"},
		"w ~ sex:I(y^3):I(w^3)": {name: "I(y^3):I(w^3)"},
		"sex ~ y:w":             {},
		"y ~ offset(w)":         {name: "exp(offset)"},
		"w ~ offset(y)":         {model: query.Model{Linear: true}},
		"w ~ y":                 {model: query.Model{Weights: "x"}, name: "y"},
		"y ~ offset(exp(x))":    {name: "exp(offset)"},
		"Surv(w, sex) ~ I(y^5)": {name: "I(y^5)"},
	} {
		m := want.model
		m.Formula = formula
		p, err := analysis.NewProducts(m, columns)
		require.NoError(t, err, formula)
		share, name := p.LargestShare(f, rows)
		if want.name == "" {
			require.Less(t, share, 0.9, "%s: %s", formula, name)
			continue
		}
		require.Greater(t, share, 0.9, formula)
		require.Equal(t, want.name, name, formula)

		without, _, err := f.Complete(columns[3:])
		require.NoError(t, err)
		share, _ = p.LargestShare(without, rows)
		require.Zero(t, share, "%s: of a view without the columns", formula)
	}
}

// TestFewAtStep: a mean that rises from 0 to 1 between two groups is that of who lies between.
func TestFewAtStep(t *testing.T) {
	t.Parallel()
	const least = 11
	for name, c := range map[string]struct {
		model   query.Model
		between int     // how many lie between two groups of 50 each
		apart   float64 // of a group's neighbours
		few     bool
	}{
		"few between":            {model: query.Model{Logistic: true}, between: 3, few: true},
		"nobody between":         {model: query.Model{Logistic: true}},
		"as many as the least":   {model: query.Model{Logistic: true}, between: least},
		"no step":                {model: query.Model{}, between: 3},
		"each far from the next": {model: query.Model{Logistic: true}, apart: 5, few: true},
		"each near the next":     {model: query.Model{Logistic: true}, apart: 0.1},
	} {
		c.model.Formula = "y ~ offset(x)"
		columns := []analysis.Column{{Name: "y", Kind: analysis.Logical}, {Name: "x", Kind: analysis.Numeric, High: 1000}}
		f, err := analysis.NewFrame(columns)
		require.NoError(t, err)
		for i := range 50 {
			require.NoError(t, f.Append([]float64{0, c.apart * float64(i)}))
			require.NoError(t, f.Append([]float64{1, 600 + c.apart*float64(i)}))
		}
		for range c.between {
			require.NoError(t, f.Append([]float64{1, 500}))
		}
		p, err := analysis.NewProducts(c.model, columns)
		require.NoError(t, err)
		require.Equal(t, c.few, p.FewAtStep(f, least), name)
	}
}

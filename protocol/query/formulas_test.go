package query_test

import (
	"reflect"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/trialmesh/trialmesh/protocol/query"
)

// TestFormulasAreThoseOfAllModels: a site's gate looks for powers of a column in them. Curves have
// no covariates.
func TestFormulasAreThoseOfAllModels(t *testing.T) {
	t.Parallel()
	specs := reflect.TypeOf(query.Specs{})
	seen := 0
	for _, f := range reflect.VisibleFields(specs) {
		field, has := f.Type.Elem().FieldByName("Formula")
		if !has || f.Name == "KaplanMeier" {
			continue
		}
		spec := reflect.New(f.Type.Elem())
		spec.Elem().FieldByIndex(field.Index).SetString("y ~ I(x^3)")
		var a query.Analysis
		reflect.ValueOf(&a.Specs).Elem().FieldByIndex(f.Index).Set(spec)
		models := a.Models()
		require.Len(t, models, 1, f.Name)
		require.Equal(t, "y ~ I(x^3)", models[0].Formula, f.Name)
		seen++
	}
	require.Greater(t, seen, 6)
}

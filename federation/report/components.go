package report

import (
	"fmt"
	"math"

	"github.com/trialmesh/trialmesh/protocol/query"
)

// componentsBlocks reads like R's summary(prcomp(…)), with the rotation.
func componentsBlocks(p query.PrincipalComponents) []block {
	importance := &table{title: "Importance of components:", head: []string{""}, words: 1}
	rotation := &table{title: "Rotation:", head: []string{""}, words: 1}
	var sds, proportions, cumulative []*float64
	for i, c := range p.Components {
		name := fmt.Sprintf("PC%d", i+1)
		importance.head, rotation.head = append(importance.head, name), append(rotation.head, name)
		sds, proportions, cumulative = append(sds, &c.SD), append(proportions, &c.Proportion), append(cumulative, &c.Cumulative)
	}
	importance.add(append([]string{"Standard deviation"}, align(4, sds...)...)...)
	importance.add(append([]string{"Proportion of Variance"}, align(4, proportions...)...)...)
	importance.add(append([]string{"Cumulative Proportion"}, align(4, cumulative...)...)...)
	for k, column := range p.Columns {
		var loadings []*float64
		for _, c := range p.Components {
			if k < len(c.Loadings) {
				loadings = append(loadings, &c.Loadings[k])
			}
		}
		rotation.add(append([]string{column.Name}, align(4, loadings...)...)...)
	}
	return []block{lines{persons(p.N, p.LeftOut)}, importance, rotation}
}

func root(v float64) *float64 { r := math.Sqrt(v); return &r }

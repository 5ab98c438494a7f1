package report

import (
	"fmt"
	"strings"

	"github.com/trialmesh/trialmesh/protocol/query"
)

// clustersBlocks reads like R's print(kmeans(…)). Centres are in the columns' own units.
func clustersBlocks(c query.Clusters) []block {
	names := make([]string, len(c.Columns))
	for i, column := range c.Columns {
		names[i] = column.Name
	}
	t := &table{title: "Cluster centres:", head: append([]string{"", "n", "within SS"}, names...), words: 1}
	rows := make([][]string, len(c.Clusters))
	for i, cluster := range c.Clusters {
		rows[i] = []string{fmt.Sprint(i + 1), fmt.Sprint(cluster.N), one(5, &cluster.WithinSS)}
	}
	for k, column := range c.Columns {
		var centres []*float64
		for _, cluster := range c.Clusters {
			v := cluster.Center[k]
			if column.Scale != nil {
				v = column.Center + v**column.Scale
			}
			centres = append(centres, &v)
		}
		for i, text := range align(5, centres...) {
			rows[i] = append(rows[i], text)
		}
	}
	for _, row := range rows {
		t.add(row...)
	}
	share := 0.0
	if c.TotalSS > 0 {
		share = 100 * c.BetweenSS / c.TotalSS
	}
	blocks := []block{
		lines{fmt.Sprintf("K-means of %s with %d clusters", strings.Join(names, ", "), len(c.Clusters)), persons(c.N, c.LeftOut)},
		t,
		lines{fmt.Sprintf("between SS / total SS = %s %%, after %d steps", one(3, &share), c.Iterations)},
	}
	switch {
	case c.Held:
		blocks = append(blocks, lines{"Held: the next step would have moved fewer persons than may be told apart, so the steps end here"})
	case !c.Converged:
		blocks = append(blocks, lines{"Warning: another step would move persons"})
	}
	return blocks
}

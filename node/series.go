package node

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"time"

	"github.com/trialmesh/trialmesh/localstore/series"
	"github.com/trialmesh/trialmesh/localstore/sqldb"
	"github.com/trialmesh/trialmesh/node/api"
)

// mergePause is how often landed points are merged: readers look through all that
// waits, and merging more at once is cheaper.
const mergePause = 5 * time.Second

// mergeSeries merges the points that loads have landed, unless another process on
// the same database does. Points are durable and readable before, so trouble of the
// database is no reason to end the node.
func (n *Node) mergeSeries(ctx context.Context) error {
	for {
		merged, err := n.series.Compact(ctx)
		if err != nil && ctx.Err() == nil && !errors.Is(err, series.ErrBusy) {
			n.cfg.Logger.WarnContext(ctx, "series are not merged, trying again", "err", err)
		}
		if err == nil && merged > 0 {
			continue
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(mergePause):
		}
	}
}

// listSeries returns what there are time series of, by system, code and unit.
func (n *Node) listSeries(ctx context.Context) ([]api.Series, error) {
	var list []api.Series
	err := n.db.Read(ctx, func(tx *sqldb.Tx) error {
		known, err := n.series.Variables(ctx, tx)
		if err != nil {
			return err
		}
		summaries, err := n.series.Summaries(ctx, tx)
		for _, s := range summaries {
			list = append(list, seriesOf(known[s.Variable], s))
		}
		return err
	})
	slices.SortFunc(list, func(a, b api.Series) int {
		return cmp.Or(cmp.Compare(a.System, b.System), cmp.Compare(a.Code, b.Code), cmp.Compare(a.Unit, b.Unit))
	})
	return list, err
}

func seriesOf(v series.Variable, s series.Summary) api.Series {
	return api.Series{
		System: v.System, Code: v.Code, Unit: v.Unit, Concept: v.ConceptID, Persons: s.Persons, Points: s.Points,
		First: time.UnixMilli(s.First).UTC(), Last: time.UnixMilli(s.Last).UTC(),
	}
}

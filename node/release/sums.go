package release

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"

	"github.com/trialmesh/trialmesh/localstore/sqldb"
	"github.com/trialmesh/trialmesh/protocol/identity"
	"github.com/trialmesh/trialmesh/protocol/query"
)

// Sum records over which sites the answer to a question is added up, before this node helps to
// unmask the sum. It refuses with [ErrSites] if numbers about the same persons here, or sums of the
// same values, were added up over other sites before. Were any others allowed that are enough sites
// apart, three sums, of which each site is in two, would add up to the numbers of two sites: A, B,
// C and D, then A, B, E and F, then C, D, E and F. A question has one sum; asked again with the same
// sites it is recorded already.
func (g *Gate) Sum(ctx context.Context, id query.ID, sites []identity.DID) error {
	return g.db.Write(ctx, func(tx *sqldb.Tx) error { return g.SumIn(ctx, tx, id, sites) })
}

// SumIn is [Gate.Sum] in a transaction, without which nothing is recorded.
func (g *Gate) SumIn(ctx context.Context, tx *sqldb.Tx, id query.ID, sites []identity.DID) error {
	if err := sum(ctx, tx, id, slices.Sorted(slices.Values(sites))); err != nil {
		return fmt.Errorf("release: sum over sites: %w", err)
	}
	return nil
}

func sum(ctx context.Context, tx *sqldb.Tx, id query.ID, sites []identity.DID) error {
	text, err := json.Marshal(sites)
	if err != nil {
		return err
	}
	if err := tx.Lock(ctx, "release"); err != nil {
		return err
	}
	// Two questions are about the same persons if the union of what was released of their
	// measure is the same, whatever they were broken down by; and have sums in common if
	// one column's values are, whatever other columns a model has. Persons or values that
	// are nearly the same are refused before there is a sum.
	rows, err := tx.Query(ctx, `SELECT DISTINCT other_sum.sites FROM release AS mine
		JOIN release_set AS my_set ON my_set.query = mine.source AND my_set.cell = ?
		JOIN release_set AS other_set ON other_set.measure = my_set.measure AND other_set.cell = my_set.cell
			AND other_set.size = my_set.size AND other_set.members = my_set.members
		JOIN release AS other ON other.source = other_set.query
		JOIN release_sum AS other_sum ON other_sum.query = other.query
		WHERE mine.query = ? AND other.query <> mine.query
			AND (my_set.measure = mine.measure AND my_set.measure = other.measure OR my_set.measure LIKE ?)`, unionCell, id.String(), valuesOf+"%")
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var raw []byte
		var earlier []identity.DID
		if err := rows.Scan(&raw); err != nil {
			return err
		}
		if err := json.Unmarshal(raw, &earlier); err != nil {
			return err
		}
		if !slices.Equal(sites, earlier) {
			return ErrSites
		}
	}
	if err := rows.Err(); err != nil {
		return err
	}
	_, err = tx.Exec(ctx, `INSERT INTO release_sum (query, sites) VALUES (?, ?) ON CONFLICT DO NOTHING`, id.String(), string(text))
	return err
}

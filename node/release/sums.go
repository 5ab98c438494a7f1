package release

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

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
	about, err := addedUp(ctx, tx, id)
	if err != nil {
		return err
	}
	for _, persons := range about {
		earlier, err := persons.sites(ctx, tx, id)
		if err != nil {
			return err
		}
		if earlier != nil && !slices.Equal(sites, earlier) {
			return ErrSites
		}
	}
	_, err = tx.Exec(ctx, `INSERT INTO release_sum (query, sites) VALUES (?, ?) ON CONFLICT DO NOTHING`, id.String(), string(text))
	return err
}

// summed is what a sum is about. Two questions are about the same persons if the union of what
// was released of their own measure is the same, whatever they were broken down by; and have
// sums in common if one column's values are, whatever other columns a model has. Persons or
// values that are nearly the same are refused before there is a sum.
type summed struct {
	measure string
	size    int
	members []byte // of a set
}

// addedUp returns what the sum of a question is about.
func addedUp(ctx context.Context, tx *sqldb.Tx, id query.ID) (about []summed, err error) {
	err = tx.Each(ctx, `SELECT s.measure, s.size, s.members FROM release r JOIN release_set s ON s.query = r.source AND s.cell = ?
		WHERE r.query = ? AND (s.measure = r.measure OR s.measure LIKE ?)`, []any{unionCell, id.String(), valuesOf + "%"}, func(rows *sqldb.Rows) error {
		var s summed
		err := rows.Scan(&s.measure, &s.size, &s.members)
		about = append(about, s)
		return err
	})
	return about, err
}

// sites returns over which sites the same was added up for another question, nil if it was
// not. All such sums are over the same sites, so that any of them tells.
func (s summed) sites(ctx context.Context, tx *sqldb.Tx, but query.ID) (sites []identity.DID, err error) {
	own := ""
	if !strings.HasPrefix(s.measure, valuesOf) {
		own = "AND r.measure = s.measure"
	}
	var raw []byte
	err = tx.QueryRow(ctx, `SELECT sum.sites FROM release_set s JOIN release r ON r.source = s.query JOIN release_sum sum ON sum.query = r.query
		WHERE s.measure = ? AND s.size = ? AND s.cell = ? AND s.members = ? AND r.query <> ? `+own+` LIMIT 1`,
		s.measure, s.size, unionCell, s.members, but.String()).Scan(&raw)
	if errors.Is(err, sqldb.ErrNoRows) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return sites, json.Unmarshal(raw, &sites)
}

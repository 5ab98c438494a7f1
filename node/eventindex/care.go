package eventindex

import (
	"context"
	"maps"
	"slices"

	"github.com/trialmesh/trialmesh/localstore/omop"
	"github.com/trialmesh/trialmesh/localstore/sqldb"
	"github.com/trialmesh/trialmesh/node/events"
)

// What an event has by a row of the site: what the provider specializes in, of what kind the
// care site is, and that care site if it is there.
const (
	specialty      events.Column = "provider.specialty_concept_id"
	placeOfService events.Column = "care_site.place_of_service_concept_id"
	careSiteID     events.Column = "care_site.care_site_id"
)

// cared are those attributes by the column that names the row. The number in it is not kept.
var cared = map[string][]events.Column{"provider_id": {specialty}, "care_site_id": {placeOfService, careSiteID}}

// care is what is known of who gives care and where, by the numbers of providers and care
// sites that rows of persons name. [omop.Null] is of those of whom nothing says it.
type care struct{ specialty, place map[int64]int64 }

// read finds out what scanned rows name that is not known yet.
func (k *care) read(ctx context.Context, tx *sqldb.Tx, store *omop.Store, s *source, scanned []omop.Vector) error {
	for _, of := range []struct {
		table  omop.Table
		known  map[int64]int64
		column int
	}{{omop.ProviderTable, k.specialty, s.provider}, {omop.CareSiteTable, k.place, s.careSite}} {
		if of.column < 0 {
			continue
		}
		ask := map[int64]struct{}{}
		for _, id := range scanned[of.column].Whole {
			if _, known := of.known[id]; !known && id != omop.Null {
				ask[id] = struct{}{}
			}
		}
		if len(ask) == 0 {
			continue
		}
		found, err := store.SiteConcepts(ctx, tx, of.table, slices.Sorted(maps.Keys(ask)))
		if err != nil {
			return err
		}
		maps.Copy(of.known, found)
	}
	return nil
}

// of returns an attribute that a row has by a row of the site, omop.Null if that is not there.
func (k *care) of(name events.Column, id int64) int64 {
	var concept int64
	var known bool
	switch name {
	case specialty:
		concept, known = k.specialty[id]
	case placeOfService, careSiteID:
		concept, known = k.place[id]
	}
	switch {
	case !known:
		return omop.Null
	case name == careSiteID:
		return id
	}
	return concept
}

func newCare() *care { return &care{map[int64]int64{}, map[int64]int64{}} }

// readAll finds out about all that there is. Whom a provider that comes or changes later
// concerns has changed, and comes with the update.
func (k *care) readAll(ctx context.Context, tx *sqldb.Tx, store *omop.Store) (err error) {
	if k.specialty, err = store.SiteConcepts(ctx, tx, omop.ProviderTable, nil); err != nil {
		return err
	}
	k.place, err = store.SiteConcepts(ctx, tx, omop.CareSiteTable, nil)
	return err
}

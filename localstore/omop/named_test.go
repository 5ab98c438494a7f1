package omop_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/trialmesh/trialmesh/localstore/omop"
	"github.com/trialmesh/trialmesh/localstore/sqldb"
	"github.com/trialmesh/trialmesh/localstore/sqldb/sqltest"
)

// site is a batch with one provider, in a care site of a location.
func site(file byte, specialty, place int) omop.Batch {
	return of(file, "m", omop.Batch{
		Locations: []omop.Location{{Record: omop.Record{Key: omop.NewKey("l"), Pointer: "line 1"}, State: "MA", CountryConceptID: 42046186, CountrySource: "US"}},
		CareSites: []omop.CareSite{{Record: omop.Record{Key: omop.NewKey("c"), Pointer: "line 1"}, Location: omop.NewKey("l"), PlaceConceptID: &place}},
		Providers: []omop.Provider{{Record: omop.Record{Key: omop.NewKey("d"), CareSite: omop.NewKey("c"), Pointer: "line 1"}, SpecialtyConceptID: &specialty, SpecialtySource: "NEU"}},
	})
}

// caredFor is ada with a visit and a condition in it that name the provider.
func caredFor(file byte) omop.Batch {
	b := ada()
	b.Conditions, b.Visits = b.Conditions[:1], b.Visits[:1]
	b.Visits[0].Provider, b.Visits[0].CareSite, b.Conditions[0].Provider = omop.NewKey("d"), omop.NewKey("c"), omop.NewKey("d")
	return of(file, "m", omop.Batch{Persons: b.Persons, Visits: b.Visits, Conditions: b.Conditions})
}

// care returns the specialties of the visit's and the condition's provider and the place of
// the visit, -1 for none, as a join finds them.
func care(t *testing.T, db *sqldb.DB) (found [3]int64) {
	t.Helper()
	require.NoError(t, db.Read(t.Context(), func(tx *sqldb.Tx) error {
		return tx.QueryRow(t.Context(), `SELECT coalesce(p.specialty_concept_id, -1), coalesce(q.specialty_concept_id, -1), coalesce(s.place_of_service_concept_id, -1)
			FROM visit_occurrence v JOIN condition_occurrence c ON c.person_id = v.person_id LEFT JOIN provider p ON p.provider_id = v.provider_id
			LEFT JOIN provider q ON q.provider_id = c.provider_id LEFT JOIN care_site s ON s.care_site_id = v.care_site_id`).Scan(&found[0], &found[1], &found[2])
	}))
	return found
}

func TestRowsNameWhoGaveTheCare(t *testing.T) {
	t.Parallel()
	sqltest.Each(t, func(t *testing.T, db *sqldb.DB) {
		s := open(t, db)
		r := put(t, db, s, caredFor(2))
		require.Equal(t, map[string][]string{"provider_id": {"entry[v1]", "entry[c1]"}, "care_site_id": {"entry[v1]"}}, r.Unnamed)
		require.Equal(t, [3]int64{-1, -1, -1}, care(t, db))

		require.Equal(t, 3, put(t, db, s, site(1, 38004446, 8782)).Stored)
		r = put(t, db, s, caredFor(2))
		require.Empty(t, r.Unnamed)
		require.Equal(t, 2, r.Replaced, "what names the provider who is now there")
		require.Equal(t, [3]int64{38004446, 38004446, 8782}, care(t, db))
		require.Equal(t, 3, put(t, db, s, caredFor(2)).Duplicates)
		require.NoError(t, db.Read(t.Context(), func(tx *sqldb.Tx) error {
			var names int
			require.NoError(t, tx.QueryRow(t.Context(), `SELECT count(p.provider_name) + count(p.npi) + count(p.dea) + count(p.year_of_birth) + count(c.care_site_name) + count(l.zip)
				FROM provider p, care_site c, location l WHERE c.location_id = l.location_id AND p.care_site_id = c.care_site_id`).Scan(&names))
			require.Zero(t, names)
			return nil
		}))
	})
}

// TestAChangedProviderChangesPersons: whose records name one is another in a cohort by
// specialty.
func TestAChangedProviderChangesPersons(t *testing.T) {
	t.Parallel()
	sqltest.Each(t, func(t *testing.T, db *sqldb.DB) {
		s := open(t, db)
		put(t, db, s, site(1, 1, 2))
		put(t, db, s, caredFor(2))
		put(t, db, s, of(3, "m", omop.Batch{Persons: eve().Persons}))
		before := stateOf(t, db, s)
		put(t, db, s, site(1, 1, 2))
		_, changed, err := changedSince(t, db, s, before)
		require.NoError(t, err)
		require.Empty(t, changed, "the same again")
		put(t, db, s, site(1, 7, 2))
		require.Equal(t, [3]int64{7, 7, 2}, care(t, db), "the row keeps its number")
		before, changed, err = changedSince(t, db, s, before)
		require.NoError(t, err)
		require.Len(t, changed, 1, "the specialty")
		put(t, db, s, site(1, 7, 8))
		before, changed, err = changedSince(t, db, s, before)
		require.NoError(t, err)
		require.Len(t, changed, 1, "the place")

		// Another mapper makes nothing of the file.
		gone := of(1, "n", omop.Batch{})
		put(t, db, s, gone)
		require.Equal(t, omop.Swept{Rows: 3}, sweep(t, db, s, gone, false))
		require.Equal(t, [3]int64{-1, -1, -1}, care(t, db))
		_, changed, err = changedSince(t, db, s, before)
		require.NoError(t, err)
		require.Len(t, changed, 1)
		require.NoError(t, db.Read(t.Context(), func(tx *sqldb.Tx) error {
			var n int
			require.NoError(t, tx.QueryRow(t.Context(), "SELECT count(provider_id) + count(care_site_id) FROM visit_occurrence").Scan(&n))
			require.Zero(t, n)
			return nil
		}))
	})
}

// Package omop holds the people of one site and what happened to them as tables
// of the OMOP Common Data Model 5.4.
//
// Start from [Store]. [Store.Put] adds a [Batch] of rows that name their person,
// visit and themselves by the source's keys; the store gives out the numbers.
// Putting the same batch again changes nothing, a row whose content changed
// replaces the earlier one. [Store.Persons], [Store.Occurrences] and
// [Store.Values] are what questions are answered from.
//
// The CDM tables hold what the CDM says and nothing else. Where a row came from
// (table lineage) and what the quality checks found (table quality) stand beside
// them, joined by the row's key; a row without an entry in quality is valid.
//
// Concepts are plain int64 and 0 means "no matching concept", as in OMOP. Keys of
// people neither print nor marshal.
package omop

import (
	"context"
	"embed"
	"fmt"

	"github.com/trialmesh/trialmesh/localstore/sqldb"
)

// CDMVersion is the version of the Common Data Model of these tables.
const CDMVersion = "5.4"

// Date is a calendar day, as every date column of the CDM.
type Date = sqldb.Date

//go:embed migrations
var migrations embed.FS

// Store reads and writes the tables. It keeps no state of its own: what it does
// is part of the transaction it is given.
type Store struct{ db *sqldb.DB }

// Open brings the tables of db up to date and returns a Store over them.
func Open(ctx context.Context, db *sqldb.DB) (*Store, error) {
	if err := sqldb.Migrate(ctx, db, "omop", sub()); err != nil {
		return nil, fmt.Errorf("omop: %w", err)
	}
	return &Store{db: db}, nil
}

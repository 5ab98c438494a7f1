package fsck

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/trialmesh/trialmesh/localstore/series"
	"github.com/trialmesh/trialmesh/localstore/sqldb"
)

// table is a CDM table as lineage knows it.
type table struct {
	id        int64 // number in lineage
	name, key string
	person    bool     // rows are of one
	visit     bool     // rows name a visit, 0 for none where it must not be null
	others    []string // tables of the site that they name
}

// tables are those whose rows have lineage by their key. Deaths have it by their
// person, and only some periods have it: see deaths and periods.
var tables = []table{
	{1, "person", "person_id", false, false, nil},
	{2, "visit_occurrence", "visit_occurrence_id", true, false, []string{"provider", "care_site"}},
	{3, "condition_occurrence", "condition_occurrence_id", true, true, []string{"provider"}},
	{4, "drug_exposure", "drug_exposure_id", true, true, []string{"provider"}},
	{5, "procedure_occurrence", "procedure_occurrence_id", true, true, []string{"provider"}},
	{6, "measurement", "measurement_id", true, true, []string{"provider"}},
	{7, "observation", "observation_id", true, true, []string{"provider"}},
	{10, "device_exposure", "device_exposure_id", true, true, []string{"provider"}},
	{11, "specimen", "specimen_id", true, false, nil},
	{12, "visit_detail", "visit_detail_id", true, true, []string{"provider", "care_site"}},
	{13, "payer_plan_period", "payer_plan_period_id", true, false, nil},
	{14, "location", "location_id", false, false, nil},
	{15, "care_site", "care_site_id", false, false, []string{"location"}},
	{16, "provider", "provider_id", false, false, []string{"care_site"}},
}

// databaseSteps is how often checker.database calls step.
const databaseSteps = 22

// database checks the database on one snapshot.
func (c *checker) database(ctx context.Context, tx *sqldb.Tx) error {
	c.step("the engine's own check")
	if err := c.engine(ctx, tx); err != nil {
		return err
	}
	c.step("lineage")
	lineage, err := c.lineage(ctx, tx)
	if err != nil {
		return err
	}
	for _, t := range tables {
		c.step(t.name)
		if err := c.table(ctx, tx, t, lineage); err != nil {
			return fmt.Errorf("%s: %w", t.name, err)
		}
	}
	c.step("death")
	if err := c.deaths(ctx, tx, lineage); err != nil {
		return err
	}
	c.step("observation_period")
	if err := c.periods(ctx, tx, lineage); err != nil {
		return err
	}
	for _, n := range lineage { // of no table that there is
		if n > 0 {
			c.add(Finding{Rule: NoRow, Place: "lineage", Count: n})
		}
	}
	c.step("jobs and loads")
	if err := c.relations(ctx, tx); err != nil {
		return err
	}
	c.step("time series")
	if err := c.series(ctx, tx); err != nil {
		return err
	}
	c.step("consent trees")
	defects, err := c.cfg.Consents(ctx, tx)
	if err != nil {
		return fmt.Errorf("consent trees: %w", err)
	}
	for _, f := range defects {
		c.add(f)
	}
	c.step("names of raw copies")
	c.names, err = Named(ctx, tx)
	return err
}

// engine asks SQLite whether its file is sound. PostgreSQL has no such check for
// whoever owns only a database; data checksums are its own.
func (c *checker) engine(ctx context.Context, tx *sqldb.Tx) error {
	if tx.Dialect() != sqldb.SQLite {
		return nil
	}
	if err := tx.Each(ctx, "PRAGMA integrity_check", nil, func(rows *sqldb.Rows) error {
		var says string
		err := rows.Scan(&says)
		says = strings.TrimSpace(says)
		known := slices.IndexFunc(c.report.Findings, func(f Finding) bool { return f.Place == says })
		switch {
		case says == "ok":
		case known >= 0: // it does not say in which row
			c.report.Findings[known].Count++
		default:
			c.add(Finding{Rule: DamagedDatabase, Place: says, Count: 1})
		}
		return err
	}); err != nil {
		return err
	}
	return tx.Each(ctx, `SELECT "table", count(*) FROM pragma_foreign_key_check GROUP BY 1`, nil, func(rows *sqldb.Rows) error {
		f := Finding{Rule: ForeignKey}
		err := rows.Scan(&f.Place, &f.Count)
		c.add(f)
		return err
	})
}

// lineage returns how many rows each table has lineage of, by the table's number.
func (c *checker) lineage(ctx context.Context, tx *sqldb.Tx) (map[int64]int64, error) {
	all := map[int64]int64{}
	lost := int64(0)
	if err := tx.Each(ctx, `SELECT table_id, count(*), count(load.load_id) FROM lineage
		LEFT JOIN load ON load.load_id = lineage.load_id GROUP BY table_id`, nil, func(rows *sqldb.Rows) error {
		var t, n, loaded int64
		err := rows.Scan(&t, &n, &loaded)
		all[t], lost = n, lost+n-loaded
		return err
	}); err != nil || lost == 0 {
		return all, err
	}
	c.add(Finding{Rule: NoLoad, Place: "lineage", Count: lost})
	return all, nil
}

// table compares a table with its lineage and with the rows that it refers to. It
// takes what it finds out of lineage.
func (c *checker) table(ctx context.Context, tx *sqldb.Tx, t table, lineage map[int64]int64) error {
	from := fmt.Sprintf(" FROM %s t LEFT JOIN lineage l ON l.row_id = t.%s AND l.table_id = %d", t.name, t.key, t.id)
	person, visits, visit := "t."+t.key, "0", "0"
	if t.person {
		from += " LEFT JOIN person p ON p.person_id = t.person_id"
		person = "p.person_id"
	}
	if t.visit {
		from += " LEFT JOIN visit_occurrence v ON v.visit_occurrence_id = t.visit_occurrence_id"
		visits, visit = "count(nullif(t.visit_occurrence_id, 0))", "count(v.visit_occurrence_id)"
	}
	var n, traced, owned, named, visited int64
	if err := tx.QueryRow(ctx, "SELECT count(*), count(l.row_id), count("+person+"), "+visits+", "+visit+from).
		Scan(&n, &traced, &owned, &named, &visited); err != nil {
		return err
	}
	c.report.Rows += n
	orphans := lineage[t.id] - traced
	delete(lineage, t.id)
	if err := c.others(ctx, tx, t); err != nil {
		return err
	}
	for _, bad := range []struct {
		rule  Rule
		count int64
		list  string
	}{
		{NoLineage, n - traced, "SELECT t." + t.key + from + " WHERE l.row_id IS NULL"},
		{UnknownPerson, n - owned, "SELECT t." + t.key + from + " WHERE p.person_id IS NULL"},
		{UnknownVisit, named - visited, "SELECT t." + t.key + from + " WHERE t.visit_occurrence_id <> 0 AND v.visit_occurrence_id IS NULL"},
		{NoRow, orphans, fmt.Sprintf("SELECT l.row_id FROM lineage l WHERE l.table_id = %d AND NOT EXISTS (SELECT 1 FROM %s t WHERE t.%s = l.row_id)", t.id, t.name, t.key)},
	} {
		if err := c.found(ctx, tx, bad.rule, t.name, bad.count, bad.list); err != nil {
			return err
		}
	}
	return nil
}

// others looks for rows that name providers, care sites or locations which are not there.
func (c *checker) others(ctx context.Context, tx *sqldb.Tx, t table) error {
	for _, other := range t.others {
		key := other + "_id"
		list := fmt.Sprintf(" FROM %s t WHERE t.%s IS NOT NULL AND NOT EXISTS (SELECT 1 FROM %s o WHERE o.%s = t.%s)", t.name, key, other, key, key)
		var n int64
		if err := tx.QueryRow(ctx, "SELECT count(*)"+list).Scan(&n); err != nil {
			return err
		}
		if err := c.found(ctx, tx, UnknownSite, t.name, n, "SELECT t."+t.key+list); err != nil {
			return err
		}
	}
	return nil
}

// found adds a finding of count rows, none for 0, and lists them by a query.
func (c *checker) found(ctx context.Context, tx *sqldb.Tx, rule Rule, place string, count int64, list string) error {
	if count == 0 {
		return nil
	}
	f := Finding{Rule: rule, Place: place, Count: count}
	if list != "" && place != "person" {
		if err := tx.Each(ctx, list+fmt.Sprintf(" ORDER BY 1 LIMIT %d", mostRows), nil, func(rows *sqldb.Rows) error {
			var id int64
			err := rows.Scan(&id)
			f.Rows = append(f.Rows, id)
			return err
		}); err != nil {
			return err
		}
	}
	c.add(f)
	return nil
}

// deaths compares deaths with their lineage: that of a death has a number of its own
// and begins with the same 8 bytes as its person's, or one whose name was merged.
func (c *checker) deaths(ctx context.Context, tx *sqldb.Tx, lineage map[int64]int64) error {
	var n, owned, traced int64
	if err := tx.QueryRow(ctx, `WITH names AS (SELECT row_id AS person, substr(row_key, 1, 8) AS name FROM lineage WHERE table_id = 1
			UNION ALL SELECT person_id, substr(row_key, 1, 8) FROM merged_person),
		traced AS (SELECT DISTINCT names.person FROM lineage l JOIN names ON names.name = substr(l.row_key, 1, 8) WHERE l.table_id = 8)
		SELECT count(*), count(p.row_id), count(traced.person) FROM death t
		LEFT JOIN lineage p ON p.row_id = t.person_id AND p.table_id = 1
		LEFT JOIN traced ON traced.person = t.person_id`).Scan(&n, &owned, &traced); err != nil {
		return fmt.Errorf("death: %w", err)
	}
	c.report.Rows += n
	orphans := lineage[8] - traced
	delete(lineage, 8)
	for _, bad := range []struct {
		rule  Rule
		count int64
	}{{UnknownPerson, n - owned}, {NoLineage, owned - traced}, {NoRow, orphans}} {
		if err := c.found(ctx, tx, bad.rule, "death", bad.count, ""); err != nil {
			return err
		}
	}
	return nil
}

// periods checks observation periods. Those that are made from a person's events have
// no lineage but that of the events.
func (c *checker) periods(ctx context.Context, tx *sqldb.Tx, lineage map[int64]int64) error {
	var n, owned, stated int64
	if err := tx.QueryRow(ctx, `SELECT count(*), count(p.person_id), count(l.row_id) FROM observation_period t
		LEFT JOIN person p ON p.person_id = t.person_id
		LEFT JOIN lineage l ON l.row_id = t.observation_period_id AND l.table_id = 9`).Scan(&n, &owned, &stated); err != nil {
		return fmt.Errorf("observation_period: %w", err)
	}
	c.report.Rows += n
	orphans := lineage[9] - stated
	delete(lineage, 9)
	if err := c.found(ctx, tx, UnknownPerson, "observation_period", n-owned, ""); err != nil {
		return err
	}
	return c.found(ctx, tx, NoRow, "observation_period", orphans, "")
}

// relations checks jobs, loads, findings, and the tables of time series and data sets.
func (c *checker) relations(ctx context.Context, tx *sqldb.Tx) error {
	if err := tx.QueryRow(ctx, "SELECT count(*) FROM ingest_job").Scan(&c.report.Jobs); err != nil {
		return err
	}
	noJob := " WHERE NOT EXISTS (SELECT 1 FROM ingest_job j WHERE j.file = lower(hex(l.raw)))"
	if tx.Dialect() == sqldb.Postgres {
		noJob = " WHERE NOT EXISTS (SELECT 1 FROM ingest_job j WHERE j.file = encode(l.raw, 'hex'))"
	}
	for _, r := range []struct {
		rule        Rule
		place, list string
	}{
		{NotQueued, "ingest_job", `SELECT j.job_id FROM ingest_job j WHERE j.state IN ('queued', 'running', 'failed')
			AND NOT EXISTS (SELECT 1 FROM river_job r WHERE r.id = j.job_id AND r.kind = 'ingest' AND CAST(r.state AS TEXT) <> 'completed')`},
		{Unacked, "river_job", `SELECT r.id FROM river_job r WHERE r.kind = 'ingest' AND NOT EXISTS (SELECT 1 FROM ingest_job j WHERE j.job_id = r.id)`},
		{NoJob, "load", "SELECT l.load_id FROM load l" + noJob},
		{NoJob, "series_load", "SELECT l.load_id FROM series_load l" + noJob},
		{NoFinding, "quality", `SELECT q.row_id FROM quality q WHERE NOT EXISTS (SELECT 1 FROM lineage l WHERE l.row_id = q.row_id)`},
		{UnknownPerson, "series", `SELECT s.series_id FROM series s WHERE NOT EXISTS (SELECT 1 FROM person p WHERE p.person_id = s.person_id)`},
		{UnknownPerson, "dataset_row", `SELECT r.dataset_id FROM dataset_row r WHERE NOT EXISTS (SELECT 1 FROM person p WHERE p.person_id = r.person_id)`},
		{Undescribed, "series", `SELECT s.series_id FROM series s WHERE NOT EXISTS (SELECT 1 FROM series_variable v WHERE v.variable_id = s.variable_id)
			OR NOT EXISTS (SELECT 1 FROM series_source o WHERE o.source_id = s.source_id)`},
		{UnknownSeries, "series_chunk", `SELECT c.chunk_id FROM series_chunk c WHERE NOT EXISTS (SELECT 1 FROM series s WHERE s.series_id = c.series_id)`},
		{UnknownSeries, "series_aggregate", `SELECT a.aggregate_id FROM series_aggregate a WHERE NOT EXISTS (SELECT 1 FROM series s WHERE s.series_id = a.series_id)`},
	} {
		var n int64
		if err := tx.QueryRow(ctx, "SELECT count(*) FROM ("+r.list+") AS bad").Scan(&n); err != nil {
			return fmt.Errorf("%s: %w", r.place, err)
		}
		if err := c.found(ctx, tx, r.rule, r.place, n, r.list); err != nil {
			return err
		}
	}
	return nil
}

// series reads the bodies of all time series.
func (c *checker) series(ctx context.Context, tx *sqldb.Tx) error {
	type kind struct {
		fault series.Fault
		table string
	}
	var order []kind
	bad := map[kind]*Finding{}
	points, err := series.Check(ctx, tx, func(f series.Fault, table string, key int64) {
		k := kind{f, table}
		if bad[k] == nil {
			bad[k], order = &Finding{Rule: Rule(f), Place: table}, append(order, k)
		}
		bad[k].Count++
		if len(bad[k].Rows) < mostRows {
			bad[k].Rows = append(bad[k].Rows, key)
		}
	})
	c.report.Points = points
	for _, k := range order {
		c.add(*bad[k])
	}
	return err
}

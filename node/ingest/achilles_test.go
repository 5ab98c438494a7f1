package ingest_test

import (
	"fmt"
	"regexp"
	"strings"

	"github.com/trialmesh/trialmesh/localstore/sqldb"
)

// The analyses of OHDSI Achilles 1.7 that the tables of this store can answer, written
// anew from their names. YEAR, MONTH (200912), DAYS (between two dates), AFTER and
// BEFORE (a day) stand for what each engine calls them. Each gives its strata and,
// last, its count. Of analyses of proportions the proportion itself is left out.

// events are the event tables by the hundreds of their analyses.
var events = map[int]struct{ table, date, concept, kind, source string }{
	2:  {"visit_occurrence", "visit_start_date", "visit_concept_id", "visit_type_concept_id", "visit_source_concept_id"},
	4:  {"condition_occurrence", "condition_start_date", "condition_concept_id", "condition_type_concept_id", "condition_source_concept_id"},
	6:  {"procedure_occurrence", "procedure_date", "procedure_concept_id", "procedure_type_concept_id", "procedure_source_concept_id"},
	7:  {"drug_exposure", "drug_exposure_start_date", "drug_concept_id", "drug_type_concept_id", "drug_source_concept_id"},
	8:  {"observation", "observation_date", "observation_concept_id", "observation_type_concept_id", "observation_source_concept_id"},
	18: {"measurement", "measurement_date", "measurement_concept_id", "measurement_type_concept_id", "measurement_source_concept_id"},
}

const (
	// observed is behind "event table e": events in an observation period of their person.
	observed = ` JOIN person p ON p.person_id = e.person_id JOIN observation_period o ON o.person_id = e.person_id
		AND e.{date} >= o.observation_period_start_date AND e.{date} <= o.observation_period_end_date`
	// unobserved is its contrary.
	unobserved = ` WHERE NOT EXISTS (SELECT 1 FROM observation_period o WHERE o.person_id = e.person_id
		AND e.{date} >= o.observation_period_start_date AND e.{date} <= o.observation_period_end_date)`
	// first is the first day of observation of everyone.
	first = ` JOIN (SELECT person_id, min(observation_period_start_date) AS day FROM observation_period GROUP BY person_id) f ON f.person_id = p.person_id`
	// months are those of 1900 to 2029, as 200912.
	months = `(WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < 1559) SELECT (1900 + i / 12) * 100 + i % 12 + 1 AS y FROM n)`
)

// achilles returns the analyses by their numbers, in the words of no engine.
func achilles() map[int]string {
	list := map[int]string{
		1:    `SELECT count(*) FROM person`,
		2:    `SELECT gender_concept_id, count(*) FROM person GROUP BY 1`,
		3:    `SELECT year_of_birth, count(*) FROM person GROUP BY 1`,
		4:    `SELECT race_concept_id, count(*) FROM person GROUP BY 1`,
		5:    `SELECT ethnicity_concept_id, count(*) FROM person GROUP BY 1`,
		10:   `SELECT year_of_birth, gender_concept_id, count(*) FROM person GROUP BY 1, 2`,
		11:   `SELECT year_of_birth, gender_concept_id, count(*) FROM person p WHERE NOT EXISTS (SELECT 1 FROM death d WHERE d.person_id = p.person_id) GROUP BY 1, 2`,
		12:   `SELECT race_concept_id, ethnicity_concept_id, count(*) FROM person GROUP BY 1, 2`,
		101:  `SELECT YEAR(f.day) - p.year_of_birth, count(*) FROM person p` + first + ` GROUP BY 1`,
		102:  `SELECT p.gender_concept_id, YEAR(f.day) - p.year_of_birth, count(*) FROM person p` + first + ` GROUP BY 1, 2`,
		108:  `SELECT DAYS(f.day, o.observation_period_end_date) / 30, count(DISTINCT p.person_id) FROM person p` + first + ` JOIN observation_period o ON o.person_id = p.person_id AND o.observation_period_start_date = f.day GROUP BY 1`,
		109:  `SELECT y.y / 100, count(DISTINCT o.person_id) FROM ` + months + ` y JOIN observation_period o ON YEAR(BEFORE(o.observation_period_start_date)) < y.y / 100 AND YEAR(AFTER(o.observation_period_end_date)) > y.y / 100 WHERE y.y % 100 = 1 GROUP BY 1`,
		110:  `SELECT y.y, count(DISTINCT o.person_id) FROM (SELECT DISTINCT MONTH(observation_period_start_date) AS y FROM observation_period) y JOIN observation_period o ON MONTH(BEFORE(o.observation_period_start_date)) < y.y AND MONTH(AFTER(o.observation_period_end_date)) > y.y GROUP BY 1`,
		111:  `SELECT MONTH(observation_period_start_date), count(DISTINCT person_id) FROM observation_period GROUP BY 1`,
		112:  `SELECT MONTH(observation_period_end_date), count(DISTINCT person_id) FROM observation_period GROUP BY 1`,
		113:  `SELECT n, count(*) FROM (SELECT count(*) AS n FROM observation_period GROUP BY person_id) x GROUP BY 1`,
		116:  `SELECT y.y, p.gender_concept_id, (y.y - p.year_of_birth) / 10, count(DISTINCT p.person_id) FROM (SELECT DISTINCT YEAR(observation_period_start_date) AS y FROM observation_period) y JOIN observation_period o ON YEAR(o.observation_period_start_date) <= y.y AND YEAR(o.observation_period_end_date) >= y.y JOIN person p ON p.person_id = o.person_id GROUP BY 1, 2, 3`,
		117:  `SELECT y.y, count(DISTINCT o.person_id) FROM ` + months + ` y JOIN observation_period o ON MONTH(o.observation_period_start_date) <= y.y AND MONTH(o.observation_period_end_date) >= y.y GROUP BY 1`,
		119:  `SELECT period_type_concept_id, count(*) FROM observation_period GROUP BY 1`,
		212:  about(2, `SELECT YEAR(e.{date}), p.gender_concept_id, (YEAR(e.{date}) - p.year_of_birth) / 10, count(DISTINCT e.person_id) FROM {table} e`+observed+` GROUP BY 1, 2, 3`),
		221:  about(2, `SELECT YEAR(e.{date}), count(DISTINCT e.person_id) FROM {table} e`+observed+` GROUP BY 1`),
		414:  about(4, `SELECT coalesce(e.condition_status_concept_id, 0), count(*) FROM {table} e`+observed+` GROUP BY 1`),
		415:  about(4, `SELECT e.{kind}, count(*) FROM {table} e`+observed+` GROUP BY 1`),
		416:  about(4, `SELECT coalesce(e.condition_status_concept_id, 0), e.{kind}, count(*) FROM {table} e`+observed+` GROUP BY 1, 2`),
		1814: about(18, `SELECT count(*) FROM {table} e`+observed+` WHERE e.value_as_number IS NULL AND coalesce(e.value_as_concept_id, 0) = 0`),
		1821: `SELECT count(*) FROM measurement WHERE value_as_number IS NULL`,
		1833: about(18, `SELECT e.{concept}, count(*), count(*) FROM {table} e`+observed+` WHERE e.value_as_number IS NULL AND coalesce(e.value_as_concept_id, 0) = 0 GROUP BY 1`),
		1900: unmappedTexts(),
		2000: `SELECT count(*) FROM (SELECT person_id FROM condition_occurrence INTERSECT SELECT person_id FROM drug_exposure) x`,
		2001: `SELECT count(*) FROM (SELECT person_id FROM condition_occurrence INTERSECT SELECT person_id FROM procedure_occurrence) x`,
		2002: `SELECT count(*) FROM (SELECT person_id FROM measurement INTERSECT SELECT person_id FROM condition_occurrence INTERSECT SELECT person_id FROM drug_exposure) x`,
		2003: `SELECT count(DISTINCT person_id) FROM visit_occurrence`,
		2004: overlaps(),
	}
	var byVisit []string
	for n := range events {
		for number, query := range ofEvents {
			list[100*n+number] = about(n, query)
		}
		if n == 2 {
			continue
		}
		for number, query := range ofOthers {
			list[100*n+number] = about(n, query)
		}
		byVisit = append(byVisit, about(n, `SELECT coalesce(v.visit_concept_id, 0), '{table}', count(*) FROM {table} e LEFT JOIN visit_occurrence v ON v.visit_occurrence_id = e.visit_occurrence_id GROUP BY 1`))
	}
	list[226] = strings.Join(byVisit, " UNION ALL ")
	for n, extra := range map[int]string{8: "qualifier_concept_id", 18: "operator_concept_id"} {
		for number, query := range ofValues {
			list[100*n+number] = strings.ReplaceAll(about(n, query), "{extra}", extra)
		}
	}
	// Achilles has no co-occurring conditions, and does not list a count of 0.
	for _, number := range []int{491, 210, 231, 232} {
		delete(list, number)
	}
	return list
}

// ofEvents are of every event table, ofOthers of all but visits, ofValues of what has values.
var (
	ofEvents = map[int]string{
		0:  `SELECT e.{concept}, count(DISTINCT e.person_id) FROM {table} e` + observed + ` GROUP BY 1`,
		1:  `SELECT e.{concept}, count(*) FROM {table} e` + observed + ` GROUP BY 1`,
		2:  `SELECT e.{concept}, MONTH(e.{date}), count(DISTINCT e.person_id) FROM {table} e` + observed + ` GROUP BY 1, 2`,
		4:  `SELECT e.{concept}, YEAR(e.{date}), p.gender_concept_id, (YEAR(e.{date}) - p.year_of_birth) / 10, count(DISTINCT e.person_id) FROM {table} e` + observed + ` GROUP BY 1, 2, 3, 4`,
		10: `SELECT count(*) FROM {table} e` + unobserved,
		20: `SELECT MONTH(e.{date}), count(*) FROM {table} e` + observed + ` GROUP BY 1`,
		25: `SELECT coalesce(e.{source}, 0), count(*) FROM {table} e` + observed + ` GROUP BY 1`,
		30: `SELECT count(*) FROM {table} e` + observed,
		31: `SELECT count(DISTINCT e.person_id), (SELECT count(DISTINCT person_id) FROM {table}), 1 FROM {table} e` + unobserved,
		32: `SELECT count(*), (SELECT count(*) FROM {table}), 1 FROM {table} e` + unobserved,
	}
	ofOthers = map[int]string{
		5: `SELECT e.{concept}, e.{kind}, count(*) FROM {table} e` + observed + ` GROUP BY 1, 2`,
		91: `WITH x AS (SELECT e.{concept} AS c, count(*) AS n FROM {table} e` + observed + ` GROUP BY e.{concept}, e.person_id)
			SELECT y.c, y.n, (SELECT count(*) FROM x WHERE x.c = y.c AND x.n >= y.n) FROM (SELECT DISTINCT c, n FROM x) y`,
	}
	ofValues = map[int]string{
		7:  `SELECT e.{concept}, coalesce(e.unit_concept_id, 0), count(*) FROM {table} e` + observed + ` GROUP BY 1, 2`,
		22: `SELECT e.{concept}, coalesce(e.value_as_concept_id, 0), count(*) FROM {table} e` + observed + ` GROUP BY 1, 2`,
		23: `SELECT e.{concept}, coalesce(e.{extra}, 0), count(*) FROM {table} e` + observed + ` GROUP BY 1, 2`,
		26: `SELECT coalesce(e.value_as_concept_id, 0), count(*) FROM {table} e` + observed + ` GROUP BY 1`,
		27: `SELECT coalesce(e.unit_concept_id, 0), count(*) FROM {table} e` + observed + ` GROUP BY 1`,
	}
)

func about(n int, query string) string {
	e := events[n]
	return strings.NewReplacer("{table}", e.table, "{date}", e.date, "{concept}", e.concept, "{kind}", e.kind, "{source}", e.source).Replace(query)
}

// unmappedTexts is 1900: source values whose concept is 0, by table and column.
func unmappedTexts() string {
	var list []string
	for _, name := range []string{"gender", "race", "ethnicity"} {
		list = append(list, strings.ReplaceAll(`SELECT 'person', '{}_source_value', {}_source_value, count(*) FROM person WHERE {}_concept_id = 0 AND {}_source_value <> '' GROUP BY 3`, "{}", name))
	}
	for _, c := range [][4]string{ // as Achilles calls the text, and as CDM 5.4 does
		{"condition_occurrence", "condition_status_source_value", "condition_status_source_value", "condition_status_concept_id"},
		{"drug_exposure", "route_source_value", "route_source_value", "route_concept_id"},
		{"procedure_occurrence", "modifier_source_value", "modifier_source_value", "modifier_concept_id"},
		{"observation", "qualifier_source_value", "qualifier_source_value", "qualifier_concept_id"},
		{"observation", "unit_source_value", "unit_source_value", "unit_concept_id"},
		{"measurement", "unit_source_value", "unit_source_value", "unit_concept_id"},
		{"visit_occurrence", "admitting_source_value", "admitted_from_source_value", "admitted_from_concept_id"},
		{"visit_occurrence", "discharge_to_source_value", "discharged_to_source_value", "discharged_to_concept_id"},
	} {
		list = append(list, fmt.Sprintf(`SELECT '%s', '%s', coalesce(%s, ''), count(*) FROM %s WHERE coalesce(%s, 0) = 0 GROUP BY 3`, c[0], c[1], c[2], c[0], c[3]))
	}
	return strings.Join(list, " UNION ALL ")
}

// overlaps is 2004: persons with rows in all of some tables, by the bits of these.
func overlaps() string {
	tables := map[int]string{64: "drug_exposure", 32: "condition_occurrence", 8: "measurement", 2: "procedure_occurrence", 1: "observation"}
	var list []string
	for set := 1; set < 128; set++ {
		where, left := []string{}, set
		for bit, table := range tables {
			if set&bit != 0 {
				where, left = append(where, "EXISTS (SELECT 1 FROM "+table+" e WHERE e.person_id = p.person_id)"), left&^bit
			}
		}
		if left == 0 {
			list = append(list, fmt.Sprintf(`SELECT '%07b', count(*) FROM person p WHERE %s`, set, strings.Join(where, " AND ")))
		}
	}
	return strings.Join(list, " UNION ALL ")
}

// calls are the functions of the analyses, from the inside out, as each engine has them.
var calls = []struct {
	call             *regexp.Regexp
	sqlite, postgres string
}{
	{regexp.MustCompile(`AFTER\(([^()]*)\)`), "date[$1, '+1 day']", "[$1 + 1]"},
	{regexp.MustCompile(`BEFORE\(([^()]*)\)`), "date[$1, '-1 day']", "[$1 - 1]"},
	{regexp.MustCompile(`DAYS\(([^(),]*), ([^()]*)\)`), "CAST[julianday[$2] - julianday[$1] AS INTEGER]", "[$2 - $1]"},
	{regexp.MustCompile(`YEAR\(([^()]*)\)`), "CAST[strftime['%Y', $1] AS INTEGER]", "CAST[to_char[$1, 'YYYY'] AS INTEGER]"},
	{regexp.MustCompile(`MONTH\(([^()]*)\)`), "CAST[strftime['%Y%m', $1] AS INTEGER]", "CAST[to_char[$1, 'YYYYMM'] AS INTEGER]"},
}

// dialect puts an analysis into the words of an engine.
func dialect(d sqldb.Dialect, query string) string {
	for _, c := range calls {
		words := c.sqlite
		if d == sqldb.Postgres {
			words = c.postgres
		}
		query = c.call.ReplaceAllString(query, words)
	}
	return strings.NewReplacer("[", "(", "]", ")").Replace(query)
}

// width is how many columns an analysis gives.
func width(query string) int {
	depth, columns := 0, 1
	_, list, _ := strings.Cut(query[max(strings.LastIndex(query, ")\n\t\t\tSELECT"), 0):], "SELECT") // behind WITH
	for i, c := range list {
		switch {
		case c == '(':
			depth++
		case c == ')':
			depth--
		case c == ',' && depth == 0:
			columns++
		case depth == 0 && strings.HasPrefix(list[i:], " FROM "):
			return columns
		}
	}
	return columns
}

package series

import (
	"encoding/json"
	"fmt"
	"strings"

	"github.com/trialmesh/trialmesh/localstore/sqldb"
)

// tuples is a table of whole numbers for the FROM of a statement, in parentheses,
// and its argument, of any length. names are the columns.
func tuples[T any](d sqldb.Dialect, rows []T, names ...string) (table string, arg any, err error) {
	text, err := json.Marshal(rows)
	if err != nil {
		return "", nil, err
	}
	columns := make([]string, len(names))
	for i, name := range names {
		columns[i] = fmt.Sprintf("CAST(value ->> %d AS BIGINT) AS %s", i, name)
	}
	from := "json_each(?)"
	if d == sqldb.Postgres {
		from = "jsonb_array_elements(CAST(? AS jsonb))"
	}
	return "(SELECT " + strings.Join(columns, ", ") + " FROM " + from + ")", string(text), nil
}

package omop

import "github.com/trialmesh/trialmesh/localstore/sqldb"

// StatementOfEvent is the SQL of Occurrences on SQLite.
func StatementOfEvent(e Event) (string, []any) {
	text, args, err := e.statement(sqldb.SQLite)
	if err != nil {
		panic(err)
	}
	return text, args
}

// StatementOfQuantity is the SQL of Values on SQLite.
func StatementOfQuantity(q Quantity) (string, []any) { return q.statement(sqldb.SQLite) }

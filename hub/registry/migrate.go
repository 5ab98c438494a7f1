package registry

import (
	"context"
	"embed"
	"fmt"
	"io/fs"

	"github.com/trialmesh/trialmesh/hub/ledger"
	"github.com/trialmesh/trialmesh/localstore/sqldb"
)

//go:embed migrations
var migrations embed.FS

// Migrate brings the database, tables of the ledger included, to this
// program's schema. The hub keeps its state in SQLite only.
func Migrate(ctx context.Context, db *sqldb.DB) error {
	if db.Dialect() != sqldb.SQLite {
		return fmt.Errorf("registry: the hub's state is a SQLite file per replica, not %s", db.Dialect())
	}
	if err := sqldb.Migrate(ctx, db, "ledger", ledger.Migrations); err != nil {
		return err
	}
	own, err := fs.Sub(migrations, "migrations")
	if err != nil {
		return err
	}
	return sqldb.Migrate(ctx, db, "registry", own)
}

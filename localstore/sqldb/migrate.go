package sqldb

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"regexp"

	"github.com/jackc/pgx/v5/stdlib"
	"github.com/pressly/goose/v3"
	"github.com/pressly/goose/v3/lock"
)

// ErrNewer says that the database was migrated by a later version of the program.
// It is left alone; run that version or restore a backup.
var ErrNewer = errors.New("database schema is newer than this program")

var componentName = regexp.MustCompile(`^[a-z][a-z_]{0,30}$`)

// migrateAttempts is how often a SQLite migration is tried when another process
// migrates the same file at the same time.
const migrateAttempts = 3

// Migrate brings the schema of one component up to date. migrations holds the
// folders "sqlite" and "postgres" with files NNNN_name.sql; each file is one
// transaction and goes to the engine whole. Every component has its own
// version table, schema_version_<component>, so components can be migrated in
// any order; component is lower-case letters and underscores, up to 31.
//
// Several processes may migrate one database at once; one of them does the work.
func Migrate(ctx context.Context, db *DB, component string, migrations fs.FS) error {
	if !componentName.MatchString(component) {
		return fmt.Errorf("sqldb: migrate: %q is not a component name", component)
	}
	if err := db.migrate(ctx, component, migrations); err != nil {
		return fmt.Errorf("sqldb: migrate %s: %w", component, err)
	}
	return nil
}

func (db *DB) migrate(ctx context.Context, component string, migrations fs.FS) error {
	files, err := fs.Sub(migrations, string(db.dialect))
	if err != nil {
		return err
	}
	steps, err := steps(files)
	if err != nil {
		return err
	}
	opts := []goose.ProviderOption{
		goose.WithTableName("schema_version_" + component),
		goose.WithDisableGlobalRegistry(true),
		goose.WithGoMigrations(steps...),
		goose.WithSlog(discard),
	}
	pool, dialect, attempts := db.writer, goose.DialectSQLite3, migrateAttempts
	if db.dialect == Postgres {
		locker, err := lock.NewPostgresSessionLocker()
		if err != nil {
			return err
		}
		opts = append(opts, goose.WithSessionLocker(locker))
		pool, dialect, attempts = stdlib.OpenDBFromPool(db.pool), goose.DialectPostgres, 1
		defer pool.Close()
	}
	p, err := goose.NewProvider(dialect, pool, nil, opts...)
	if err != nil {
		return err
	}
	for {
		attempts--
		if err = up(ctx, p); err == nil || attempts == 0 || errors.Is(err, ErrNewer) || ctx.Err() != nil {
			return err
		}
	}
}

// steps makes a migration of each file. goose's own reader splits files into
// statements and takes 4 MiB for each line, which under the race detector is most
// of the time of every test with a database.
func steps(files fs.FS) ([]*goose.Migration, error) {
	names, err := fs.Glob(files, "*.sql")
	if err != nil {
		return nil, err
	}
	var list []*goose.Migration
	for _, name := range names {
		version, err := goose.NumericComponent(name)
		if err != nil {
			return nil, err
		}
		text, err := fs.ReadFile(files, name)
		if err != nil {
			return nil, err
		}
		list = append(list, goose.NewGoMigration(version, &goose.GoFunc{RunTx: func(ctx context.Context, tx *sql.Tx) error {
			if _, err := tx.ExecContext(ctx, string(text)); err != nil {
				return fmt.Errorf("%s: %w", name, err)
			}
			return nil
		}}, nil))
	}
	return list, nil
}

func up(ctx context.Context, p *goose.Provider) error {
	if _, err := p.Up(ctx); err != nil && !errors.Is(err, sql.ErrNoRows) {
		return wrap("apply", err)
	}
	current, target, err := p.GetVersions(ctx)
	if err != nil {
		return wrap("version", err)
	}
	if current > target {
		return fmt.Errorf("%w: version %d, this program knows %d", ErrNewer, current, target)
	}
	return nil
}

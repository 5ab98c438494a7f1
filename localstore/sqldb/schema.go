package sqldb

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"regexp"
)

// Schema is a schema of a PostgreSQL database that was made for a while, by tests and
// measurements.
type Schema struct {
	// DSN is the address at which the schema's tables are the database's.
	DSN string

	address, name string
}

var schemaName = regexp.MustCompile(`^[a-z][a-z0-9_]{0,62}$`)

// MakeSchema makes an empty schema in the database at a postgres:// address. Who makes it
// drops it. The name is of lower-case letters, digits and _.
func MakeSchema(ctx context.Context, address, name string) (Schema, error) {
	u, err := url.Parse(address)
	if err != nil || u.Scheme != "postgres" && u.Scheme != "postgresql" { // the parser repeats the address
		return Schema{}, errors.New("sqldb: a schema needs a postgres:// address")
	}
	if !schemaName.MatchString(name) {
		return Schema{}, fmt.Errorf("sqldb: %q is no name for a schema", name)
	}
	if err := execute(ctx, address, "CREATE SCHEMA "+name); err != nil {
		return Schema{}, err
	}
	query := u.Query()
	query.Set("search_path", name)
	u.RawQuery = query.Encode()
	return Schema{DSN: u.String(), address: address, name: name}, nil
}

// Drop removes the schema with all that is in it. Nothing may use it any more.
func (s Schema) Drop(ctx context.Context) error {
	return execute(ctx, s.address, "DROP SCHEMA "+s.name+" CASCADE")
}

// execute runs one statement over a connection of its own.
func execute(ctx context.Context, address, statement string) (err error) {
	db, err := Open(ctx, Config{DSN: address})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	return db.Write(ctx, func(tx *Tx) error {
		_, err := tx.Exec(ctx, statement)
		return err
	})
}

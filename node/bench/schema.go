package bench

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strconv"
	"time"

	"github.com/trialmesh/trialmesh/localstore/sqldb"
)

// makeSchema makes an empty schema and returns the URL that names it.
func (s *site) makeSchema(ctx context.Context, base string) (string, error) {
	u, err := url.Parse(base)
	if err != nil || u.Scheme != "postgres" && u.Scheme != "postgresql" {
		return "", fmt.Errorf("%w: the database must be a postgres:// URL", ErrConfig)
	}
	schema := "trialmesh_bench_" + strconv.FormatInt(time.Now().UnixNano(), 36)
	if err := admin(ctx, base, "CREATE SCHEMA "+schema); err != nil {
		return "", err
	}
	s.schema, s.base = schema, base
	query := u.Query()
	query.Set("search_path", schema)
	u.RawQuery = query.Encode()
	return u.String(), nil
}

func admin(ctx context.Context, dsn, statement string) (err error) {
	db, err := sqldb.Open(ctx, sqldb.Config{DSN: dsn})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	return db.Write(ctx, func(tx *sqldb.Tx) error {
		_, err := tx.Exec(ctx, statement)
		return err
	})
}

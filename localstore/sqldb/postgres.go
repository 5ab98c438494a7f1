package sqldb

import (
	"context"
	"errors"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"
	"github.com/jackc/pgx/v5/pgxpool"
)

// connectWait bounds one attempt to reach the server.
const connectWait = 10 * time.Second

// besideReaders are the connections beside those of Config.Readers.
const besideReaders = 3

func openPostgres(ctx context.Context, cfg Config) (*DB, error) {
	pc, err := pgxpool.ParseConfig(cfg.DSN)
	if err != nil {
		// The parser repeats the address, which may hold a password.
		return nil, errors.New("sqldb: the postgres address is malformed")
	}
	pc.MaxConns = int32(cfg.Readers + besideReaders) //nolint:gosec // validated to be at most 64
	if pc.ConnConfig.ConnectTimeout == 0 {
		pc.ConnConfig.ConnectTimeout = connectWait
	}
	params := pc.ConnConfig.RuntimeParams
	params["lock_timeout"] = strconv.FormatInt(cfg.LockWait.Milliseconds(), 10)
	// The server notices within a minute that a client's machine is gone, and frees
	// its locks. In seconds; ignored on a Unix socket.
	params["tcp_keepalives_idle"], params["tcp_keepalives_interval"], params["tcp_keepalives_count"] = "20", "10", "3"
	// A plan that is kept from when a table was empty reads all of it when it has
	// grown: the first load of a site became 30 times slower.
	params["plan_cache_mode"] = "force_custom_plan"
	if params["application_name"] == "" {
		params["application_name"] = "trialmesh"
	}
	pc.AfterConnect = func(_ context.Context, c *pgx.Conn) error {
		// Without this a timestamptz comes back in the zone of the machine.
		c.TypeMap().RegisterType(&pgtype.Type{
			Name: "timestamptz", OID: pgtype.TimestamptzOID,
			Codec: &pgtype.TimestamptzCodec{ScanLocation: time.UTC},
		})
		return nil
	}
	pool, err := pgxpool.NewWithConfig(ctx, pc)
	if err != nil {
		return nil, wrap("open postgres", err)
	}
	if err := pool.Ping(ctx); err != nil {
		pool.Close()
		return nil, wrap("open postgres", err)
	}
	db := &DB{dialect: Postgres, pool: pool, m: newMetrics(Postgres)}
	db.m.watch(db)
	return db, nil
}

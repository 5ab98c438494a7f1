package sqldb

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"os"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
)

// ErrPassword says that an address holds a secret: addresses are seen in lists of processes
// and in histories of shells.
var ErrPassword = errors.New("a password does not belong in the address: set PGPASSWORD, or put it into the file that PGPASSFILE names (~/.pgpass)")

// ErrAccount says that a server lets nobody in with the user and password that it was given.
var ErrAccount = errors.New("the server refuses the user or password: the user is that of the address, else of PGUSER, else of the system; " +
	"the password is that of PGPASSWORD, else of the file that PGPASSFILE names (~/.pgpass)")

func openGuestServer(ctx context.Context, address, schema string) (*Guest, error) {
	pc, err := guestConfig(address)
	if err != nil {
		return nil, err
	}
	pool, err := pgxpool.NewWithConfig(ctx, pc)
	if err != nil {
		return nil, wrap("open postgres", err)
	}
	if err := pool.Ping(ctx); err != nil {
		pool.Close()
		var pg *pgconn.PgError
		if errors.As(err, &pg) && strings.HasPrefix(pg.Code, "28") { // invalid authorization
			return nil, fmt.Errorf("sqldb: open postgres: %w: SQLSTATE %s", ErrAccount, pg.Code)
		}
		return nil, wrap("open postgres", err)
	}
	return &Guest{db: &DB{dialect: Postgres, pool: pool, m: newMetrics(Postgres)}, schema: schema}, nil
}

// guestConfig reads an address as libpq does, but for what is not safe.
func guestConfig(address string) (*pgxpool.Config, error) {
	malformed := errors.New("sqldb: the postgres address is malformed") // the parser repeats it
	u, err := url.Parse(address)
	if err != nil {
		return nil, malformed
	}
	query := u.Query()
	if _, has := u.User.Password(); has || query.Has("password") || query.Has("sslpassword") {
		return nil, ErrPassword
	}
	pc, err := pgxpool.ParseConfig(address)
	if err != nil {
		return nil, malformed
	}
	// libpq's default, prefer, takes any certificate and goes on without one. Whoever names
	// a mode here means it.
	named := query.Has("sslmode") || query.Has("ssl") || os.Getenv("PGSSLMODE") != ""
	if !named && weak(pc) {
		u.RawQuery = strings.TrimPrefix(u.RawQuery+"&sslmode=verify-full", "&") // encoded anew, a blank would be +, which libpq takes as it is
		if pc, err = pgxpool.ParseConfig(u.String()); err != nil {
			return nil, malformed
		}
	}
	pc.MaxConns, pc.MinConns = 1, 0
	if pc.ConnConfig.ConnectTimeout == 0 {
		pc.ConnConfig.ConnectTimeout = connectWait
	}
	params := pc.ConnConfig.RuntimeParams
	params["default_transaction_read_only"] = "on"
	params["datestyle"], params["timezone"], params["client_encoding"] = "ISO, YMD", "UTC", "UTF8"
	params["extra_float_digits"] = "1"     // all that tell two numbers apart
	params["synchronize_seqscans"] = "off" // the same table comes in the same order
	params["lock_timeout"] = strconv.FormatInt(connectWait.Milliseconds(), 10)
	params["statement_timeout"], params["idle_in_transaction_session_timeout"] = "0", "0"
	if params["application_name"] == "" {
		params["application_name"] = "trialmesh"
	}
	return pc, nil
}

// weak reports whether a connection to another machine may go without TLS, or with whatever
// certificate.
func weak(pc *pgxpool.Config) bool {
	c := pc.ConnConfig
	if !near(c.Host) && (c.TLSConfig == nil || c.TLSConfig.InsecureSkipVerify) {
		return true
	}
	for _, other := range c.Fallbacks {
		if !near(other.Host) && (other.TLSConfig == nil || other.TLSConfig.InsecureSkipVerify) {
			return true
		}
	}
	return false
}

// near reports whether a host is a Unix socket or this machine.
func near(host string) bool {
	ip, err := netip.ParseAddr(host)
	return strings.HasPrefix(host, "/") || strings.HasPrefix(host, "@") || host == "localhost" || err == nil && ip.IsLoopback()
}

package sqltest

import (
	"context"
	"fmt"
	"net/url"
	"os"
	"sync"

	"github.com/trialmesh/trialmesh/localstore/sqldb/pgserver"
)

// own is the server that this process started. Nothing closes it: it ends with the
// process. The variable keeps its lifeline from the garbage collector. Set once, by
// server.
var own *pgserver.Server

// server returns the address of this process's PostgreSQL, starting it once. The
// address has a query part, so that more parameters can be added with &.
var server = sync.OnceValues(func() (string, error) {
	if dsn := os.Getenv(ServerVariable); dsn != "" {
		u, err := url.Parse(dsn)
		if err != nil {
			return "", fmt.Errorf("%s is not an address", ServerVariable)
		}
		q := u.Query()
		q.Set("application_name", "trialmesh-test")
		u.RawQuery = q.Encode()
		return u.String(), nil
	}
	s, err := pgserver.Start(context.Background(), "", "shared_buffers=64MB", "max_connections=300")
	if err != nil {
		return "", err
	}
	own = s
	return own.DSN, nil
})

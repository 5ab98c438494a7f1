package ingest

import (
	"context"

	"github.com/trialmesh/trialmesh/localstore/raw"
	"github.com/trialmesh/trialmesh/localstore/sqldb"
)

// Enqueue enqueues the load of a raw copy that is kept already, as part of tx: it is
// for what is acknowledged together with something else in the database. The content
// must be new, as that of what names its own version is: nobody looks for an earlier
// job. size is in bytes, name as in [Service.Accept].
func (s *Service) Enqueue(ctx context.Context, tx *sqldb.Tx, file raw.Digest, size int64, name string) (JobID, error) {
	return s.enqueue(ctx, tx, file, size, name)
}

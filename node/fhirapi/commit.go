package fhirapi

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"time"

	"github.com/trialmesh/trialmesh/localstore/fhirstore"
	"github.com/trialmesh/trialmesh/localstore/sqldb"
	"github.com/trialmesh/trialmesh/node/ingest"
)

// plans is how often changes are decided on outside of their transaction.
const plans = 4

// errMoved says that what a decision was made on is not so any more.
var errMoved = errors.New("another request was faster")

// commit makes all changes that read gives, or none, in one transaction with their load
// and the Provenance. It returns them with what became of them, and the load, 0 if nothing
// changed.
//
// What to write is decided and its raw copy made before the transaction, so that nobody
// waits for a bucket but the request itself. The transaction sees that all that the
// decision was made on is still so; else all begins again with what read gives then.
// A request that was overtaken too often does everything within its transaction.
func (s *server) commit(r *http.Request, read func() ([]*change, error)) (changes []*change, job ingest.JobID, err error) {
	ctx := r.Context()
	for range plans {
		var w *work
		changes, w, err = s.plan(r, read, func(look func(*sqldb.Tx) error) error { return s.cfg.DB.Read(ctx, look) })
		if err != nil || len(w.puts) == 0 {
			return changes, 0, err
		}
		kept, err := s.cfg.Store.Keep(ctx, w.puts, w.besides)
		if err != nil {
			return nil, 0, err
		}
		err = s.write(ctx, func(tx *sqldb.Tx) error {
			if err := w.unmoved(tx); err != nil {
				return err
			}
			job, err = w.store(tx, kept)
			return err
		})
		if !errors.Is(err, errMoved) {
			return changes, job, err
		}
	}
	err = s.write(ctx, func(tx *sqldb.Tx) error {
		var w *work
		changes, w, err = s.plan(r, read, func(look func(*sqldb.Tx) error) error { return look(tx) })
		if err != nil || len(w.puts) == 0 {
			return err
		}
		kept, err := s.cfg.Store.Keep(ctx, w.puts, w.besides)
		if err != nil {
			return err
		}
		job, err = w.store(tx, kept)
		return err
	})
	return changes, job, err
}

// write runs a transaction that changes resources.
func (s *server) write(ctx context.Context, do func(*sqldb.Tx) error) error {
	if err := s.commits.Acquire(ctx, 1); err != nil {
		return err
	}
	defer s.commits.Release(1)
	return s.cfg.DB.Write(ctx, func(tx *sqldb.Tx) error {
		if err := s.cfg.Store.Lock(ctx, tx); err != nil {
			return err
		}
		return do(tx)
	})
}

// plan decides what becomes of the changes that read gives and what is stored of them, by
// what look sees of the database. It reads raw copies between looks.
func (s *server) plan(r *http.Request, read func() ([]*change, error), look func(func(*sqldb.Tx) error) error) ([]*change, *work, error) {
	changes, err := read()
	if err != nil {
		return nil, nil, err
	}
	who, err := s.writer(r)
	if err != nil {
		return nil, nil, err
	}
	w := &work{
		server: s, ctx: r.Context(), read: look, now: s.cfg.Now().UTC().Truncate(time.Millisecond),
		names: map[string]string{}, found: map[string]string{}, seen: map[string]bool{},
	}
	if err := w.look(func() error { return w.decide(changes) }); err != nil || len(w.puts) == 0 {
		return changes, w, err
	}
	return changes, w, w.complete(who)
}

// complete adds to what was decided all that is stored with it.
func (w *work) complete(who writer) error {
	if err := w.withdraw(); err != nil {
		return err
	}
	if err := w.account(who); err != nil {
		return err
	}
	var before, after []fhirstore.Version
	err := w.look(func() (err error) {
		before, after, err = w.context()
		return err
	})
	if err != nil {
		return err
	}
	if w.besides.Before, err = w.bodies(before); err == nil {
		w.besides.After, err = w.bodies(after)
	}
	return err
}

// look has do see the database.
func (w *work) look(do func() error) error {
	defer func() { w.tx = nil }()
	return w.read(func(tx *sqldb.Tx) error {
		w.tx = tx
		return do()
	})
}

// store writes the rows of what was kept and enqueues its load.
func (w *work) store(tx *sqldb.Tx, kept fhirstore.Kept) (ingest.JobID, error) {
	if err := w.cfg.Store.Put(w.ctx, tx, w.now, w.puts, kept); err != nil {
		return 0, err
	}
	return w.cfg.Loads.Enqueue(w.ctx, tx, kept.File, kept.Size, "fhir")
}

// sight is a question to the store, and the versions that were the answer.
type sight struct {
	ask func(tx *sqldb.Tx) ([]fhirstore.Version, error)
	saw []version
}

// version names a version of a resource.
type version struct {
	resourceType, id string
	number           int64
}

func versions(list []fhirstore.Version) []version {
	named := make([]version, len(list))
	for i, v := range list {
		named[i] = version{v.Type, v.ID, v.Version}
	}
	return named
}

// see asks the store and remembers what it answered.
func (w *work) see(ask func(tx *sqldb.Tx) ([]fhirstore.Version, error)) ([]fhirstore.Version, error) {
	list, err := ask(w.tx)
	if err == nil {
		w.sights = append(w.sights, sight{ask, versions(list)})
	}
	return list, err
}

// head returns the newest version of a resource, or fhirstore.ErrNotFound.
func (w *work) head(resourceType, id string) (fhirstore.Version, error) {
	list, err := w.see(func(tx *sqldb.Tx) ([]fhirstore.Version, error) {
		v, err := w.cfg.Store.Head(w.ctx, tx, resourceType, id)
		if errors.Is(err, fhirstore.ErrNotFound) {
			return nil, nil
		}
		return []fhirstore.Version{v}, err
	})
	if err == nil && len(list) == 0 {
		err = fhirstore.ErrNotFound
	}
	if err != nil {
		return fhirstore.Version{}, err
	}
	return list[0], nil
}

// find returns what a search finds.
func (w *work) find(q fhirstore.Query) ([]fhirstore.Version, error) {
	return w.see(func(tx *sqldb.Tx) ([]fhirstore.Version, error) { return w.cfg.Store.Search(w.ctx, tx, q) })
}

// unmoved is [errMoved] unless the store answers all questions as it did.
func (w *work) unmoved(tx *sqldb.Tx) error {
	for _, s := range w.sights {
		list, err := s.ask(tx)
		if err != nil {
			return err
		}
		if !slices.Equal(versions(list), s.saw) {
			return errMoved
		}
	}
	return nil
}

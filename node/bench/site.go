package bench

import (
	"context"
	"crypto/rand"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"golang.org/x/sync/errgroup"

	stored "github.com/trialmesh/trialmesh/localstore/dataset"
	"github.com/trialmesh/trialmesh/localstore/jobs"
	"github.com/trialmesh/trialmesh/localstore/omop"
	"github.com/trialmesh/trialmesh/localstore/raw"
	"github.com/trialmesh/trialmesh/localstore/series"
	"github.com/trialmesh/trialmesh/localstore/sqldb"
	"github.com/trialmesh/trialmesh/localstore/vocab"
	"github.com/trialmesh/trialmesh/node/api"
	"github.com/trialmesh/trialmesh/node/audit"
	"github.com/trialmesh/trialmesh/node/client"
	"github.com/trialmesh/trialmesh/node/dataset"
	"github.com/trialmesh/trialmesh/node/ingest"
	"github.com/trialmesh/trialmesh/node/mapping"
	"github.com/trialmesh/trialmesh/node/mllp"
	"github.com/trialmesh/trialmesh/node/reference"
	"github.com/trialmesh/trialmesh/node/reference/codemap"
	"github.com/trialmesh/trialmesh/node/reference/variable"
	"github.com/trialmesh/trialmesh/node/report"
	"github.com/trialmesh/trialmesh/protocol/message"
)

// site is a node as far as data comes in, put together as package node does.
type site struct {
	dir    string
	schema *sqldb.Schema // nil on SQLite

	db     *sqldb.DB
	people *omop.Store
	series *series.Store
	loads  *ingest.Service

	server   *http.Server
	listener net.Listener
	messages *mllp.Listener
	senders  net.Listener
	client   *client.Client

	stop context.CancelFunc
	done chan error
}

// with runs f on a new site that runs, and removes the site.
func with(ctx context.Context, cfg Config, f func(context.Context, *site) error) (err error) {
	cfg.Progress("making a site")
	dir, err := os.MkdirTemp(cfg.Dir, "trialmesh-bench-")
	if err != nil {
		return err
	}
	s := &site{dir: dir}
	defer func() { err = errors.Join(err, s.close()) }()
	if err := s.open(ctx, cfg); err != nil {
		return err
	}
	// What fails in the site ends the measurement, and the other way round.
	running, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	s.start(running, stop)
	if err := f(running, s); err != nil {
		return errors.Join(context.Cause(running), err)
	}
	return nil
}

func (s *site) open(ctx context.Context, cfg Config) error {
	dsn := "sqlite:" + filepath.Join(s.dir, "data.db")
	if cfg.Database != "" {
		schema, err := sqldb.MakeSchema(ctx, cfg.Database, "trialmesh_bench_"+strconv.FormatInt(time.Now().UnixNano(), 36))
		if err != nil {
			return err
		}
		s.schema, dsn = &schema, schema.DSN
	}
	var err error
	if s.db, err = sqldb.Open(ctx, sqldb.Config{DSN: dsn}); err != nil {
		return err
	}
	if s.people, err = omop.Open(ctx, s.db); err != nil {
		return err
	}
	if s.series, err = series.Open(ctx, s.db, series.Config{}); err != nil {
		return err
	}
	words, err := vocab.Open(ctx, s.db)
	if err != nil {
		return err
	}
	if err := writeVocabulary(s.dir); err != nil {
		return err
	}
	if _, err := words.Load(ctx, os.DirFS(s.dir)); err != nil {
		return err
	}
	if err := jobs.Migrate(ctx, s.db); err != nil {
		return err
	}
	keyFile := filepath.Join(s.dir, "raw.key")
	if err := raw.CreateKey(keyFile); err != nil {
		return err
	}
	files, err := raw.Open(raw.Config{Dir: filepath.Join(s.dir, "raw"), KeyFile: keyFile})
	if err != nil {
		return err
	}
	trail, err := audit.Open(ctx, s.db, slog.New(slog.DiscardHandler))
	if err != nil {
		return err
	}
	queue, err := jobs.New(jobs.Config{DB: s.db})
	if err != nil {
		return err
	}
	kept, err := reference.Open(ctx, s.db)
	if err != nil {
		return err
	}
	variables, err := variable.Open(ctx, kept, mapping.New(words), time.Now())
	if err != nil {
		return err
	}
	codes := codemap.New(codemap.Config{Kept: kept, Vocabulary: words, DB: s.db, People: s.people, Series: s.series})
	if s.loads, err = ingest.Open(ctx, ingest.Config{
		DB: s.db, Store: s.people, Series: s.series, Raw: files, Vocabulary: words, Jobs: queue, Trail: trail, Variables: variables, Codes: codes,
	}); err != nil {
		return err
	}
	quality, err := report.Open(ctx, report.Config{DB: s.db, Store: s.people, Series: s.series, Vocabulary: words, Variables: variables})
	if err != nil {
		return err
	}
	tables, err := stored.Open(ctx, s.db)
	if err != nil {
		return err
	}
	datasets := dataset.New(dataset.Config{DB: s.db, Store: tables, People: s.people, Trail: trail, Now: time.Now})
	return s.listen(ctx, api.Config{Trail: trail, Variables: variables, Codes: codes, Datasets: datasets, Quality: quality})
}

// listen binds the ports of the API and of MLLP, both on loopback. cfg has the parts of
// the API that are not the site's.
func (s *site) listen(ctx context.Context, cfg api.Config) error {
	token := rand.Text() + rand.Text()
	cfg.Name, cfg.Token, cfg.Loads, cfg.Remaps, cfg.Consents, cfg.Ready = "bench", token, s.loads, s.loads, noConsents{}, s.db.Ping
	cfg.Series = func(context.Context) ([]api.Series, error) { return nil, nil }
	cfg.Status = func(context.Context) (api.Status, error) { return api.Status{}, nil }
	handler, err := api.New(cfg)
	if err != nil {
		return err
	}
	s.server = &http.Server{Handler: handler, ReadHeaderTimeout: 10 * time.Second}
	var bind net.ListenConfig
	if s.listener, err = bind.Listen(ctx, "tcp", "127.0.0.1:0"); err != nil {
		return err
	}
	if s.client, err = client.New("http://"+s.listener.Addr().String(), token); err != nil {
		return err
	}
	if s.messages, err = mllp.New(mllp.Config{Loads: s.loads}); err != nil {
		return err
	}
	s.senders, err = bind.Listen(ctx, "tcp", "127.0.0.1:0")
	return err
}

// noConsents is for an API that is asked for loads only.
type noConsents struct{}

func (noConsents) RecordConsent(context.Context, string, message.Envelope) (bool, error) {
	return false, errors.New("a benchmark has no consents")
}

// start runs the parts until close; failed is told what ends them early.
func (s *site) start(ctx context.Context, failed context.CancelCauseFunc) {
	ctx, s.stop = context.WithCancel(ctx)
	s.done = make(chan error, 1)
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return s.loads.Run(ctx) })
	group.Go(func() error { return s.messages.Serve(ctx, s.senders) })
	group.Go(func() error { return s.merge(ctx) })
	group.Go(func() error {
		closed := context.AfterFunc(ctx, func() { _ = s.server.Close() })
		defer closed()
		if err := s.server.Serve(s.listener); !errors.Is(err, http.ErrServerClosed) {
			return err
		}
		return nil
	})
	go func() {
		err := group.Wait()
		if err != nil {
			failed(err)
		}
		s.done <- err
	}()
}

// mergePause is that of package node.
const mergePause = 5 * time.Second

// merge merges landed points now and then, as a node does.
func (s *site) merge(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(mergePause):
		}
		if err := s.mergeAll(ctx); err != nil && ctx.Err() == nil {
			return err
		}
	}
}

// mergeAll merges all landed points.
func (s *site) mergeAll(ctx context.Context) error {
	for {
		n, err := s.series.Compact(ctx)
		switch {
		case errors.Is(err, series.ErrBusy):
			time.Sleep(5 * time.Millisecond)
		case err != nil || n == 0:
			return err
		}
	}
}

// close ends the site and removes all that it has made.
func (s *site) close() error {
	var errs []error
	if s.stop != nil {
		s.stop()
		errs = append(errs, <-s.done)
	}
	for _, l := range []net.Listener{s.listener, s.senders} {
		if l != nil {
			_ = l.Close() // closed before after a clean stop
		}
	}
	if s.client != nil {
		s.client.Close()
	}
	if s.db != nil {
		errs = append(errs, s.db.Close())
	}
	if s.schema != nil {
		errs = append(errs, s.schema.Drop(context.Background()))
	}
	return errors.Join(append(errs, os.RemoveAll(s.dir))...)
}

package node

import (
	"context"
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/trialmesh/trialmesh/node/access"
	"github.com/trialmesh/trialmesh/node/api"
	"github.com/trialmesh/trialmesh/node/fhirapi"
)

// Limits of the API's server. Uploads may take their time; the handlers bound
// what they read.
const (
	headerTime   = 10 * time.Second
	idleTime     = 2 * time.Minute
	shutdownTime = 5 * time.Second
	maxHeader    = 32 << 10
)

// openAPI binds the API's port and makes the API.
func (n *Node) openAPI(ctx context.Context) error {
	if err := n.openListener(ctx); err != nil {
		return err
	}
	n.metrics.MustRegister(slices.Concat(n.db.Collectors(), n.queue.Collectors(), n.ingest.Collectors())...)
	if n.peer != nil {
		n.metrics.MustRegister(n.peer.Collectors()...)
	}
	token, err := os.ReadFile(filepath.Join(n.cfg.Dir, tokenFile))
	if err != nil {
		return err
	}
	fhir, err := fhirapi.New(fhirapi.Config{DB: n.db, Store: n.resources, Loads: n.ingest, Trail: n.trail, Log: n.cfg.Logger, Now: n.cfg.Now})
	if err != nil {
		return err
	}
	clients, err := access.Open(ctx, access.Config{DB: n.db, Trail: n.trail, TokenURL: n.origin + api.TokenPath, Known: fhirapi.Stores})
	if err != nil {
		return err
	}
	cds, err := n.openCDS()
	if err != nil {
		return err
	}
	var writes api.Outbox // none of a process beside the node
	if n.outbox != nil {
		writes = n.outbox
	}
	handler, err := api.New(api.Config{
		Name: n.home.certificate.Holder().Name, Token: strings.TrimSpace(string(token)), Access: clients,
		Loads: n.ingest, Pulls: n.pulls, Wearables: n.wearables, Outbox: writes, Consents: n, Enrollments: n, Approvals: approvals{n}, Trail: n.trail, FHIR: fhir, CDS: cds,
		Quality: n.quality, RedTeam: n.redTeam, Series: n.listSeries, Variables: n.variables, Codes: n.codes, Datasets: n.openDatasets(), Remaps: n.ingest, Status: n.Status, RebuildIndex: n.rebuildIndex(), Ready: n.Ready,
		Metrics: n.metrics, Logger: n.cfg.Logger, Now: n.cfg.Now,
	})
	if err != nil {
		return err
	}
	n.server = &http.Server{
		Handler: handler, ReadHeaderTimeout: headerTime, IdleTimeout: idleTime, MaxHeaderBytes: maxHeader,
	}
	return nil
}

// serveHTTP serves the API until ctx ends.
func (n *Node) serveHTTP(ctx context.Context) error {
	stopped := context.AfterFunc(ctx, func() {
		quiet, cancel := context.WithTimeout(context.WithoutCancel(ctx), shutdownTime)
		defer cancel()
		if err := n.server.Shutdown(quiet); err != nil {
			_ = n.server.Close() // uploads that did not end in time
		}
	})
	defer stopped()
	err := n.server.Serve(n.listener)
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return err
}

package api

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/gin-gonic/gin"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/trialmesh/trialmesh/federation/pki"
	"github.com/trialmesh/trialmesh/hub/ledger"
	"github.com/trialmesh/trialmesh/hub/registry"
	"github.com/trialmesh/trialmesh/protocol/problem"
)

// immutable marks what is named by its digest.
const immutable = "public, max-age=31536000, immutable"

var errNoKey = problem.New(problem.NotFound, "this hub has no proving key of that circuit")

// routeFiles adds what is served as it is: documents, keys, the log, the
// authority's own handlers and what the operator's machines watch.
func (s *server) routeFiles() {
	get := func(id, path, summary, tag string) huma.Operation {
		return huma.Operation{OperationID: id, Method: http.MethodGet, Path: path, Summary: summary, Tags: []string{tag}}
	}
	s.serve("/v1/documents/:digest", s.router.Handle(s.file))
	s.document(get("document", "/v1/documents/{digest}", "The canonical bytes of a ledger document", "public"), "application/json", "Bytes whose SHA-256 is the digest")
	s.serve("/v1/circuits/:digest/proving-key", s.router.Handle(s.provingKey))
	s.document(get("provingKey", "/v1/circuits/{digest}/proving-key", "A circuit's proving key; ranges are served", "public"), "application/octet-stream", "Bytes whose SHA-256 is the circuit's provingDigest")

	log := gin.WrapH(ledger.NewHandler(s.cfg.Ledger, s.cfg.Logger))
	s.serve("/checkpoint", log)
	s.serve("/tile/*path", log)
	s.document(get("checkpoint", "/checkpoint", "The newest signed checkpoint (C2SP tlog-checkpoint)", "ledger"), "text/plain", "A signed note")
	s.document(get("tile", "/tile/{path}", "A tile or entry bundle (C2SP tlog-tiles)", "ledger"), "application/octet-stream", "Hashes or entries")

	certificates := gin.WrapH(s.cfg.Certificates)
	s.router.POST(pki.EnrollPath, certificates)
	s.router.POST(pki.RenewPath, certificates)

	s.router.GET("/healthz", func(c *gin.Context) { c.String(http.StatusOK, "ok\n") })
	s.router.GET("/readyz", s.router.Handle(s.ready))
	metrics := promhttp.HandlerFor(s.cfg.Metrics, promhttp.HandlerOpts{})
	s.router.GET("/metrics", s.onlyFile(registry.RoleOperator, func(c *gin.Context) error {
		metrics.ServeHTTP(c.Writer, c.Request)
		return nil
	}))
	s.document(get("health", "/healthz", "Whether the process runs", "operation"), "text/plain", "It runs")
	s.document(get("ready", "/readyz", "Whether this replica can serve", "operation"), "text/plain", "It can")
	metricsOperation := get("metrics", "/metrics", "Prometheus metrics; needs a token of role operator", "operation")
	metricsOperation.Security = []map[string][]string{{bearer: {}}}
	s.document(metricsOperation, "text/plain", "Prometheus text format")
}

func (s *server) serve(path string, handler gin.HandlerFunc) {
	s.router.GET(path, handler)
	s.router.HEAD(path, handler)
}

const readyTime = 2 * time.Second

func (s *server) ready(c *gin.Context) error {
	ctx, cancel := context.WithTimeout(c.Request.Context(), readyTime)
	defer cancel()
	if err := s.cfg.Network.Ready(ctx); err != nil {
		return problem.New(problem.Unavailable, "this replica cannot serve at the moment")
	}
	c.String(http.StatusOK, "ready\n")
	return nil
}

func (s *server) file(c *gin.Context) error {
	digest, err := digestOf(c.Param("digest"))
	if err != nil {
		return err
	}
	raw, err := s.cfg.Registry.Document(c.Request.Context(), digest)
	if err != nil {
		return err
	}
	c.Header("Cache-Control", immutable)
	c.Data(http.StatusOK, "application/json", raw)
	return nil
}

func (s *server) provingKey(c *gin.Context) error {
	digest, err := digestOf(c.Param("digest"))
	if err != nil {
		return err
	}
	circuit, err := s.cfg.Registry.Circuit(c.Request.Context(), digest)
	if errors.Is(err, registry.ErrCircuitUnknown) {
		return errNoKey
	}
	if err != nil {
		return err
	}
	key, found := s.cfg.ProvingKey(digest)
	if !found {
		return errNoKey
	}
	content := &keyReader{key: key}
	defer content.Close()
	h := c.Writer.Header()
	h.Set("Cache-Control", immutable)
	h.Set("Content-Type", "application/octet-stream")
	h.Set("ETag", `"`+circuit.ProvingDigest.String()+`"`)
	http.ServeContent(c.Writer, c.Request, "", time.Time{}, content)
	return nil
}

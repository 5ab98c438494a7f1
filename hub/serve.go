package hub

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/http"
	"time"

	"github.com/trialmesh/trialmesh/federation/pki"
	"github.com/trialmesh/trialmesh/hub/api"
	"github.com/trialmesh/trialmesh/protocol/message"
)

// Limits of the HTTPS server.
const (
	headerTime   = 10 * time.Second
	idleTime     = 2 * time.Minute
	shutdownTime = 5 * time.Second
	maxHeader    = 32 << 10
)

// openAPI binds the HTTPS port and makes the API.
func (h *Hub) openAPI(context.Context) error {
	var err error
	if h.listener, err = net.Listen("tcp", h.cfg.Listen); err != nil {
		return err
	}
	if h.between != nil {
		h.entrance = newEntrance(h, h.listener)
		h.listener = h.entrance
	}
	h.metrics.MustRegister(h.db.Collectors()...)
	handler, err := api.New(api.Config{
		Registry: h.Reader, Ledger: h.Ledger, Log: h.proposer(), Operator: h, Network: h,
		Certificates: pki.Handler(h.authority, h.cfg.Logger), ProvingKey: h.provingKey,
		Queue: h.cfg.Queue.limits(), Metrics: h.metrics, Logger: h.cfg.Logger, Now: h.cfg.Now,
	})
	if err != nil {
		return err
	}
	h.server = &http.Server{
		Handler: handler, TLSConfig: h.authority.ServerTLS(),
		ReadHeaderTimeout: headerTime, IdleTimeout: idleTime, MaxHeaderBytes: maxHeader,
	}
	return nil
}

// provingKey returns the proving key of a circuit by the digest of its verifying key.
func (h *Hub) provingKey(circuit message.Digest) (api.ProvingKey, bool) {
	keys := h.keys.get(circuit)
	return keys, keys != nil
}

// URL returns the origin of the HTTPS API.
func (h *Hub) URL() string {
	if h.url != "" {
		return h.url
	}
	_, port, _ := net.SplitHostPort(h.listener.Addr().String())
	return "https://" + net.JoinHostPort(h.cfg.Hosts[0], port)
}

// serveHTTP serves the API until ctx ends.
func (h *Hub) serveHTTP(ctx context.Context) error {
	if h.entrance != nil {
		go h.entrance.run() // until it is closed
	}
	stopped := context.AfterFunc(ctx, func() {
		quiet, cancel := context.WithTimeout(context.WithoutCancel(ctx), shutdownTime)
		defer cancel()
		if err := h.server.Shutdown(quiet); err != nil {
			_ = h.server.Close() // long polls that did not end in time
		}
	})
	defer stopped()
	// Whoever waits for an answer gets what there is when the hub stops.
	h.server.BaseContext = func(net.Listener) context.Context { return ctx }
	err := h.server.Serve(tls.NewListener(h.listener, h.server.TLSConfig))
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return err
}

package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/trialmesh/trialmesh/connectors/partner/wearable"
	"github.com/trialmesh/trialmesh/node/client"
)

// redirectServer waits for a browser that a maker redirects to this machine (RFC 8252,
// section 7.3).
type redirectServer struct {
	want   *url.URL // the redirect
	state  string   // with which the answer comes
	until  time.Time
	server *http.Server
	addr   net.Addr
	got    chan string

	settled   chan struct{} // closed when it is known what became of it
	connected bool          // read after settled is closed
}

// listenRedirect listens where an authorization redirects to.
func listenRedirect(ctx context.Context, a client.WearableAuthorization) (*redirectServer, error) {
	want, err := url.Parse(a.Redirect)
	if err != nil || want.Scheme != "http" || !wearable.Loopback(want.Hostname()) {
		return nil, usageError{fmt.Errorf("the application's redirect is %s, which is not on this machine: use --paste", printable(a.Redirect))}
	}
	asked, err := url.Parse(a.URL)
	if err != nil {
		return nil, errors.New("the node gave a URL that is none")
	}
	address := want.Host
	if want.Port() == "" {
		address = net.JoinHostPort(want.Hostname(), "80")
	}
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", address)
	if err != nil {
		return nil, fmt.Errorf("listen for the redirect (or use --paste): %w", err)
	}
	r := &redirectServer{want: want, addr: listener.Addr(), state: asked.Query().Get("state"), until: a.Expires, got: make(chan string, 1), settled: make(chan struct{})}
	r.server = &http.Server{Handler: r, ReadHeaderTimeout: 10 * time.Second, MaxHeaderBytes: 32 << 10}
	go func() { _ = r.server.Serve(listener) }() // until it is closed
	return r, nil
}

// settle says in the browser what became of the authorization, and stops listening. It is
// called once.
func (r *redirectServer) settle(ctx context.Context, connected bool) {
	r.connected = connected
	close(r.settled)
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	_ = r.server.Shutdown(ctx) // a browser that does not read gets no page
}

// close stops listening.
func (r *redirectServer) close() { _ = r.server.Close() }

// ServeHTTP takes the first request that has the state, and answers when it is known what
// became of it; any other is refused, and waiting goes on.
func (r *redirectServer) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("Referrer-Policy", "no-referrer")
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	path := func(u *url.URL) string { return "/" + strings.TrimPrefix(u.Path, "/") }
	if req.Method != http.MethodGet || req.Host != r.want.Host || path(req.URL) != path(r.want) || req.URL.Query().Get("state") != r.state {
		w.WriteHeader(http.StatusBadRequest)
		_, _ = w.Write([]byte("This is not the answer that is waited for.\n")) // to whoever is still there
		return
	}
	back := *r.want
	back.RawQuery = req.URL.RawQuery
	select {
	case r.got <- back.String():
	default: // the first counts
	}
	select {
	case <-r.settled:
	case <-req.Context().Done():
		return
	}
	text := "It did not work: the account is not connected. The command that waited here says why.\n"
	if r.connected {
		text = "Thank you. The account is connected, and this page may be closed.\n"
	}
	_, _ = w.Write([]byte(text)) // likewise
}

// receive waits for the redirect, at most until the authorization expires.
func (r *redirectServer) receive(cmd *cobra.Command) (string, error) {
	ctx, cancel := context.WithDeadline(cmd.Context(), r.until)
	defer cancel()
	select {
	case back := <-r.got:
		return back, nil
	case <-ctx.Done():
		if cmd.Context().Err() != nil {
			return "", cmd.Context().Err()
		}
		return "", errors.New("the patient did not answer in time: connect again")
	}
}

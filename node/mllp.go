package node

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"

	"github.com/trialmesh/trialmesh/node/mllp"
)

// MLLP says where HL7 v2 messages are taken. They are not, unless Listen is set.
type MLLP struct {
	// Listen is where senders connect, host:port. Other than on loopback,
	// Certificate and Key are required: messages name patients.
	Listen string

	// Certificate and Key are PEM files with which connections are secured.
	Certificate, Key string
}

func (m MLLP) validate() error {
	switch {
	case m.Listen == "" && (m.Certificate != "" || m.Key != ""):
		return errors.New("mllp: a certificate without an address to listen on")
	case (m.Certificate == "") != (m.Key == ""):
		return errors.New("mllp: certificate and key belong together")
	case m.Listen == "" || m.Certificate != "":
		return nil
	}
	host, _, err := net.SplitHostPort(m.Listen)
	if err != nil {
		return fmt.Errorf("mllp: listen: %w", err)
	}
	if ip := net.ParseIP(host); host != "localhost" && (ip == nil || !ip.IsLoopback()) {
		return errors.New("mllp: other than on loopback a certificate and key are required")
	}
	return nil
}

// openMLLP binds the port for HL7 v2 messages, if there is one.
func (n *Node) openMLLP(ctx context.Context) error {
	if n.cfg.MLLP.Listen == "" {
		return nil
	}
	cfg := mllp.Config{Loads: n.ingest, Log: n.cfg.Logger, Now: n.cfg.Now}
	if n.cfg.MLLP.Certificate != "" {
		pair, err := loadPair(n.cfg.MLLP.Certificate, n.cfg.MLLP.Key)
		if err != nil {
			return fmt.Errorf("mllp: %w", err)
		}
		cfg.TLS = &tls.Config{Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS12}
	}
	var err error
	if n.messages, err = mllp.New(cfg); err != nil {
		return err
	}
	n.metrics.MustRegister(n.messages.Collectors()...)
	n.senders, err = new(net.ListenConfig).Listen(ctx, "tcp", n.cfg.MLLP.Listen)
	return err
}

// MLLPAddress returns where HL7 v2 messages are taken, "" if they are not.
func (n *Node) MLLPAddress() string {
	if n.senders == nil {
		return ""
	}
	return n.senders.Addr().String()
}

func (n *Node) serveMLLP(ctx context.Context) error {
	if n.messages == nil {
		return nil
	}
	return n.messages.Serve(ctx, n.senders)
}

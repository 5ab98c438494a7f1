package node

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"syscall"
)

// Secure says how the API is reached beyond this machine.
type Secure struct {
	// URL is the origin under which clients reach the API, such as
	// https://node.hospital.example. Defaults to the first host that Certificate names with
	// the port of Listen, and without one to that address.
	URL string

	// Certificate and Key are PEM files with which connections are secured. Required
	// where Listen is not on loopback: requests hold tokens and records.
	Certificate, Key string
}

// LocalCertificateFile is where a node that secures its API leaves its certificate, for
// commands on the same machine. It is public.
const LocalCertificateFile = "api.crt"

func (s Secure) validate(listen string) error {
	if (s.Certificate == "") != (s.Key == "") {
		return errors.New("api: certificate and key belong together")
	}
	if s.URL != "" {
		if err := checkOrigin(s.URL); err != nil {
			return err
		}
	}
	host, _, err := net.SplitHostPort(listen)
	if err != nil {
		return fmt.Errorf("listen: %w", err)
	}
	if s.Certificate == "" && !isLoopback(host) {
		return errors.New("listen: other than on loopback a certificate and key are required, as tokens and records must not travel in the clear")
	}
	return nil
}

func isLoopback(host string) bool {
	at, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && at.Unmap().IsLoopback()
}

func checkOrigin(text string) error {
	u, err := url.Parse(text)
	if err != nil || u.Host == "" || u.User != nil || u.Path != "" || u.RawQuery != "" || u.Fragment != "" ||
		u.Scheme != "https" && (u.Scheme != "http" || !isLoopback(u.Hostname())) {
		return errors.New("url: want https:// and a host, without a path; http:// on loopback only")
	}
	return nil
}

// openListener binds the API's port, and secures it if there is a certificate.
func (n *Node) openListener(ctx context.Context) error {
	var err error
	if n.listener, err = new(net.ListenConfig).Listen(ctx, "tcp", n.cfg.Listen); err != nil {
		return err
	}
	local := filepath.Join(n.cfg.Dir, LocalCertificateFile)
	if n.cfg.Secure.Certificate == "" {
		n.origin = n.cfg.Secure.URL
		if n.origin == "" {
			n.origin = n.URL()
		}
		if err := os.Remove(local); !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		return nil
	}
	pair, err := loadPair(n.cfg.Secure.Certificate, n.cfg.Secure.Key)
	if err != nil {
		return fmt.Errorf("api: %w", err)
	}
	leaf, err := x509.ParseCertificate(pair.Certificate[0])
	if err != nil {
		return fmt.Errorf("api: certificate: %w", err)
	}
	if n.origin, err = originOf(n.cfg.Secure.URL, leaf, n.listener.Addr()); err != nil {
		return err
	}
	n.listener = tls.NewListener(n.listener, &tls.Config{Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS12})
	text := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: pair.Certificate[0]})
	return os.WriteFile(local, text, 0o600)
}

// loadPair reads a certificate and its key, if only its owner has access to that. A key that
// root owns may be one that programs share: its group may read it.
func loadPair(certificate, key string) (tls.Certificate, error) {
	info, err := os.Stat(key)
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("key file: %w", err)
	}
	others := fs.FileMode(0o077)
	if stat, is := info.Sys().(*syscall.Stat_t); is && stat.Uid == 0 {
		others = 0o037
	}
	if mode := info.Mode().Perm(); mode&others != 0 {
		return tls.Certificate{}, fmt.Errorf("key file %s: others have access to it (mode %04o); make it 0600, or 0640 if root owns it", key, mode)
	}
	return tls.LoadX509KeyPair(certificate, key)
}

// originOf is under which origin clients reach an API with a certificate.
func originOf(set string, leaf *x509.Certificate, at net.Addr) (string, error) {
	if set != "" {
		return set, nil
	}
	_, port, err := net.SplitHostPort(at.String())
	if err != nil {
		return "", err
	}
	for _, name := range leaf.DNSNames {
		if !strings.HasPrefix(name, "*") {
			return "https://" + net.JoinHostPort(name, port), nil
		}
	}
	for _, address := range leaf.IPAddresses {
		return "https://" + net.JoinHostPort(address.String(), port), nil
	}
	return "", errors.New("url: set it, as the API's certificate names no host")
}

// URL returns the origin at which this machine reaches the API.
func (n *Node) URL() string {
	scheme := "http"
	if n.cfg.Secure.Certificate != "" {
		scheme = "https"
	}
	at := n.listener.Addr().String()
	if bound, err := netip.ParseAddrPort(at); err == nil && bound.Addr().Unmap().IsUnspecified() {
		at = netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), bound.Port()).String()
	}
	return scheme + "://" + at
}

// Origin returns the origin under which clients are told that they reach the API.
func (n *Node) Origin() string { return n.origin }

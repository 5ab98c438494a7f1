package main

import (
	"encoding/json"
	"errors"
	"net"
	"net/url"
	"os"
	"path/filepath"
)

// addresses are the ports a world's hub got when it was first started. Nodes
// remember them, so a resumed world has to use them again.
type addresses struct {
	Listen string   `json:"listen"`
	Peers  []string `json:"peers"`
}

func (w *world) addressFile() string { return filepath.Join(w.dir, "addresses.json") }

// peers returns where the hub listened before, or nothing for free ports.
func (w *world) peers() (addresses, error) {
	var a addresses
	raw, err := os.ReadFile(w.addressFile())
	if errors.Is(err, os.ErrNotExist) {
		return a, nil
	}
	if err != nil {
		return a, err
	}
	return a, json.Unmarshal(raw, &a)
}

// keepPeers notes where the hub listens, the first time.
func (w *world) keepPeers(before addresses) error {
	if before.Listen != "" {
		return nil
	}
	origin, err := url.Parse(w.hub.URL())
	if err != nil {
		return err
	}
	a := addresses{Listen: net.JoinHostPort("127.0.0.1", origin.Port()), Peers: w.hub.PeerAddresses()}
	raw, err := json.Marshal(a)
	if err != nil {
		return err
	}
	return os.WriteFile(w.addressFile(), raw, 0o600)
}

package pki

import (
	"path/filepath"
	"time"
)

// Loaded is the content of an authority's directory. Tests open many
// authorities on one, without decrypting the keys each time.
type Loaded struct{ m material }

// Load reads dir once.
func Load(dir string, now time.Time) (Loaded, error) {
	m, err := load(dir, filepath.Join(dir, passphraseFile), now)
	return Loaded{m}, err
}

// Open is [Open] without the reading.
func (l Loaded) Open(cfg Config) (*Authority, error) {
	if err := cfg.complete(); err != nil {
		return nil, err
	}
	return newAuthority(l.m, cfg)
}

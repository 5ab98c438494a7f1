package fhirserver

import (
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// Settings say in a file of the site's which server is asked, and how it knows the node.
type Settings struct {
	URL      string   `yaml:"url"`
	Client   string   `yaml:"client"`
	Key      string   `yaml:"key"` // a file; defaults to that of [KeyFile]
	Scope    string   `yaml:"scope"`
	TokenURL string   `yaml:"token-url"`
	Origins  []string `yaml:"origins"`
	CA       string   `yaml:"ca"` // a file with certificates in PEM
}

// Config returns what the settings called name stand for, with the key and the certificates
// that they name by files of the folder dir. The error lists all that is wrong.
func (s Settings) Config(dir, name string) (Config, error) {
	cfg := Config{Base: s.URL, Origins: s.Origins, Client: s.Client, TokenURL: s.TokenURL, Scope: s.Scope}
	var faults []error
	if s.URL == "" {
		faults = append(faults, errors.New("url: the base URL of the server is required"))
	}
	if s.Key != "" && s.Client == "" {
		faults = append(faults, errors.New("client: the id that the server gave for the key is required with it"))
	}
	var err error
	if s.Client != "" {
		path := KeyFile(dir, name)
		if s.Key != "" {
			path = within(dir, s.Key)
		}
		if cfg.Key, err = ReadKey(path); err != nil {
			faults = append(faults, fmt.Errorf("key: %w", err))
		}
	}
	if s.CA != "" {
		if cfg.Roots, err = readRoots(within(dir, s.CA)); err != nil {
			faults = append(faults, fmt.Errorf("ca: %w", err))
		}
	}
	if len(faults) == 0 { // the rest the client checks
		if _, err := New(cfg); err != nil {
			faults = append(faults, err)
		}
	}
	return cfg, errors.Join(faults...)
}

// within returns the place of a file that settings name.
func within(dir, file string) string {
	if filepath.IsAbs(file) {
		return file
	}
	return filepath.Join(dir, file)
}

func readRoots(path string) (*x509.CertPool, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, unplaced(err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(text) {
		return nil, errors.New("the file holds no certificate in PEM")
	}
	return pool, nil
}

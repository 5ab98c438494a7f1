package outbox

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/trialmesh/trialmesh/connectors/partner/fhirserver"
	"github.com/trialmesh/trialmesh/node/settings"
)

// Endpoint is a FHIR server that the site has registered for writing, as its file says.
type Endpoint struct {
	Name  string
	URL   string   // base URL of the server
	Types []string // that may be written

	server fhirserver.Config
	digest string // of the settings
}

// document is the file of an endpoint.
type document struct {
	fhirserver.Settings `yaml:",inline"`

	Types []string `yaml:"types"`
}

// Entry is a file in the folder of the endpoints: what it says, or what is wrong with it. The
// name is there either way.
type Entry struct {
	Endpoint
	Err error
}

// files are the files of the endpoints.
var files = settings.Of("an endpoint")

// ErrName says that a name cannot be that of an endpoint.
var ErrName = files.ErrName

// ReadAll reads the endpoints of a folder, by name. A folder that is not there has none.
func ReadAll(dir string) ([]Entry, error) {
	names, err := settings.Names(dir)
	if err != nil {
		return nil, fmt.Errorf("read endpoints: %w", err)
	}
	var list []Entry
	for _, name := range names {
		e, err := Read(dir, name)
		e.Name = name
		list = append(list, Entry{e, err})
	}
	return list, nil
}

// Read reads one endpoint. The error lists all that is wrong with its file, and is
// [fs.ErrNotExist] if there is none.
func Read(dir, name string) (Endpoint, error) {
	var d document
	text, err := files.Read(dir, name, &d)
	if err != nil {
		return Endpoint{}, err
	}
	sum := sha256.Sum256(append([]byte(name+"\n"), text...))
	e := Endpoint{Name: name, URL: d.URL, Types: d.Types, digest: string(sum[:])}
	if len(e.Types) == 0 {
		e.Types = Types()
	}
	var faults []error
	for i, t := range d.Types {
		if _, is := writable[t]; !is {
			faults = append(faults, fmt.Errorf("types: entry %d: want %s", i+1, strings.Join(Types(), ", ")))
		}
	}
	if e.server, err = d.Config(dir, name); err != nil {
		faults = append(faults, err)
	}
	e.server.Creates = slices.Clone(e.Types)
	return e, errors.Join(faults...)
}

// MakeKey makes the key of an endpoint for an algorithm of package fhirserver, if it has none
// yet, and returns the key that it has. The settings of the endpoint need not be there.
func MakeKey(dir, name, algorithm string) (key fhirserver.Key, made bool, err error) {
	if err := files.Check(name); err != nil {
		return key, false, err
	}
	return fhirserver.MakeKey(fhirserver.KeyFile(dir, name), algorithm)
}

// connection is a client of an endpoint, as its settings were.
type connection struct {
	client *fhirserver.Client
	digest string
}

// client returns a client of an endpoint, with the token that the last one got.
func (o *Outbox) client(e Endpoint) (*fhirserver.Client, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if c, is := o.clients[e.Name]; is && c.digest == e.digest {
		return c.client, nil
	}
	cfg := e.server
	cfg.Now, cfg.Tries, cfg.Stall, cfg.MaxWait = o.cfg.Now, 1, o.cfg.Limit, maxPause
	c, err := fhirserver.New(cfg)
	if err == nil {
		o.clients[e.Name] = connection{c, e.digest}
	}
	return c, err
}

// forget drops the client of an endpoint: its key or its certificates may be others now.
func (o *Outbox) forget(name string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if c, is := o.clients[name]; is {
		c.client.Close()
		delete(o.clients, name)
	}
}

// Endpoints returns all endpoints, by name.
func (o *Outbox) Endpoints() ([]Entry, error) { return ReadAll(o.cfg.Dir) }

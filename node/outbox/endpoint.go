package outbox

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/trialmesh/trialmesh/connectors/partner/fhirserver"
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

const (
	suffix       = ".yaml"
	maxEndpoints = 1000
	maxSettings  = 1 << 20 // bytes of a file
)

// names are what an endpoint can be called.
var names = regexp.MustCompile(`^[a-z0-9][a-z0-9_-]{0,39}$`)

// ErrName says that a name cannot be that of an endpoint.
var ErrName = errors.New("an endpoint's name has 1 to 40 lower-case letters, digits, - and _, and begins with a letter or a digit")

// ReadAll reads the endpoints of a folder, by name. A folder that is not there has none.
func ReadAll(dir string) ([]Entry, error) {
	files, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read endpoints: %w", err)
	}
	var list []Entry
	for _, f := range files {
		name, is := strings.CutSuffix(f.Name(), suffix)
		if f.IsDir() || !is {
			continue
		}
		if len(list) == maxEndpoints {
			return nil, fmt.Errorf("read endpoints: %s has over %d", dir, maxEndpoints)
		}
		e, err := Read(dir, name)
		e.Name = name
		list = append(list, Entry{e, err})
	}
	return list, nil
}

// Read reads one endpoint. The error lists all that is wrong with its file, and is
// [fs.ErrNotExist] if there is none.
func Read(dir, name string) (Endpoint, error) {
	if !names.MatchString(name) {
		return Endpoint{}, ErrName
	}
	f, err := os.Open(filepath.Join(dir, name+suffix))
	if err != nil {
		return Endpoint{}, err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxSettings))
	if err != nil {
		return Endpoint{}, err
	}
	var d document
	decoder := yaml.NewDecoder(bytes.NewReader(text))
	decoder.KnownFields(true)
	if err := decoder.Decode(&d); err != nil && !errors.Is(err, io.EOF) {
		// The library tells the type that it decodes into.
		return Endpoint{}, errors.New(strings.ReplaceAll(err.Error(), " not found in type outbox.document", " is no setting of an endpoint"))
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
	if !names.MatchString(name) {
		return key, false, ErrName
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

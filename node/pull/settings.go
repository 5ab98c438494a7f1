package pull

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/trialmesh/trialmesh/connectors/partner/fhirserver"
	"github.com/trialmesh/trialmesh/node/settings"
	"github.com/trialmesh/trialmesh/protocol/cron"
)

// Kind is how data are fetched.
type Kind string

// The kinds.
const (
	Bulk   Kind = "bulk"   // an export, by Bulk Data Access
	Search Kind = "search" // page by page
)

// Settings are one pull, as its file says.
type Settings struct {
	Name   string
	URL    string // base URL of the server
	Kind   Kind
	Export fhirserver.Request // for a search only Types and Filters
	Count  int                // resources on a page of a search
	Whole  bool               // each run fetches everything, not only what changed

	Deadline time.Duration // of a run, from when it is asked for

	Schedule cron.Schedule
	Cron     string // the schedule as written, empty for none
	Zone     string // of its clocks

	server fhirserver.Config
}

// document is the file of a pull.
type document struct {
	fhirserver.Settings `yaml:",inline"`

	Kind     Kind      `yaml:"kind"`
	Group    string    `yaml:"group"`
	Patients bool      `yaml:"patients"`
	Types    []string  `yaml:"types"`
	Filters  []string  `yaml:"filters"`
	Since    time.Time `yaml:"since"`
	Whole    bool      `yaml:"whole"`
	Count    int       `yaml:"count"`
	Deadline string    `yaml:"deadline"`
	Schedule string    `yaml:"schedule"`
	Zone     string    `yaml:"zone"`
}

// Entry is a file in the folder of the pulls: its settings, or what is wrong with it. The
// name is there either way.
type Entry struct {
	Settings
	Err error
}

const (
	count = 500 // resources on a page, if the file does not say

	deadline    = 72 * time.Hour // of a run, if the file does not say
	minDeadline = time.Minute
	maxDeadline = 30 * 24 * time.Hour
)

// files are the files of the pulls.
var files = settings.Of("a pull")

// ErrName says that a name cannot be that of a pull.
var ErrName = files.ErrName

// ReadAll reads the pulls of a folder, by name. A folder that is not there has none.
func ReadAll(dir string) ([]Entry, error) {
	names, err := settings.Names(dir)
	if err != nil {
		return nil, fmt.Errorf("read pulls: %w", err)
	}
	var list []Entry
	for _, name := range names {
		s, err := Read(dir, name)
		s.Name = name
		list = append(list, Entry{s, err})
	}
	return list, nil
}

// Read reads one pull. The error lists all that is wrong with its file, and is
// [fs.ErrNotExist] if there is none.
func Read(dir, name string) (Settings, error) {
	var d document
	if _, err := files.Read(dir, name, &d); err != nil {
		return Settings{}, err
	}
	return d.settings(dir, name)
}

// settings checks a file's content.
func (d document) settings(dir, name string) (Settings, error) {
	s := Settings{
		Name: name, URL: d.URL, Kind: d.Kind, Count: d.Count, Whole: d.Whole, Cron: d.Schedule, Zone: d.Zone,
		Export: fhirserver.Request{Group: d.Group, Patients: d.Patients, Types: d.Types, Filters: d.Filters, Since: d.Since},
	}
	faults := d.check()
	fault := func(field string, err error) {
		if err != nil {
			faults = append(faults, fmt.Errorf("%s: %w", field, err))
		}
	}
	if s.Count == 0 {
		s.Count = count
	}
	s.Deadline = deadline
	if d.Deadline != "" {
		given, err := time.ParseDuration(d.Deadline)
		if err != nil || given < minDeadline || given > maxDeadline {
			fault("deadline", errors.New("want 1m to 720h"))
		}
		s.Deadline = given
	}
	if s.Zone == "" {
		s.Zone = "UTC"
	}
	if zone, err := time.LoadLocation(s.Zone); err != nil {
		fault("zone", errors.New("want a name such as Europe/Berlin, which this machine knows"))
	} else if d.Schedule != "" {
		s.Schedule, err = cron.Parse(d.Schedule, zone)
		fault("schedule", err)
	}
	var err error
	if s.server, err = d.Config(dir, name); err != nil {
		faults = append(faults, err)
	}
	return s, errors.Join(faults...)
}

// check returns what is wrong with settings that stand for themselves.
func (d document) check() []error {
	var faults []error
	refuse := func(is bool, text string) {
		if is {
			faults = append(faults, errors.New(text))
		}
	}
	refuse(d.Kind != Bulk && d.Kind != Search, "kind: want bulk or search")
	refuse(d.Kind == Search && len(d.Types) == 0, "types: a search needs the types that it is for, such as [Patient, Encounter, Condition, Observation]")
	refuse(d.Kind == Search && (d.Group != "" || d.Patients), "group, patients: are of exports; a search has filters")
	refuse(d.Kind == Bulk && d.Count != 0, "count: is of searches; a server chooses the files of an export")
	refuse(d.Group != "" && d.Patients, "group, patients: an export is of a group or of all patients, not both")
	refuse(d.Count < 0 || d.Count > 10_000, "count: 1 to 10,000 resources on a page")
	refuse(d.Zone != "" && d.Schedule == "", "zone: is of a schedule, and there is none")
	for i, t := range d.Types {
		refuse(!typeName.MatchString(t), fmt.Sprintf("types: entry %d is no type of FHIR", i+1))
		refuse(slices.Contains(d.Types[:i], t), fmt.Sprintf("types: entry %d stands there twice", i+1))
	}
	for i, filter := range d.Filters {
		kind, parameters, _ := strings.Cut(filter, "?")
		refuse(parameters == "" || !typeName.MatchString(kind), fmt.Sprintf("filters: entry %d: want a search such as Observation?category=laboratory", i+1))
		refuse(slices.Contains(d.Filters[:i], filter), fmt.Sprintf("filters: entry %d stands there twice", i+1))
		refuse(len(d.Types) > 0 && !slices.Contains(d.Types, kind), fmt.Sprintf("filters: entry %d is for a type that is not in types", i+1))
	}
	return faults
}

// typeName is what FHIR lets the name of a type be.
var typeName = regexp.MustCompile(`^[A-Z][A-Za-z]{1,63}$`)

// asks is a digest of what the settings ask for. What a run with another one fetched says
// nothing about what this one lacks.
func (s Settings) asks() string {
	text, err := json.Marshal(struct {
		URL      string
		Kind     Kind
		Group    string
		Patients bool
		Types    []string
		Filters  []string
		Since    time.Time
	}{s.URL, s.Kind, s.Export.Group, s.Export.Patients, s.Export.Types, s.Export.Filters, s.Export.Since.UTC()})
	if err != nil {
		panic(err) // texts and a time always marshal
	}
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:])
}

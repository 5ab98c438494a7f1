package wearable

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	maker "github.com/trialmesh/trialmesh/connectors/partner/wearable"
	"github.com/trialmesh/trialmesh/node/settings"
	"github.com/trialmesh/trialmesh/protocol/cron"
)

// Settings are what the site has arranged with a maker, as its file MAKER.yaml says. The
// secret of the application is the content of MAKER.secret beside it, which nobody else may
// read.
type Settings struct {
	Maker    string
	Redirect string // the URL with which the application is registered

	Schedule cron.Schedule
	Cron     string // the schedule as written, empty for none
	Zone     string // of its clocks

	client maker.Config
}

// document is the file of a maker.
type document struct {
	Client   string `yaml:"client"`
	Redirect string `yaml:"redirect"`
	Schedule string `yaml:"schedule"`
	Zone     string `yaml:"zone"`
}

// files are the files of the makers.
var files = settings.Of("a maker")

const (
	secretSuffix = ".secret"
	maxSecret    = 64 << 10 // bytes of a file
)

// Entry is a maker with a file: its settings, or what is wrong with them. The name is there
// either way.
type Entry struct {
	Settings
	Err error
}

// ReadAll reads the settings of all makers that have a file, by name.
func ReadAll(dir string) []Entry {
	var list []Entry
	for _, name := range maker.Makers() {
		s, err := Read(dir, name)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		s.Maker = name
		list = append(list, Entry{s, err})
	}
	return list
}

// Read reads the settings of one maker. The error lists all that is wrong with its files,
// and is [fs.ErrNotExist] if there are none.
func Read(dir, name string) (Settings, error) {
	if !slices.Contains(maker.Makers(), name) {
		return Settings{}, errMaker
	}
	var d document
	if _, err := files.Read(dir, name, &d); err != nil {
		return Settings{}, err
	}
	return d.settings(dir, name)
}

// settings checks a file's content.
func (d document) settings(dir, name string) (Settings, error) {
	s := Settings{Maker: name, Redirect: d.Redirect, Cron: d.Schedule, Zone: d.Zone, client: maker.Config{Maker: name, ID: d.Client, Redirect: d.Redirect}}
	var faults []error
	if s.Zone == "" {
		s.Zone = "UTC"
	}
	if zone, err := time.LoadLocation(s.Zone); err != nil || s.Zone == "Local" {
		faults = append(faults, errors.New("zone: want a name such as Europe/Berlin, which this machine knows"))
	} else if d.Schedule != "" {
		if s.Schedule, err = cron.Parse(d.Schedule, zone); err != nil {
			faults = append(faults, fmt.Errorf("schedule: %w", err))
		}
	}
	if d.Zone != "" && d.Schedule == "" {
		faults = append(faults, errors.New("zone: is of a schedule, and there is none"))
	}
	var err error
	if s.client.Secret, err = readSecret(filepath.Join(dir, name+secretSuffix)); err != nil {
		faults = append(faults, fmt.Errorf("secret: %w", err))
	} else if _, err := maker.New(s.client); err != nil {
		faults = append(faults, err)
	}
	return s, errors.Join(faults...)
}

// readSecret reads a secret that nobody else can read.
func readSecret(path string) (maker.Secret, error) {
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return maker.Secret{}, fmt.Errorf("%s is not there: write into it what the maker gave as secret of the application, and chmod 600 it", path)
	case err != nil:
		return maker.Secret{}, err
	case info.Mode().Perm()&0o077 != 0:
		return maker.Secret{}, fmt.Errorf("%s can be read by others: chmod 600 it", path)
	case info.Size() > maxSecret:
		return maker.Secret{}, fmt.Errorf("%s is over 64 KiB", path)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return maker.Secret{}, errors.New(err.Error()) // that this file is not there does not say that the maker has none
	}
	return maker.NewSecret(string(text)), nil
}

// schedules returns the schedules of the makers whose settings are right.
func (s *Service) schedules() map[string]cron.Schedule {
	all := make(map[string]cron.Schedule)
	for _, e := range ReadAll(s.cfg.Dir) {
		if e.Err == nil {
			all[e.Maker] = e.Schedule
		}
	}
	return all
}

// client returns a client of a maker.
func (s *Service) client(name string) (*maker.Client, error) {
	set, err := Read(s.cfg.Dir, name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("settings: %s%s is not there", name, settings.Suffix)
	}
	if err != nil {
		return nil, fmt.Errorf("settings: %w", err)
	}
	cfg := set.client
	cfg.Timeout, cfg.Dial, cfg.Roots, cfg.Now = answerTime, s.cfg.Dial, s.cfg.Roots, s.cfg.Now
	return maker.New(cfg)
}

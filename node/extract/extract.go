package extract

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/trialmesh/trialmesh/localstore/omop"
	"github.com/trialmesh/trialmesh/localstore/sqldb"
	"github.com/trialmesh/trialmesh/node/audit"
)

// Event is what the trail calls an extract. Its subject is the study and the digest of
// the manifest.
const Event audit.Event = "extract written"

// manifestFile is the manifest of an extract.
const manifestFile = "manifest.json"

// Config says what to write from where. DB, Store, Trail, Spec, Key and Now are
// required.
type Config struct {
	DB    *sqldb.DB
	Store *omop.Store  // of DB
	Trail *audit.Trail // of DB

	Spec Spec
	Key  Key // of the study

	// To is the folder to make. Empty for a dry run, which counts and measures all the
	// same, writes nothing and is not recorded.
	To string

	// Permits says who may be in it. Defaults to everybody.
	Permits func(omop.PersonID) bool
	// Trial names the consents that Permits goes by, for the manifest.
	Trial string

	Program  string                  // version of this program
	Now      time.Time               // when it is made
	Progress func(done, total int64) // of persons. Defaults to none.
}

func (c Config) withDefaults() Config {
	if c.Permits == nil {
		c.Permits = func(omop.PersonID) bool { return true }
	}
	if c.Progress == nil {
		c.Progress = func(int64, int64) {}
	}
	return c
}

func (c Config) validate() error {
	switch {
	case c.DB == nil, c.Store == nil, c.Trail == nil:
		return errors.New("database, store and trail are required")
	case c.Spec.Study == "" || c.Key == Key{} || c.Now.IsZero():
		return errors.New("specification, key and time are required")
	}
	return nil
}

// Write makes an extract of one moment of the store, also while others write to it. Its
// folder is there under its name only when it is whole and on disk, and the trail has
// it. It returns [anonymity.ErrUnreachable] if nothing can be written under the
// specification.
func Write(ctx context.Context, cfg Config) (Manifest, error) {
	cfg = cfg.withDefaults()
	if err := cfg.validate(); err != nil {
		return Manifest{}, fmt.Errorf("extract: %w", err)
	}
	m, err := write(ctx, cfg)
	if err != nil {
		return Manifest{}, fmt.Errorf("extract for study %s: %w", cfg.Spec.Study, err)
	}
	return m, nil
}

func write(ctx context.Context, cfg Config) (m Manifest, err error) {
	w := newWriter(cfg)
	if cfg.To == "" {
		err := w.run(ctx, "")
		return w.manifest, err
	}
	if _, err := os.Lstat(cfg.To); err == nil {
		return m, fmt.Errorf("%s is there already: an extract replaces nothing", cfg.To)
	}
	to := filepath.Clean(cfg.To)
	stage, err := os.MkdirTemp(filepath.Dir(to), filepath.Base(to)+".unfinished-") // mode 0700
	if err != nil {
		return m, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.RemoveAll(stage))
		}
	}()
	if err := os.Mkdir(filepath.Join(stage, cdmFolder), 0o700); err != nil {
		return m, err
	}
	if err := w.run(ctx, stage); err != nil {
		return m, err
	}
	return w.manifest, w.publish(ctx, stage, to)
}

// publish writes the manifest, makes all durable and records the extract, in this
// order, and then gives the folder its name: none has it that the trail does not know.
func (w *writer) publish(ctx context.Context, stage, to string) error {
	text, err := json.MarshalIndent(w.manifest, "", "  ")
	if err != nil {
		return err
	}
	text = append(text, '\n')
	if err := writeFile(filepath.Join(stage, manifestFile), text); err != nil {
		return err
	}
	if err := errors.Join(syncDir(filepath.Join(stage, cdmFolder)), syncDir(stage)); err != nil {
		return err
	}
	digest := sha256.Sum256(text)
	err = w.cfg.DB.Write(ctx, func(tx *sqldb.Tx) error {
		return w.cfg.Trail.Add(ctx, tx, audit.Record{At: w.cfg.Now, Event: Event, Subject: w.spec.Study + " sha256:" + hex.EncodeToString(digest[:])})
	})
	if err != nil {
		return err
	}
	if err := os.Rename(stage, to); err != nil {
		return err
	}
	return syncDir(filepath.Dir(to))
}

// writeFile writes a new file, mode 0600 and durable.
func writeFile(path string, text []byte) error {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(text)
	return errors.Join(err, f.Sync(), f.Close())
}

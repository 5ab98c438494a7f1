package prover

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	groth16 "github.com/consensys/gnark/backend/groth16/bn254"
	"github.com/rogpeppe/go-internal/lockedfile"

	"github.com/trialmesh/trialmesh/protocol/message"
	"github.com/trialmesh/trialmesh/zk/circuits"
)

// errNoKeys reports an empty place on the shelf.
var errNoKeys = errors.New("no keys kept")

// shelf is one directory with the keys of one circuit: manifest.json,
// proving.key and verifying.key. It appears whole, by one rename, or not at all.
type shelf struct{ dir, name string }

const (
	manifestFile  = "manifest.json"
	provingFile   = "proving.key"
	verifyingFile = "verifying.key"

	manifestVersion = 1
	maxManifest     = 4096
	maxVerifying    = 4096
)

// manifest says what lies beside it.
type manifest struct {
	Version   int              `json:"version"`
	Circuit   circuits.Circuit `json:"circuit"`
	System    message.Digest   `json:"system"` // of the compiled circuit
	Scheme    string           `json:"scheme"`
	Origin    string           `json:"origin"`
	Ceremony  message.Digest   `json:"ceremony,omitzero"`
	Proving   message.Digest   `json:"provingKeySha256"`
	Verifying message.Digest   `json:"verifyingKeySha256"`
	Note      string           `json:"note,omitempty"`
}

const (
	scheme            = "groth16-bn254"
	originDevelopment = "development"
	originPublished   = "published"
	developmentNote   = "made by one machine (DevelopmentKeys): whoever ran it could forge proofs"
)

func (s shelf) path() string { return filepath.Join(s.dir, s.name) }

// load reads the keys. It gives errNoKeys if there are none and ErrKeys if they
// are damaged.
func (s shelf) load(c circuits.Circuit, system compiled) (*Keys, error) {
	raw, err := readFile(s.path(), manifestFile, maxManifest)
	if errors.Is(err, fs.ErrNotExist) {
		if _, err := os.Stat(s.path()); errors.Is(err, fs.ErrNotExist) {
			return nil, errNoKeys
		}
		return nil, fmt.Errorf("%w: no manifest", ErrKeys)
	}
	if err != nil {
		return nil, err
	}
	var m manifest
	if err := json.Unmarshal(raw, &m); err != nil {
		return nil, fmt.Errorf("%w: manifest: %w", ErrKeys, err)
	}
	if m.Version != manifestVersion || m.Scheme != scheme || m.Circuit != c || m.System != system.digest {
		return nil, fmt.Errorf("%w: manifest is of another version or circuit", ErrKeys)
	}
	vk, err := readFile(s.path(), verifyingFile, maxVerifying)
	if err != nil {
		return nil, damaged(err)
	}
	if message.Sum(vk) != m.Verifying {
		return nil, fmt.Errorf("%w: verifying key: digest differs from the manifest's", ErrKeys)
	}
	f, err := os.Open(filepath.Join(s.path(), provingFile))
	if err != nil {
		return nil, damaged(err)
	}
	defer f.Close()
	// The points were checked before they were kept, and the digest says that
	// these are they: checking each again would take most of the time.
	k, err := readKeys(Published{c, vk, m.Proving, m.Origin == originDevelopment, m.Ceremony}, system, f, (*groth16.ProvingKey).UnsafeReadFrom)
	if err != nil {
		return nil, damaged(err)
	}
	return k, nil
}

// damaged marks a file that is missing or unparseable, but not a disk that fails.
func damaged(err error) error {
	var failed *fs.PathError
	if errors.As(err, &failed) && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return fmt.Errorf("%w: %w", ErrKeys, err)
}

func readFile(dir, name string, limit int64) ([]byte, error) {
	f, err := os.Open(filepath.Join(dir, name))
	if err != nil {
		return nil, err
	}
	defer f.Close()
	raw, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err != nil {
		return nil, err
	}
	if int64(len(raw)) > limit {
		return nil, fmt.Errorf("%w: %s has more than %d bytes", ErrKeys, name, limit)
	}
	return raw, nil
}

// lockFile lies beside the keys, and stays.
const lockFile = ".lock"

// lock waits until nobody else, in this process or another, makes keys in the
// folder. The kernel releases the lock of a process that ends, however it ends.
func (s shelf) lock() (unlock func(), err error) {
	if err := os.MkdirAll(s.dir, 0o755); err != nil {
		return nil, err
	}
	return lockedfile.MutexAt(filepath.Join(s.dir, lockFile)).Lock()
}

// clear takes damaged keys away, if there are any.
func (s shelf) clear() error {
	if err := os.MkdirAll(s.dir, 0o755); err != nil {
		return err
	}
	aside, err := os.MkdirTemp(s.dir, ".damaged-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(aside)
	if err := os.Rename(s.path(), filepath.Join(aside, s.name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// save puts the keys in place, on disk before they are visible. If another
// process was first its keys stay.
func (s shelf) save(k *Keys) error {
	temp, err := os.MkdirTemp(s.dir, ".making-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(temp)
	m := manifest{
		Version: manifestVersion, Circuit: k.Circuit(), System: k.system.digest, Scheme: scheme,
		Origin: originPublished, Ceremony: k.published.Ceremony, Proving: k.published.ProvingDigest, Verifying: k.verifying.Digest(),
	}
	if k.Development() {
		m.Origin, m.Note = originDevelopment, developmentNote
	}
	text, err := json.MarshalIndent(m, "", "  ")
	if err != nil {
		return err
	}
	for name, content := range map[string]io.WriterTo{
		provingFile: k, verifyingFile: bytes.NewReader(k.verifying.EVM()), manifestFile: bytes.NewReader(append(text, '\n')),
	} {
		if err := writeSynced(filepath.Join(temp, name), content); err != nil {
			return err
		}
	}
	if err := syncDir(temp); err != nil {
		return err
	}
	if err := os.Rename(temp, s.path()); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return syncDir(s.dir)
}

func writeSynced(path string, content io.WriterTo) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return err
	}
	_, err = content.WriteTo(f)
	return errors.Join(err, f.Sync(), f.Close())
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

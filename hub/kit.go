package hub

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"github.com/trialmesh/trialmesh/zk/evm"
)

// Kit is what the replicas of a hub have in common: its name, the log's key, the person key and
// the certificate authority. Whoever has it can be the hub, so it is a secret; what is said as a
// replica still needs that replica's own keys, which no other machine has.
type Kit struct {
	Version  int               `json:"v"`
	Origin   string            `json:"origin"`
	Replicas []Replica         `json:"replicas"`
	Files    map[string][]byte `json:"files"` // by their path in the hub's directory
}

const kitVersion = 1

// maxKit bounds a kit in bytes: a few keys and certificates.
const maxKit = 1 << 20

// common lists what of a hub's directory all replicas have.
func common(dir string) ([]string, error) {
	files := []string{hubKeyFile, logKeyFile, personKeyFile}
	err := fs.WalkDir(os.DirFS(dir), authorityDir, func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.Type().IsRegular() {
			files = append(files, path)
		}
		return err
	})
	return files, err
}

// InitReplica makes the directory of a machine that will be one of a hub's replicas, with
// keys of its own, and returns it with their names filled in. The directory must be absent
// or empty. [Join] makes it a hub's.
func InitReplica(dir string, r Replica) (Replica, error) {
	if entries, err := os.ReadDir(dir); err == nil && len(entries) > 0 {
		return r, fmt.Errorf("hub replica: %s is not empty", dir)
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return r, fmt.Errorf("hub replica: %w", err)
	}
	if err := makeChainKey(dir); err != nil {
		return r, fmt.Errorf("hub replica: %w", err)
	}
	return own(dir, r)
}

// own makes a replica's key and fills in the names of its keys.
func own(dir string, r Replica) (Replica, error) {
	if err := makeKey(filepath.Join(dir, replicaKeyFile)); err != nil {
		return r, fmt.Errorf("hub replica: %w", err)
	}
	key, err := readKey(filepath.Join(dir, replicaKeyFile))
	if err != nil {
		return r, fmt.Errorf("hub replica: %w", err)
	}
	r.DID = key.DID()
	if r.Account, err = ChainAccount(dir); err != nil {
		return r, fmt.Errorf("hub replica: %w", err)
	}
	return r, r.validate()
}

// InitGroup is [Init] for the first of several replicas. It returns the kit with which the
// others, whose directories [InitReplica] made, [Join].
func InitGroup(dir, name, origin string, first Replica, others []Replica) (Kit, error) {
	for _, r := range others { // before anything is made
		if err := r.validate(); err != nil {
			return Kit{}, fmt.Errorf("hub init: %w", err)
		}
	}
	if n := len(others) + 1; !groupSize(n) {
		return Kit{}, fmt.Errorf("hub init: %w", errGroupSize)
	}
	if err := Init(dir, name); err != nil {
		return Kit{}, err
	}
	first, err := own(dir, first)
	if err != nil {
		return Kit{}, err
	}
	kit := Kit{Version: kitVersion, Origin: origin, Replicas: append([]Replica{first}, others...), Files: make(map[string][]byte)}
	if err := kit.validate(); err != nil {
		return Kit{}, fmt.Errorf("hub init: %w", err)
	}
	files, err := common(dir)
	if err != nil {
		return Kit{}, fmt.Errorf("hub init: %w", err)
	}
	for _, path := range files {
		if kit.Files[path], err = os.ReadFile(filepath.Join(dir, path)); err != nil {
			return Kit{}, fmt.Errorf("hub init: %w", err)
		}
	}
	return kit, nil
}

func (k Kit) validate() error {
	if len(k.Replicas) == 0 {
		return errors.New("replicas: none listed")
	}
	for _, r := range k.Replicas {
		var account evm.Address
		if err := account.UnmarshalText([]byte(r.Account)); err != nil {
			return fmt.Errorf("replicas: account of %s: want 0x and 40 hex digits", r.DID)
		}
	}
	return errors.Join(CheckOrigin(k.Origin), Config{Replicas: k.Replicas}.validateReplicas())
}

// ParseKit reads a kit. Its errors repeat nothing of it.
func ParseKit(raw []byte) (Kit, error) {
	var k Kit
	if len(raw) > maxKit {
		return k, fmt.Errorf("not a kit: over %d bytes", maxKit)
	}
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&k); err != nil {
		return k, errors.New("not a kit that trialmesh hub init wrote, or not all of it")
	}
	if k.Version != kitVersion {
		return k, fmt.Errorf("this program reads kits of version %d", kitVersion)
	}
	for path := range k.Files {
		if !filepath.IsLocal(path) {
			return k, errors.New("not a kit: a file is outside the hub's directory")
		}
	}
	return k, k.validate()
}

// Join makes a directory of [InitReplica] that of a replica of the kit's hub, and returns
// what the kit says of this replica. After it failed it can be called again.
func Join(dir string, kit Kit) (Replica, error) {
	key, err := readKey(filepath.Join(dir, replicaKeyFile))
	if err != nil {
		return Replica{}, fmt.Errorf("hub join: read key (was the directory made by hub replica?): %w", err)
	}
	place := slices.IndexFunc(kit.Replicas, func(r Replica) bool { return r.DID == key.DID() })
	if place < 0 {
		return Replica{}, fmt.Errorf("hub join: the kit is for other replicas than %s: give what hub replica printed here to hub init --replica", key.DID())
	}
	for path, raw := range kit.Files {
		path = filepath.Join(dir, path)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			return Replica{}, fmt.Errorf("hub join: %w", err)
		}
		if err := writeSame(path, raw); err != nil {
			return Replica{}, fmt.Errorf("hub join: %w", err)
		}
	}
	return kit.Replicas[place], nil
}

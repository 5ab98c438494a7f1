package prover

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	cs "github.com/consensys/gnark/constraint/bn254"

	"github.com/trialmesh/trialmesh/protocol/message"
	"github.com/trialmesh/trialmesh/zk/circuits"
)

// compiled is a circuit as constraints, with its [circuits.Digest].
type compiled struct {
	*cs.R1CS
	digest message.Digest
}

func compile(c circuits.Circuit) (compiled, error) {
	system, err := c.Compile()
	if err != nil {
		return compiled{}, err
	}
	return compiled{system, circuits.Digest(system)}, nil
}

// compiledOnce holds what this process compiled or read, by folder and circuit.
var compiledOnce sync.Map

// compileIn is compile, once a process, and from a file in dir if this very program
// compiled the circuit before: compiling and its digest take most of the time in
// which a hub or node starts. Another build of the program compiles anew. A file that
// cannot be kept or read costs that time again and nothing else.
func compileIn(dir string, c circuits.Circuit) (compiled, error) {
	type place struct {
		dir     string
		circuit circuits.Circuit
	}
	once, _ := compiledOnce.LoadOrStore(place{dir, c}, sync.OnceValues(func() (compiled, error) {
		program, err := thisProgram()
		if err != nil {
			return compile(c)
		}
		file := filepath.Join(dir, compiledFolder, fmt.Sprintf("%s-%.16s", c, program))
		if system, err := readCompiled(file); err == nil {
			return system, nil
		}
		system, err := compile(c)
		if err == nil {
			_ = keepCompiled(file, system)
		}
		return system, err
	}))
	return once.(func() (compiled, error))()
}

// thisProgram returns the digest of the running program's file.
var thisProgram = sync.OnceValues(func() (message.Digest, error) {
	path, err := os.Executable()
	if err != nil {
		return message.Digest{}, err
	}
	f, err := os.Open(path)
	if err != nil {
		return message.Digest{}, err
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return message.Digest{}, err
	}
	return message.Digest(h.Sum(nil)), nil
})

// compiledFolder lies beside the keys.
const compiledFolder = ".compiled"

// A file of a compiled circuit is the SHA-256 of what follows, the circuit's
// digest, and the constraints as gnark writes them.
const compiledHead = 2 * sha256.Size

var errCompiled = errors.New("the file of a compiled circuit is damaged")

func readCompiled(path string) (compiled, error) {
	raw, err := os.ReadFile(path)
	if err != nil {
		return compiled{}, err
	}
	if len(raw) < compiledHead || message.Sum(raw[sha256.Size:]) != message.Digest(raw[:sha256.Size]) {
		return compiled{}, errCompiled
	}
	system := new(cs.R1CS)
	if _, err := system.ReadFrom(bytes.NewReader(raw[compiledHead:])); err != nil {
		return compiled{}, err
	}
	return compiled{system, message.Digest(raw[sha256.Size:compiledHead])}, nil
}

// keepCompiled writes the file and takes away the oldest of other builds.
func keepCompiled(path string, system compiled) error {
	content := bytes.NewBuffer(bytes.Clone(system.digest[:]))
	if _, err := system.WriteTo(content); err != nil {
		return err
	}
	sum := message.Sum(content.Bytes())
	dir := filepath.Dir(path)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	temp, err := os.CreateTemp(dir, ".making-")
	if err != nil {
		return err
	}
	defer os.Remove(temp.Name())
	_, err = temp.Write(append(sum[:], content.Bytes()...))
	if err := errors.Join(err, temp.Close()); err != nil {
		return err
	}
	if err := os.Rename(temp.Name(), path); err != nil {
		return err
	}
	return prune(dir)
}

// keptCompiled is how many files of compiled circuits stay.
const keptCompiled = 8

func prune(dir string) error {
	files, err := filepath.Glob(filepath.Join(dir, "*-*"))
	if err != nil {
		return err
	}
	age := make(map[string]time.Time, len(files))
	for _, file := range files {
		info, err := os.Stat(file)
		if err != nil {
			return err
		}
		age[file] = info.ModTime()
	}
	slices.SortFunc(files, func(a, b string) int { return age[b].Compare(age[a]) })
	for _, file := range files[min(keptCompiled, len(files)):] {
		if err := os.Remove(file); err != nil {
			return err
		}
	}
	return nil
}

package main

import (
	"bufio"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"os"
	"time"
)

// keptFile is a file that was loaded and stays where it is.
type keptFile struct {
	Name     string    `json:"name"`
	Size     int64     `json:"size"`
	Modified time.Time `json:"modified"`
	Digest   string    `json:"digest"` // SHA-256 of the content
	Outcome  string    `json:"outcome"`
}

// keptFiles remembers files that stay, a line each, in a file that only grows.
type keptFiles struct {
	f       *os.File
	byName  map[string]keptFile
	digests map[string]bool // of what was loaded
}

func openKept(path string) (*keptFiles, error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR|os.O_APPEND, 0o600)
	if err != nil {
		return nil, err
	}
	k := &keptFiles{f: f, byName: make(map[string]keptFile), digests: make(map[string]bool)}
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		var one keptFile
		if json.Unmarshal(lines.Bytes(), &one) == nil { // a line that was being written when the process died is none
			k.note(one)
		}
	}
	if err := lines.Err(); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return k, nil
}

func (k *keptFiles) close() { _ = k.f.Close() } // every line is synced

func (k *keptFiles) note(one keptFile) {
	k.byName[one.Name] = one
	if one.Outcome == outcomeLoaded {
		k.digests[one.Digest] = true
	}
}

// has reports whether a file is remembered as it is, or its content as loaded.
func (k *keptFiles) has(path string, f dropped) (bool, error) {
	known := k.byName[f.name]
	if known.Name != "" && f.same(dropped{known.Name, known.Size, known.Modified}) {
		return true, nil
	}
	digest, err := digestOf(path)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrPermission) {
		return false, nil // sending it says so
	}
	if err != nil || !k.digests[digest] {
		return false, err
	}
	return true, k.write(keptFile{f.name, f.size, f.modified, digest, outcomeLoaded})
}

// add remembers what became of a file.
func (k *keptFiles) add(f dropped, e *ending) error {
	return k.write(keptFile{f.name, f.size, f.modified, e.digest, e.Outcome})
}

func (k *keptFiles) write(one keptFile) error {
	line, err := json.Marshal(one)
	if err != nil {
		return err
	}
	// The line before may have no end, if its writer died.
	if _, err := k.f.Write(append(append([]byte{'\n'}, line...), '\n')); err != nil {
		return err
	}
	if err := k.f.Sync(); err != nil {
		return err
	}
	k.note(one)
	return nil
}

func digestOf(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	sum := sha256.New()
	if _, err := io.Copy(sum, f); err != nil {
		return "", err
	}
	return hex.EncodeToString(sum.Sum(nil)), nil
}

// hashName is a short name for a text of any length.
func hashName(text string) string {
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:8])
}

package pull

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/trialmesh/trialmesh/connectors/partner/fhirserver"
)

// keySuffix follows a pull's name in that of its key, unless its settings say otherwise.
const keySuffix = ".key"

// readKey reads a private key that nobody else can read.
func readKey(path string) (fhirserver.Key, error) {
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return fhirserver.Key{}, fmt.Errorf("%s is not there: make it with trialmesh node pull key, and register what that prints", path)
	case err != nil:
		return fhirserver.Key{}, err
	case info.Mode().Perm()&0o077 != 0:
		return fhirserver.Key{}, fmt.Errorf("%s can be read by others: chmod 600 it", path)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return fhirserver.Key{}, err
	}
	return fhirserver.ParseKey(text)
}

// MakeKey makes the key of a pull for an algorithm of package fhirserver, if it has none yet,
// and returns the key that it has. The settings of the pull need not be there.
func MakeKey(dir, name, algorithm string) (key fhirserver.Key, made bool, err error) {
	if !names.MatchString(name) {
		return key, false, ErrName
	}
	path := filepath.Join(dir, name+keySuffix)
	if _, err := os.Lstat(path); err == nil {
		key, err = readKey(path)
		return key, false, err
	}
	if key, err = fhirserver.NewKey(algorithm); err != nil {
		return key, false, err
	}
	text, err := key.Private()
	if err != nil {
		return key, false, err
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return key, false, err
	}
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return key, false, err
	}
	_, err = f.Write(append(text, '\n'))
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		err = errors.Join(err, os.Remove(path))
	}
	return key, true, err
}

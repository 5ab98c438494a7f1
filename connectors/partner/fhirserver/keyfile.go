package fhirserver

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// KeyFile returns where the key of the settings called name lies, unless they say otherwise.
func KeyFile(dir, name string) string { return filepath.Join(dir, name+".key") }

// ReadKey reads a private key that nobody else can read. Its errors name the file without
// its place, as what is wrong with settings is shown to programs.
func ReadKey(path string) (Key, error) {
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return Key{}, fmt.Errorf("%s is not there: make it with trialmesh node pull key or node endpoint key, and register what that prints", filepath.Base(path))
	case err != nil:
		return Key{}, unplaced(err)
	case info.Mode().Perm()&0o077 != 0:
		return Key{}, fmt.Errorf("%s can be read by others: chmod 600 it", filepath.Base(path))
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return Key{}, unplaced(err)
	}
	return ParseKey(text)
}

// unplaced is an error of a file that settings name, without its place. It does not say of
// the settings that they are not there.
func unplaced(err error) error {
	if at, is := errors.AsType[*fs.PathError](err); is {
		return errors.New(filepath.Base(at.Path) + ": " + at.Err.Error())
	}
	return errors.New(err.Error())
}

// MakeKey makes a key for algorithm in the file path and the folder of that, if there is none
// yet, and returns the key that is there.
func MakeKey(path, algorithm string) (key Key, made bool, err error) {
	if _, err := os.Lstat(path); err == nil {
		key, err = ReadKey(path)
		return key, false, err
	}
	if key, err = NewKey(algorithm); err != nil {
		return key, false, err
	}
	text, err := key.Private()
	if err != nil {
		return key, false, err
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
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

package studyrun

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
)

// readFile reads a JSON file of the run's folder; os.ErrNotExist if there is none.
func readFile[T any](r *Run, name string) (T, error) {
	var value T
	raw, err := os.ReadFile(r.path(name))
	if err != nil {
		return value, err
	}
	if err := json.Unmarshal(raw, &value); err != nil {
		return value, fmt.Errorf("%s is damaged: remove it to ask that question again", r.path(name))
	}
	return value, nil
}

// write puts a JSON file in place whole and makes it durable before it returns.
func (r *Run) write(name string, value any) (err error) {
	raw, err := json.MarshalIndent(value, "", "  ")
	if err != nil {
		return err
	}
	f, err := os.CreateTemp(r.cfg.Dir, ".new-*")
	if err != nil {
		return err
	}
	_, err = f.Write(append(raw, '\n'))
	if err := errors.Join(err, f.Sync(), f.Close()); err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	if err := os.Rename(f.Name(), r.path(name)); err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	dir, err := os.Open(r.cfg.Dir)
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}

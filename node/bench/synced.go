package bench

import (
	"errors"
	"os"
	"path/filepath"
	"time"
)

// synced is how many files of one message can be written and synced a second.
func (s *site) synced(cfg Config) (float64, error) {
	path := filepath.Join(s.dir, "synced")
	n, begun := 0, time.Now()
	for time.Since(begun) < cfg.For/rounds/4 || n == 0 {
		if err := writeSynced(path, oru(n)); err != nil {
			return 0, err
		}
		n++
	}
	return float64(n) / time.Since(begun).Seconds(), os.Remove(path)
}

func writeSynced(path string, data []byte) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	return errors.Join(err, f.Sync(), f.Close())
}

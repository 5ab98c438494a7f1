package node

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/trialmesh/trialmesh/connectors/source/table"
)

// Mappings returns the mappings of tables that lie in the folder mappings of a node's
// directory, nil if it has none. The error names every file that is no mapping.
func Mappings(dir string) (*table.Set, error) {
	folder := filepath.Join(dir, mappingsDir)
	set, err := table.LoadSet(os.DirFS(folder))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil //nolint:nilnil // a nil Set is one without mappings
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", folder, err)
	}
	return set, nil
}

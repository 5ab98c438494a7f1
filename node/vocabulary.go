package node

import (
	"context"
	"fmt"
	"io/fs"

	"github.com/trialmesh/trialmesh/localstore/sqldb"
	"github.com/trialmesh/trialmesh/localstore/vocab"
)

// LoadVocabulary replaces the vocabulary in a node's database by the one in a
// folder of Athena's layout. The node may be running: readers see the old one
// or the new one, never a mixture. Progress is told how far each file is read, twice.
func LoadVocabulary(ctx context.Context, cfg Config, folder fs.FS, progress func(file string, read, size int64)) (vocab.Loaded, error) {
	db, err := sqldb.Open(ctx, sqldb.Config{DSN: cfg.withDefaults().DSN})
	if err != nil {
		return vocab.Loaded{}, fmt.Errorf("load vocabulary: %w", err)
	}
	defer db.Close()
	store, err := vocab.Open(ctx, db)
	if err != nil {
		return vocab.Loaded{}, fmt.Errorf("load vocabulary: %w", err)
	}
	store.Progress = progress
	return store.Load(ctx, folder)
}

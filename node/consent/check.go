package consent

import (
	"context"

	"github.com/trialmesh/trialmesh/localstore/sqldb"
	"github.com/trialmesh/trialmesh/protocol/trial"
	"github.com/trialmesh/trialmesh/zk/circuits"
)

// Defect is something wrong with a trial's consent tree.
type Defect struct {
	Trial trial.ID
	What  DefectKind
	Count int64 // of leaves or of groups of four
}

// DefectKind says what is wrong.
type DefectKind string

// The kinds.
const (
	LeafDiffers  DefectKind = "consent-leaf" // the leaf states something else than the consent, and nothing says that it has to change
	GroupDiffers DefectKind = "consent-tree" // a part of the tree is not what the leaves make, or is not there
)

// checkLevels is how many levels are recomputed at once: 4,096 leaves.
const checkLevels = 6

// Check rebuilds the consent tree of every trial from the consents and compares it with the
// one that is stored. It holds 4,096 leaves at once, and changes nothing. Of cfg it needs
// the key, the secret and the shape.
func Check(ctx context.Context, tx *sqldb.Tx, cfg Config) ([]Defect, error) {
	b := &Book{cfg: cfg}
	var ids []trial.ID
	if err := tx.Each(ctx, `SELECT DISTINCT trial FROM consent_leaf UNION SELECT DISTINCT trial FROM consent_group ORDER BY 1`, nil, func(rows *sqldb.Rows) error {
		var id trial.ID
		err := rows.Scan(&id)
		ids = append(ids, id)
		return err
	}); err != nil {
		return nil, err
	}
	var defects []Defect
	for _, id := range ids {
		found, err := b.checkTrial(ctx, tx, id)
		if err != nil {
			return nil, err
		}
		defects = append(defects, found...)
	}
	return defects, nil
}

func (b *Book) checkTrial(ctx context.Context, tx *sqldb.Tx, id trial.ID) ([]Defect, error) {
	var stale int64
	if err := tx.QueryRow(ctx, `SELECT count(*) FROM consent_slot s LEFT JOIN consent_leaf l ON l.trial = s.trial AND l.slot = s.slot
		WHERE s.trial = ? AND NOT EXISTS (SELECT 1 FROM consent_pending p WHERE p.trial = s.trial AND p.slot = s.slot)
		AND (l.slot IS NULL OR l.said <> s.said OR l.scopes <> s.scopes OR l.status <> s.status OR l.from_at <> s.from_at OR l.to_at <> s.to_at OR l.person <> s.person)`, id).Scan(&stale); err != nil {
		return nil, err
	}
	wrong, err := b.checkGroups(ctx, tx, id)
	var found []Defect
	if stale > 0 {
		found = append(found, Defect{id, LeafDiffers, stale})
	}
	if wrong > 0 {
		found = append(found, Defect{id, GroupDiffers, wrong})
	}
	return found, err
}

// checkGroups counts the groups of four that are not what the leaves make.
func (b *Book) checkGroups(ctx context.Context, tx *sqldb.Tx, id trial.ID) (wrong int64, err error) {
	var slots, stored int
	if err := tx.QueryRow(ctx, `SELECT coalesce(max(slot), -1) + 1 FROM consent_leaf WHERE trial = ?`, id).Scan(&slots); err != nil {
		return 0, err
	}
	if err := tx.QueryRow(ctx, `SELECT count(*) FROM consent_group WHERE trial = ?`, id).Scan(&stored); err != nil {
		return 0, err
	}
	var parts []circuits.Placed
	known := 0
	compare := func(rows circuits.MemoryRows) error {
		for place, want := range rows {
			got, there, err := groups{ctx, tx, id}.Siblings(place[0], place[1])
			if err != nil {
				return err
			}
			if there {
				known++
			}
			if got != want {
				wrong++
			}
		}
		return nil
	}
	const size = 1 << (2 * checkLevels)
	for part := 0; part*size < slots; part++ {
		rows, err := b.rebuild(ctx, tx, id, part*size, min(slots, (part+1)*size))
		if err != nil {
			return 0, err
		}
		root, err := circuits.TreeElement(rows, checkLevels, part)
		if err != nil {
			return 0, err
		}
		parts = append(parts, circuits.Placed{Index: part, Hash: root})
		for place := range rows {
			if place[0] >= checkLevels { // as if there were no other parts
				delete(rows, place)
			}
		}
		if err := compare(rows); err != nil {
			return 0, err
		}
	}
	top := circuits.MemoryRows{}
	if _, err := circuits.UpdateTree(top, checkLevels, parts); err != nil {
		return 0, err
	}
	err = compare(top)
	return wrong + int64(stored-known), err
}

// rebuild makes the part of the tree over some slots anew.
func (b *Book) rebuild(ctx context.Context, tx *sqldb.Tx, id trial.ID, first, end int) (circuits.MemoryRows, error) {
	rows := circuits.MemoryRows{}
	var elements []circuits.Placed
	size := b.cfg.Shape.ShardSize
	for shard := first / size; shard*size < end; shard++ {
		leaves, err := b.leaves(ctx, tx, id, shard)
		if err != nil {
			return nil, err
		}
		for _, l := range leaves {
			if l.changes == 0 || l.slot < first || l.slot >= end {
				continue
			}
			opened, err := b.open(id, l)
			if err != nil {
				return nil, err
			}
			hash, err := opened.Leaf()
			if err != nil {
				return nil, err
			}
			elements = append(elements, circuits.Placed{Index: l.slot, Hash: hash})
		}
	}
	_, err := circuits.UpdateTree(rows, 0, elements)
	return rows, err
}

package registry

import (
	"context"
	"regexp"

	"github.com/trialmesh/trialmesh/localstore/sqldb"
	"github.com/trialmesh/trialmesh/protocol/problem"
	"github.com/trialmesh/trialmesh/protocol/query"
)

// Why a question is not found by the beginning of its id.
var (
	ErrPrefix    = problem.New(problem.Invalid, "a question's id begins with 8 to 64 hex digits")
	ErrAmbiguous = problem.New(problem.Conflict, "more than one question's id begins like this; give more digits")
)

var prefixForm = regexp.MustCompile(`^[0-9a-f]{8,64}$`)

// FindQuestion returns the one question whose id begins with a prefix.
func (r *Reader) FindQuestion(ctx context.Context, prefix string) (query.ID, error) {
	if !prefixForm.MatchString(prefix) {
		return query.ID{}, ErrPrefix
	}
	return read(ctx, r.db, func(tx *sqldb.Tx) (query.ID, error) {
		var id query.ID
		// A range, so that the primary key finds it; g follows the hex digits.
		found, err := texts(ctx, tx, `SELECT id FROM question WHERE id >= ? AND id < ? ORDER BY id LIMIT 2`, prefix, prefix+"g")
		switch {
		case err != nil:
			return id, err
		case len(found) == 0:
			return id, ErrQuestionUnknown
		case len(found) > 1:
			return id, ErrAmbiguous
		}
		return id, id.UnmarshalText([]byte(found[0]))
	})
}

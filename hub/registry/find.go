package registry

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strings"

	"github.com/trialmesh/trialmesh/localstore/sqldb"
	"github.com/trialmesh/trialmesh/protocol/problem"
	"github.com/trialmesh/trialmesh/protocol/query"
	"github.com/trialmesh/trialmesh/protocol/spelling"
)

// Why a question is not found by the beginning of its id.
var (
	ErrPrefix    = problem.New(problem.Invalid, "a question's id begins with 8 to 64 hex digits")
	ErrAmbiguous = problem.New(problem.Conflict, "more than one question's id begins like this; give more digits")
)

var prefixForm = regexp.MustCompile(`^[0-9a-f]{8,64}$`)

// minPrefix is how many digits of a question's id are needed at least.
const minPrefix = 8

// FindQuestion returns the one question whose id begins with a prefix.
func (r *Reader) FindQuestion(ctx context.Context, prefix string) (query.ID, error) {
	if !prefixForm.MatchString(prefix) {
		return query.ID{}, ErrPrefix.With(fmt.Sprintf("this has %d characters; query list shows ids", len(prefix)))
	}
	return read(ctx, r.db, func(tx *sqldb.Tx) (query.ID, error) {
		var id query.ID
		// A range, so that the primary key finds it; g follows the hex digits.
		found, err := texts(ctx, tx, `SELECT id FROM question WHERE id >= ? AND id < ? ORDER BY id LIMIT 100`, prefix, prefix+"g")
		switch {
		case err != nil:
			return id, err
		case len(found) == 0:
			return id, ErrQuestionUnknown.With("query list shows the newest")
		case len(found) > 1:
			return id, ErrAmbiguous.With(fmt.Sprintf("%d digits tell them apart", telling(found)))
		}
		return id, id.UnmarshalText([]byte(found[0]))
	})
}

// telling is how many digits tell ids in rising order apart.
func telling(ids []string) int {
	most := minPrefix
	for i, id := range ids[1:] {
		same := 0
		for same < len(id) && id[same] == ids[i][same] {
			same++
		}
		most = max(most, same+1)
	}
	return most
}

// namesShown is how many names a refusal lists.
const namesShown = 10

// unknown says of a name that is not there what it may have been: the one that is spelled
// like it, or those that a statement selects. All of them are public; the name itself is
// not repeated.
func unknown(ctx context.Context, tx *sqldb.Tx, as *problem.Error, name, plural, sql string, args ...any) error {
	names, err := texts(ctx, tx, sql, args...)
	if err != nil {
		return errors.Join(as, err)
	}
	near := spelling.Nearest(name, names...)
	switch {
	case near != "":
		return as.With("did you mean " + near + "?")
	case len(names) == 0:
		return as.With("there are no " + plural + " yet")
	case len(names) > namesShown:
		return as.With(fmt.Sprintf("there are %d %s, among them %s", len(names), plural, strings.Join(names[:namesShown], ", ")))
	}
	return as.With(fmt.Sprintf("the %s are %s", plural, strings.Join(names, ", ")))
}

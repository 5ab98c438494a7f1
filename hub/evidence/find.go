package evidence

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strings"

	"github.com/trialmesh/trialmesh/hub/ledger"
	entry "github.com/trialmesh/trialmesh/protocol/ledger"
	"github.com/trialmesh/trialmesh/protocol/query"
)

// Why [FindQuestion] finds none.
var (
	ErrPrefix    = errors.New("a question's id is 8 to 64 hex digits; trialmesh query list prints them")
	ErrUnasked   = errors.New("the ledger holds no question whose id begins like this")
	ErrAmbiguous = errors.New("more than one question's id begins like this; give more digits")
)

var prefixForm = regexp.MustCompile(`^[0-9a-f]{8,64}$`)

// FindQuestion returns the question whose id begins with a prefix, by the
// entries of the log: a hub that was asked could name another question. It does
// not look for an id that is whole; whether that was asked is for [VerifyQuery].
func FindQuestion(ctx context.Context, src Source, trust Trust, prefix string) (query.ID, error) {
	var id query.ID
	if !prefixForm.MatchString(prefix) {
		return id, ErrPrefix
	}
	if id.UnmarshalText([]byte(prefix)) == nil {
		return id, nil
	}
	view, err := ledger.Open(ctx, src, trust.log())
	if err != nil {
		return id, fmt.Errorf("find question %s: %w", prefix, err)
	}
	var found string
	for raw, err := range view.Entries(ctx, 0, view.Checkpoint().Size) {
		if err != nil {
			return id, fmt.Errorf("find question %s: %w", prefix, err)
		}
		e, err := entry.Parse(raw)
		if err != nil || e.Kind != entry.QuestionAsked || !strings.HasPrefix(e.Subject, prefix) || e.Subject == found {
			continue // what is malformed is for verification to name
		}
		if found != "" {
			return id, fmt.Errorf("find question %s: %w", prefix, ErrAmbiguous)
		}
		found = e.Subject
	}
	if found == "" {
		return id, fmt.Errorf("find question %s: %w", prefix, ErrUnasked)
	}
	return id, id.UnmarshalText([]byte(found))
}

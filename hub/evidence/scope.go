package evidence

import (
	"context"
	"errors"
	"fmt"

	"github.com/trialmesh/trialmesh/protocol/identity"
	"github.com/trialmesh/trialmesh/protocol/query"
	"github.com/trialmesh/trialmesh/protocol/trial"
)

// Scope is what a verification is about: a question, a trial or a node. The zero Scope is
// the whole log.
type Scope struct {
	Question query.ID
	Trial    trial.ID
	Node     identity.DID
}

// The files by which a copy names its scope.
const (
	questionFile = "question"
	trialFile    = "trial"
	nodeFile     = "node"
)

var scopeFiles = []string{questionFile, trialFile, nodeFile}

// Verify checks what scope names. chain and the error are as in [VerifyLedger].
func Verify(ctx context.Context, src Source, trust Trust, chain string, scope Scope) (Report, error) {
	switch {
	case !scope.Question.IsZero():
		return VerifyQuery(ctx, src, trust, chain, scope.Question)
	case scope.Trial != "":
		return VerifyTrial(ctx, src, trust, chain, scope.Trial)
	case scope.Node != "":
		return VerifyNode(ctx, src, trust, chain, scope.Node)
	default:
		return VerifyLedger(ctx, src, trust, chain)
	}
}

func (s Scope) String() string {
	file, text := s.mark()
	if file == "" {
		return "the whole log"
	}
	return file + " " + text
}

// mark returns the file by which a copy names the scope, none for the whole log, and what
// it says.
func (s Scope) mark() (file, text string) {
	switch {
	case !s.Question.IsZero():
		return questionFile, s.Question.String()
	case s.Trial != "":
		return trialFile, string(s.Trial)
	case s.Node != "":
		return nodeFile, string(s.Node)
	default:
		return "", ""
	}
}

// parseScope reads the file of a mark.
func parseScope(file string, raw []byte) (Scope, error) {
	var s Scope
	if n := len(raw); n > 0 && raw[n-1] == '\n' {
		raw = raw[:n-1]
	}
	var err error
	switch file {
	case questionFile:
		err = s.Question.UnmarshalText(raw)
	case trialFile:
		if s.Trial = trial.ID(raw); !s.Trial.Valid() {
			err = errors.New("it is not the id of a trial")
		}
	case nodeFile:
		s.Node, err = identity.ParseDID(string(raw))
	}
	if _, text := s.mark(); err == nil && text != string(raw) {
		err = errors.New("it is not written as it should be")
	}
	if err != nil {
		return Scope{}, fmt.Errorf("the file %q does not say what the copy is for: %w", file, err)
	}
	return s, nil
}

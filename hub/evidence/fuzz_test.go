package evidence

import (
	"context"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/stretchr/testify/require"

	entry "github.com/trialmesh/trialmesh/protocol/ledger"
	"github.com/trialmesh/trialmesh/protocol/message"
	"github.com/trialmesh/trialmesh/protocol/query"
)

// oneDocument is a source with one document, whatever is asked for.
type oneDocument struct {
	Source
	raw []byte
}

func (o oneDocument) Document(context.Context, message.Digest) ([]byte, error) { return o.raw, nil }

// FuzzDocument reads arbitrary bytes as the document of every kind of entry.
// Whatever they are, no signed document passes without its signature.
func FuzzDocument(f *testing.F) {
	for _, seed := range []string{
		``, `null`, `[]`, `{}`, `{"query":"00"}`, `{"node":"did:key:z6Mk","name":"a","organization":"b"}`,
		`{"body":{},"expires":"2026-11-22T00:00:00Z","issued":"2026-11-21T00:00:00Z","issuer":"","kind":"query.request","nonce":"","version":1}`,
		`{"approvals":[{}],"design":{}}`, `{"shape":"epoch-4","verifyingKey":"AA=="}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		v := &verification{src: oneDocument{raw: raw}}
		for kind := entry.NodeEnrolled; kind <= entry.ChainAnchored+1; kind++ {
			l := leaf{0, entry.Entry{Kind: kind, Digest: message.Sum(raw), At: time.Unix(1_800_000_000, 0)}}
			err := v.consistent(t.Context(), l)
			switch kind {
			case entry.TrialRegistered, entry.ConsentEpoch, entry.QuestionAsked, entry.AccessProved:
				require.Error(t, err, "nobody signed it")
			}
			l.Digest[0] ^= 1
			require.Error(t, v.consistent(t.Context(), l), "it is another document")
		}
	})
}

// FuzzScopeMark reads arbitrary bytes as the files that say what a copy is for.
func FuzzScopeMark(f *testing.F) {
	f.Add([]byte(query.ID{1}.String() + "\n"))
	f.Add([]byte("glucose-1\n"))
	f.Add([]byte("did:key:z6MkfQH6QoDL8aU9BBqZ1LwpBLxViKATneuXJsZe87AaeYz4\n"))
	f.Add([]byte(""))
	f.Fuzz(func(t *testing.T, raw []byte) {
		for _, file := range scopeFiles {
			dir := NewDir(fstest.MapFS{file: &fstest.MapFile{Data: raw}})
			scope, partial, err := dir.Scope()
			require.True(t, partial, "a damaged mark must not make the copy look whole")
			if err != nil {
				require.Zero(t, scope)
				continue
			}
			name, text := scope.mark()
			require.Equal(t, file, name)
			require.Equal(t, text, strings.TrimSuffix(string(raw), "\n"))
		}
	})
}

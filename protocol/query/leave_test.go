package query_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/trialmesh/trialmesh/protocol/identity"
	"github.com/trialmesh/trialmesh/protocol/message"
	"github.com/trialmesh/trialmesh/protocol/query"
)

func TestLeave(t *testing.T) {
	t.Parallel()
	policy, verdict := message.Sum([]byte("policy")), message.Sum([]byte("verdict"))
	require.NoError(t, query.Leave{Policy: policy}.Validate())
	require.NoError(t, query.Leave{Policy: policy, Verdicts: []message.Digest{verdict, verdict}}.Validate())
	for name, l := range map[string]query.Leave{
		"no policy":                     {Verdicts: []message.Digest{verdict}},
		"more verdicts than gates":      {Policy: policy, Verdicts: []message.Digest{verdict, verdict, verdict}},
		"an approver without a verdict": {Policy: policy, Approvers: []identity.DID{"did:key:z6MkhaXgBZDvotDkL5257faiztiGiC2QtKLGpbnnEGta2doK"}},
		"an approver that is no key":    {Policy: policy, Verdicts: []message.Digest{verdict}, Approvers: []identity.DID{"Anna"}},
	} {
		require.Error(t, l.Validate(), name)
	}
}

package evm_test

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/trialmesh/trialmesh/zk/evm"
)

// TestTwoEndpoints writes and reads through two endpoints of one chain, either of which then lies,
// is behind or gone. What only one of them says is not believed.
func TestTwoEndpoints(t *testing.T) {
	t.Parallel()
	e, cfg, _ := ready(t)
	first, second := through(t, e.url), through(t, e.url)
	cfg.Endpoint, cfg.Check = first.url, second.url
	cfg.CallTimeout, cfg.MineTimeout = 10*time.Second, time.Second
	client, ledger := dial(t, cfg), newHistory(t, "", 60, 0)

	written, err := ledger.anchor(t, client, 10)
	require.NoError(t, err)
	latest, err := client.LatestAnchor(t.Context())
	require.NoError(t, err)
	require.Equal(t, uint64(10), latest.Size)
	found, err := client.AnchorAt(t.Context(), 10)
	require.NoError(t, err)
	require.Equal(t, ledger.root(t, 10), found.Root)
	again, err := ledger.anchor(t, client, 10)
	require.NoError(t, err)
	require.Equal(t, written, again)
	_, err = client.AcceptRoots(t.Context(), []evm.AcceptedRoot{{Node: toyNode(77), Root: toyRoot, Until: time.Now().Add(time.Hour)}})
	require.NoError(t, err)
	bad := toy().access(t, cfg.Deployment, toyNode(1), evm.Question{1}, 5)
	bad.Proof[255]++
	require.ErrorIs(t, client.VerifyAccess(t.Context(), bad), evm.ErrProofRefused, "both refuse, for the same reason")
	require.NotZero(t, second.requests("eth_sendRawTransaction"), "both get what is sent")

	honest := func(_ string, result any) any { return result }
	for which, liar := range map[string]*proxy{"first": first, "second": second} {
		for method, edit := range map[string]func(any) any{
			"eth_call":             flipped,
			"eth_getCode":          flipped,
			"eth_getLogs":          func(any) any { return []any{} },
			"eth_getBlockByNumber": func(block any) any { return with(block, "extraData", "0x01") },
			"eth_chainId":          func(any) any { return "0x1" },
		} {
			t.Run(which+" lies in "+method, func(t *testing.T) {
				liar.edits(func(asked string, result any) any {
					if asked == method {
						return edit(result)
					}
					return result
				})
				defer liar.edits(honest)
				switch method {
				case "eth_getCode", "eth_chainId":
					_, err = evm.Dial(t.Context(), cfg)
				case "eth_getLogs":
					_, err = client.AnchorAt(t.Context(), 10)
				default:
					_, err = client.LatestAnchor(t.Context())
				}
				require.ErrorIs(t, err, evm.ErrDisagree)
				noToken(t, err)
			})
		}
		t.Run(which+" makes a receipt up", func(t *testing.T) {
			liar.edits(func(asked string, result any) any {
				if asked == "eth_getTransactionReceipt" && result != nil {
					return with(result, "blockHash", "0x"+strings.Repeat("11", 32))
				}
				return result
			})
			defer liar.edits(honest)
			_, err := client.PostRoots(t.Context(), []evm.Root{{Node: evm.Node{1}, Digest: [32]byte{1}, LedgerIndex: 1}})
			require.ErrorIs(t, err, evm.ErrDisagree)
			require.ErrorIs(t, err, evm.ErrPending)
		})
		t.Run(which+" is gone", func(t *testing.T) {
			liar.breaks(func(string, int) fault { return lostBefore })
			defer liar.breaks(func(string, int) fault { return pass })
			_, err := client.LatestAnchor(t.Context())
			require.ErrorIs(t, err, evm.ErrUnreachable)
		})
	}
	_, err = ledger.anchor(t, client, 25)
	require.NoError(t, err, "and goes on when both are well")
}

// TestEndpointsApart connects to two chains of one number that are not the same chain.
func TestEndpointsApart(t *testing.T) {
	t.Parallel()
	e, cfg, _ := ready(t)
	other, _, _ := ready(t)
	cfg.Check = other.url
	_, err := evm.Dial(t.Context(), cfg)
	require.ErrorIs(t, err, evm.ErrDisagree)

	p := through(t, e.url)
	cfg.Check = p.url
	client := dial(t, cfg)
	p.edits(func(method string, result any) any {
		if method == "eth_getBlockByNumber" {
			return with(result, "number", "0xffff")
		}
		return result
	})
	_, err = client.LatestAnchor(t.Context())
	require.ErrorIs(t, err, evm.ErrDisagree, "one that is far behind")

	cfg.Check = "ws://" + token
	_, err = evm.Dial(t.Context(), cfg)
	require.ErrorContains(t, err, "second endpoint")
	noToken(t, err)
}

// flipped changes the last digit of a hexadecimal text.
func flipped(result any) any {
	text := result.(string)
	if strings.HasSuffix(text, "0") {
		return text[:len(text)-1] + "1"
	}
	return text[:len(text)-1] + "0"
}

// with returns a copy of an object with another value in a field.
func with(object any, field string, value any) any {
	changed := map[string]any{}
	for k, v := range object.(map[string]any) {
		changed[k] = v
	}
	changed[field] = value
	return changed
}

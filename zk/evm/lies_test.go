package evm

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/ethereum/go-ethereum/ethclient"
	"github.com/stretchr/testify/require"
)

// FuzzAnswer gives a client whatever bytes an endpoint may answer with, for every request. It may
// get any error, and it must come back.
func FuzzAnswer(f *testing.F) {
	f.Add([]byte(`null`))
	f.Add([]byte(`"0x539"`))
	f.Add([]byte(`"0x`))
	f.Add([]byte(`[]`))
	f.Add([]byte(`{"number":"0x1","baseFeePerGas":"0x1"}`))
	f.Add([]byte(`{"status":"0x1","blockNumber":null,"logs":[]}`))
	f.Add([]byte(`[{"address":"0x0000000000000000000000000000000000000001","topics":[],"data":"0x01"}]`))
	f.Add([]byte(`"0x` + hex.EncodeToString(make([]byte, 96)) + `"`))
	f.Fuzz(func(t *testing.T, result []byte) {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			body, _ := io.ReadAll(r.Body)
			var request struct {
				ID     json.RawMessage `json:"id"`
				Method string          `json:"method"`
			}
			_ = json.Unmarshal(body, &request)
			w.Header().Set("Content-Type", "application/json")
			_, _ = io.WriteString(w, `{"jsonrpc":"2.0","id":`+string(request.ID)+`,"result":`)
			_, _ = w.Write(result)
			_, _ = io.WriteString(w, `}`)
		}))
		defer server.Close()
		key, err := NewKey(append(make([]byte, 31), 1))
		require.NoError(t, err)
		cfg := Config{
			Endpoint: server.URL, ChainID: 1337, Signer: key,
			CallTimeout: 200 * time.Millisecond, MineTimeout: 10 * time.Millisecond,
		}
		ctx := context.Background()
		if c, err := dial(ctx, cfg); err == nil {
			c.Close()
		}
		// As if it had answered honestly when it was dialed.
		backend, err := ethclient.Dial(server.URL)
		require.NoError(t, err)
		defer backend.Close()
		c := &Client{cfg: cfg.withDefaults(), backend: backend}
		c.account = newAccount(c)
		access := Access{Proof: make([]byte, ProofSize), Inputs: make([][32]byte, 1)}
		require.Error(t, c.check(ctx, Deployment{Anchor: Address{1}, Access: Address{2}, KeyHash: Hash{1}}))
		_, _ = c.LatestAnchor(ctx)
		_, _ = c.LatestRoot(ctx, Node{}, Trial{})
		_, _ = c.AccessEvent(ctx, Node{}, Question{})
		_ = c.VerifyAccess(ctx, access)
		_, err = c.LogAccess(ctx, access)
		require.Error(t, err)
		_, _ = c.AcceptRoots(ctx, []AcceptedRoot{{Until: time.Unix(1<<40, 0)}})
		_, _ = c.LogBatch(ctx, []Access{access, access})
		_, err = c.Anchor(ctx, 1, [32]byte{1}, func(context.Context, uint64) ([][32]byte, error) { return nil, nil })
		require.Error(t, err)
	})
}

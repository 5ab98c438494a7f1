package evm_test

import (
	"bufio"
	"context"
	"crypto/ecdsa"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"math/big"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/ethereum/go-ethereum/common/hexutil"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/crypto"
	"github.com/ethereum/go-ethereum/rpc"
	"github.com/ethereum/go-ethereum/signer/core/apitypes"
	"github.com/stretchr/testify/require"

	"github.com/trialmesh/trialmesh/zk/evm"
	"github.com/trialmesh/trialmesh/zk/evm/inprocess"
)

// TestClefSigns has Clef hold the key of a client that writes, in a process of its own.
func TestClefSigns(t *testing.T) {
	t.Parallel()
	e, _ := inProcess(t, inprocess.Config{})
	key := e.fundedKey(t)
	signer, err := evm.NewRemoteSigner(evm.RemoteConfig{Endpoint: clef(t, key), Account: key.Address(), Timeout: time.Minute})
	require.NoError(t, err)
	t.Cleanup(signer.Close)

	cfg := evm.Config{Endpoint: e.url, Signer: signer, CallTimeout: time.Minute}
	cfg.Deployment, err = evm.Deploy(t.Context(), cfg, deployConfig(t, key))
	require.NoError(t, err)
	client := dial(t, cfg)
	require.Equal(t, key.Address(), client.Address())
	_, err = newHistory(t, "", 20, 0).anchor(t, client, 20)
	require.NoError(t, err)
	latest, err := client.LatestAnchor(t.Context())
	require.NoError(t, err)
	require.Equal(t, uint64(20), latest.Size)

	// Clef has no such account.
	stranger, err := evm.NewRemoteSigner(evm.RemoteConfig{Endpoint: clef(t, key), Account: evm.Address{1}, Timeout: time.Minute})
	require.NoError(t, err)
	t.Cleanup(stranger.Close)
	_, err = stranger.SignStatement(t.Context(), statement())
	require.ErrorIs(t, err, evm.ErrSigner)
}

// clef starts Clef with one key and a user who approves everything, and returns its socket.
func clef(t *testing.T, key evm.Key) string {
	t.Helper()
	binary := tool(t, "clef") // --advanced: it knows no names for the methods of our contracts
	dir := t.TempDir()
	const passphrase = "of thirty-two bytes, and not random"
	keystore := filepath.Join(dir, "keystore")
	require.NoError(t, os.Mkdir(keystore, 0o700))
	require.NoError(t, key.Save(filepath.Join(keystore, "key"), passphrase, rand.Reader))

	ctx, cancel := context.WithCancel(context.Background())
	cmd := exec.CommandContext(ctx, binary, "--stdio-ui", "--suppress-bootwarn", "--advanced", "--chainid", "1337", "--loglevel", "0", "--auditlog", "",
		"--configdir", filepath.Join(dir, "config"), "--keystore", keystore, "--ipcpath", dir)
	cmd.Dir = dir
	requests, err := cmd.StdoutPipe()
	require.NoError(t, err)
	answers, err := cmd.StdinPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	started, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		lines := bufio.NewScanner(requests)
		lines.Buffer(nil, 1<<20)
		for lines.Scan() {
			var request struct {
				ID     json.RawMessage   `json:"id"`
				Method string            `json:"method"`
				Params []json.RawMessage `json:"params"`
			}
			if json.Unmarshal(lines.Bytes(), &request) != nil {
				continue
			}
			answer := ""
			switch request.Method {
			case "ui_onSignerStartup":
				close(started)
			case "ui_approveTx":
				var asked struct {
					Transaction json.RawMessage `json:"transaction"`
				}
				_ = json.Unmarshal(request.Params[0], &asked)
				answer = fmt.Sprintf(`{"approved":true,"transaction":%s}`, asked.Transaction)
			case "ui_approveSignData":
				answer = `{"approved":true}`
			case "ui_onInputRequired":
				answer = fmt.Sprintf(`{"text":%q}`, passphrase)
			}
			if answer != "" {
				_, _ = fmt.Fprintf(answers, `{"jsonrpc":"2.0","id":%s,"result":%s}`+"\n", request.ID, answer)
			}
		}
	}()
	t.Cleanup(func() {
		cancel()
		<-ended
		_ = cmd.Wait() // says that it was killed
	})
	select {
	case <-started:
	case <-ended:
		t.Fatal("clef ended before it was ready")
	case <-time.After(time.Minute):
		t.Fatal("clef was not ready within a minute")
	}
	return filepath.Join(dir, "clef.ipc")
}

// TestRemoteSignerIsChecked lets a signer that speaks as Web3Signer does answer well, and then
// in each wrong way. Nothing reaches the chain that was not asked for.
func TestRemoteSignerIsChecked(t *testing.T) {
	t.Parallel()
	e, _ := inProcess(t, inprocess.Config{})
	key, private := openKey(t)
	_, other := openKey(t)
	require.NoError(t, e.fund(t.Context(), key.Address()))
	good := remote{t: t, key: private}
	p := through(t, e.url)
	cfg := evm.Config{Endpoint: p.url, Signer: good.dial(key.Address())}
	d, err := evm.Deploy(t.Context(), cfg, deployConfig(t, key))
	require.NoError(t, err)
	cfg.Deployment = d
	sent := p.requests("eth_sendRawTransaction")
	require.NotZero(t, sent)

	for name, spoil := range map[string]func(*remote){
		"it refuses":             func(r *remote) { r.refuse = true },
		"it answers nothing":     func(r *remote) { r.edit = func(any) any { return nil } },
		"it answers garbage":     func(r *remote) { r.edit = func(any) any { return map[string]any{"raw": 1} } },
		"another transaction":    func(r *remote) { r.alter = func(tx *types.DynamicFeeTx) { tx.GasFeeCap.Lsh(tx.GasFeeCap, 4) } },
		"for another chain":      func(r *remote) { r.alter = func(tx *types.DynamicFeeTx) { tx.ChainID = big.NewInt(1) } },
		"to another contract":    func(r *remote) { r.alter = func(tx *types.DynamicFeeTx) { tx.To = &evm.Address{1} } },
		"with another account":   func(r *remote) { r.key = other },
		"it does not end":        func(r *remote) { r.hang = true },
		"a transaction unsigned": func(r *remote) { r.unsigned = true },
	} {
		t.Run(name, func(t *testing.T) {
			bad := remote{t: t, key: private}
			spoil(&bad)
			cfg := cfg
			// The key itself signs what the contract is to believe, so that it comes to the transaction.
			cfg.Signer, cfg.Replicas = bad.dial(key.Address()), []evm.Replica{key}
			_, err := newHistory(t, "", 20, 0).anchor(t, dial(t, cfg), 20)
			require.ErrorIs(t, err, evm.ErrSigner)
			noToken(t, err)
			_, err = cfg.Signer.SignStatement(t.Context(), statement())
			if bad.alter == nil && !bad.unsigned {
				require.ErrorIs(t, err, evm.ErrSigner)
			}
		})
	}
	require.Equal(t, sent, p.requests("eth_sendRawTransaction"), "nothing was sent")

	_, err = newHistory(t, "", 20, 0).anchor(t, dial(t, cfg), 20)
	require.NoError(t, err, "and the good one goes on")
}

// TestRemoteSignerRefuses: a request to sign must not travel in the open.
func TestRemoteSignerRefuses(t *testing.T) {
	t.Parallel()
	account := evm.Address{1}
	for name, cfg := range map[string]evm.RemoteConfig{
		"plain HTTP to elsewhere": {Endpoint: "http://signer.example/" + token, Account: account},
		"no endpoint":             {Account: account},
		"another scheme":          {Endpoint: "ws://127.0.0.1/" + token, Account: account},
		"a relative path":         {Endpoint: "clef.ipc", Account: account},
		"no account":              {Endpoint: "https://signer.example/" + token},
		"a timeout of a day":      {Endpoint: "https://signer.example/" + token, Account: account, Timeout: 24 * time.Hour},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := evm.NewRemoteSigner(cfg)
			require.Error(t, err)
			require.NotErrorIs(t, err, evm.ErrSigner)
			noToken(t, err)
		})
	}
	down := httptest.NewServer(nil)
	down.Close()
	for _, endpoint := range []string{down.URL + "/" + token, filepath.Join(t.TempDir(), "clef.ipc")} {
		signer, err := evm.NewRemoteSigner(evm.RemoteConfig{Endpoint: endpoint, Account: account})
		require.NoError(t, err, "it may be started later")
		_, err = signer.SignStatement(t.Context(), statement())
		require.ErrorIs(t, err, evm.ErrSigner)
		noToken(t, err)
	}
}

// remote is a signer with the methods of Web3Signer, which needs Java and is not started here.
type remote struct {
	t        *testing.T
	key      *ecdsa.PrivateKey
	refuse   bool
	hang     bool
	unsigned bool
	alter    func(*types.DynamicFeeTx)
	edit     func(any) any
}

func (r *remote) dial(account evm.Address) *evm.RemoteSigner {
	server := rpc.NewServer()
	require.NoError(r.t, server.RegisterName("eth", web3signer{r}))
	listening := httptest.NewServer(server)
	r.t.Cleanup(listening.Close)
	r.t.Cleanup(server.Stop)
	signer, err := evm.NewRemoteSigner(evm.RemoteConfig{Endpoint: listening.URL + "/" + token, Account: account, Timeout: 2 * time.Second})
	require.NoError(r.t, err)
	r.t.Cleanup(signer.Close)
	return signer
}

// web3signer are the methods.
type web3signer struct{ r *remote }

func (w web3signer) answer(ctx context.Context, result any) (any, error) {
	switch {
	case w.r.hang:
		<-ctx.Done()
		return nil, ctx.Err()
	case w.r.refuse:
		return nil, fmt.Errorf("refused")
	case w.r.edit != nil:
		return w.r.edit(result), nil
	}
	return result, nil
}

func (w web3signer) SignTransaction(ctx context.Context, args apitypes.SendTxArgs) (any, error) {
	tx := &types.DynamicFeeTx{
		ChainID: (*big.Int)(args.ChainID), Nonce: uint64(args.Nonce), Gas: uint64(args.Gas), Value: (*big.Int)(&args.Value),
		GasTipCap: (*big.Int)(args.MaxPriorityFeePerGas), GasFeeCap: (*big.Int)(args.MaxFeePerGas), Data: *args.Data,
	}
	if args.To != nil {
		to := args.To.Address()
		tx.To = &to
	}
	if w.r.alter != nil {
		w.r.alter(tx)
	}
	signed := types.NewTx(tx)
	if !w.r.unsigned {
		signed = types.MustSignNewTx(w.r.key, types.LatestSignerForChainID(tx.ChainID), tx)
	}
	raw, err := signed.MarshalBinary()
	if err != nil {
		return nil, err
	}
	return w.answer(ctx, hexutil.Bytes(raw))
}

func (w web3signer) SignTypedData(ctx context.Context, _ evm.Address, data evm.Statement) (any, error) {
	digest, _, err := apitypes.TypedDataAndHash(data)
	if err != nil {
		return nil, err
	}
	signature, err := crypto.Sign(digest, w.r.key)
	if err != nil {
		return nil, err
	}
	signature[64] += 27
	return w.answer(ctx, hexutil.Bytes(signature))
}

// statement is something to sign.
func statement() evm.Statement {
	return evm.Statement{
		Types: apitypes.Types{
			"EIP712Domain": {{Name: "name", Type: "string"}},
			"Note":         {{Name: "text", Type: "string"}},
		},
		PrimaryType: "Note", Domain: apitypes.TypedDataDomain{Name: "test"},
		Message: apitypes.TypedDataMessage{"text": "a note"},
	}
}

// openKey returns a new key and its private half.
func openKey(t *testing.T) (evm.Key, *ecdsa.PrivateKey) {
	t.Helper()
	private, err := crypto.GenerateKey()
	require.NoError(t, err)
	key, err := evm.NewKey(crypto.FromECDSA(private))
	require.NoError(t, err)
	return key, private
}

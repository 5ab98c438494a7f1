package evm_test

import (
	"context"
	"errors"
	"fmt"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/ethereum/go-ethereum/ethclient"
	"github.com/stretchr/testify/require"

	"github.com/trialmesh/trialmesh/zk/evm"
	"github.com/trialmesh/trialmesh/zk/evm/inprocess"
)

func TestDialReportsWhatIsWrong(t *testing.T) {
	t.Parallel()
	e, cfg, _ := ready(t)
	bare, _ := inProcess(t, inprocess.Config{})
	down := httptest.NewServer(nil)
	down.Close()

	broken := func(f fault) func(*testing.T, *evm.Config) {
		return func(t *testing.T, cfg *evm.Config) {
			p := through(t, e.url)
			p.breaks(func(string, int) fault { return f })
			cfg.Endpoint = p.url
		}
	}
	answers := func(id string) func(*testing.T, *evm.Config) {
		return func(t *testing.T, cfg *evm.Config) {
			p := through(t, e.url)
			p.edits(func(method string, result any) any {
				if method == "eth_chainId" {
					return id
				}
				return result
			})
			cfg.Endpoint = p.url
		}
	}
	for name, test := range map[string]struct {
		spoil func(*testing.T, *evm.Config)
		want  error
	}{
		"nothing listens":              {func(_ *testing.T, c *evm.Config) { c.Endpoint = down.URL + "/" + token }, evm.ErrUnreachable},
		"it never answers":             {broken(hang), evm.ErrUnreachable},
		"it hangs up":                  {broken(lostBefore), evm.ErrUnreachable},
		"it answers in HTML":           {broken(garbage), evm.ErrUnreachable},
		"its answer does not end":      {broken(endless), evm.ErrUnreachable},
		"it redirects":                 {broken(redirect), evm.ErrUnreachable},
		"it limits the rate":           {broken(dry), evm.ErrUnreachable},
		"it is another chain":          {answers("0x1"), evm.ErrWrongChain},
		"it has no chain id":           {answers("0x0"), evm.ErrWrongChain},
		"its chain id is absurd":       {answers("0x1000000000000000000000000000539"), evm.ErrWrongChain},
		"the chain was started anew":   {func(_ *testing.T, c *evm.Config) { c.Endpoint = bare.url }, evm.ErrNotDeployed},
		"the configured id is another": {func(_ *testing.T, c *evm.Config) { c.ChainID = 1 }, evm.ErrWrongChain},
		"no deployment":                {func(_ *testing.T, c *evm.Config) { c.Deployment = evm.Deployment{} }, evm.ErrNotDeployed},
		"half a deployment":            {func(_ *testing.T, c *evm.Config) { c.Deployment.Access = evm.Address{} }, evm.ErrNotDeployed},
		"the record is of another key": {func(_ *testing.T, c *evm.Config) { c.Deployment.KeyHash[0] ^= 1 }, evm.ErrConflict},
		"the record mixes contracts":   {func(_ *testing.T, c *evm.Config) { c.Deployment.Access = c.Deployment.Roots }, nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cfg := cfg
			cfg.CallTimeout = 2 * time.Second
			test.spoil(t, &cfg)
			_, err := evm.Dial(t.Context(), cfg)
			require.Error(t, err)
			noToken(t, err)
			if test.want != nil {
				require.ErrorIs(t, err, test.want)
			}
		})
	}
}

func TestDialRefusesConfig(t *testing.T) {
	t.Parallel()
	good := evm.Config{Endpoint: "http://127.0.0.1:1", Deployment: evm.Deployment{
		ChainID: 1, Anchor: evm.Address{1}, Roots: evm.Address{2}, Access: evm.Address{3},
	}}
	for name, spoil := range map[string]func(*evm.Config){
		"no endpoint":             func(c *evm.Config) { c.Endpoint = "" },
		"a path":                  func(c *evm.Config) { c.Endpoint = "/var/run/" + token },
		"another scheme":          func(c *evm.Config) { c.Endpoint = "ws://" + token },
		"no URL":                  func(c *evm.Config) { c.Endpoint = "http://[::1" + token },
		"a negative timeout":      func(c *evm.Config) { c.CallTimeout = -1 },
		"a long timeout":          func(c *evm.Config) { c.CallTimeout = time.Hour },
		"a short wait":            func(c *evm.Config) { c.MineTimeout = 1 },
		"a long wait":             func(c *evm.Config) { c.MineTimeout = 24 * time.Hour },
		"a busy poll":             func(c *evm.Config) { c.PollInterval = 1 },
		"a million confirmations": func(c *evm.Config) { c.Confirmations = 1_000_000 },
		"a ruinous fee":           func(c *evm.Config) { c.MaxFeeGwei = 1 << 40 },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cfg := good
			spoil(&cfg)
			_, err := evm.Dial(t.Context(), cfg)
			require.Error(t, err)
			require.NotErrorIs(t, err, evm.ErrUnreachable, "it is refused before anybody is asked")
			noToken(t, err)
		})
	}
}

// TestWritesHappenOnce loses every kind of request and answer once, before and after it took
// effect, with and without a restart of the writer, and repeats the call until it succeeds.
func TestWritesHappenOnce(t *testing.T) {
	t.Parallel()
	e, _ := inProcess(t, inprocess.Config{})
	key := e.fundedKey(t)
	d := e.deploy(t, key)
	chain, err := ethclient.Dial(e.url)
	require.NoError(t, err)
	t.Cleanup(chain.Close)

	methods := []string{
		"eth_call", "eth_getLogs", "eth_getBlockByNumber", "eth_maxPriorityFeePerGas",
		"eth_estimateGas", "eth_getTransactionCount", "eth_sendRawTransaction", "eth_getTransactionReceipt",
	}
	ledger := newHistory(t, "", 100, 0)
	size := uint64(0)
	for _, restart := range []bool{false, true} {
		for _, method := range methods {
			for _, f := range []fault{lostBefore, lostAfter, hang, garbage} {
				sends := method == "eth_sendRawTransaction" || method == "eth_getTransactionReceipt"
				if restart && !sends || f == hang && method != "eth_sendRawTransaction" || f == garbage && !sends {
					continue // shows no more and takes time
				}
				size++
				access := toy().access(t, d, toyNode(1), evm.Question{byte(size)}, 5)
				root := evm.Root{Node: evm.Node{1}, Digest: [32]byte{byte(size)}, LedgerIndex: size}
				for name, write := range map[string]func(*evm.Client) (evm.Receipt, error){
					"anchor": func(c *evm.Client) (evm.Receipt, error) { return ledger.anchor(t, c, size) },
					"roots":  func(c *evm.Client) (evm.Receipt, error) { return c.PostRoots(t.Context(), []evm.Root{root}) },
					"access": func(c *evm.Client) (evm.Receipt, error) { return c.LogAccess(t.Context(), access) },
				} {
					t.Run(fmt.Sprintf("%s/%s/fault %d/restart %t", name, method, f, restart), func(t *testing.T) {
						p := through(t, e.url)
						cfg := evm.Config{Endpoint: p.url, Signer: key, Deployment: d}
						if f == hang {
							cfg.CallTimeout = time.Second
						}
						client := dial(t, cfg)
						before := nonce(t, chain, key)
						start := p.requests(method)
						p.breaks(func(m string, n int) fault {
							if m == method && n == start+1 {
								return f
							}
							return pass
						})
						persist := func() evm.Receipt {
							receipt, err := write(client)
							for try := 0; err != nil && try < 5; try++ {
								require.True(t, errors.Is(err, evm.ErrUnreachable) || errors.Is(err, evm.ErrPending), "%v", err)
								noToken(t, err)
								if restart {
									client = dial(t, cfg)
								}
								receipt, err = write(client)
							}
							require.NoError(t, err)
							return receipt
						}
						receipt := persist()
						// A writer that forgot what it sent may pay for a second transaction, which the
						// contract refuses.
						most := before + 1
						if restart {
							most++
						}
						after := nonce(t, chain, key)
						require.LessOrEqual(t, after, most, "one transaction, not more")
						require.Equal(t, receipt, persist(), "there is one entry")
						require.Equal(t, after, nonce(t, chain, key), "and repeating sends nothing")
						require.Greater(t, p.requests(method), start, "the fault was met")
					})
				}
			}
		}
	}
}

func nonce(t *testing.T, chain *ethclient.Client, key evm.Key) uint64 {
	t.Helper()
	n, err := chain.PendingNonceAt(t.Context(), key.Address())
	require.NoError(t, err)
	return n
}

// TestDeployGoesOn interrupts a deployment at each of its transactions.
func TestDeployGoesOn(t *testing.T) {
	t.Parallel()
	for stop := 1; stop <= 5; stop++ {
		for _, f := range []fault{lostBefore, lostAfter} {
			t.Run(fmt.Sprintf("contract %d, fault %d", stop, f), func(t *testing.T) {
				t.Parallel()
				e, _ := inProcess(t, inprocess.Config{})
				key := e.fundedKey(t)
				p := through(t, e.url)
				p.breaks(func(m string, n int) fault {
					if m == "eth_sendRawTransaction" && n == stop {
						return f
					}
					return pass
				})
				what := deployConfig(t, key)
				_, err := evm.Deploy(t.Context(), evm.Config{Endpoint: p.url, Signer: key}, what)
				require.ErrorIs(t, err, evm.ErrUnreachable)
				half, err := evm.ReadDeployment(what.Record)
				if stop == 1 {
					require.Error(t, err, "nothing to record yet")
				} else {
					require.NoError(t, err)
				}
				d, err := evm.Deploy(t.Context(), evm.Config{Endpoint: p.url, Signer: key}, what)
				require.NoError(t, err)
				if stop > 1 {
					require.Equal(t, half.Verifier, d.Verifier, "what was done is kept")
				}
				client := dial(t, evm.Config{Endpoint: e.url, Signer: key, Deployment: d})
				_, err = newHistory(t, "", 1, 0).anchor(t, client, 1)
				require.NoError(t, err)
			})
		}
	}
}

func TestDeployRefuses(t *testing.T) {
	t.Parallel()
	e, _ := inProcess(t, inprocess.Config{})
	bare, _ := inProcess(t, inprocess.Config{})
	key, second := e.fundedKey(t), bare.fundedKey(t)
	what := deployConfig(t, key)
	cfg := evm.Config{Endpoint: e.url, Signer: key}
	d, err := evm.Deploy(t.Context(), cfg, what)
	require.NoError(t, err)
	record := what.Record
	otherKey := newToyKeys().words

	for name, test := range map[string]struct {
		spoil     func(*evm.Config, *evm.DeployConfig)
		want      error
		redeploys bool // Redeploy makes it right
	}{
		"other replicas": {
			func(_ *evm.Config, w *evm.DeployConfig) { w.Replicas = append(w.Replicas, second.Address()) },
			evm.ErrConflict, true,
		},
		"another verifying key": {
			func(_ *evm.Config, w *evm.DeployConfig) { w.VerifyingKey = otherKey },
			evm.ErrConflict, true,
		},
		"another position": {
			func(_ *evm.Config, w *evm.DeployConfig) { w.QueryPosition = 3 },
			evm.ErrConflict, true,
		},
		"a chain that forgot": {
			func(c *evm.Config, _ *evm.DeployConfig) { c.Endpoint, c.Signer = bare.url, second },
			evm.ErrNotDeployed, true,
		},
		"no key": {func(c *evm.Config, w *evm.DeployConfig) { c.Signer = evm.Key{}; w.Record += "2" }, evm.ErrReadOnly, false},
		"another ledger": {
			func(_ *evm.Config, w *evm.DeployConfig) { w.Origin = "other.example/log" },
			evm.ErrConflict, true,
		},
		"a minority": {
			func(_ *evm.Config, w *evm.DeployConfig) {
				w.Replicas, w.Threshold = append(w.Replicas, second.Address()), 1
				w.Record += "4"
			},
			nil, false,
		},
		"a long delay":       {func(_ *evm.Config, w *evm.DeployConfig) { w.Delay = 61 * 24 * time.Hour }, nil, false},
		"one position twice": {func(_ *evm.Config, w *evm.DeployConfig) { w.RootPosition = w.QueryPosition }, nil, false},
		"no ledger":          {func(_ *evm.Config, w *evm.DeployConfig) { w.Origin = "" }, nil, false},
		"a position too far": {func(_ *evm.Config, w *evm.DeployConfig) { w.QueryPosition = 5 }, nil, false},
		"no record":          {func(_ *evm.Config, w *evm.DeployConfig) { w.Record = "" }, nil, false},
		"no replicas":        {func(_ *evm.Config, w *evm.DeployConfig) { w.Replicas = nil }, nil, false},
		"17 replicas":        {func(_ *evm.Config, w *evm.DeployConfig) { w.Replicas = make([]evm.Address, 17) }, nil, false},
		"a replica twice": {
			func(_ *evm.Config, w *evm.DeployConfig) {
				w.Replicas = append(w.Replicas, w.Replicas[0])
				w.Record += "3"
			},
			nil, false,
		},
		"half a key": {func(_ *evm.Config, w *evm.DeployConfig) { w.VerifyingKey = w.VerifyingKey[:480] }, nil, false},
	} {
		t.Run(name, func(t *testing.T) {
			cfg, what := cfg, what
			test.spoil(&cfg, &what)
			_, err := evm.Deploy(t.Context(), cfg, what)
			require.Error(t, err)
			if test.want != nil {
				require.ErrorIs(t, err, test.want)
			}
			unchanged, err := evm.ReadDeployment(record)
			require.NoError(t, err)
			require.Equal(t, d, unchanged, "a refusal leaves the record alone")
			if !test.redeploys {
				return
			}
			what.Redeploy = true
			what.Record = filepath.Join(t.TempDir(), "deployment.json")
			old, err := os.ReadFile(record)
			require.NoError(t, err)
			require.NoError(t, os.WriteFile(what.Record, old, 0o600))
			anew, err := evm.Deploy(t.Context(), cfg, what)
			require.NoError(t, err)
			require.NotEqual(t, d.Registry, anew.Registry)
			require.NotEqual(t, d.Anchor, anew.Anchor)
			require.Equal(t, what.VerifyingKey.Hash(), anew.KeyHash)
			require.Equal(t, what.Replicas, anew.Replicas)
		})
	}
}

func TestCallerGivesUp(t *testing.T) {
	t.Parallel()
	e, cfg, _ := ready(t)
	p := through(t, e.url)
	cfg.Endpoint = p.url
	client := dial(t, cfg)
	p.breaks(func(string, int) fault { return hang })

	canceled, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := client.Anchor(canceled, 1, [32]byte{1}, nil)
	require.ErrorIs(t, err, context.Canceled)
	require.NotErrorIs(t, err, evm.ErrUnreachable, "giving up says nothing about the chain")

	short, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	_, err = client.Anchor(short, 1, [32]byte{1}, nil)
	require.ErrorIs(t, err, evm.ErrUnreachable)
	require.ErrorIs(t, err, context.DeadlineExceeded)
}

func TestFeeIsLimited(t *testing.T) {
	t.Parallel()
	e, cfg, _ := ready(t)
	p := through(t, e.url)
	p.edits(func(method string, result any) any {
		if method == "eth_maxPriorityFeePerGas" {
			return "0xde0b6b3a7640000" // a whole coin for a unit of gas
		}
		return result
	})
	cfg.Endpoint = p.url
	_, err := dial(t, cfg).Anchor(t.Context(), 1, [32]byte{1}, nil)
	require.ErrorIs(t, err, evm.ErrFee)
	require.Zero(t, p.requests("eth_sendRawTransaction"), "nothing was signed away")
}

package evm

import (
	"context"
	"fmt"
	"io"
	"math/big"
	"net/http"
	"net/url"
	"time"

	"github.com/ethereum/go-ethereum"
	"github.com/ethereum/go-ethereum/accounts/abi"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/ethclient"
	"github.com/ethereum/go-ethereum/rpc"
)

// Backend is what a Client needs of a chain; go-ethereum documents the methods. Its JSON-RPC
// client and its simulated chain both have them.
type Backend interface {
	ChainID(ctx context.Context) (*big.Int, error)
	HeaderByNumber(ctx context.Context, number *big.Int) (*types.Header, error)
	CodeAt(ctx context.Context, account Address, block *big.Int) ([]byte, error)
	CallContract(ctx context.Context, call ethereum.CallMsg, block *big.Int) ([]byte, error)
	EstimateGas(ctx context.Context, call ethereum.CallMsg) (uint64, error)
	SuggestGasTipCap(ctx context.Context) (*big.Int, error)
	NonceAt(ctx context.Context, account Address, block *big.Int) (uint64, error)
	PendingNonceAt(ctx context.Context, account Address) (uint64, error)
	SendTransaction(ctx context.Context, tx *types.Transaction) error
	TransactionReceipt(ctx context.Context, hash Hash) (*types.Receipt, error)
	FilterLogs(ctx context.Context, query ethereum.FilterQuery) ([]types.Log, error)
}

// Config configures a [Client]. Endpoint is required.
type Config struct {
	// Endpoint is the http or https URL of a JSON-RPC node. It may hold an access token and is
	// never part of an error.
	Endpoint string

	// ChainID is the chain the endpoint must serve. Defaults to the deployment's; without one,
	// to whatever the endpoint serves.
	ChainID uint64

	// Deployment says where the contracts are, as Deploy returned it. Only Deploy does without.
	Deployment Deployment

	// Check is the URL of a second JSON-RPC node, best of another operator. What the chain holds is
	// then believed only if both say it, and each transaction is sent to both. Optional.
	Check string

	// Signer pays for and signs what is written. Without one, or with the zero [Key], the client
	// only reads.
	Signer Signer

	// Replicas sign what the contracts are to believe; those of them that are replicas at the
	// time count. Defaults to Signer alone, which is a quorum of one.
	Replicas []Replica

	// CallTimeout limits each exchange with the endpoint, 10 ms to 5 min. Defaults to 10 s.
	CallTimeout time.Duration

	// MineTimeout limits the wait for a transaction to be mined and confirmed, 10 ms to 1 h.
	// Defaults to 2 min.
	MineTimeout time.Duration

	// PollInterval is the longest pause between two looks for a receipt, 1 ms to 1 min; the
	// first pauses are shorter. Defaults to 500 ms.
	PollInterval time.Duration

	// Confirmations is how many blocks must follow the one that holds a transaction before it
	// counts, 0 to 1000. Defaults to 0, which suits chains with immediate finality.
	Confirmations uint64

	// MaxFeeGwei is the most that is paid for a unit of gas, tip included, in 10^-9 of the
	// chain's coin, 1 to 1,000,000. Defaults to 500. It also bounds what a lying endpoint can
	// make the account spend.
	MaxFeeGwei uint64
}

func (c Config) withDefaults() Config {
	if c.ChainID == 0 {
		c.ChainID = c.Deployment.ChainID
	}
	if c.Replicas == nil && signs(c.Signer) {
		c.Replicas = []Replica{c.Signer}
	}
	if c.CallTimeout == 0 {
		c.CallTimeout = 10 * time.Second
	}
	if c.MineTimeout == 0 {
		c.MineTimeout = 2 * time.Minute
	}
	if c.PollInterval == 0 {
		c.PollInterval = 500 * time.Millisecond
	}
	if c.MaxFeeGwei == 0 {
		c.MaxFeeGwei = 500
	}
	return c
}

func (c Config) validate() error {
	switch {
	case c.CallTimeout < 10*time.Millisecond || c.CallTimeout > 5*time.Minute:
		return fmt.Errorf("CallTimeout %s is not within 10 ms and 5 min", c.CallTimeout)
	case c.MineTimeout < 10*time.Millisecond || c.MineTimeout > time.Hour:
		return fmt.Errorf("MineTimeout %s is not within 10 ms and 1 h", c.MineTimeout)
	case c.PollInterval < time.Millisecond || c.PollInterval > time.Minute:
		return fmt.Errorf("PollInterval %s is not within 1 ms and 1 min", c.PollInterval)
	case c.Confirmations > 1000:
		return fmt.Errorf("%d Confirmations are more than 1000", c.Confirmations)
	case c.MaxFeeGwei > 1_000_000:
		return fmt.Errorf("MaxFeeGwei %d is more than 1,000,000", c.MaxFeeGwei)
	case c.Deployment.ChainID != 0 && c.Deployment.ChainID != c.ChainID:
		return fmt.Errorf("deployment is on chain %d, not %d: %w", c.Deployment.ChainID, c.ChainID, ErrWrongChain)
	}
	return nil
}

// Client writes and reads the contracts of one deployment. It is safe for concurrent use.
type Client struct {
	cfg     Config
	backend Backend
	account *account // nil without a key
}

// Dial connects to a chain over JSON-RPC, and makes sure that it is the configured one and holds
// the deployment's contracts.
func Dial(ctx context.Context, cfg Config) (*Client, error) {
	if !cfg.Deployment.complete() {
		return nil, fmt.Errorf("dial chain: no or half a deployment: %w", ErrNotDeployed)
	}
	return dial(ctx, cfg)
}

func dial(ctx context.Context, cfg Config) (*Client, error) {
	first, err := dialEndpoint(ctx, "endpoint", cfg.Endpoint)
	if err != nil {
		return nil, err
	}
	if cfg.Check == "" {
		return New(ctx, first, cfg)
	}
	second, err := dialEndpoint(ctx, "second endpoint", cfg.Check)
	if err != nil {
		first.Close()
		return nil, err
	}
	return New(ctx, &agreed{first, second}, cfg)
}

func dialEndpoint(ctx context.Context, which, endpoint string) (*ethclient.Client, error) {
	where, err := url.Parse(endpoint)
	if err != nil || where.Host == "" || (where.Scheme != "http" && where.Scheme != "https") {
		return nil, fmt.Errorf("dial chain: the %s is no http or https URL", which)
	}
	conn, err := rpc.DialOptions(ctx, endpoint, rpc.WithHTTPClient(httpClient()))
	if err != nil {
		return nil, explain(ctx, "dial chain", err)
	}
	return ethclient.NewClient(conn), nil
}

// New makes a client over a backend that is there already, which it closes if that can be closed.
// It checks what Dial checks; cfg.Endpoint and cfg.Check are not used.
func New(ctx context.Context, backend Backend, cfg Config) (*Client, error) {
	c := &Client{cfg: cfg.withDefaults(), backend: backend}
	if err := c.start(ctx); err != nil {
		c.Close()
		return nil, fmt.Errorf("dial chain: %w", err)
	}
	return c, nil
}

func (c *Client) start(ctx context.Context) error {
	if err := c.cfg.validate(); err != nil {
		return err
	}
	id, err := ask(ctx, c, "read chain id", c.backend.ChainID)
	if err != nil {
		return err
	}
	if !id.IsUint64() || id.Sign() == 0 || (c.cfg.ChainID != 0 && id.Uint64() != c.cfg.ChainID) {
		return fmt.Errorf("chain id is %s, not %d: %w", id, c.cfg.ChainID, ErrWrongChain)
	}
	c.cfg.ChainID = id.Uint64()
	if signs(c.cfg.Signer) {
		c.account = newAccount(c)
	}
	if c.cfg.Deployment.ChainID == 0 {
		return nil
	}
	return c.check(ctx, c.cfg.Deployment)
}

// Close ends the connection.
func (c *Client) Close() {
	if closer, ok := c.backend.(interface{ Close() }); ok {
		closer.Close()
	}
}

// Address returns the account that pays, zero for a client that only reads.
func (c *Client) Address() Address {
	if c.cfg.Signer == nil {
		return Address{}
	}
	return c.cfg.Signer.Address()
}

// maxAnswer is the largest answer read from an endpoint, in bytes.
const maxAnswer = 8 << 20

// httpClient returns a client that follows no redirect, since the body may hold a signed
// transaction, and reads at most maxAnswer bytes.
func httpClient() *http.Client {
	return &http.Client{
		Transport: limitedTransport{&http.Transport{
			Proxy:               http.ProxyFromEnvironment,
			MaxIdleConnsPerHost: 4,
			IdleConnTimeout:     30 * time.Second,
			TLSHandshakeTimeout: 10 * time.Second,
		}},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

type limitedTransport struct{ *http.Transport }

func (t limitedTransport) RoundTrip(r *http.Request) (*http.Response, error) {
	answer, err := t.Transport.RoundTrip(r)
	if err == nil {
		answer.Body = limitedBody{io.LimitReader(answer.Body, maxAnswer), answer.Body}
	}
	return answer, err
}

type limitedBody struct {
	io.Reader
	io.Closer
}

// ask makes one exchange with the chain within CallTimeout.
func ask[T any](ctx context.Context, c *Client, what string, exchange func(context.Context) (T, error)) (T, error) {
	limited, cancel := context.WithTimeout(ctx, c.cfg.CallTimeout)
	defer cancel()
	answer, err := exchange(limited)
	return answer, explain(ctx, what, err)
}

// view calls a contract without a transaction and returns the results.
func (c *Client) view(ctx context.Context, on contract, at Address, method string, args ...any) ([]any, error) {
	input, err := on.abi.Pack(method, args...)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", method, err)
	}
	output, err := ask(ctx, c, method, func(ctx context.Context) ([]byte, error) {
		return c.backend.CallContract(ctx, ethereum.CallMsg{From: c.Address(), To: &at, Data: input}, nil)
	})
	if err != nil {
		return nil, err
	}
	results, err := on.abi.Unpack(method, output)
	if err != nil {
		// An address without code answers a call with nothing.
		return nil, fmt.Errorf("%s: %w: unexpected answer", method, ErrNotDeployed)
	}
	return results, nil
}

// viewOne is view for a method with one result of type T.
func viewOne[T any](ctx context.Context, c *Client, on contract, at Address, method string, args ...any) (T, error) {
	var zero T
	results, err := c.view(ctx, on, at, method, args...)
	if err != nil {
		return zero, err
	}
	return *abi.ConvertType(results[0], &zero).(*T), nil
}

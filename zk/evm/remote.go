package evm

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/url"
	"path/filepath"
	"sync"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/common/hexutil"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/crypto"
	"github.com/ethereum/go-ethereum/rpc"
	"github.com/ethereum/go-ethereum/signer/core/apitypes"
)

// RemoteConfig configures a [RemoteSigner]. Endpoint and Account are required.
type RemoteConfig struct {
	// Endpoint is where the signer listens: the absolute path of a unix socket, an https URL, or
	// an http URL of this machine. It may hold an access token and is never part of an error.
	Endpoint string

	// Account is the account that the signer is asked to sign for.
	Account Address

	// Timeout limits the wait for each signature, 10 ms to 1 h, which has to be long enough for
	// whoever approves it. Defaults to 10 s.
	Timeout time.Duration
}

// RemoteSigner has another process sign, which holds the key: Clef by its own methods
// (account_signTransaction), Web3Signer and others by those of Ethereum's JSON-RPC
// (eth_signTransaction, eth_signTypedData). What comes back is checked to be what was to be
// signed, and of the account. It connects when it is first asked.
type RemoteSigner struct {
	cfg RemoteConfig

	mu     sync.Mutex // guards what follows
	conn   *rpc.Client
	prefix string // of the methods' names
}

// NewRemoteSigner checks what it is given; it asks nobody.
func NewRemoteSigner(cfg RemoteConfig) (*RemoteSigner, error) {
	if cfg.Timeout == 0 {
		cfg.Timeout = 10 * time.Second
	}
	switch {
	case cfg.Timeout < 10*time.Millisecond || cfg.Timeout > time.Hour:
		return nil, fmt.Errorf("remote signer: Timeout %s is not within 10 ms and 1 h", cfg.Timeout)
	case cfg.Account == (Address{}):
		return nil, errors.New("remote signer: no account")
	case !signerEndpoint(cfg.Endpoint):
		return nil, errors.New("remote signer: the endpoint is no path of a socket, https URL, or http URL of this machine")
	}
	return &RemoteSigner{cfg: cfg}, nil
}

// connected returns the connection and the prefix of the methods' names, which it learns first.
func (s *RemoteSigner) connected(ctx context.Context) (*rpc.Client, string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.conn != nil {
		return s.conn, s.prefix, nil
	}
	conn, err := rpc.DialOptions(ctx, s.cfg.Endpoint, rpc.WithHTTPClient(httpClient()))
	if err != nil {
		return nil, "", err
	}
	prefix, version := "account", ""
	if err := conn.CallContext(ctx, &version, "account_version"); err != nil {
		var refusal rpc.Error
		if !errors.As(err, &refusal) {
			conn.Close()
			return nil, "", err
		}
		prefix = "eth" // it knows no such method
	}
	s.conn, s.prefix = conn, prefix
	return conn, prefix, nil
}

// signerEndpoint reports whether requests to sign stay on this machine or are encrypted.
func signerEndpoint(endpoint string) bool {
	if filepath.IsAbs(endpoint) {
		return true
	}
	where, err := url.Parse(endpoint)
	if err != nil || where.Host == "" {
		return false
	}
	host := where.Hostname()
	local := host == "localhost" || net.ParseIP(host).IsLoopback()
	return where.Scheme == "https" || where.Scheme == "http" && local
}

// Close ends the connection.
func (s *RemoteSigner) Close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.conn != nil {
		s.conn.Close()
		s.conn = nil
	}
}

// Address implements [Replica].
func (s *RemoteSigner) Address() Address { return s.cfg.Account }

// SignStatement implements [Replica]. Errors are [ErrSigner].
func (s *RemoteSigner) SignStatement(ctx context.Context, statement Statement) ([]byte, error) {
	const what = "sign statement"
	digest, _, err := apitypes.TypedDataAndHash(statement)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", what, err)
	}
	var signature hexutil.Bytes
	if err := s.ask(ctx, what, &signature, "signTypedData", s.account(), statement); err != nil {
		return nil, err
	}
	if len(signature) != crypto.SignatureLength || signature[crypto.RecoveryIDOffset] < 27 {
		return nil, fmt.Errorf("%s: %w: no signature of 65 bytes that ends in 27 or 28", what, ErrSigner)
	}
	plain := append([]byte{}, signature...)
	plain[crypto.RecoveryIDOffset] -= 27
	public, err := crypto.SigToPub(digest, plain)
	if err != nil || crypto.PubkeyToAddress(*public) != s.cfg.Account {
		return nil, fmt.Errorf("%s: %w: not a signature of %s over it", what, ErrSigner, s.cfg.Account)
	}
	return signature, nil
}

// signTransaction implements [Signer].
func (s *RemoteSigner) signTransaction(ctx context.Context, tx *types.Transaction) (*types.Transaction, error) {
	const what = "sign transaction"
	data := hexutil.Bytes(tx.Data())
	args := apitypes.SendTxArgs{
		From: s.account(), Gas: hexutil.Uint64(tx.Gas()), Nonce: hexutil.Uint64(tx.Nonce()),
		MaxFeePerGas: (*hexutil.Big)(tx.GasFeeCap()), MaxPriorityFeePerGas: (*hexutil.Big)(tx.GasTipCap()),
		Value: hexutil.Big(*tx.Value()), Data: &data, Input: &data, ChainID: (*hexutil.Big)(tx.ChainId()),
	}
	if to := tx.To(); to != nil {
		mixed := common.NewMixedcaseAddress(*to)
		args.To = &mixed
	}
	var answer json.RawMessage
	if err := s.ask(ctx, what, &answer, "signTransaction", args); err != nil {
		return nil, err
	}
	raw, err := rawTransaction(answer)
	signed := new(types.Transaction)
	if err == nil {
		err = signed.UnmarshalBinary(raw)
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w: it answered no transaction", what, ErrSigner)
	}
	rules := types.LatestSignerForChainID(tx.ChainId())
	from, err := types.Sender(rules, signed)
	if err != nil || from != s.cfg.Account || rules.Hash(signed) != rules.Hash(tx) {
		return nil, fmt.Errorf("%s: %w: it signed another transaction, or for another account than %s", what, ErrSigner, s.cfg.Account)
	}
	return signed, nil
}

// rawTransaction reads the two forms in which signers answer: the transaction's bytes, or an
// object that has them under raw.
func rawTransaction(answer json.RawMessage) (hexutil.Bytes, error) {
	var raw hexutil.Bytes
	if err := json.Unmarshal(answer, &raw); err == nil {
		return raw, nil
	}
	var object struct {
		Raw hexutil.Bytes `json:"raw"`
	}
	err := json.Unmarshal(answer, &object)
	return object.Raw, err
}

func (s *RemoteSigner) account() common.MixedcaseAddress {
	return common.NewMixedcaseAddress(s.cfg.Account)
}

func (s *RemoteSigner) ask(ctx context.Context, what string, answer any, method string, args ...any) error {
	limited, cancel := context.WithTimeout(ctx, s.cfg.Timeout)
	defer cancel()
	conn, prefix, err := s.connected(limited)
	if err == nil {
		err = conn.CallContext(limited, answer, prefix+"_"+method, args...)
	}
	if err != nil {
		return unsigned(ctx, what, err)
	}
	return nil
}

// unsigned explains why there is no signature, without the signer's address.
func unsigned(ctx context.Context, what string, err error) error {
	if errors.Is(ctx.Err(), context.Canceled) {
		return fmt.Errorf("%s: %w", what, context.Canceled)
	}
	var status rpc.HTTPError
	var refusal rpc.Error
	var where *url.Error
	switch {
	case errors.As(err, &status):
		return fmt.Errorf("%s: %w: HTTP status %d", what, ErrSigner, status.StatusCode)
	case errors.As(err, &refusal):
		return fmt.Errorf("%s: %w: it answered %d: %s", what, ErrSigner, refusal.ErrorCode(), clip(refusal.Error()))
	case errors.As(err, &where):
		err = where.Err
	}
	return fmt.Errorf("%s: %w: %w", what, ErrSigner, err)
}

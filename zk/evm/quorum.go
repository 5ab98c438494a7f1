package evm

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/big"
	"slices"

	"github.com/ethereum/go-ethereum/common/hexutil"
	"github.com/ethereum/go-ethereum/common/math"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/crypto"
	"github.com/ethereum/go-ethereum/signer/core/apitypes"
)

// Statement is what replicas sign for a contract to believe: EIP-712 typed data, whose domain
// names the chain and the contract.
type Statement = apitypes.TypedData

// Replica signs for one replica of the hub. A [Key] is one. One in another
// process must check what it is asked to sign against its own copy of the ledger.
type Replica interface {
	// Address returns the replica's account.
	Address() Address

	// SignStatement returns a signature of 65 bytes: r, s, and 27 or 28.
	SignStatement(ctx context.Context, statement Statement) ([]byte, error)
}

// field is a member of a statement, in the order in which the contract hashes them.
type field struct {
	name, kind string
	value      any
}

var domainFields = []apitypes.Type{
	{Name: "name", Type: "string"},
	{Name: "version", Type: "string"},
	{Name: "chainId", Type: "uint256"},
	{Name: "verifyingContract", Type: "address"},
}

// statement makes what a contract hashes as the struct name with these fields.
func (c *Client) statement(at Address, name string, fields ...field) Statement {
	return statementOf(c.cfg.ChainID, at, name, fields...)
}

func statementOf(chain uint64, at Address, name string, fields ...field) Statement {
	s := Statement{
		Types:       apitypes.Types{"EIP712Domain": domainFields},
		PrimaryType: name,
		Domain: apitypes.TypedDataDomain{
			Name: "Trialmesh", Version: "1",
			ChainId: (*math.HexOrDecimal256)(new(big.Int).SetUint64(chain)), VerifyingContract: at.Hex(),
		},
		Message: apitypes.TypedDataMessage{},
	}
	s.Types[name], s.Message = members(fields)
	return s
}

// members splits fields into their types and their values.
func members(fields []field) ([]apitypes.Type, map[string]any) {
	kinds, values := make([]apitypes.Type, len(fields)), make(map[string]any, len(fields))
	for i, f := range fields {
		kinds[i] = apitypes.Type{Name: f.name, Type: f.kind}
		values[f.name] = f.value
	}
	return kinds, values
}

// rows adds the field of an array of structs, whose type is called of.
func rows(s *Statement, name, of string, elements ...[]field) {
	var values []any
	for _, element := range elements {
		kinds, row := members(element)
		s.Types[of] = kinds
		values = append(values, row)
	}
	s.Types[s.PrimaryType] = append(s.Types[s.PrimaryType], apitypes.Type{Name: name, Type: of + "[]"})
	s.Message[name] = values
}

// word is the value of a bytes32, decimal that of an unsigned integer.
func word(b [32]byte) any { return hexutil.Encode(b[:]) }

func decimal(n *big.Int) any { return n.String() }

// signed collects the signatures of a quorum over a statement, ascending by address. Replicas that
// do not sign are passed over; too few signatures are [ErrQuorum].
func (c *Client) signed(ctx context.Context, what string, registry Address, statement Statement) ([]byte, error) {
	threshold, err := viewOne[*big.Int](ctx, c, registryContract, registry, "threshold")
	if err != nil {
		return nil, err
	}
	replicas := slices.SortedFunc(slices.Values(c.cfg.Replicas), func(a, b Replica) int {
		return bytes.Compare(a.Address().Bytes(), b.Address().Bytes())
	})
	var signatures []byte
	var failures []error
	for _, replica := range replicas {
		if len(signatures) == 65*int(threshold.Uint64()) {
			break
		}
		member, err := viewOne[bool](ctx, c, registryContract, registry, "isReplica", replica.Address())
		if err != nil {
			return nil, err
		}
		if !member {
			continue
		}
		signature, err := ask(ctx, c, what, func(ctx context.Context) ([]byte, error) {
			return replica.SignStatement(ctx, statement)
		})
		if err != nil {
			failures = append(failures, err)
			continue
		}
		signatures = append(signatures, signature...)
	}
	if got := len(signatures) / 65; uint64(got) < threshold.Uint64() {
		return nil, errors.Join(append([]error{fmt.Errorf("%s: %d of %s signatures: %w", what, got, threshold, ErrQuorum)}, failures...)...)
	}
	return signatures, nil
}

// writeSigned sends a transaction whose last argument are the signatures of a quorum over
// statement. The same arguments are the same write, whoever signs.
func (c *Client) writeSigned(ctx context.Context, what string, on contract, at Address, statement Statement, method string, args ...any) (*types.Receipt, error) {
	unsigned, err := on.abi.Pack(method, append(slices.Clone(args), []byte{})...)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", what, err)
	}
	if c.account == nil {
		return nil, fmt.Errorf("%s: %w", what, ErrReadOnly)
	}
	registry, err := viewOne[Address](ctx, c, on, at, "registry")
	if err != nil {
		return nil, err
	}
	signatures, err := c.signed(ctx, what, registry, statement)
	if err != nil {
		return nil, err
	}
	input, err := on.abi.Pack(method, append(slices.Clone(args), signatures)...)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", what, err)
	}
	return c.transact(ctx, call{what: what, to: &at, input: input, mark: crypto.Keccak256Hash(at.Bytes(), unsigned)})
}

package evm

import (
	"context"
	"fmt"

	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/crypto"
	"github.com/ethereum/go-ethereum/signer/core/apitypes"
)

// Signer signs the transactions and statements of one account: a [Key] in this process, or a
// [RemoteSigner] where the key never is.
type Signer interface {
	Replica

	// signTransaction returns tx, which has a chain id, with a signature of the account.
	signTransaction(ctx context.Context, tx *types.Transaction) (*types.Transaction, error)
}

// signs reports whether there is a signer with an account.
func signs(s Signer) bool { return s != nil && s.Address() != (Address{}) }

func (k Key) signTransaction(_ context.Context, tx *types.Transaction) (*types.Transaction, error) {
	return types.SignTx(tx, types.LatestSignerForChainID(tx.ChainId()), k.private)
}

// SignStatement implements [Replica].
func (k Key) SignStatement(_ context.Context, statement Statement) ([]byte, error) {
	if k.private == nil {
		return nil, ErrReadOnly
	}
	digest, _, err := apitypes.TypedDataAndHash(statement)
	if err != nil {
		return nil, fmt.Errorf("sign statement: %w", err)
	}
	signature, err := crypto.Sign(digest, k.private)
	if err != nil {
		return nil, fmt.Errorf("sign statement: %w", err)
	}
	signature[64] += 27
	return signature, nil
}

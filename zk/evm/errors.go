package evm

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"net/url"
	"strings"

	"github.com/ethereum/go-ethereum"
	"github.com/ethereum/go-ethereum/rpc"
)

var (
	// ErrUnreachable reports that the endpoint did not answer, or not as an Ethereum node does.
	// Nothing is known about the call's effect; try the same call again later.
	ErrUnreachable = errors.New("chain unreachable")

	// ErrPending reports that a transaction was sent and not mined (or not confirmed) in time.
	// Make the same call again: it goes on waiting, and pays more if the chain asks for more.
	ErrPending = errors.New("transaction not mined yet")

	// ErrWrongChain reports that the endpoint speaks for another chain than the configured one.
	ErrWrongChain = errors.New("endpoint serves another chain")

	// ErrNotDeployed reports that the chain has no such contract: the record is for another
	// chain, a development chain was started anew, or the endpoint is not synchronized.
	ErrNotDeployed = errors.New("contract not on this chain")

	// ErrNotFound reports that the chain holds nothing under that size, node or question.
	ErrNotFound = errors.New("not on the chain")

	// ErrConflict reports that the chain holds something else in that place, for ever. For a
	// checkpoint this is evidence of a rewritten ledger: keep both.
	ErrConflict = errors.New("the chain holds a different value")

	// ErrSuperseded reports that the chain holds something newer, so this is not written any
	// more. A replica that comes late gets it; nothing is lost.
	ErrSuperseded = errors.New("the chain holds a newer value")

	// ErrProofRefused reports that the contract found the proof invalid for these inputs.
	ErrProofRefused = errors.New("proof refused by the contract")

	// ErrReadOnly reports a write on a client that has no key.
	ErrReadOnly = errors.New("client has no key")

	// ErrQuorum reports that too few replicas signed. Nothing was sent; call again when more can
	// be reached.
	ErrQuorum = errors.New("too few replicas signed")

	// ErrNotConsistent reports that the chain's latest checkpoint is not proven to be the beginning of
	// the one to anchor. If the proof is right the ledger was rewritten: keep both.
	ErrNotConsistent = errors.New("the chain's latest checkpoint is no beginning of this one")

	// ErrRootNotAccepted reports that the contract does not accept the root that the access was
	// proven under, or no longer. Accept it first ([Client.AcceptRoots]).
	ErrRootNotAccepted = errors.New("root not accepted by the contract")

	// ErrEnrolled reports that the person is enrolled in the trial, perhaps by this very proof.
	ErrEnrolled = errors.New("enrolled already")

	// ErrTime reports that a statement's time is too long ago or in the future. Prove it anew.
	ErrTime = errors.New("time refused by the contract")

	// ErrSigner reports that the remote signer did not answer, refused, or signed something else.
	// Nothing was sent; call again when it signs.
	ErrSigner = errors.New("no signature from the remote signer")

	// ErrDisagree reports that the two endpoints say different things about the chain. It may pass,
	// while one of them is behind; if it stays, one of them lies.
	ErrDisagree = errors.New("the two endpoints disagree about the chain")

	// ErrFunds reports that the account cannot pay. Nothing is lost: fund it, and the same call
	// goes on.
	ErrFunds = errors.New("the account has too little to pay for gas")

	// ErrFee reports that the chain asks more for gas than Config.MaxFeeGwei allows.
	ErrFee = errors.New("gas price above the configured limit")
)

// RevertError reports that a contract refused a call. Reason is the name of the Solidity error,
// or empty when the contract gave none that this package knows.
type RevertError struct {
	Reason string
}

func (e *RevertError) Error() string {
	if e.Reason == "" {
		return "contract reverted without a known reason"
	}
	return "contract reverted: " + e.Reason
}

// Is makes errors.Is true for what callers act on: ErrProofRefused for each way a proof can be
// refused, ErrRootNotAccepted, ErrEnrolled, ErrTime, and ErrQuorum if the contract knows other replicas.
func (e *RevertError) Is(target error) bool {
	switch e.Reason {
	case "ProofInvalid", "PublicInputNotInField", "LengthInvalid":
		return target == ErrProofRefused
	case "RootNotAccepted":
		return target == ErrRootNotAccepted
	case "AlreadyEnrolled":
		return target == ErrEnrolled
	case "TimeInvalid":
		return target == ErrTime
	case "QuorumMissing":
		return target == ErrQuorum
	}
	return false
}

func reverted(err error, reason string) bool {
	var revert *RevertError
	return errors.As(err, &revert) && revert.Reason == reason
}

// explain turns what a backend returned into an error of this package. The endpoint's address is
// never part of it, since providers put access tokens there.
func explain(ctx context.Context, what string, err error) error {
	if err == nil {
		return nil
	}
	if errors.Is(err, ethereum.NotFound) {
		return fmt.Errorf("%s: %w", what, ErrNotFound)
	}
	// The caller gave up: that says nothing about the chain.
	if errors.Is(ctx.Err(), context.Canceled) {
		return fmt.Errorf("%s: %w", what, context.Canceled)
	}
	if errors.Is(err, ErrDisagree) {
		return fmt.Errorf("%s: %w", what, err)
	}
	var status rpc.HTTPError
	if errors.As(err, &status) {
		return fmt.Errorf("%s: %w: HTTP status %d", what, ErrUnreachable, status.StatusCode)
	}
	var answer rpc.Error
	if errors.As(err, &answer) {
		return explainAnswer(what, answer)
	}
	var where *url.Error
	if errors.As(err, &where) {
		err = where.Err
	}
	return fmt.Errorf("%s: %w: %w", what, ErrUnreachable, err)
}

// explainAnswer handles an error that the chain's node itself gave.
func explainAnswer(what string, answer rpc.Error) error {
	var data rpc.DataError
	if errors.As(answer, &data) {
		if text, ok := data.ErrorData().(string); ok {
			raw, err := hex.DecodeString(strings.TrimPrefix(text, "0x"))
			if err == nil {
				return fmt.Errorf("%s: %w", what, &RevertError{Reason: revertReason(raw)})
			}
		}
	}
	// 3 is what nodes answer for a revert; some give no data with it.
	if answer.ErrorCode() == 3 || strings.HasPrefix(answer.Error(), "execution reverted") {
		return fmt.Errorf("%s: %w", what, &RevertError{})
	}
	// Another transaction of the same account took the nonce between choosing and sending it.
	if text := answer.Error(); strings.HasPrefix(text, "nonce too low") || strings.HasPrefix(text, "replacement transaction underpriced") {
		return fmt.Errorf("%s: %w: %s", what, ErrPending, clip(text))
	}
	if strings.HasPrefix(answer.Error(), "insufficient funds") {
		return fmt.Errorf("%s: %w: %s", what, ErrFunds, clip(answer.Error()))
	}
	// A node that has just started does not know yet which transactions are mined.
	if strings.HasPrefix(answer.Error(), "transaction indexing is in progress") {
		return fmt.Errorf("%s: %w: %s", what, ErrUnreachable, clip(answer.Error()))
	}
	// -32005 is a rate limit (EIP-1474); -32603 an internal error of the node.
	if code := answer.ErrorCode(); code == -32005 || code == -32603 {
		return fmt.Errorf("%s: %w: node answered %d: %s", what, ErrUnreachable, code, clip(answer.Error()))
	}
	return fmt.Errorf("%s: node answered %d: %s", what, answer.ErrorCode(), clip(answer.Error()))
}

// clip keeps a hostile endpoint from filling the log.
func clip(text string) string {
	const limit = 200
	if len(text) > limit {
		text = text[:limit] + "..."
	}
	return fmt.Sprintf("%q", text)
}

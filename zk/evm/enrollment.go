package evm

import (
	"context"
	"fmt"
	"math/big"
	"slices"
	"time"

	"github.com/ethereum/go-ethereum/core/types"
)

// Enrolling is somebody's proof to have a consent in force and to be, in one trial, the person whom
// a nullifier stands for.
type Enrolling struct {
	Proof  []byte      // ProofSize bytes
	Inputs [5][32]byte // root, trial, nullifier, signal, time, big-endian
}

// DeployEnrollment puts a contract for enrollments on the chain and returns where it is. key is
// that of the enrollment circuit, maxAge how long after its time a statement is taken, whole
// seconds. A circuit that the registry does not know is registered first, for which this client's
// replicas sign; a registry whose changes have a delay must know it.
func (c *Client) DeployEnrollment(ctx context.Context, key KeyWords, maxAge time.Duration) (Address, error) {
	const what = "deploy Enrollment"
	inputs, err := key.Inputs()
	switch {
	case err != nil:
		return Address{}, fmt.Errorf("%s: %w", what, err)
	case inputs != len(Enrolling{}.Inputs):
		return Address{}, fmt.Errorf("%s: the key has %d public inputs, an enrollment %d", what, inputs, len(Enrolling{}.Inputs))
	case maxAge <= 0 || maxAge%time.Second != 0:
		return Address{}, fmt.Errorf("%s: age %s is not a number of seconds", what, maxAge)
	}
	registry := c.cfg.Deployment.Registry
	known, err := viewOne[bool](ctx, c, registryContract, registry, "circuitActive", key.Hash())
	if err != nil {
		return Address{}, err
	}
	if !known {
		if err := c.registerCircuit(ctx, registry, key); err != nil {
			return Address{}, err
		}
	}
	receipt, err := c.create(ctx, what, enrollmentContract, registry, key.Hash(), big.NewInt(int64(maxAge/time.Second)))
	if err != nil {
		return Address{}, err
	}
	return receipt.ContractAddress, nil
}

// create deploys a contract.
func (c *Client) create(ctx context.Context, what string, of contract, args ...any) (*types.Receipt, error) {
	packed, err := of.abi.Pack("", args...)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", what, err)
	}
	return c.transact(ctx, call{what: what, input: slices.Concat(of.creation, packed)})
}

// registerCircuit deploys a circuit's verifier, proposes it and executes the proposal.
func (c *Client) registerCircuit(ctx context.Context, registry Address, key KeyWords) error {
	const what = "register circuit"
	if delay := c.cfg.Deployment.Delay; delay != 0 {
		return fmt.Errorf("%s: the registry wants %d s between a proposal and its execution", what, delay)
	}
	verifier, err := c.create(ctx, "deploy Groth16Verifier", verifierContract, key.words())
	if err != nil {
		return err
	}
	change, err := registryContract.abi.Pack("registerCircuit", key.Hash(), verifier.ContractAddress, uint8(groth16))
	if err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	number, err := viewOne[*big.Int](ctx, c, registryContract, registry, "proposals")
	if err != nil {
		return err
	}
	signatures, err := c.signed(ctx, what, registry, c.statement(registry, "Propose",
		field{"number", "uint256", decimal(number)}, field{"change", "bytes", change}))
	if err != nil {
		return err
	}
	for _, step := range []struct {
		method string
		args   []any
	}{{"propose", []any{change, signatures}}, {"execute", []any{number, change}}} {
		input, err := registryContract.abi.Pack(step.method, step.args...)
		if err != nil {
			return fmt.Errorf("%s: %w", what, err)
		}
		if _, err := c.transact(ctx, call{what: what, to: &registry, input: input}); err != nil {
			return err
		}
	}
	return nil
}

// AcceptPeople makes the contract at take enrollments of people whose consents are under root, until
// a time; one that is past withdraws the root.
func (c *Client) AcceptPeople(ctx context.Context, at Address, root [32]byte, until time.Time) (Receipt, error) {
	number, err := viewOne[*big.Int](ctx, c, enrollmentContract, at, "acceptances")
	if err != nil {
		return Receipt{}, err
	}
	ends, tree := uint64(max(until.Unix(), 0)), new(big.Int).SetBytes(root[:])
	statement := c.statement(at, "AcceptRoot",
		field{"number", "uint256", decimal(number)}, field{"root", "uint256", decimal(tree)},
		field{"until", "uint64", decimal(new(big.Int).SetUint64(ends))})
	receipt, err := c.writeSigned(ctx, "accept people", enrollmentContract, at, statement, "acceptRoot", number, tree, ends)
	if err != nil {
		return Receipt{}, err
	}
	return receiptOf(receipt), nil
}

// Enroll brings an enrollment to the contract at. ErrEnrolled says that this person is enrolled in
// this trial, ErrTime that the statement is too old or of the future.
func (c *Client) Enroll(ctx context.Context, at Address, e Enrolling) (Receipt, error) {
	const what = "enroll"
	if len(e.Proof) != ProofSize {
		return Receipt{}, fmt.Errorf("%s: proof of %d bytes, not %d: %w", what, len(e.Proof), ProofSize, ErrProofRefused)
	}
	type statement struct{ Root, Trial, Nullifier, Signal, Time *big.Int }
	var n [len(e.Inputs)]*big.Int
	for i, input := range e.Inputs {
		n[i] = new(big.Int).SetBytes(input[:])
	}
	input, err := enrollmentContract.abi.Pack("enroll", e.Proof, statement{n[0], n[1], n[2], n[3], n[4]})
	if err != nil {
		return Receipt{}, fmt.Errorf("%s: %w", what, err)
	}
	receipt, err := c.transact(ctx, call{what: what, to: &at, input: input})
	if err != nil {
		return Receipt{}, err
	}
	return receiptOf(receipt), nil
}

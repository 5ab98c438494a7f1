package evm

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/big"
	"os"
	"path/filepath"
	"slices"
	"time"
)

// Deployment says where the contracts of one hub are. It is public.
type Deployment struct {
	ChainID       uint64    `json:"chainId"`
	Origin        string    `json:"origin"`    // the ledger's name
	Replicas      []Address `json:"replicas"`  // at the start; the registry knows them now
	Threshold     int       `json:"threshold"` // as Replicas
	Delay         uint64    `json:"delay"`     // of changes to the registry, in seconds
	Verifier      Address   `json:"verifier"`
	Registry      Address   `json:"registry"`
	Anchor        Address   `json:"hubAnchor"`
	Roots         Address   `json:"consentRoots"`
	Access        Address   `json:"accessLog"`
	KeyHash       Hash      `json:"verifyingKeyHash"` // KeyWords.Hash of the circuit's key
	QueryPosition uint64    `json:"queryPosition"`    // which public input is the question's hash
	RootPosition  uint64    `json:"rootPosition"`     // and which the consents' root
	Block         uint64    `json:"block"`            // of the last contract
}

// groth16 is the scheme of a circuit in the registry.
const groth16 = 1

func (d Deployment) complete() bool {
	none := Address{}
	return d.ChainID != 0 && d.Anchor != none && d.Roots != none && d.Access != none
}

// DeployConfig says what to deploy. All fields but Threshold, Delay and Redeploy are required.
type DeployConfig struct {
	// Record is the path of the JSON file that says what is deployed already. It is written
	// after each contract, so that a deployment that was interrupted goes on where it stopped.
	Record string

	// Origin is the name of the hub's ledger.
	Origin string

	// Replicas are the accounts of the hub's replicas, 1 to 16; contracts believe a quorum of them.
	Replicas []Address

	// Threshold is how many replicas are a quorum: a majority. Defaults to the smallest.
	Threshold int

	// Delay is how long everybody can see a change of replicas, nodes or circuits before it takes
	// effect, whole seconds up to 60 days. Defaults to none, which suits one replica: whoever has
	// its key could wait as well.
	Delay time.Duration

	// VerifyingKey is the access circuit's key.
	VerifyingKey KeyWords

	// QueryPosition is which of the circuit's public inputs, from 0, is the question's hash, and
	// RootPosition which is the root of the consents.
	QueryPosition, RootPosition int

	// Redeploy allows to replace contracts that the record names but the chain does not have,
	// or that were made for another key or other replicas. Set it for development chains and
	// keys only: elsewhere a missing contract means a wrong or an unsynchronized endpoint.
	Redeploy bool
}

func (d DeployConfig) validate() error {
	inputs, err := d.VerifyingKey.Inputs()
	switch {
	case err != nil:
		return err
	case d.QueryPosition < 0 || d.QueryPosition >= inputs:
		return fmt.Errorf("query position %d is not one of %d public inputs", d.QueryPosition, inputs)
	case d.RootPosition < 0 || d.RootPosition >= inputs || d.RootPosition == d.QueryPosition:
		return fmt.Errorf("root position %d is not another of %d public inputs", d.RootPosition, inputs)
	case d.Origin == "":
		return errors.New("no name of the ledger")
	case d.Record == "":
		return errors.New("no path for the record")
	case len(d.Replicas) == 0 || len(d.Replicas) > 16:
		return fmt.Errorf("%d replicas, not 1 to 16", len(d.Replicas))
	case d.Threshold > len(d.Replicas) || 2*d.Threshold <= len(d.Replicas):
		return fmt.Errorf("a quorum of %d is no majority of %d replicas", d.Threshold, len(d.Replicas))
	case d.Delay < 0 || d.Delay > 60*24*time.Hour || d.Delay%time.Second != 0:
		return fmt.Errorf("delay %s is not whole seconds up to 60 days", d.Delay)
	}
	return nil
}

func (d DeployConfig) withDefaults() DeployConfig {
	if d.Threshold == 0 {
		d.Threshold = len(d.Replicas)/2 + 1
	}
	return d
}

// Deploy puts on the chain those contracts that the record does not name, and returns the record.
// Doing it again changes nothing. cfg.Deployment is ignored.
func Deploy(ctx context.Context, cfg Config, what DeployConfig) (Deployment, error) {
	what = what.withDefaults()
	if err := what.validate(); err != nil {
		return Deployment{}, fmt.Errorf("deploy contracts: %w", err)
	}
	cfg.Deployment = Deployment{}
	c, err := dial(ctx, cfg)
	if err != nil {
		return Deployment{}, fmt.Errorf("deploy contracts: %w", err)
	}
	defer c.Close()
	d, err := c.deploy(ctx, what)
	if err != nil {
		return Deployment{}, fmt.Errorf("deploy contracts: %w", err)
	}
	return d, nil
}

func (c *Client) deploy(ctx context.Context, what DeployConfig) (Deployment, error) {
	d, err := c.recorded(ctx, what)
	if err != nil {
		return Deployment{}, err
	}
	type firstCircuit struct {
		Verifier Address
		Scheme   uint8
	}
	words := what.VerifyingKey.words()
	steps := []struct {
		name string
		of   contract
		at   *Address
		args func() []any // may name contracts before it
	}{
		{"Groth16Verifier", verifierContract, &d.Verifier, func() []any { return []any{words} }},
		{"Registry", registryContract, &d.Registry, func() []any {
			return []any{d.Replicas, big.NewInt(int64(d.Threshold)), new(big.Int).SetUint64(d.Delay), []firstCircuit{{d.Verifier, groth16}}}
		}},
		{"HubAnchor", anchorContract, &d.Anchor, func() []any { return []any{d.Registry, d.Origin} }},
		{"ConsentRoots", rootsContract, &d.Roots, func() []any { return []any{d.Registry} }},
		{"AccessLog", accessContract, &d.Access, func() []any {
			return []any{d.Registry, words, big.NewInt(int64(what.QueryPosition)), big.NewInt(int64(what.RootPosition))}
		}},
	}
	for _, step := range steps {
		if *step.at != (Address{}) {
			continue
		}
		receipt, err := c.create(ctx, "deploy "+step.name, step.of, step.args()...)
		if err != nil {
			return Deployment{}, err
		}
		*step.at, d.Block = receipt.ContractAddress, receipt.BlockNumber.Uint64()
		if err := d.Write(what.Record); err != nil {
			return Deployment{}, err
		}
	}
	return d, c.check(ctx, d)
}

// recorded returns the record as far as it still holds, with zero addresses for what is to be
// deployed.
func (c *Client) recorded(ctx context.Context, what DeployConfig) (Deployment, error) {
	fresh := Deployment{
		ChainID: c.cfg.ChainID, Origin: what.Origin,
		Replicas: what.Replicas, Threshold: what.Threshold, Delay: uint64(what.Delay / time.Second),
		KeyHash: what.VerifyingKey.Hash(), QueryPosition: uint64(what.QueryPosition), RootPosition: uint64(what.RootPosition),
	}
	d, err := ReadDeployment(what.Record)
	if errors.Is(err, os.ErrNotExist) {
		return fresh, nil
	}
	if err != nil {
		return Deployment{}, err
	}
	if d.ChainID != c.cfg.ChainID {
		return Deployment{}, fmt.Errorf("record %s is of chain %d, not %d: %w", what.Record, d.ChainID, c.cfg.ChainID, ErrWrongChain)
	}
	// The first replicas name the hub; which they are now is for the registry to say. All contracts
	// rest on one registry, and that on the circuit.
	same := slices.Equal(d.Replicas, fresh.Replicas) && d.Threshold == fresh.Threshold && d.Delay == fresh.Delay &&
		d.Origin == fresh.Origin && d.KeyHash == fresh.KeyHash && d.QueryPosition == fresh.QueryPosition && d.RootPosition == fresh.RootPosition
	switch {
	case !same && !what.Redeploy:
		return Deployment{}, fmt.Errorf("record %s is for another key, ledger or quorum: %w", what.Record, ErrConflict)
	case !same:
		return fresh, nil
	}
	err = c.check(ctx, d)
	if errors.Is(err, ErrNotDeployed) && what.Redeploy {
		return fresh, nil
	}
	return d, err
}

// check reports whether the chain has the contracts of d; zero addresses are left out.
func (c *Client) check(ctx context.Context, d Deployment) error {
	for _, at := range []Address{d.Verifier, d.Registry, d.Anchor, d.Roots, d.Access} {
		if at == (Address{}) {
			continue
		}
		code, err := ask(ctx, c, "read code", func(ctx context.Context) ([]byte, error) {
			return c.backend.CodeAt(ctx, at, nil)
		})
		if err != nil {
			return err
		}
		if len(code) == 0 {
			return fmt.Errorf("no code at %s: %w", at, ErrNotDeployed)
		}
	}
	if d.Access == (Address{}) {
		return nil
	}
	// The contract says itself which key it verifies: the record cannot claim another.
	key, err := viewOne[[32]byte](ctx, c, accessContract, d.Access, "keyHash")
	if err != nil {
		return err
	}
	if key != d.KeyHash {
		return fmt.Errorf("access log at %s verifies another key: %w", d.Access, ErrConflict)
	}
	position, err := viewOne[*big.Int](ctx, c, accessContract, d.Access, "queryPosition")
	if err != nil {
		return err
	}
	c.cfg.Deployment.QueryPosition = position.Uint64()
	return nil
}

// maxRecord is the largest deployment record read, in bytes.
const maxRecord = 64 << 10

// ReadDeployment reads the record that Deploy wrote.
func ReadDeployment(path string) (Deployment, error) {
	file, err := os.Open(path)
	if err != nil {
		return Deployment{}, fmt.Errorf("read deployment: %w", err)
	}
	defer file.Close()
	raw, err := io.ReadAll(io.LimitReader(file, maxRecord+1))
	if err != nil {
		return Deployment{}, fmt.Errorf("read deployment: %w", err)
	}
	d, err := ParseDeployment(raw)
	if err != nil {
		return Deployment{}, fmt.Errorf("read deployment %s: %w", path, err)
	}
	return d, nil
}

// ParseDeployment reads the JSON form of a deployment, at most 64 KiB, refusing unknown fields.
func ParseDeployment(raw []byte) (Deployment, error) {
	if len(raw) > maxRecord {
		return Deployment{}, fmt.Errorf("deployment is larger than %d bytes", maxRecord)
	}
	var d Deployment
	decoder := json.NewDecoder(bytes.NewReader(raw))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&d); err != nil {
		return Deployment{}, fmt.Errorf("decode deployment: %w", err)
	}
	if _, err := decoder.Token(); err != io.EOF {
		return Deployment{}, errors.New("decode deployment: something follows the object")
	}
	if d.ChainID == 0 {
		return Deployment{}, errors.New("decode deployment: no chain id")
	}
	return d, nil
}

// Write replaces the record at path durably: after a crash it is the old or the new one.
func (d Deployment) Write(path string) error {
	raw, err := json.MarshalIndent(d, "", "  ")
	if err != nil {
		return fmt.Errorf("write deployment: %w", err)
	}
	dir := filepath.Dir(path)
	file, err := os.CreateTemp(dir, ".deployment-*")
	if err != nil {
		return fmt.Errorf("write deployment: %w", err)
	}
	defer os.Remove(file.Name()) // fails once it is renamed
	_, err = file.Write(append(raw, '\n'))
	err = errors.Join(err, file.Chmod(0o644), file.Sync(), file.Close())
	if err == nil {
		err = os.Rename(file.Name(), path)
	}
	if err != nil {
		return fmt.Errorf("write deployment: %w", err)
	}
	return syncDir(dir)
}

// syncDir makes a new or renamed file of the folder durable.
func syncDir(dir string) error {
	folder, err := os.Open(dir)
	if err != nil {
		return fmt.Errorf("sync folder: %w", err)
	}
	if err := errors.Join(folder.Sync(), folder.Close()); err != nil {
		return fmt.Errorf("sync folder %s: %w", dir, err)
	}
	return nil
}

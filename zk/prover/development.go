package prover

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	groth16 "github.com/consensys/gnark/backend/groth16/bn254"

	"github.com/trialmesh/trialmesh/protocol/message"
	"github.com/trialmesh/trialmesh/zk/circuits"
	"github.com/trialmesh/trialmesh/zk/verifier"
)

// CacheDir returns the folder in the user's cache where keys are kept unless a
// setting says otherwise, and where tests of all packages share theirs. It fails
// if the environment names no home.
func CacheDir() (string, error) {
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("find a folder for keys: %w", err)
	}
	return filepath.Join(cache, "trialmesh", "circuits"), nil
}

// DevelopmentKeys returns keys made on this machine, from dir if it holds intact
// ones for this very circuit, else by a setup of about 0.4 CPU-ms a constraint.
// Damaged keys are replaced. One setup runs at a time in a folder: it uses all
// processors, and other callers, also those in other processes, wait for it and
// find its keys. ctx is heeded before a setup, not during it.
//
// The setup's secret exists in memory while it runs, so whoever controls the
// machine can forge proofs. The keys say so.
func DevelopmentKeys(ctx context.Context, dir string, c circuits.Circuit) (*Keys, error) {
	system, err := compileIn(dir, c)
	if err != nil {
		return nil, fmt.Errorf("development keys: %w", err)
	}
	shelf := shelf{dir: dir, name: fmt.Sprintf("%s-%.16s", c, system.digest)}
	k, err := shelf.load(c, system)
	if absent(err) {
		k, err = shelf.make(ctx, c, system)
	}
	switch {
	case err != nil:
		return nil, fmt.Errorf("development keys of %s: %w", c, err)
	case !k.Development():
		return nil, fmt.Errorf("development keys of %s: %s holds keys of another origin", c, shelf.path())
	}
	return k, nil
}

// absent reports whether an error of load means that keys are to be made.
func absent(err error) bool { return errors.Is(err, ErrKeys) || errors.Is(err, errNoKeys) }

// make runs a setup and keeps the keys, unless another process did so by now.
func (s shelf) make(ctx context.Context, c circuits.Circuit, system compiled) (*Keys, error) {
	unlock, err := s.lock()
	if err != nil {
		return nil, err
	}
	defer unlock()
	if k, err := s.load(c, system); !absent(err) {
		return k, err
	}
	if err := errors.Join(ctx.Err(), s.clear()); err != nil {
		return nil, err
	}
	k, err := setup(c, system)
	if err != nil {
		return nil, err
	}
	if err := s.save(k); err != nil {
		return nil, err
	}
	return s.load(c, system) // where folders cannot be locked, another's may have been first
}

func setup(c circuits.Circuit, system compiled) (*Keys, error) {
	pk, vk := new(groth16.ProvingKey), new(groth16.VerifyingKey)
	if err := groth16.Setup(system.R1CS, pk, vk); err != nil {
		return nil, fmt.Errorf("setup: %w", err)
	}
	return newKeys(Published{Circuit: c, Development: true}, system, pk, vk)
}

// newKeys completes what is to be published with the keys of a finished setup.
func newKeys(p Published, system compiled, pk *groth16.ProvingKey, vk *groth16.VerifyingKey) (*Keys, error) {
	verifying, err := verifier.FromSetup(p.Circuit, vk)
	if err != nil {
		return nil, err
	}
	p.VerifyingKey = verifying.EVM()
	k := &Keys{p, system, pk, 0, verifying}
	digest := sha256.New()
	if k.size, err = k.WriteTo(digest); err != nil {
		return nil, err
	}
	k.published.ProvingDigest = message.Digest(digest.Sum(nil))
	return k, nil
}

// CachedKeys returns the keys that p describes: from dir, or by calling fetch
// once for the bytes that [Keys.WriteTo] wrote elsewhere and keeping them. What
// fetch returns is read with the limits of [ReadKeys] and closed.
func CachedKeys(ctx context.Context, dir string, p Published, fetch func(context.Context) (io.ReadCloser, error)) (*Keys, error) {
	shelf := shelf{dir: dir, name: fmt.Sprintf("%s-%.16s", p.Circuit, p.ProvingDigest)}
	system, err := compileIn(dir, p.Circuit)
	if err != nil {
		return nil, fmt.Errorf("cached keys: %w", err)
	}
	k, err := shelf.load(p.Circuit, system)
	if err == nil && k.published.equal(p) {
		return k, nil
	}
	if err != nil && !errors.Is(err, ErrKeys) && !errors.Is(err, errNoKeys) {
		return nil, fmt.Errorf("cached keys of %s: %w", p.Circuit, err)
	}
	r, err := fetch(ctx)
	if err != nil {
		return nil, fmt.Errorf("fetch keys of %s: %w", p.Circuit, err)
	}
	k, err = readKeys(p, system, r, (*groth16.ProvingKey).ReadFrom)
	if err := errors.Join(err, r.Close()); err != nil {
		return nil, fmt.Errorf("fetch keys of %s: %w", p.Circuit, err)
	}
	if err := errors.Join(shelf.clear(), shelf.save(k)); err != nil {
		return nil, fmt.Errorf("cache keys of %s: %w", p.Circuit, err)
	}
	return k, nil
}

func (p Published) equal(q Published) bool {
	return p.Circuit == q.Circuit && bytes.Equal(p.VerifyingKey, q.VerifyingKey) &&
		p.ProvingDigest == q.ProvingDigest && p.Development == q.Development && p.Ceremony == q.Ceremony
}

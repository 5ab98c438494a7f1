package hub

import (
	"bytes"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/trialmesh/trialmesh/protocol/identity"
	"github.com/trialmesh/trialmesh/zk/evm"
)

// What a hub's directory holds. Secrets have mode 0600.
const (
	hubKeyFile      = "hub.key"        // identity: libp2p peer, actor of ledger entries; of all replicas together
	replicaKeyFile  = "replica.key"    // of one of several replicas: its vote and its cosignature
	logKeyFile      = "log.key"        // signs checkpoints
	chainKeyFile    = "chain.key"      // account that pays for transactions, encrypted
	chainPassFile   = "chain.pass"     // its passphrase
	personKeyFile   = "person.key"     // this hub's share of the key by which people are told apart
	operatorFile    = "operator.token" // bearer token of whoever owns the directory
	deploymentFile  = "deployment.json"
	authorityDir    = "pki"
	raftDir         = "raft"
	ledgerDir       = "ledger" // what this hub countersigned last
	stateFile       = "state.db"
	tokenBytes      = 32
	filePermissions = 0o600
)

// makeKey writes a new identity key unless the file exists.
func makeKey(path string) error {
	key, err := identity.Generate(rand.Reader)
	if err != nil {
		return err
	}
	return writeNew(path, key.PEM())
}

func readKey(path string) (identity.Key, error) {
	raw, err := os.ReadFile(path)
	if err != nil {
		return identity.Key{}, err
	}
	key, err := identity.ParsePEM(raw)
	if err != nil {
		return identity.Key{}, fmt.Errorf("%s: %w", path, err)
	}
	return key, nil
}

// makeChainKey writes a new account with a passphrase of its own.
func makeChainKey(dir string) error {
	key, err := evm.GenerateKey(rand.Reader)
	if err != nil {
		return err
	}
	pass, err := newToken()
	if err != nil {
		return err
	}
	if err := writeNew(filepath.Join(dir, chainPassFile), []byte(pass)); err != nil {
		return err
	}
	return key.Save(filepath.Join(dir, chainKeyFile), pass, rand.Reader)
}

func readChainKey(dir string) (evm.Key, error) {
	pass, err := os.ReadFile(filepath.Join(dir, chainPassFile))
	if err != nil {
		return evm.Key{}, err
	}
	return evm.LoadKey(filepath.Join(dir, chainKeyFile), strings.TrimSpace(string(pass)))
}

// makeToken writes a new bearer token unless the file exists.
func makeToken(path string) error {
	token, err := newToken()
	if err != nil {
		return err
	}
	return writeNew(path, []byte(token+"\n"))
}

// newToken returns 256 random bits as text.
func newToken() (string, error) {
	raw := make([]byte, tokenBytes)
	if _, err := rand.Read(raw); err != nil {
		return "", err
	}
	return base64.RawURLEncoding.EncodeToString(raw), nil
}

// writeSame is [writeNew] for a file that may be there already, with the same content.
func writeSame(path string, data []byte) error {
	there, err := os.ReadFile(path)
	switch {
	case errors.Is(err, os.ErrNotExist):
		return writeNew(path, data)
	case err == nil && !bytes.Equal(there, data):
		err = fmt.Errorf("%s is there with other content: move it away if it is of an attempt that failed", path)
	}
	return err
}

// writeNew writes a file that must not exist, and makes it durable.
func writeNew(path string, data []byte) error {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, filePermissions)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	return errors.Join(err, f.Sync(), f.Close())
}

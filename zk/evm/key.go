package evm

import (
	"crypto/ecdsa"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/ethereum/go-ethereum/accounts/keystore"
	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/crypto"
)

// Address is a 20-byte account or contract address; its text is 0x and 40 hex digits.
type Address = common.Address

// Hash is a 32-byte Keccak-256 value; its text is 0x and 64 hex digits.
type Hash = common.Hash

// Key signs transactions (secp256k1). It neither prints nor marshals. The zero Key signs nothing
// and makes a client read-only.
type Key struct {
	private *ecdsa.PrivateKey
}

// GenerateKey draws a key from rand.
func GenerateKey(rand io.Reader) (Key, error) {
	var raw [32]byte
	for {
		if _, err := io.ReadFull(rand, raw[:]); err != nil {
			return Key{}, fmt.Errorf("generate chain key: %w", err)
		}
		// About one draw in 2^128 is not below the order of the curve.
		if k, err := NewKey(raw[:]); err == nil {
			return k, nil
		}
	}
}

// NewKey takes a private scalar of 32 bytes, big-endian, from 1 to the order of the curve less 1.
func NewKey(raw []byte) (Key, error) {
	private, err := crypto.ToECDSA(raw)
	if err != nil {
		return Key{}, errors.New("chain key: not a private scalar of secp256k1")
	}
	return Key{private: private}, nil
}

// maxKeyFile is the largest key file read, in bytes; an ordinary one has about 500.
const maxKeyFile = 64 << 10

// LoadKey reads a key file of the Web3 Secret Storage format (version 3), as geth and most wallets
// write it.
func LoadKey(path, passphrase string) (Key, error) {
	file, err := os.Open(path)
	if err != nil {
		return Key{}, fmt.Errorf("load chain key: %w", err)
	}
	defer file.Close()
	raw, err := io.ReadAll(io.LimitReader(file, maxKeyFile+1))
	if err != nil {
		return Key{}, fmt.Errorf("load chain key: %w", err)
	}
	if len(raw) > maxKeyFile {
		return Key{}, fmt.Errorf("load chain key: %s is larger than %d bytes", path, maxKeyFile)
	}
	opened, err := keystore.DecryptKey(raw, passphrase)
	if err != nil {
		return Key{}, fmt.Errorf("load chain key %s: %w", path, err)
	}
	return Key{private: opened.PrivateKey}, nil
}

// minPassphrase is how many bytes a passphrase of Save has at least: those of 192 random bits.
const minPassphrase = 32

// Save writes the key to a new file that LoadKey reads, readable by the owner only. The passphrase,
// of at least 32 bytes, must be random: the file hardly slows guessing. It fails if the file exists.
func (k Key) Save(path, passphrase string, rand io.Reader) error {
	if k.private == nil {
		return ErrReadOnly
	}
	if len(passphrase) < minPassphrase {
		return errors.New("save chain key: the passphrase must be random, of at least 32 bytes")
	}
	if _, err := os.Lstat(path); err == nil {
		return fmt.Errorf("save chain key %s: %w", path, os.ErrExist)
	}
	sealed := &keystore.Key{Address: k.Address(), PrivateKey: k.private}
	if _, err := io.ReadFull(rand, sealed.Id[:]); err != nil {
		return fmt.Errorf("save chain key: %w", err)
	}
	raw, err := keystore.EncryptKey(sealed, passphrase, keystore.LightScryptN, keystore.LightScryptP)
	if err != nil {
		return fmt.Errorf("save chain key: %w", err)
	}
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return fmt.Errorf("save chain key: %w", err)
	}
	_, err = file.Write(raw)
	err = errors.Join(err, file.Sync(), file.Close())
	if err != nil {
		return fmt.Errorf("save chain key: %w", err)
	}
	return syncDir(filepath.Dir(path))
}

// Address returns the account of the key, zero for the zero Key.
func (k Key) Address() Address {
	if k.private == nil {
		return Address{}
	}
	return crypto.PubkeyToAddress(k.private.PublicKey)
}

// Format keeps the key out of every printf verb.
func (Key) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, "chainkey:redacted") }

// MarshalJSON refuses: keys travel in files sealed by Save.
func (Key) MarshalJSON() ([]byte, error) {
	return nil, errors.New("evm: a Key must not be marshaled")
}

// MarshalText refuses, as MarshalJSON does.
func (Key) MarshalText() ([]byte, error) {
	return nil, errors.New("evm: a Key must not be marshaled")
}

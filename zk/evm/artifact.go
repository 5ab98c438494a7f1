package evm

import (
	"embed"
	"encoding/hex"
	"encoding/json"
	"fmt"

	"github.com/ethereum/go-ethereum/accounts/abi"
)

// The artifacts are committed, so that building needs no Node; contracts/build.mjs makes them and
// a test fails when they differ from what it makes.
//
//go:embed contracts/artifacts/*.json
var artifacts embed.FS

// contract is one compiled contract.
type contract struct {
	abi      abi.ABI
	creation []byte
}

var (
	registryContract = mustContract("Registry")
	verifierContract = mustContract("Groth16Verifier")
	anchorContract   = mustContract("HubAnchor")
	rootsContract    = mustContract("ConsentRoots")
	accessContract   = mustContract("AccessLog")

	enrollmentContract = mustContract("Enrollment")
)

// mustContract panics, since a broken artifact is a broken build.
func mustContract(name string) contract {
	c, err := readContract(name)
	if err != nil {
		panic("evm: " + err.Error())
	}
	return c
}

func readContract(name string) (contract, error) {
	raw, err := artifacts.ReadFile("contracts/artifacts/" + name + ".json")
	if err != nil {
		return contract{}, fmt.Errorf("read artifact: %w", err)
	}
	var file struct {
		ABI      abi.ABI `json:"abi"`
		Bytecode string  `json:"bytecode"`
	}
	if err := json.Unmarshal(raw, &file); err != nil {
		return contract{}, fmt.Errorf("decode artifact %s: %w", name, err)
	}
	creation, err := hex.DecodeString(file.Bytecode)
	if err != nil || len(creation) == 0 {
		return contract{}, fmt.Errorf("artifact %s has no usable bytecode", name)
	}
	return contract{abi: file.ABI, creation: creation}, nil
}

// revertReason names the Solidity error whose selector data begins with, or returns "".
func revertReason(data []byte) string {
	if len(data) < 4 {
		return ""
	}
	for _, c := range []contract{registryContract, anchorContract, rootsContract, accessContract, enrollmentContract} {
		if found, err := c.abi.ErrorByID([4]byte(data)); err == nil {
			return found.Name
		}
	}
	return ""
}

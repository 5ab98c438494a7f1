package evm

import (
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"time"

	"github.com/ethereum/go-ethereum/common/hexutil"
)

// Claim is what a statement of a hub's deployment says. A replica that is asked to sign one
// checks the claim against its own copy of the ledger and signs what [Deployment.State] makes
// of it, not what it was sent. One of the fields is set.
type Claim struct {
	Checkpoint *Checkpoint // size and root of the ledger
	Roots      []Root      // posted consent roots
	Accept     *Acceptance
}

// Acceptance lets the access log accept roots until a time.
type Acceptance struct {
	Number *big.Int // how many there were before
	Roots  []AcceptedRoot
}

// errClaim reports a statement that is not one of the hub's.
var errClaim = errors.New("not a statement that a hub's replicas sign")

// ReadClaim reads what a statement says, as JSON of a [Statement].
func ReadClaim(raw []byte) (Claim, error) {
	var s Statement
	if err := json.Unmarshal(raw, &s); err != nil {
		return Claim{}, errClaim
	}
	m := message(s.Message)
	var claim Claim
	var err error
	switch s.PrimaryType {
	case "Checkpoint":
		claim.Checkpoint = new(Checkpoint)
		claim.Checkpoint.Root = m.word("root", &err)
		claim.Checkpoint.Size = m.number("size", &err).Uint64()
	case "Roots":
		for _, row := range m.rows("roots", &err) {
			claim.Roots = append(claim.Roots, Root{
				Node: row.word("node", &err), Trial: row.word("trial", &err), Digest: row.word("digest", &err),
				LedgerIndex: row.number("ledgerIndex", &err).Uint64(),
			})
		}
	case "Accept":
		claim.Accept = &Acceptance{Number: m.number("number", &err)}
		for _, row := range m.rows("roots", &err) {
			root := AcceptedRoot{Node: row.word("node", &err), Until: time.Unix(row.number("until", &err).Int64(), 0)}
			row.number("root", &err).FillBytes(root.Root[:])
			claim.Accept.Roots = append(claim.Accept.Roots, root)
		}
	default:
		err = errClaim
	}
	return claim, err
}

// message is what a statement or a row of it holds, by name.
type message map[string]any

// word reads a bytes32 and keeps the first error.
func (m message) word(name string, err *error) (word [32]byte) {
	text, _ := m[name].(string)
	raw, failed := hexutil.Decode(text)
	if failed != nil || len(raw) != len(word) {
		*err = errClaim
		return word
	}
	return [32]byte(raw)
}

// number reads an unsigned integer of up to 256 bits.
func (m message) number(name string, err *error) *big.Int {
	text, _ := m[name].(string)
	n, is := new(big.Int).SetString(text, 10)
	if !is || n.Sign() < 0 || n.BitLen() > 256 {
		*err = errClaim
		return new(big.Int)
	}
	return n
}

func (m message) rows(name string, err *error) (rows []message) {
	list, _ := m[name].([]any)
	if len(list) == 0 || len(list) > maxRoots {
		*err = errClaim
		return nil
	}
	for _, each := range list {
		row, _ := each.(map[string]any)
		rows = append(rows, row)
	}
	return rows
}

// State makes the statement of a claim, as the contracts of the deployment hash it.
func (d Deployment) State(c Claim) (Statement, error) {
	switch {
	case c.Checkpoint != nil:
		return d.checkpointStatement(c.Checkpoint.Size, c.Checkpoint.Root), nil
	case len(c.Roots) > 0:
		return d.rootsStatement(c.Roots), nil
	case c.Accept != nil:
		return d.acceptStatement(c.Accept.Number, c.Accept.Roots), nil
	}
	return Statement{}, fmt.Errorf("state claim: %w", errClaim)
}

func (d Deployment) checkpointStatement(size uint64, root [32]byte) Statement {
	return statementOf(d.ChainID, d.Anchor, "Checkpoint",
		field{"origin", "string", d.Origin},
		field{"size", "uint64", decimal(new(big.Int).SetUint64(size))},
		field{"root", "bytes32", word(root)},
	)
}

func (d Deployment) rootsStatement(roots []Root) Statement {
	statement := statementOf(d.ChainID, d.Roots, "Roots")
	elements := make([][]field, len(roots))
	for i, root := range roots {
		elements[i] = []field{
			{"node", "bytes32", word(root.Node)},
			{"trial", "bytes32", word(root.Trial)},
			{"digest", "bytes32", word(root.Digest)},
			{"ledgerIndex", "uint64", decimal(new(big.Int).SetUint64(root.LedgerIndex))},
		}
	}
	rows(&statement, "roots", "Root", elements...)
	return statement
}

func (d Deployment) acceptStatement(number *big.Int, roots []AcceptedRoot) Statement {
	statement := statementOf(d.ChainID, d.Access, "Accept", field{"number", "uint256", decimal(number)})
	elements := make([][]field, len(roots))
	for i, r := range roots {
		elements[i] = []field{
			{"node", "bytes32", word(r.Node)},
			{"root", "uint256", decimal(new(big.Int).SetBytes(r.Root[:]))},
			{"until", "uint64", decimal(new(big.Int).SetUint64(uint64(r.Until.Unix())))},
		}
	}
	rows(&statement, "roots", "Root", elements...)
	return statement
}

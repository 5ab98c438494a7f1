package cosign

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

// Fork is the evidence of two histories of one log: two checkpoints, signed by the
// log's key, that cannot both be true. It needs no further witness: whoever has
// the keys can check it. See [Fork.Check].
type Fork struct {
	Earlier, Present []byte // signed notes; that of the larger log is Present

	// Proof shows what the log of Present had at the size of Earlier: another root.
	// Checkpoints of one size need none. Without it, the log was asked for the
	// proof that its histories are one and had none that holds.
	Proof *Proof
}

// Finding is what a fork's evidence shows.
type Finding struct {
	Earlier, Present Checkpoint

	// Proven says that the evidence speaks for itself. Else the log owes a proof.
	Proven bool

	// Signers are the key names of all who signed both: the log, and cosigners who
	// should not have.
	Signers []string
}

// ErrNoFork reports checkpoints that do not contradict each other.
var ErrNoFork = errors.New("the checkpoints do not contradict each other")

// Check verifies the evidence. Only the log's keys and names of trust count, not its
// quorum; signatures of its cosigners are named if they are on both checkpoints. It
// fails with [ErrUntrusted] or [ErrNoFork] if the evidence shows nothing.
func (f Fork) Check(trust Trust) (Finding, error) {
	trust.Policy.Quorum = ""
	earlier, first, err := trust.OpenNote(f.Earlier)
	if err != nil {
		return Finding{}, err
	}
	present, second, err := trust.OpenNote(f.Present)
	if err != nil {
		return Finding{}, err
	}
	found := Finding{Earlier: earlier.Checkpoint, Present: present.Checkpoint, Signers: both(first, second)}
	switch {
	case earlier.Size > present.Size:
		return found, fmt.Errorf("cosign: the larger log comes last: %w", ErrNoFork)
	case earlier.Size == present.Size && earlier.Root != present.Root:
		found.Proven = true
	case earlier.Size == present.Size || earlier.Size == 0:
		return found, ErrNoFork
	case f.Proof == nil:
	case !f.Proof.Leads(earlier.Size, present.Checkpoint):
		return found, fmt.Errorf("cosign: the proof does not lead to the present checkpoint: %w", ErrNoFork)
	case f.Proof.Root == earlier.Root:
		return found, ErrNoFork
	default:
		found.Proven = true
	}
	return found, nil
}

// both returns the names of the keys that signed both notes.
func both(first, second *note.Note) []string {
	var names []string
	for _, s := range first.Sigs {
		if slices.ContainsFunc(second.Sigs, func(o note.Signature) bool { return o.Name == s.Name && o.Hash == s.Hash }) {
			names = append(names, s.Name)
		}
	}
	return names
}

// maxFork bounds the file of a fork in bytes.
const maxFork = 4*MaxNote + 1<<14

// forkFile is the evidence as a file: JSON, with the notes as their text.
type forkFile struct {
	Version int      `json:"trialmeshLedgerFork"`
	Earlier string   `json:"earlier"`
	Present string   `json:"present"`
	Root    string   `json:"root,omitempty"`  // base64; of Present's log at Earlier's size
	Proof   []string `json:"proof,omitempty"` // base64; RFC 6962 consistency proof from Root
}

const forkVersion = 1

// Marshal returns the evidence as a file.
func (f Fork) Marshal() []byte {
	file := forkFile{Version: forkVersion, Earlier: string(f.Earlier), Present: string(f.Present)}
	if f.Proof != nil {
		file.Root = f.Proof.Root.String()
		for _, h := range f.Proof.Path {
			file.Proof = append(file.Proof, h.String())
		}
	}
	raw, err := json.MarshalIndent(file, "", "  ")
	if err != nil {
		panic(err) // strings and a number
	}
	return append(raw, '\n')
}

// ParseFork reads the file. It verifies nothing; see [Fork.Check].
func ParseFork(raw []byte) (Fork, error) {
	var file forkFile
	if len(raw) > maxFork {
		return Fork{}, fmt.Errorf("cosign: evidence of more than %d bytes", maxFork)
	}
	if err := json.Unmarshal(raw, &file); err != nil || file.Version != forkVersion {
		return Fork{}, fmt.Errorf("cosign: not evidence of a fork of version %d", forkVersion)
	}
	f := Fork{Earlier: []byte(file.Earlier), Present: []byte(file.Present)}
	if file.Root == "" {
		return f, nil
	}
	hashes := make([]tlog.Hash, 0, len(file.Proof)+1)
	for _, text := range append([]string{file.Root}, file.Proof...) {
		h, err := ParseHash(text)
		if err != nil || len(hashes) > maxProof {
			return Fork{}, errors.New("cosign: malformed hash in the evidence of a fork")
		}
		hashes = append(hashes, h)
	}
	f.Proof = &Proof{hashes[0], hashes[1:]}
	return f, nil
}

// name is a file name for the evidence, the same for the same evidence.
func (f Fork) name() string {
	sum := sha256.Sum256(f.Marshal())
	return forkPrefix + hex.EncodeToString(sum[:8]) + ".json"
}

package cosign

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

// Checkpoint fixes a log: whoever knows it can tell any change of the entries
// before Size. On its own it is only a claim; see [Trust] for whose claim counts.
type Checkpoint struct {
	Origin string    // name of the log, for example "hub.example.org/log"
	Size   int64     // number of entries, >= 0
	Root   tlog.Hash // RFC 6962 root over these entries
}

// MaxNote bounds a signed checkpoint in bytes: room for 100 signatures, some of
// them post-quantum.
const MaxNote = 1 << 19

// Text returns the text that is signed, C2SP tlog-checkpoint without extension lines.
func (c Checkpoint) Text() string {
	return fmt.Sprintf("%s\n%d\n%s\n", c.Origin, c.Size, c.Root)
}

// parseCheckpoint reads the text of a checkpoint. Extension lines are refused:
// nobody can audit them, and this log has none.
func parseCheckpoint(text string) (Checkpoint, error) {
	lines := strings.Split(text, "\n")
	if len(lines) != 4 || lines[3] != "" {
		return Checkpoint{}, errors.New("cosign: checkpoint text does not have three lines")
	}
	c := Checkpoint{Origin: lines[0]}
	if c.Origin == "" {
		return Checkpoint{}, errors.New("cosign: checkpoint without origin")
	}
	size, err := strconv.ParseInt(lines[1], 10, 64)
	if err != nil || size < 0 || strconv.FormatInt(size, 10) != lines[1] {
		return Checkpoint{}, errors.New("cosign: malformed size in checkpoint")
	}
	c.Size = size
	root, err := ParseHash(lines[2])
	if err != nil {
		return Checkpoint{}, fmt.Errorf("cosign: root in checkpoint: %w", err)
	}
	c.Root = root
	return c, nil
}

// Claim returns what a signed checkpoint claims, without looking at signatures.
func Claim(signed []byte) (Checkpoint, error) {
	text, _, found := bytes.Cut(signed, []byte("\n\n"))
	if !found {
		return Checkpoint{}, errors.New("cosign: checkpoint without signature lines")
	}
	return parseCheckpoint(string(text) + "\n")
}

// ParseHash reads the one base64 spelling of a hash. The strict decoder refuses
// the unused bits that others ignore, so no bit of a file goes unchecked.
func ParseHash(text string) (tlog.Hash, error) {
	raw, err := base64.StdEncoding.Strict().DecodeString(text)
	if err != nil || len(raw) != tlog.HashSize || len(text) != base64.StdEncoding.EncodedLen(tlog.HashSize) {
		return tlog.Hash{}, errors.New("malformed hash")
	}
	return tlog.Hash(raw), nil
}

// Sign returns the checkpoint as a note signed by all signers.
func (c Checkpoint) Sign(signers ...note.Signer) ([]byte, error) {
	if len(signers) == 0 {
		return nil, errors.New("cosign: sign checkpoint: no signer")
	}
	signed, err := note.Sign(&note.Note{Text: c.Text()}, signers...)
	if err != nil {
		return nil, fmt.Errorf("cosign: sign checkpoint of size %d: %w", c.Size, err)
	}
	return signed, nil
}

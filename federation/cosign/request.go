package cosign

import (
	"bytes"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/tlog"
)

// Request asks a cosigner for its cosignature: the body of add-checkpoint of C2SP
// tlog-witness.
type Request struct {
	Old   int64       // size of the checkpoint that the cosigner signed last, 0 for none
	Proof []tlog.Hash // that the log has grown from Old
	Note  []byte      // signed by the log
}

// maxProof is the longest consistency proof in hashes.
const maxProof = 63

// MaxRequest bounds a request in bytes.
const MaxRequest = MaxNote + 1<<13

// Marshal returns the text form.
func (r Request) Marshal() []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "old %d\n", r.Old)
	writeHashes(&b, r.Proof...)
	b.WriteByte('\n')
	b.Write(r.Note)
	return b.Bytes()
}

// ParseRequest reads the text form. It verifies nothing.
func ParseRequest(text []byte) (Request, error) {
	head, signed, found := bytes.Cut(text, []byte("\n\n"))
	if !found || len(text) > MaxRequest {
		return Request{}, errors.New("cosign: request without a checkpoint, or too large")
	}
	first, rest, _ := strings.Cut(string(head), "\n")
	digits, ok := strings.CutPrefix(first, "old ")
	old, err := parseSize(digits)
	if !ok || err != nil {
		return Request{}, errors.New("cosign: malformed old size in request")
	}
	proof, err := parseHashes(rest)
	if err != nil {
		return Request{}, err
	}
	return Request{Old: old, Proof: proof, Note: signed}, nil
}

func writeHashes(b *bytes.Buffer, hashes ...tlog.Hash) {
	for _, h := range hashes {
		fmt.Fprintf(b, "%s\n", h)
	}
}

// parseHashes reads at most a proof's hashes, one a line.
func parseHashes(text string) ([]tlog.Hash, error) {
	var hashes []tlog.Hash
	for line := range strings.Lines(text) {
		h, err := ParseHash(strings.TrimSuffix(line, "\n"))
		if err != nil || len(hashes) == maxProof {
			return nil, errors.New("cosign: malformed hash in a proof, or too many")
		}
		hashes = append(hashes, h)
	}
	return hashes, nil
}

// parseSize reads the one spelling of a size.
func parseSize(digits string) (int64, error) {
	size, err := strconv.ParseInt(digits, 10, 64)
	if err != nil || size < 0 || strconv.FormatInt(size, 10) != digits {
		return 0, errors.New("cosign: malformed size")
	}
	return size, nil
}

// An answer over a connection is what the HTTP body would be: signature lines, or
// the size that the cosigner signed last if the request names another one.

// ParseAnswer returns the signature lines of an answer. It fails with a *[SizeError]
// if the cosigner is at another size than it was asked about.
func ParseAnswer(answer []byte) (lines []byte, err error) {
	if bytes.HasPrefix(answer, []byte("— ")) && len(answer) <= MaxNote && bytes.HasSuffix(answer, []byte("\n")) {
		return answer, nil
	}
	digits, ok := bytes.CutSuffix(answer, []byte("\n"))
	size, err := parseSize(string(digits))
	if !ok || err != nil {
		return nil, errors.New("cosign: malformed answer of a cosigner")
	}
	return nil, &SizeError{size}
}

// SizeError reports that a cosigner last signed another size than it was asked
// about. Ask again with the proof from there.
type SizeError struct{ Size int64 }

func (e *SizeError) Error() string {
	return fmt.Sprintf("cosign: the cosigner signed size %d last", e.Size)
}

// Proof shows what the log had at an earlier size: the root there, and that the
// present root grew from it.
type Proof struct {
	Root tlog.Hash
	Path []tlog.Hash
}

// Question asks for the proof from one size to another.
func Question(old, present int64) []byte { return fmt.Appendf(nil, "%d %d\n", old, present) }

// ParseQuestion reads what [Question] wrote.
func ParseQuestion(text []byte) (old, present int64, err error) {
	first, second, _ := strings.Cut(strings.TrimSuffix(string(text), "\n"), " ")
	old, err = parseSize(first)
	if err == nil {
		present, err = parseSize(second)
	}
	return old, present, err
}

// Marshal returns the text form: one hash a line, the root first.
func (p Proof) Marshal() []byte {
	var b bytes.Buffer
	writeHashes(&b, p.Root)
	writeHashes(&b, p.Path...)
	return b.Bytes()
}

// ParseProof reads the text form.
func ParseProof(text []byte) (Proof, error) {
	hashes, err := parseHashes(string(text))
	if err != nil || len(hashes) == 0 {
		return Proof{}, errors.New("cosign: malformed proof of an earlier size")
	}
	return Proof{hashes[0], hashes[1:]}, nil
}

// Leads reports whether the proof leads from old, with its own root, to present.
func (p Proof) Leads(old int64, present Checkpoint) bool {
	return old >= 1 && old <= present.Size && tlog.CheckTree(p.Path, present.Size, present.Root, old, p.Root) == nil
}

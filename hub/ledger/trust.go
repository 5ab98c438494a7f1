package ledger

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"

	cosig "github.com/transparency-dev/formats/note"
	"golang.org/x/mod/sumdb/note"
)

// ErrUntrusted reports a checkpoint that is not signed as [Trust] demands. Do not
// use anything it claims.
var ErrUntrusted = errors.New("checkpoint is not signed by those who are trusted")

// Trust says whose word on a log a reader takes. Keys come to the reader by
// another way than the log.
type Trust struct {
	Origin string   // name of the log; other origins are refused
	Keys   []string // verifier keys of the log (see [VerifierKey]); one signature suffices

	// Cosigners are the verifier keys of those who countersign (see [CosignerKey]).
	Cosigners []string

	// Quorum is how many different cosigners must have signed, 0 to
	// len(Cosigners). Defaults to 0: the log's own signature suffices.
	Quorum int

	// Earlier is a signed checkpoint from before, optional. [Verify] checks that
	// the present log still has all of it.
	Earlier []byte
}

// Signed is a checkpoint whose signatures were verified.
type Signed struct {
	Checkpoint
	Note      []byte   // the whole signed note
	Cosigners []string // names of the trusted cosigners who signed
}

// Open verifies a signed checkpoint. It fails with [ErrUntrusted] if the note, a
// signature or the origin is wrong, or a signature is missing. A line of an
// unknown key is ignored, as C2SP signed-note demands.
func (t Trust) Open(signed []byte) (Signed, error) {
	s, _, err := t.open(signed)
	return s, err
}

// open also returns the note with the signatures that were verified.
func (t Trust) open(signed []byte) (Signed, *note.Note, error) {
	logKeys, cosigners, err := t.verifiers()
	if err != nil {
		return Signed{}, nil, err
	}
	if len(signed) > maxCheckpoint {
		return Signed{}, nil, fmt.Errorf("ledger: %w: %d bytes", ErrUntrusted, len(signed))
	}
	if err := strictSignatures(signed); err != nil {
		return Signed{}, nil, fmt.Errorf("ledger: %w: %w", ErrUntrusted, err)
	}
	n, err := note.Open(signed, note.VerifierList(append(logKeys, cosigners...)...))
	if err != nil {
		return Signed{}, nil, fmt.Errorf("ledger: %w: %w", ErrUntrusted, err)
	}
	if !anySigned(n, logKeys...) {
		return Signed{}, nil, fmt.Errorf("ledger: %w: no signature of the log", ErrUntrusted)
	}
	c, err := parseCheckpoint(n.Text)
	if err != nil {
		return Signed{}, nil, fmt.Errorf("%w: %w", ErrUntrusted, err)
	}
	if c.Origin != t.Origin {
		return Signed{}, nil, fmt.Errorf("ledger: %w: origin %q, want %q", ErrUntrusted, c.Origin, t.Origin)
	}
	s := Signed{Checkpoint: c, Note: bytes.Clone(signed)}
	for _, v := range cosigners {
		if anySigned(n, v) {
			s.Cosigners = append(s.Cosigners, v.Name())
		}
	}
	if len(s.Cosigners) < t.Quorum {
		return Signed{}, nil, fmt.Errorf("ledger: %w: %d cosignatures, want %d", ErrUntrusted, len(s.Cosigners), t.Quorum)
	}
	return s, n, nil
}

// verifiers reads the keys. Its errors are mistakes of the configuration, not
// of the log.
func (t Trust) verifiers() (logKeys, cosigners []note.Verifier, err error) {
	if t.Origin == "" || len(t.Keys) == 0 {
		return nil, nil, errors.New("ledger: trust: an origin and a key of the log are required")
	}
	if t.Quorum < 0 || t.Quorum > len(t.Cosigners) {
		return nil, nil, fmt.Errorf("ledger: trust: quorum %d of %d cosigners", t.Quorum, len(t.Cosigners))
	}
	for _, key := range t.Keys {
		v, err := note.NewVerifier(key)
		if err != nil {
			return nil, nil, fmt.Errorf("ledger: trust: key of the log: %w", err)
		}
		logKeys = append(logKeys, v)
	}
	// A key listed under two names would count twice towards the quorum.
	seen := make(map[string]bool)
	for _, key := range t.Cosigners {
		v, err := cosig.NewVerifierForCosignatureV1(key)
		if err != nil {
			return nil, nil, fmt.Errorf("ledger: trust: cosigner key: %w", err)
		}
		public := publicBytes(key)
		if seen[public] {
			return nil, nil, fmt.Errorf("ledger: trust: the key of cosigner %q is listed twice", v.Name())
		}
		seen[public] = true
		cosigners = append(cosigners, v)
	}
	return logKeys, cosigners, nil
}

// publicBytes returns the key material of a valid verifier key, without the
// byte that says how it is used.
func publicBytes(vkey string) string {
	raw, _ := base64.StdEncoding.DecodeString(vkey[strings.LastIndexByte(vkey, '+')+1:])
	return string(raw[1:])
}

// anySigned reports whether one of the keys made one of the verified signatures.
func anySigned(n *note.Note, keys ...note.Verifier) bool {
	for _, sig := range n.Sigs {
		for _, v := range keys {
			if sig.Name == v.Name() && sig.Hash == v.KeyHash() {
				return true
			}
		}
	}
	return false
}

// strictSignatures refuses signature lines that decode but are not what an
// encoder writes; note.Open accepts them, and a flipped bit could hide there.
func strictSignatures(signed []byte) error {
	_, lines, _ := bytes.Cut(signed, []byte("\n\n"))
	for line := range strings.Lines(string(lines)) {
		_, b64, _ := strings.Cut(strings.TrimPrefix(strings.TrimSuffix(line, "\n"), "— "), " ")
		if _, err := base64.StdEncoding.Strict().DecodeString(b64); err != nil {
			return errors.New("malformed signature line")
		}
	}
	return nil
}

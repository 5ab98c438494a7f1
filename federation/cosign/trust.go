package cosign

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
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

	// Policy says who must have countersigned. The zero Policy demands nobody.
	Policy Policy

	// Earlier is a signed checkpoint from before, optional. Who verifies a log checks
	// that it still has all of it.
	Earlier []byte
}

// Signed is a checkpoint whose signatures were verified.
type Signed struct {
	Checkpoint
	Note      []byte   // the whole signed note
	Cosigners []string // key names of the trusted cosigners who signed
}

// Validate reports the first mistake of the keys or the policy.
func (t Trust) Validate() error {
	_, _, err := t.verifiers()
	return err
}

// Open verifies a signed checkpoint. It fails with [ErrUntrusted] if the note, a
// signature or the origin is wrong, or a signature is missing. A line of an
// unknown key is ignored, as C2SP signed-note demands.
func (t Trust) Open(signed []byte) (Signed, error) {
	s, _, err := t.OpenNote(signed)
	return s, err
}

// OpenNote is [Trust.Open] that also returns the note with the signatures that were
// verified.
func (t Trust) OpenNote(signed []byte) (Signed, *note.Note, error) {
	logKeys, parties, err := t.verifiers()
	if err != nil {
		return Signed{}, nil, err
	}
	if len(signed) > MaxNote {
		return Signed{}, nil, fmt.Errorf("cosign: %w: %d bytes", ErrUntrusted, len(signed))
	}
	if err := strictSignatures(signed); err != nil {
		return Signed{}, nil, fmt.Errorf("cosign: %w: %w", ErrUntrusted, err)
	}
	n, err := note.Open(signed, note.VerifierList(append(logKeys, parties...)...))
	if err != nil {
		return Signed{}, nil, fmt.Errorf("cosign: %w: %w", ErrUntrusted, err)
	}
	if !slices.ContainsFunc(logKeys, func(v note.Verifier) bool { return signedBy(n, v) }) {
		return Signed{}, nil, fmt.Errorf("cosign: %w: no signature of the log", ErrUntrusted)
	}
	c, err := parseCheckpoint(n.Text)
	if err != nil {
		return Signed{}, nil, fmt.Errorf("%w: %w", ErrUntrusted, err)
	}
	if c.Origin != t.Origin {
		return Signed{}, nil, fmt.Errorf("cosign: %w: origin %q, want %q", ErrUntrusted, c.Origin, t.Origin)
	}
	s := Signed{Checkpoint: c, Note: bytes.Clone(signed)}
	have := make(map[string]bool, len(parties))
	for i, v := range parties {
		if signedBy(n, v) {
			s.Cosigners = append(s.Cosigners, v.Name())
			have[t.Policy.Parties[i].Name] = true
		}
	}
	if !t.Policy.satisfied(have) {
		return Signed{}, nil, fmt.Errorf("cosign: %w: %d cosignatures, which is not the quorum", ErrUntrusted, len(s.Cosigners))
	}
	return s, n, nil
}

// verifiers reads the keys. Its errors are mistakes of the configuration, not
// of the log.
func (t Trust) verifiers() (logKeys, parties []note.Verifier, err error) {
	if t.Origin == "" || len(t.Keys) == 0 {
		return nil, nil, errors.New("cosign: trust: an origin and a key of the log are required")
	}
	for _, key := range t.Keys {
		v, err := note.NewVerifier(key)
		if err != nil {
			return nil, nil, fmt.Errorf("cosign: trust: key of the log: %w", err)
		}
		logKeys = append(logKeys, v)
	}
	parties, err = t.Policy.verifiers()
	return logKeys, parties, err
}

// verifiers returns the keys of the parties, in their order.
func (p Policy) verifiers() ([]note.Verifier, error) {
	if err := p.validate(); err != nil {
		return nil, err
	}
	// A key listed under two names would count twice towards the quorum.
	seen := make(map[string]bool)
	var parties []note.Verifier
	for _, party := range p.Parties {
		v, err := cosig.NewVerifierForCosignatureV1(party.Key)
		if err != nil {
			return nil, fmt.Errorf("cosign: policy: key of cosigner %q: %w", party.Name, err)
		}
		public := publicBytes(party.Key)
		if seen[public] {
			return nil, fmt.Errorf("cosign: policy: the key of cosigner %q is listed twice", party.Name)
		}
		seen[public] = true
		parties = append(parties, v)
	}
	return parties, nil
}

// publicBytes returns the key material of a verifier key, without the byte that
// says how it is used; nothing of a malformed one. Base64 may hold a plus of its own.
func publicBytes(vkey string) string {
	parts := strings.SplitN(vkey, "+", 3)
	raw, _ := base64.StdEncoding.DecodeString(parts[len(parts)-1])
	return string(raw[min(1, len(raw)):])
}

// signedBy reports whether the key made one of the verified signatures.
func signedBy(n *note.Note, v note.Verifier) bool {
	return slices.ContainsFunc(n.Sigs, func(s note.Signature) bool { return s.Name == v.Name() && s.Hash == v.KeyHash() })
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

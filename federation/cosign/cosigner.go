package cosign

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"

	"github.com/trialmesh/trialmesh/protocol/identity"
	"github.com/trialmesh/trialmesh/protocol/problem"
)

// Config configures a [Cosigner]. Dir, Key and Trust are required.
type Config struct {
	// Dir keeps the checkpoint cosigned last and the evidence of forks. It is made
	// with mode 0700.
	Dir string

	Key identity.Key

	// Trust returns the log and its keys, or why they are not known yet. Its policy
	// does not matter.
	Trust func() (Trust, error)

	// Check says what else must hold of a checkpoint: a replica compares it with its
	// own tables. Defaults to nothing.
	Check func(context.Context, Checkpoint) error

	// Replayed says that whoever signs has the log itself on the same disk, synced
	// before: then what was cosigned last is written and not synced.
	Replayed bool

	Log *slog.Logger     // Defaults to discarding.
	Now func() time.Time // Defaults to time.Now.
}

// What a cosigner refuses, as C2SP tlog-witness demands.
var (
	ErrOrigin    = problem.New(problem.NotFound, "this cosigner does not know the log")
	ErrSignature = problem.New(problem.Forbidden, "the checkpoint is not signed by the log's key")
	ErrRequest   = problem.New(problem.Invalid, "the request for a cosignature is malformed")
	ErrProof     = problem.New(problem.Invalid, "the consistency proof does not verify")
)

// ErrForked reports that a log showed two histories. The evidence is in the folder
// ledger; what is done on the word of the log has to end.
var ErrForked = problem.Refusal("ledger.forked", "the hub's log showed two histories, and there is evidence")

// Cosigner countersigns the checkpoints of one log, each the continuation of the one
// before. It is safe for concurrent use.
type Cosigner struct {
	cfg Config

	mu       sync.Mutex
	last     *Signed  // guarded by mu; on disk
	forks    []Fork   // guarded by mu; on disk
	suspects [][]byte // guarded by mu: notes that were not proven to continue last
	wake     func()   // guarded by mu: there is a suspect, or a fork
}

const (
	lastFile     = "cosigned"
	forkPrefix   = "fork-"
	maxSuspects  = 8
	maxKeptForks = 16
)

// Open returns the cosigner of a folder.
func Open(cfg Config) (*Cosigner, error) {
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Dir == "" || cfg.Key.IsZero() || cfg.Trust == nil {
		return nil, errors.New("cosign: a folder, a key and a log are required")
	}
	c := &Cosigner{cfg: cfg, wake: func() {}}
	if err := c.read(); err != nil {
		return nil, fmt.Errorf("cosign: %w", err)
	}
	return c, nil
}

// read takes up what was kept. What cannot be read is not overwritten: a cosigner
// that forgets could sign a second history.
func (c *Cosigner) read() error {
	if err := os.MkdirAll(c.cfg.Dir, 0o700); err != nil {
		return err
	}
	entries, err := os.ReadDir(c.cfg.Dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		path := filepath.Join(c.cfg.Dir, e.Name())
		switch {
		case e.Name() == lastFile:
			raw, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			if len(raw) == 0 && c.cfg.Replayed { // a power cut
				continue
			}
			claim, err := Claim(raw)
			if err != nil {
				return fmt.Errorf("%s: %w", path, err)
			}
			c.last = &Signed{Checkpoint: claim, Note: raw}
		case strings.HasPrefix(e.Name(), forkPrefix):
			raw, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			fork, err := ParseFork(raw)
			if err != nil {
				return fmt.Errorf("%s: %w", path, err)
			}
			c.forks = append(c.forks, fork)
		}
	}
	return nil
}

// Last returns the checkpoint cosigned last, with the signatures of the log and of
// this cosigner. Its note is nil if there is none.
func (c *Cosigner) Last() Signed {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.last == nil {
		return Signed{}
	}
	return *c.last
}

// Forked returns [ErrForked] if there is evidence of two histories, until its file is
// taken away and the program started again.
func (c *Cosigner) Forked() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.forks) > 0 {
		return ErrForked
	}
	return nil
}

// Forks returns the evidence.
func (c *Cosigner) Forks() []Fork {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.forks[:len(c.forks):len(c.forks)]
}

// Answer is [Cosigner.Add] for a connection: a *[SizeError] is an answer too.
func (c *Cosigner) Answer(ctx context.Context, body []byte) ([]byte, error) {
	lines, err := c.Add(ctx, body)
	var at *SizeError
	if errors.As(err, &at) {
		return fmt.Appendf(nil, "%d\n", at.Size), nil
	}
	return lines, err
}

// Add takes a [Request], cosigns its checkpoint and returns the signature line. The
// checkpoint is on disk before. It fails with a *[SizeError] if the request starts
// from another checkpoint than the last.
func (c *Cosigner) Add(ctx context.Context, body []byte) ([]byte, error) {
	request, err := ParseRequest(body)
	if err != nil {
		return nil, ErrRequest
	}
	signed, opened, err := c.open(request.Note)
	if err != nil {
		return nil, err
	}
	if request.Old > signed.Size {
		return nil, ErrRequest.With("the old size is larger than the checkpoint")
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.forks) > 0 {
		return nil, ErrForked
	}
	known, err := c.continues(ctx, request, signed)
	if err != nil {
		return nil, err
	}
	if c.cfg.Check != nil {
		if err := c.cfg.Check(ctx, signed.Checkpoint); err != nil {
			return nil, err
		}
	}
	name := string(c.cfg.Key.DID())
	plain, err := note.Sign(&note.Note{Text: opened.Text, Sigs: opened.Sigs})
	if err != nil {
		return nil, fmt.Errorf("cosign: %w", err)
	}
	signed.Note, err = Cosign(plain, name, c.cfg.Key.Private(), c.cfg.Now())
	if err != nil {
		return nil, err
	}
	if !known {
		if err := replace(filepath.Join(c.cfg.Dir, lastFile), signed.Note, !c.cfg.Replayed); err != nil {
			return nil, fmt.Errorf("cosign: keep checkpoint: %w", err)
		}
		c.last = &signed
	}
	return lineOf(signed.Note, name), nil
}

// open reads a note that the log must have signed.
func (c *Cosigner) open(raw []byte) (Signed, *note.Note, error) {
	trust, err := c.cfg.Trust()
	if err != nil {
		return Signed{}, nil, err
	}
	trust.Policy = Policy{}
	claim, err := Claim(raw)
	if err != nil {
		return Signed{}, nil, ErrRequest
	}
	if claim.Origin != trust.Origin {
		return Signed{}, nil, ErrOrigin
	}
	signed, opened, err := trust.OpenNote(raw)
	if errors.Is(err, ErrUntrusted) {
		return Signed{}, nil, ErrSignature
	}
	return signed, opened, err
}

// continues checks that a checkpoint continues the last one, and reports whether it
// is the last one. The caller holds mu.
func (c *Cosigner) continues(ctx context.Context, request Request, signed Signed) (known bool, err error) {
	var last Signed
	if c.last != nil {
		last = *c.last
	}
	switch {
	case request.Old != last.Size:
		return false, &SizeError{last.Size}
	case last.Note != nil && last.Origin != signed.Origin:
		return false, ErrOrigin
	case last.Note != nil && last.Size == signed.Size:
		if last.Root != signed.Root {
			return false, errors.Join(ErrForked, c.keep(ctx, Fork{Earlier: last.Note, Present: signed.Note}))
		}
		return true, nil
	case last.Size == 0:
		if len(request.Proof) > 0 {
			return false, ErrProof
		}
		return false, nil
	case tlog.CheckTree(request.Proof, signed.Size, signed.Root, last.Size, last.Root) != nil:
		c.suspect(signed.Note)
		return false, ErrProof
	}
	return false, nil
}

// suspect keeps a note for [Cosigner.Compare]: its proof did not hold. The caller
// holds mu.
func (c *Cosigner) suspect(signed []byte) {
	if len(c.suspects) < maxSuspects {
		c.suspects = append(c.suspects, signed)
		c.wake()
	}
}

// Notice keeps a note that somebody else holds for [Cosigner.Compare], if it is
// signed by the log and is not the last one here.
func (c *Cosigner) Notice(signed []byte) {
	theirs, _, err := c.open(signed)
	if err != nil {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.last != nil && theirs.Checkpoint != c.last.Checkpoint {
		c.suspect(theirs.Note)
	}
}

// onSuspect has wake called when there is something to compare or to tell.
func (c *Cosigner) onSuspect(wake func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.wake = wake
}

// takeSuspects returns the notes that wait to be compared.
func (c *Cosigner) takeSuspects() [][]byte {
	c.mu.Lock()
	defer c.mu.Unlock()
	suspects := c.suspects
	c.suspects = nil
	return suspects
}

// Compare looks whether another note of the log and the last one here are of one
// history, by a proof that the log is asked for. If they are not, it keeps the
// evidence and returns [ErrForked]; with another error nothing is known.
func (c *Cosigner) Compare(ctx context.Context, other []byte, prove func(ctx context.Context, old, present int64) (Proof, error)) error {
	theirs, _, err := c.open(other)
	if err != nil {
		return err
	}
	earlier, present := c.Last(), theirs
	if earlier.Size > present.Size {
		earlier, present = present, earlier
	}
	switch {
	case earlier.Note == nil || earlier.Size == 0: // nothing to contradict
		return nil
	case earlier.Size == present.Size && earlier.Root == present.Root:
		return nil
	}
	fork := Fork{Earlier: earlier.Note, Present: present.Note}
	if earlier.Size < present.Size {
		proof, err := prove(ctx, earlier.Size, present.Size)
		if err != nil {
			return fmt.Errorf("cosign: no proof that the log grew from size %d to %d: %w", earlier.Size, present.Size, err)
		}
		if proof.Leads(earlier.Size, present.Checkpoint) {
			if proof.Root == earlier.Root {
				return nil
			}
			fork.Proof = &proof
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return errors.Join(ErrForked, c.keep(ctx, fork))
}

// Keep takes evidence from somebody else, if it is proven.
func (c *Cosigner) Keep(ctx context.Context, fork Fork) error {
	trust, err := c.cfg.Trust()
	if err != nil {
		return err
	}
	found, err := fork.Check(trust)
	switch {
	case err != nil:
		return problem.New(problem.Invalid, "what was sent is no evidence of a fork of this log")
	case !found.Proven:
		return problem.New(problem.Invalid, "the evidence of a fork is not complete")
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.keep(ctx, fork)
}

// keep writes evidence down and tells the operator. The caller holds mu.
func (c *Cosigner) keep(ctx context.Context, fork Fork) error {
	for _, known := range c.forks {
		same := bytes.Equal(known.Earlier, fork.Earlier) && bytes.Equal(known.Present, fork.Present)
		if same && (known.Proof != nil || fork.Proof == nil) {
			return nil
		}
	}
	if len(c.forks) == maxKeptForks { // it does not get worse
		return nil
	}
	path := filepath.Join(c.cfg.Dir, fork.name())
	if err := replace(path, fork.Marshal(), true); err != nil {
		return fmt.Errorf("cosign: keep evidence of a fork: %w", err)
	}
	c.forks = append(c.forks, fork)
	c.cfg.Log.ErrorContext(ctx, "the hub's log showed two histories: keep the evidence and publish it", "file", path)
	c.wake()
	return nil
}

// lineOf returns the signature line of a name in a signed note.
func lineOf(signed []byte, name string) []byte {
	_, lines, _ := bytes.Cut(signed, []byte("\n\n"))
	for line := range bytes.Lines(lines) {
		if bytes.HasPrefix(line, []byte("— "+name+" ")) {
			return line
		}
	}
	return nil
}

// replace writes a file so that after a crash it is there whole, or as it was; with
// sync also after a power cut, and for good.
func replace(path string, data []byte, sync bool) error {
	f, err := os.CreateTemp(filepath.Dir(path), ".new-")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name()) // gone after the rename
	_, err = f.Write(data)
	if sync && err == nil {
		err = f.Sync()
	}
	if err := errors.Join(err, f.Close()); err != nil {
		return err
	}
	if err := os.Rename(f.Name(), path); err != nil || !sync {
		return err
	}
	dir, err := os.Open(filepath.Dir(path))
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}

package ingest

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"strconv"
	"sync"
	"time"

	"github.com/trialmesh/trialmesh/localstore/raw"
	"github.com/trialmesh/trialmesh/localstore/sqldb"
	"github.com/trialmesh/trialmesh/protocol/problem"
)

// Key is what a sender calls a request, so that repeating it is known for that; ""
// for a request without one. It is kept as a hash for as long as an upload,
// Config.KeepUploads.
type Key string

// What is refused of a request with a key.
var (
	ErrKeyUsed = problem.New(problem.Invalid, "the idempotency key was used for another request: give other content another key")
	ErrKeyBusy = problem.New(problem.Conflict, "a request with this idempotency key is under way: try again when it has ended")
)

// AcceptOnce is [Service.Accept] of a request that may have a key. A key that came
// before with the same content has the job that it had then, however it went; with
// other content it is [ErrKeyUsed], and [ErrKeyBusy] while another request with it
// is under way at this process.
func (s *Service) AcceptOnce(ctx context.Context, key Key, name string, r io.Reader) (raw.Digest, JobID, error) {
	release, err := s.claimKey(key)
	if err != nil {
		return raw.Digest{}, 0, err
	}
	defer release()
	file, size, err := s.put(ctx, name, r)
	if err != nil {
		return raw.Digest{}, 0, err
	}
	var by tie
	if key != "" {
		by = keyTie{s, key, file.String()}
	}
	id, err := s.acceptKept(ctx, file, size, name, by)
	return file, id, err
}

// claims are the names of what this process is doing something with.
type claims struct {
	mu    sync.Mutex
	names map[string]struct{}
}

// take returns nil if somebody has the name.
func (c *claims) take(name string) (release func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, taken := c.names[name]; taken {
		return nil
	}
	if c.names == nil {
		c.names = make(map[string]struct{})
	}
	c.names[name] = struct{}{}
	return func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		delete(c.names, name)
	}
}

func (s *Service) claimKey(key Key) (release func(), err error) {
	if key == "" {
		return func() {}, nil
	}
	if release = s.claims.take("key " + string(key)); release == nil {
		return nil, ErrKeyBusy
	}
	return release, nil
}

// tie is by what else a sender knows a job, within the transaction that enqueues it.
type tie interface {
	// find returns the job that is tied already, or 0.
	find(ctx context.Context, tx *sqldb.Tx) (JobID, error)
	keep(ctx context.Context, tx *sqldb.Tx, id JobID) error
}

// keyTie ties a job to the key of the request that brought its file.
type keyTie struct {
	s    *Service
	key  Key
	file string
}

func (t keyTie) find(ctx context.Context, tx *sqldb.Tx) (JobID, error) {
	answer, err := t.s.answered(ctx, tx, t.key, t.file)
	if err != nil || answer == "" {
		return 0, err
	}
	id, err := strconv.ParseInt(answer, 10, 64)
	return JobID(id), err
}

func (t keyTie) keep(ctx context.Context, tx *sqldb.Tx, id JobID) error {
	return t.s.answer(ctx, tx, t.key, t.file, strconv.FormatInt(int64(id), 10))
}

// hash is how a key is kept, "" for none.
func (k Key) hash() string {
	if k == "" {
		return ""
	}
	return hashOf(string(k))
}

func hashOf(text string) string {
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:])
}

// answered returns the answer that a key has for a request, "" if it has none, or
// [ErrKeyUsed]. Until the transaction ends nobody else asks for the key.
func (s *Service) answered(ctx context.Context, tx *sqldb.Tx, key Key, request string) (answer string, err error) {
	if err := tx.Lock(ctx, "ingest/key/"+key.hash()); err != nil {
		return "", err
	}
	var of string
	var at time.Time
	err = tx.QueryRow(ctx, `SELECT request, answer, created_at FROM ingest_key WHERE key = ?`, key.hash()).Scan(&of, &answer, &at)
	switch {
	case errors.Is(err, sqldb.ErrNoRows) || err == nil && s.expired(at):
		return "", nil
	case err != nil:
		return "", err
	case of != request:
		return "", ErrKeyUsed
	}
	return answer, nil
}

// answer keeps the answer to a request with a key, after [Service.answered].
func (s *Service) answer(ctx context.Context, tx *sqldb.Tx, key Key, request, answer string) error {
	if _, err := tx.Exec(ctx, `DELETE FROM ingest_key WHERE key = ?`, key.hash()); err != nil { // one that expired
		return err
	}
	_, err := tx.Exec(ctx, `INSERT INTO ingest_key (key, request, answer, created_at) VALUES (?, ?, ?, ?)`, key.hash(), request, answer, s.cfg.Now())
	return err
}

// expired reports whether an upload or a key of that time is forgotten.
func (s *Service) expired(created time.Time) bool {
	return !s.cfg.Now().Before(created.Add(s.cfg.KeepUploads))
}

package registry

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/trialmesh/trialmesh/federation/oprf"
	"github.com/trialmesh/trialmesh/localstore/sqldb"
	"github.com/trialmesh/trialmesh/protocol/consent"
	"github.com/trialmesh/trialmesh/protocol/enrollment"
	"github.com/trialmesh/trialmesh/protocol/identity"
	entry "github.com/trialmesh/trialmesh/protocol/ledger"
	"github.com/trialmesh/trialmesh/protocol/message"
	"github.com/trialmesh/trialmesh/protocol/problem"
	"github.com/trialmesh/trialmesh/protocol/trial"
	"github.com/trialmesh/trialmesh/zk/circuits"
)

// Why the registry takes no person key.
var (
	ErrPersonKey       = problem.New(problem.Conflict, "the network has another person key, which is for good: under a second one people could enroll twice; restore the hub's file person.key")
	ErrPersonKeyForm   = problem.New(problem.Invalid, "person key: 1 to 100 holders, each once, with public keys of one key, of which the threshold make it up")
	ErrPersonKeyAbsent = problem.New(problem.NotFound, "the network has no person key, so it enrolls nobody")
)

// fixPersonKey fixes who tells people apart.
func (s step) fixPersonKey(c FixPersonKey) (Outcome, error) {
	if _, err := HoldersOf(c.Key); err != nil {
		return Outcome{}, err
	}
	digest, err := c.Key.Digest()
	if err != nil {
		return Outcome{}, err
	}
	switch fixed, _, err := personKey(s.ctx, s.tx); {
	case err == nil && fixed == digest:
		return silent(true), nil
	case err == nil:
		return Outcome{}, ErrPersonKey
	case !errors.Is(err, ErrPersonKeyAbsent):
		return Outcome{}, err
	}
	document, out, err := s.record(entry.PersonKeyFixed, s.hub, digest.String(), c.Key)
	if err != nil {
		return Outcome{}, err
	}
	_, err = s.tx.Exec(s.ctx, `INSERT INTO person_key (digest, document) VALUES (?, ?)`, digest.String(), document.String())
	return out, err
}

// HoldersOf checks a person key and returns it as it is computed with.
func HoldersOf(k enrollment.PersonKey) (oprf.Holders, error) {
	if len(k.Holders) > enrollment.MaxHolders {
		return oprf.Holders{}, ErrPersonKeyForm
	}
	seen := make(map[identity.DID]bool)
	var shares []oprf.PublicKey
	for _, h := range k.Holders {
		share, err := oprf.ParsePublicKey(oprf.Verifiable, h.Public)
		if _, bad := h.Holder.PublicKey(); err != nil || bad != nil || seen[h.Holder] {
			return oprf.Holders{}, ErrPersonKeyForm
		}
		seen[h.Holder], shares = true, append(shares, share)
	}
	holders, err := oprf.NewHolders(k.Threshold, shares)
	if err != nil {
		return holders, ErrPersonKeyForm
	}
	return holders, nil
}

func personKey(ctx context.Context, tx *sqldb.Tx) (digest message.Digest, key enrollment.PersonKey, err error) {
	var name, document string
	err = tx.QueryRow(ctx, `SELECT digest, document FROM person_key`).Scan(&name, &document)
	if errors.Is(err, sqldb.ErrNoRows) {
		return digest, key, ErrPersonKeyAbsent
	}
	if err = errors.Join(err, digest.UnmarshalText([]byte(name))); err == nil {
		key, err = documentAs[enrollment.PersonKey](ctx, tx, document)
	}
	return digest, key, err
}

// secondsADay is what days are counted in.
const secondsADay = int64(24 * time.Hour / time.Second)

// countPeople bounds how many people a node can try out.
func (s step) countPeople(c CountPeople) (Outcome, error) {
	if admitted, err := s.enrolled(c.Node); err != nil || !admitted {
		return Outcome{}, firstError(err, ErrNodeUnknown)
	}
	day := s.at.Unix() / secondsADay
	var today int
	err := s.tx.QueryRow(s.ctx, `SELECT coalesce(sum(people), 0) FROM person_count WHERE node = ? AND day = ?`, c.Node, day).Scan(&today)
	switch {
	case err != nil:
		return Outcome{}, err
	case c.Values < 1 || c.Values > enrollment.DayValues-today:
		return Outcome{}, enrollment.ErrMany.With(fmt.Sprintf("%d a day; try again tomorrow", enrollment.DayValues))
	}
	if _, err := s.tx.Exec(s.ctx, `DELETE FROM person_count WHERE node = ? AND day < ?`, c.Node, day); err != nil {
		return Outcome{}, err
	}
	_, err = s.tx.Exec(s.ctx, `INSERT INTO person_count (node, day, people) VALUES (?, ?, ?) ON CONFLICT (node, day) DO UPDATE SET people = excluded.people`,
		c.Node, day, today+c.Values)
	return silent(false), err
}

// enrollPerson enrolls somebody, once.
func (s step) enrollPerson(c EnrollPerson) (Outcome, error) {
	e := c.Enrollment
	if err := s.mayEnroll(e); err != nil {
		return Outcome{}, err
	}
	signal, err := e.Signal()
	if err != nil {
		return Outcome{}, err
	}
	var before string
	var index int64
	err = s.tx.QueryRow(s.ctx, `SELECT signal, ledger_index FROM enrollment WHERE trial = ? AND nullifier = ?`, e.Trial, text(e.Nullifier)).Scan(&before, &index)
	switch {
	case err == nil && before == text(signal):
		return Outcome{LedgerIndex: index, Existed: true}, nil
	case err == nil:
		return Outcome{}, enrollment.ErrTwice
	case !errors.Is(err, sqldb.ErrNoRows):
		return Outcome{}, err
	}
	if err := s.enrollmentProved(e); err != nil {
		return Outcome{}, err
	}
	document, out, err := s.record(entry.PersonEnrolled, s.hub, string(e.Trial), e)
	if err != nil {
		return Outcome{}, err
	}
	_, err = s.tx.Exec(s.ctx, `INSERT INTO enrollment (trial, nullifier, signal, document, recorded_at, ledger_index) VALUES (?, ?, ?, ?, ?, ?)`,
		e.Trial, text(e.Nullifier), text(signal), document.String(), s.at.Unix(), out.LedgerIndex)
	return out, err
}

func text(e consent.Element) string { return message.Digest(e).String() }

// mayEnroll refuses trials that enroll nobody now, and people told apart by another key.
func (s step) mayEnroll(e enrollment.Enrollment) error {
	_, design, err := trialOf(s.ctx, s.tx, e.Trial)
	if err != nil {
		return err
	}
	if design.Participants == nil || s.at.Before(design.Opens) || !s.at.Before(design.Closes) {
		return enrollment.ErrClosed
	}
	key, _, err := personKey(s.ctx, s.tx)
	if err == nil && key != e.Key {
		err = enrollment.ErrKey
	}
	return err
}

// enrollmentProved refuses a proof that does not hold now.
func (s step) enrollmentProved(e enrollment.Enrollment) error {
	if e.Time.After(s.at.Add(message.Skew)) || e.Time.Before(s.at.Add(-enrollment.Window)) || e.Time.Nanosecond() != 0 {
		return enrollment.ErrTime
	}
	known, err := s.exists(`SELECT 1 FROM people_root WHERE trial = ? AND root = ? AND coalesce(ended_at >= ?, 1)`,
		e.Trial, e.Root[:], s.at.Add(-enrollment.Window).Unix())
	if err != nil || !known {
		return firstError(err, enrollment.ErrRoot)
	}
	circuit, err := circuitOf(s.ctx, s.tx, e.Circuit)
	if err != nil {
		return err
	}
	if circuit.Shape != circuits.Enrollment(circuits.TreeDepth).String() {
		return enrollment.ErrCircuit
	}
	if err := s.proofs.CheckEnrollment(circuit, e, s.hub); err != nil {
		return fmt.Errorf("%w: %w", enrollment.ErrProof, err)
	}
	return nil
}

// people is the tree over the consents of all sites of a trial.
type people struct {
	ctx   context.Context
	tx    *sqldb.Tx
	trial trial.ID
}

// growPeople follows changes of a node's tree.
func (s step) growPeople(t *tree, list []consent.Change) error {
	p := people{s.ctx, s.tx, t.trial}
	known, err := s.exists(`SELECT 1 FROM people_block WHERE trial = ?`, t.trial)
	if err != nil {
		return err
	}
	var elements []circuits.Placed
	if known {
		elements, err = p.place(t, blocksOf(list))
	} else {
		elements, err = s.placeAll(p)
	}
	if err != nil {
		return err
	}
	slices.SortFunc(elements, func(a, b circuits.Placed) int { return a.Index - b.Index })
	root, err := circuits.UpdateTree(p, circuits.BlockLevel, elements)
	if err != nil {
		return err
	}
	return s.keepRoot(t.trial, root)
}

// blocksOf returns the blocks in which leaves change, ascending.
func blocksOf(list []consent.Change) (blocks []int) {
	for _, c := range list {
		blocks = append(blocks, c.Index/circuits.BlockLeaves)
	}
	return slices.Compact(blocks)
}

// placeAll places the blocks of all changes so far. They are those of one list, unless they
// came when nobody was enrolled yet.
func (s step) placeAll(p people) (elements []circuits.Placed, err error) {
	type recorded struct {
		node     identity.DID
		document string
	}
	var list []recorded
	if err := s.tx.Each(s.ctx, `SELECT t.node, c.document FROM consent_changes c JOIN consent_tree t ON t.tree = c.tree WHERE t.trial = ? ORDER BY c.ledger_index`,
		[]any{p.trial}, func(rows *sqldb.Rows) error {
			var r recorded
			err := rows.Scan(&r.node, &r.document)
			list = append(list, r)
			return err
		}); err != nil {
		return nil, err
	}
	at := make(map[int]circuits.Placed)
	for _, r := range list {
		envelope, err := documentAs[message.Envelope](s.ctx, s.tx, r.document)
		if err != nil {
			return nil, err
		}
		changes, err := message.Stored[consent.Changes](envelope, consent.KindChanges)
		if err != nil {
			return nil, err
		}
		leaves, err := documentAs[[]consent.Change](s.ctx, s.tx, changes.Leaves.String())
		if err != nil {
			return nil, err
		}
		t, err := treeOf(s.ctx, s.tx, p.trial, r.node)
		if err != nil {
			return nil, err
		}
		placed, err := p.place(t, blocksOf(leaves))
		if err != nil {
			return nil, err
		}
		for _, e := range placed {
			at[e.Index] = e
		}
	}
	for _, e := range at {
		elements = append(elements, e)
	}
	return elements, nil
}

// place returns blocks of a node's tree as they are, each at its place, which it gets when it
// is seen first. Blocks beyond those that a node or the tree may have get none: who is in
// them cannot enroll.
func (p people) place(t *tree, blocks []int) (list []circuits.Placed, err error) {
	for _, block := range blocks {
		if block >= circuits.MaxBlocks {
			break // they ascend
		}
		var e circuits.Placed
		err := p.tx.QueryRow(p.ctx, `SELECT place FROM people_block WHERE tree = ? AND block = ?`, t.id, block).Scan(&e.Index)
		if errors.Is(err, sqldb.ErrNoRows) {
			err = p.tx.QueryRow(p.ctx, `SELECT count(*) FROM people_block WHERE trial = ?`, p.trial).Scan(&e.Index)
			if err == nil && e.Index >= circuits.TreeBlocks {
				continue
			}
			if err == nil {
				_, err = p.tx.Exec(p.ctx, `INSERT INTO people_block (trial, place, tree, block) VALUES (?, ?, ?, ?)`, p.trial, e.Index, t.id, block)
			}
		}
		if err != nil {
			return nil, err
		}
		if e.Hash, err = circuits.TreeElement(t, circuits.BlockLevel, block); err != nil {
			return nil, err
		}
		list = append(list, e)
	}
	return list, nil
}

// keepRoot makes root the trial's, and forgets those that proofs cannot lead to any more.
func (s step) keepRoot(id trial.ID, root consent.Element) error {
	if _, err := s.tx.Exec(s.ctx, `UPDATE people_root SET ended_at = ? WHERE trial = ? AND ended_at IS NULL`, s.at.Unix(), id); err != nil {
		return err
	}
	if _, err := s.tx.Exec(s.ctx, `DELETE FROM people_root WHERE trial = ? AND ended_at < ?`, id, s.at.Add(-enrollment.Window).Unix()); err != nil {
		return err
	}
	_, err := s.tx.Exec(s.ctx, `INSERT INTO people_root (trial, root, ended_at) VALUES (?, ?, NULL) ON CONFLICT (trial, root) DO UPDATE SET ended_at = NULL`, id, root[:])
	return err
}

// Siblings implements [circuits.Rows].
func (p people) Siblings(level, group int) (s circuits.Siblings, found bool, err error) {
	var hashes []byte
	err = p.tx.QueryRow(p.ctx, `SELECT hashes FROM people_group WHERE trial = ? AND level = ? AND number = ?`, p.trial, level, group).Scan(&hashes)
	if errors.Is(err, sqldb.ErrNoRows) {
		return s, false, nil
	}
	if err != nil {
		return s, false, err
	}
	return siblingsIn(hashes), true, nil
}

// SetSiblings implements [circuits.Rows].
func (p people) SetSiblings(level, group int, s circuits.Siblings) error {
	_, err := p.tx.Exec(p.ctx, `INSERT INTO people_group (trial, level, number, hashes) VALUES (?, ?, ?, ?)
		ON CONFLICT (trial, level, number) DO UPDATE SET hashes = excluded.hashes`, p.trial, level, group, slices.Concat(s[0][:], s[1][:], s[2][:], s[3][:]))
	return err
}

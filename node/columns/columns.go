// Package columns keeps what opens the columns that this node committed to.
//
// [Book.Commit] lays a data set out by the consent slots of a trial, one table a shard, and
// fixes it: from then on proofs of figures are over these cells, whatever becomes of the data
// set. [Book.Drafts] are the commitments that the hub has not put on the ledger yet.
// [Book.Before] gives the [Committed] that a question is answered over. Cells and salts are
// in this node's database and memory only; neither prints nor marshals.
package columns

import (
	"bytes"
	"context"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"embed"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"slices"
	"strconv"
	"time"

	"github.com/trialmesh/trialmesh/localstore/dataset"
	"github.com/trialmesh/trialmesh/localstore/omop"
	"github.com/trialmesh/trialmesh/localstore/sqldb"
	"github.com/trialmesh/trialmesh/node/audit"
	"github.com/trialmesh/trialmesh/protocol/canonical"
	"github.com/trialmesh/trialmesh/protocol/columns"
	"github.com/trialmesh/trialmesh/protocol/identity"
	"github.com/trialmesh/trialmesh/protocol/message"
	"github.com/trialmesh/trialmesh/protocol/problem"
	"github.com/trialmesh/trialmesh/protocol/trial"
	"github.com/trialmesh/trialmesh/zk/circuits"
)

// Why columns cannot be committed to, or a question not be answered over those that are.
var (
	ErrPending  = problem.New(problem.Conflict, "the last commitment to this data set is not on the ledger yet: run the node until it is")
	ErrNobody   = problem.New(problem.Conflict, "no consent of the trial has been published yet: rows are committed by the places of participants in its consent tree")
	ErrUnlocked = problem.Refusal("proof.columns", "the node has committed to no columns of the data set for the trial, or not before the question: commit with trialmesh node dataset commit")
	ErrChanged  = problem.Refusal("proof.columns-changed", "the data set, or who takes part, has changed since the node committed to its columns: commit anew with trialmesh node dataset commit")
)

// Consents knows where participants are in a trial's consent tree.
type Consents interface {
	// Slots returns everybody's slot, and how many shards are in use.
	Slots(ctx context.Context, tx *sqldb.Tx, id trial.ID) (slots map[omop.PersonID]int, shards int, err error)
}

// Config configures a [Book]. All fields are required.
type Config struct {
	DB       *sqldb.DB
	Key      identity.Key // the node's
	Trail    *audit.Trail // of DB
	Consents Consents
	Datasets *dataset.Store

	// Secret is 32 bytes that never leave the node; salts derive from it.
	Secret [32]byte

	// Shape is that of the circuits in use.
	Shape circuits.Shape
}

// Book is the site's record of committed columns. It is safe for concurrent use.
type Book struct{ cfg Config }

//go:embed migrations
var migrations embed.FS

// Open brings the book's tables up to date and returns the book.
func Open(ctx context.Context, cfg Config) (*Book, error) {
	own, err := fs.Sub(migrations, "migrations")
	if err != nil {
		return nil, err
	}
	if err := sqldb.Migrate(ctx, cfg.DB, "columns", own); err != nil {
		return nil, fmt.Errorf("columns: %w", err)
	}
	return &Book{cfg}, nil
}

// Committed is a commitment with what opens it. It neither prints nor marshals.
type Committed struct {
	columns.Commitment

	cells [][]byte // by shard
	book  *Book
}

// Format hides the cells.
func (Committed) Format(f fmt.State, _ rune) {
	_, _ = io.WriteString(f, "committed columns:redacted")
}

// MarshalJSON refuses.
func (Committed) MarshalJSON() ([]byte, error) {
	return nil, errors.New("columns: what opens committed columns must not leave the node")
}

// Commit fixes columns of a data set, all of them if none is named, for the participants of a
// trial. It is durable when Commit returns; the running node brings it to the hub.
func (b *Book) Commit(ctx context.Context, id trial.ID, name string, wanted []string, now time.Time) (columns.Commitment, error) {
	var out columns.Commitment
	err := b.cfg.DB.Write(ctx, func(tx *sqldb.Tx) error {
		if err := b.cfg.Datasets.Hold(ctx, tx); err != nil { // and against another Commit
			return err
		}
		set, err := b.cfg.Datasets.Set(ctx, tx, name)
		if err != nil {
			return err
		}
		c := Committed{book: b, Commitment: columns.Commitment{
			Trial: id, Node: b.cfg.Key.DID(), Dataset: name, Number: 1, ShardSize: b.cfg.Shape.ShardSize,
		}}
		last, err := b.last(ctx, tx, id, name, math.MaxInt64)
		if err != nil {
			return err
		}
		if last != nil {
			switch pending, err := b.pending(ctx, tx, id, name); {
			case err != nil:
				return err
			case pending:
				return ErrPending
			}
			if c.Revises, err = last.Digest(); err != nil {
				return err
			}
			c.Number = last.Number + 1
		}
		if c.Columns, err = chosen(set.Schema, wanted); err != nil {
			return err
		}
		if c.cells, err = b.layout(ctx, tx, c.Commitment); err != nil {
			return err
		}
		out, err = b.keep(ctx, tx, c, now)
		return err
	})
	if err != nil {
		return out, fmt.Errorf("commit to columns of %s: %w", name, err)
	}
	return out, nil
}

// chosen returns the columns of a schema that are to be committed to.
func chosen(schema dataset.Schema, wanted []string) ([]columns.Column, error) {
	var list []columns.Column
	for _, c := range schema.Columns {
		if len(wanted) > 0 && !slices.Contains(wanted, c.Name) {
			continue
		}
		column := columns.Column{Name: c.Name, Kind: c.Kind, Domain: c.Domain, Low: c.Low, High: c.High, Unit: c.Unit, Levels: c.Levels}
		if err := column.Validate(); err != nil {
			return nil, problem.New(problem.Invalid, fmt.Sprintf("column %q: %s; name the columns to commit to with --column", c.Name, err))
		}
		list = append(list, column)
	}
	for _, name := range wanted {
		if !slices.ContainsFunc(list, func(c columns.Column) bool { return c.Name == name }) {
			return nil, problem.New(problem.NotFound, fmt.Sprintf("the data set has no column %q", name))
		}
	}
	return list, nil
}

// layout puts the rows of a data set, as it is now, into the slots of their persons, for the
// columns of a commitment. Whoever has no slot, as they never said yes, is left out.
func (b *Book) layout(ctx context.Context, tx *sqldb.Tx, c columns.Commitment) ([][]byte, error) {
	set, err := b.cfg.Datasets.Set(ctx, tx, c.Dataset)
	if errors.Is(err, dataset.ErrUnknown) {
		return nil, ErrChanged
	}
	if err != nil {
		return nil, err
	}
	slots, shards, err := b.cfg.Consents.Slots(ctx, tx, c.Trial)
	if err != nil {
		return nil, err
	}
	if shards == 0 {
		return nil, ErrNobody
	}
	places := make([]int, len(c.Columns))
	for i, column := range c.Columns {
		if places[i] = slices.IndexFunc(set.Schema.Columns, func(has dataset.Column) bool { return has.Name == column.Name }); places[i] < 0 {
			return nil, ErrChanged
		}
	}
	tables := make([][]byte, shards)
	for i := range tables {
		tables[i] = make([]byte, cellBytes*c.ShardSize*(1+len(c.Columns)))
	}
	for row, err := range b.cfg.Datasets.Values(ctx, tx, set.Schema, places) {
		if err != nil {
			return nil, err
		}
		slot, known := slots[row.Person]
		if !known {
			continue
		}
		if err := put(tables[slot/c.ShardSize], c, slot%c.ShardSize, row.Values); err != nil {
			return nil, err
		}
	}
	return tables, nil
}

// cellBytes is the size of a stored cell.
const cellBytes = 4

// put writes a row into a table: that there is one, and its values.
func put(table []byte, c columns.Commitment, slot int, values []float64) error {
	present, err := circuits.Known(0)
	if err != nil {
		return err
	}
	binary.BigEndian.PutUint32(table[cellBytes*slot:], uint32(present))
	for i, v := range values {
		if math.IsNaN(v) {
			continue
		}
		low, high := c.Columns[i].Coded()
		if v != math.Trunc(v) || v < float64(low) || v > float64(high) {
			return problem.New(problem.Invalid, fmt.Sprintf("column %q: not all of its values are whole numbers: load it in a smaller unit, or name the columns to commit to with --column", c.Columns[i].Name))
		}
		cell, err := circuits.Coding{Offset: low}.Cell(int64(v))
		if err != nil {
			return err
		}
		binary.BigEndian.PutUint32(table[cellBytes*((1+i)*c.ShardSize+slot):], uint32(cell))
	}
	return nil
}

// keep stores a commitment with its cells, after computing its roots.
func (b *Book) keep(ctx context.Context, tx *sqldb.Tx, c Committed, now time.Time) (columns.Commitment, error) {
	none := columns.Commitment{}
	roots, err := c.roots()
	if err != nil {
		return none, err
	}
	c.Shards = roots
	if err := c.Validate(); err != nil {
		return none, err
	}
	digest, err := c.Digest()
	if err != nil {
		return none, err
	}
	body, err := canonical.Marshal(c.Commitment)
	if err != nil {
		return none, err
	}
	if _, err := tx.Exec(ctx, `INSERT INTO columns_commitment (digest, trial, dataset, number, body) VALUES (?, ?, ?, ?, ?)`,
		digest.String(), c.Trial, c.Dataset, int64(c.Number), body); err != nil {
		return none, err
	}
	for i, cells := range c.cells {
		if _, err := tx.Exec(ctx, `INSERT INTO columns_shard (digest, shard, cells) VALUES (?, ?, ?)`, digest.String(), i, cells); err != nil {
			return none, err
		}
	}
	return c.Commitment, b.cfg.Trail.Add(ctx, tx, audit.Record{At: now, Event: audit.ColumnsCommitted, Subject: c.Dataset})
}

// roots computes what is committed to, shard by shard.
func (c Committed) roots() ([]circuits.Element, error) {
	roots := make([]circuits.Element, len(c.cells))
	for i := range c.cells {
		table, err := c.table(i)
		if err != nil {
			return nil, err
		}
		if roots[i], err = circuits.DataRoot(c.ShardSize, table); err != nil {
			return nil, err
		}
	}
	return roots, nil
}

// Tables returns what opens the roots.
func (c Committed) Tables() ([]circuits.Table, error) {
	tables := make([]circuits.Table, len(c.cells))
	for i := range c.cells {
		var err error
		if tables[i], err = c.table(i); err != nil {
			return nil, err
		}
	}
	return tables, nil
}

func (c Committed) table(shard int) (circuits.Table, error) {
	var table circuits.Table
	cells := c.cells[shard]
	if len(cells) != cellBytes*c.ShardSize*(1+len(c.Columns)) {
		return table, errDamaged
	}
	content := message.Sum(cells).String()
	for n := range 1 + len(c.Columns) {
		column := circuits.Column{Cells: make([]circuits.Cell, c.ShardSize)}
		for i := range column.Cells {
			column.Cells[i] = circuits.Cell(binary.BigEndian.Uint32(cells[cellBytes*(n*c.ShardSize+i):]))
		}
		var err error
		if column.Salt, err = c.book.derive("column salt", string(c.Trial), c.Dataset, strconv.FormatUint(c.Number, 10), strconv.Itoa(shard), content, strconv.Itoa(n)); err != nil {
			return table, err
		}
		table.Columns = append(table.Columns, column)
	}
	return table, nil
}

var errDamaged = errors.New("columns: what was kept of committed columns is damaged; node fsck says where")

// Salts returns what hides the totals of each shard and the figures of a question. They derive
// from it, so that a proof that is made again is about the same.
func (c Committed) Salts(question message.Digest) (totals []circuits.Element, figures circuits.Element, err error) {
	for i := range c.cells {
		salt, err := c.book.derive("totals salt", question.String(), strconv.Itoa(i))
		if err != nil {
			return nil, figures, err
		}
		totals = append(totals, salt)
	}
	figures, err = c.book.derive("figures salt", question.String())
	return totals, figures, err
}

// derive returns a field element that only this node can compute. Parts must not hold a newline.
func (b *Book) derive(purpose string, parts ...string) (circuits.Element, error) {
	info := "trialmesh columns v1\n" + purpose
	for _, p := range parts {
		info += "\n" + p
	}
	raw, err := hkdf.Key(sha256.New, b.cfg.Secret[:], nil, info, sha256.Size)
	if err != nil {
		return circuits.Element{}, fmt.Errorf("columns: derive %s: %w", purpose, err)
	}
	return circuits.Truncate([32]byte(raw)), nil
}

// Settled is [Book.Before] for a question that has just come: it refuses while a commitment is
// on its way, which may be on the ledger before the question already.
func (b *Book) Settled(ctx context.Context, tx *sqldb.Tx, id trial.ID, name string, ledgerIndex int64) (Committed, error) {
	pending, err := b.pending(ctx, tx, id, name)
	if err != nil {
		return Committed{}, err
	}
	if pending {
		return Committed{}, ErrUnlocked
	}
	return b.Before(ctx, tx, id, name, ledgerIndex)
}

// Before returns the last commitment to a data set that came before a place on the ledger, or
// refuses with [ErrUnlocked].
func (b *Book) Before(ctx context.Context, tx *sqldb.Tx, id trial.ID, name string, ledgerIndex int64) (Committed, error) {
	last, err := b.last(ctx, tx, id, name, ledgerIndex)
	if err != nil {
		return Committed{}, err
	}
	if last == nil {
		return Committed{}, ErrUnlocked
	}
	return b.opened(ctx, tx, *last)
}

// opened reads what opens a commitment.
func (b *Book) opened(ctx context.Context, tx *sqldb.Tx, of columns.Commitment) (Committed, error) {
	c := Committed{Commitment: of, book: b}
	digest, err := of.Digest()
	if err != nil {
		return c, err
	}
	err = tx.Each(ctx, `SELECT cells FROM columns_shard WHERE digest = ? ORDER BY shard`, []any{digest.String()}, func(rows *sqldb.Rows) error {
		var cells []byte
		err := rows.Scan(&cells)
		c.cells = append(c.cells, bytes.Clone(cells))
		return err
	})
	if err == nil && len(c.cells) != len(of.Shards) {
		err = errDamaged
	}
	return c, err
}

// Stands refuses with [ErrChanged] unless the data set and its participants' places are still
// what was committed to: only then is an answer over the one an answer over the other.
func (c Committed) Stands(ctx context.Context, tx *sqldb.Tx) error {
	now, err := c.book.layout(ctx, tx, c.Commitment)
	var refused *problem.Error
	if errors.As(err, &refused) {
		return ErrChanged
	}
	if err != nil {
		return err
	}
	if !slices.EqualFunc(now, c.cells, bytes.Equal) {
		return ErrChanged
	}
	return nil
}

// last returns the last commitment that was recorded before a place, or is to be if that is
// math.MaxInt64; nil for none.
func (b *Book) last(ctx context.Context, tx *sqldb.Tx, id trial.ID, name string, before int64) (*columns.Commitment, error) {
	var body []byte
	err := tx.QueryRow(ctx, `SELECT body FROM columns_commitment WHERE trial = ? AND dataset = ? AND coalesce(ledger_index, ?) < ? ORDER BY number DESC LIMIT 1`,
		id, name, int64(math.MaxInt64-1), before).Scan(&body)
	if errors.Is(err, sqldb.ErrNoRows) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var c columns.Commitment
	if err := json.Unmarshal(body, &c); err != nil {
		return nil, errDamaged
	}
	return &c, nil
}

// pending reports whether the hub has still to record a commitment.
func (b *Book) pending(ctx context.Context, tx *sqldb.Tx, id trial.ID, name string) (bool, error) {
	var n int64
	err := tx.QueryRow(ctx, `SELECT count(*) FROM columns_commitment WHERE trial = ? AND dataset = ? AND ledger_index IS NULL`, id, name).Scan(&n)
	return n > 0, err
}

// Draft is a commitment that the hub has to record.
type Draft struct {
	Envelope message.Envelope
	digest   message.Digest
	dataset  string
}

// envelopeLife is how long the hub may take to record a draft. The same commitment can be
// signed again.
const envelopeLife = time.Hour

// Drafts returns the commitments that the hub has not recorded yet, signed now.
func (b *Book) Drafts(ctx context.Context, now time.Time) ([]Draft, error) {
	var list []columns.Commitment
	err := b.cfg.DB.Read(ctx, func(tx *sqldb.Tx) error {
		list = nil
		return tx.Each(ctx, `SELECT body FROM columns_commitment WHERE ledger_index IS NULL ORDER BY trial, dataset, number`, nil, func(rows *sqldb.Rows) error {
			var body []byte
			if err := rows.Scan(&body); err != nil {
				return err
			}
			var c columns.Commitment
			if err := json.Unmarshal(body, &c); err != nil {
				return errDamaged
			}
			list = append(list, c)
			return nil
		})
	})
	if err != nil {
		return nil, err
	}
	drafts := make([]Draft, len(list))
	for i, c := range list {
		drafts[i].dataset = c.Dataset
		if drafts[i].digest, err = c.Digest(); err != nil {
			return nil, err
		}
		if drafts[i].Envelope, err = message.Seal(b.cfg.Key, columns.Kind, c, now, envelopeLife, rand.Reader); err != nil {
			return nil, err
		}
	}
	return drafts, nil
}

// Recorded notes that the hub put a draft on the ledger.
func (b *Book) Recorded(ctx context.Context, d Draft, ledgerIndex int64, now time.Time) error {
	return b.cfg.DB.Write(ctx, func(tx *sqldb.Tx) error {
		n, err := tx.Exec(ctx, `UPDATE columns_commitment SET ledger_index = ? WHERE digest = ? AND ledger_index IS NULL`, ledgerIndex, d.digest.String())
		if err != nil || n == 0 {
			return err
		}
		return b.cfg.Trail.Add(ctx, tx, audit.Record{At: now, Event: audit.ColumnsPublished, Subject: d.dataset})
	})
}

// Defect is a commitment that what was kept of it does not open.
type Defect struct {
	Trial   trial.ID
	Dataset string
	Number  uint64
}

// Check computes every commitment again from what was kept of it. It changes nothing. Of cfg
// it needs the secret.
func Check(ctx context.Context, tx *sqldb.Tx, cfg Config) ([]Defect, error) {
	b := &Book{cfg}
	var defects []Defect
	var list []columns.Commitment
	if err := tx.Each(ctx, `SELECT trial, dataset, number, digest, body FROM columns_commitment ORDER BY trial, dataset, number`, nil, func(rows *sqldb.Rows) error {
		var d Defect
		var number int64
		var digest string
		var body []byte
		if err := rows.Scan(&d.Trial, &d.Dataset, &number, &digest, &body); err != nil {
			return err
		}
		d.Number = uint64(number)
		var c columns.Commitment
		if json.Unmarshal(body, &c) != nil || message.Sum(body).String() != digest {
			defects = append(defects, d)
			return nil
		}
		list = append(list, c)
		return nil
	}); err != nil {
		return nil, err
	}
	for _, of := range list {
		c, err := b.opened(ctx, tx, of)
		if err != nil && !errors.Is(err, errDamaged) {
			return nil, err
		}
		if roots, bad := c.roots(); err != nil || bad != nil || !slices.Equal(roots, of.Shards) {
			defects = append(defects, Defect{of.Trial, of.Dataset, of.Number})
		}
	}
	return defects, nil
}

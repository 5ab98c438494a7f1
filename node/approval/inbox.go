package approval

import (
	"context"
	"encoding/json"
	"regexp"
	"slices"
	"time"

	"github.com/trialmesh/trialmesh/localstore/sqldb"
	"github.com/trialmesh/trialmesh/node/audit"
	"github.com/trialmesh/trialmesh/protocol/identity"
	"github.com/trialmesh/trialmesh/protocol/message"
	"github.com/trialmesh/trialmesh/protocol/query"
)

// State says where a request for approval stands.
type State string

// The states.
const (
	Waiting   State = "waiting"
	Approved  State = "approved"
	Refused   State = "refused"
	Over      State = "over"       // nobody decided while the hub waited
	Replaced  State = "superseded" // the policy changed before anybody decided
	Cancelled State = "cancelled"  // by whoever asked it, or the sponsor, before anybody decided
)

// Item is a request for approval as the site's people see it. It stays at the site.
type Item struct {
	ID     message.Digest
	Gate   Gate
	State  State
	Asked  time.Time
	Until  time.Time // how long the hub waits
	Policy message.Digest

	Request  query.Request
	Input    Input
	Decision Decision
	Numbers  message.Digest // of what would leave, at Release

	// Verdict is the signed one, nil before. Sent says that the node has answered by it.
	Verdict  *message.Envelope
	Approver identity.DID
	Decided  time.Time
	Sent     bool
}

// prefixForm is how a request for approval is named.
var prefixForm = regexp.MustCompile(`^[0-9a-f]{8,64}$`)

// Item returns the request for approval whose id begins with a prefix.
func (d *Desk) Item(ctx context.Context, prefix string) (Item, error) {
	var item Item
	err := d.cfg.DB.Read(ctx, func(tx *sqldb.Tx) error {
		r, err := find(ctx, tx, prefix)
		if err == nil {
			item, err = d.item(ctx, tx, r)
		}
		return err
	})
	return item, err
}

func find(ctx context.Context, tx *sqldb.Tx, prefix string) (request, error) {
	if !prefixForm.MatchString(prefix) {
		return request{}, ErrPrefix
	}
	list, err := requests(ctx, tx, `id >= ? AND id < ?`, prefix, prefix+"g") // g follows the hex digits
	switch {
	case err != nil:
		return request{}, err
	case len(list) == 0:
		return request{}, ErrUnknown
	case len(list) > 1:
		return request{}, ErrAmbiguous
	}
	return list[0], nil
}

// maxItems is how many requests are listed at once.
const maxItems = 200

// Items returns the newest requests for approval, at most 200: those that wait, or all.
func (d *Desk) Items(ctx context.Context, all bool) ([]Item, error) {
	list := []Item{}
	err := d.cfg.DB.Read(ctx, func(tx *sqldb.Tx) error {
		list = list[:0]
		condition, args := `1 = 1`, []any{}
		if !all {
			condition, args = d.waiting()
		}
		rows, err := requests(ctx, tx, condition, args...)
		if err != nil {
			return err
		}
		for _, r := range rows[:min(len(rows), maxItems)] {
			item, err := d.item(ctx, tx, r)
			if err != nil {
				return err
			}
			list = append(list, item)
		}
		return nil
	})
	return list, err
}

// waiting is the condition of requests that a person may decide about.
func (d *Desk) waiting() (condition string, args []any) {
	return `decided_at = 0 AND policy = ? AND NOT EXISTS (SELECT 1 FROM approval_cancelled c WHERE c.query = approval_request.query) AND EXISTS (SELECT 1 FROM approval_decision d
		WHERE d.query = approval_request.query AND d.policy = approval_request.policy AND d.terms = approval_request.terms AND d.until > ?)`,
		[]any{d.cfg.Policy.digest.String(), d.cfg.Now().Unix()}
}

// Waiting counts the requests that a person may decide about.
func (d *Desk) Waiting(ctx context.Context) (int64, error) {
	var n int64
	condition, args := d.waiting()
	err := d.cfg.DB.Read(ctx, func(tx *sqldb.Tx) error {
		return tx.QueryRow(ctx, `SELECT count(*) FROM approval_request WHERE `+condition, args...).Scan(&n)
	})
	return n, err
}

func (d *Desk) item(ctx context.Context, tx *sqldb.Tx, r request) (Item, error) {
	item := Item{
		ID: r.id, Gate: r.gate, Asked: r.asked, Policy: r.policy, Numbers: r.numbers,
		Verdict: r.verdict, Approver: r.signer, Decided: r.decided, Sent: !r.sent.IsZero(),
	}
	var decision, input, raw []byte
	var until int64
	err := tx.QueryRow(ctx, `SELECT decision, input, request, until FROM approval_decision WHERE query = ? AND policy = ? AND terms = ?`,
		r.query.String(), r.policy.String(), r.terms).Scan(&decision, &input, &raw, &until)
	if err != nil {
		return item, err
	}
	item.Until = moment(until)
	var e message.Envelope
	for _, part := range []struct {
		text []byte
		into any
	}{{decision, &item.Decision}, {input, &item.Input}, {raw, &e}} {
		if err := json.Unmarshal(part.text, part.into); err != nil {
			return item, err
		}
	}
	gone, err := cancelled(ctx, tx, r.query)
	if err != nil {
		return item, err
	}
	item.State = d.state(r, item.Until, gone)
	item.Request, err = message.Stored[query.Request](e, query.KindRequest)
	return item, err
}

func (d *Desk) state(r request, until time.Time, cancelled bool) State {
	switch {
	case r.verdict != nil && r.approved:
		return Approved
	case r.verdict != nil:
		return Refused
	case cancelled:
		return Cancelled
	case r.policy != d.cfg.Policy.digest:
		return Replaced
	case !d.cfg.Now().Before(until):
		return Over
	}
	return Waiting
}

// Record takes a signed verdict about the request for approval with an id. It is
// durable when Record returns. The same verdict may come again. A refusal stands;
// an approval may be followed by a refusal until the node has answered.
func (d *Desk) Record(ctx context.Context, id message.Digest, e message.Envelope) (Item, error) {
	now := d.cfg.Now()
	v, err := message.Open[Verdict](e, KindVerdict, now)
	if err != nil {
		return Item{}, err
	}
	if !slices.Contains(d.cfg.Approvers, e.Issuer) {
		return Item{}, ErrApprover
	}
	if err := v.Validate(); err != nil {
		return Item{}, err
	}
	raw, err := json.Marshal(e)
	if err != nil {
		return Item{}, err
	}
	var item Item
	err = d.cfg.DB.Write(ctx, func(tx *sqldb.Tx) error {
		if err := tx.Lock(ctx, "approval"); err != nil {
			return err
		}
		r, err := requestOf(ctx, tx, id)
		if err != nil {
			return err
		}
		if item, err = d.item(ctx, tx, r); err != nil {
			return err
		}
		if r.verdict != nil && r.verdict.Digest() == e.Digest() {
			return nil
		}
		if err := d.mayDecide(r, item, v, e.Issuer); err != nil {
			return err
		}
		event := audit.ApprovalGiven
		if !v.Approve {
			event = audit.ApprovalRefused
		}
		if err := d.cfg.Trail.Add(ctx, tx, audit.Record{At: now, Event: event, Actor: e.Issuer, Subject: r.query.String(), Rule: string(r.gate) + ", verdict " + e.Digest().String()}); err != nil {
			return err
		}
		// An answer may go out at this moment, by what was decided before.
		n, err := tx.Exec(ctx, `UPDATE approval_request SET verdict = ?, signer = ?, approved = ?, decided_at = ? WHERE id = ? AND sent_at = 0`,
			raw, e.Issuer, flag(v.Approve), now.Unix(), id.String())
		if err == nil && n == 0 {
			err = ErrDecided
		}
		if err == nil {
			if r, err = requestOf(ctx, tx, id); err == nil {
				item, err = d.item(ctx, tx, r)
			}
		}
		return err
	})
	return item, err
}

// mayDecide says why a verdict does not count.
func (d *Desk) mayDecide(r request, item Item, v Verdict, signer identity.DID) error {
	switch {
	case v.Approval != r.id, v.Node != d.cfg.Node, v.Query != r.query, v.Gate != r.gate, v.Policy != r.policy, v.Numbers != r.numbers:
		return ErrOther
	case signer == item.Input.Researcher:
		return ErrOwn
	case item.State == Cancelled:
		return ErrOver
	case !r.sent.IsZero():
		return ErrDecided
	case r.verdict != nil && !r.approved:
		return ErrStands
	case r.verdict != nil && v.Approve:
		return ErrApproved
	case r.policy != d.cfg.Policy.digest:
		return ErrOldPolicy
	case !d.cfg.Now().Before(item.Until):
		return ErrOver
	}
	return nil
}

func flag(yes bool) int64 {
	if yes {
		return 1
	}
	return 0
}

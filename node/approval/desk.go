package approval

import (
	"context"
	"encoding/json"
	"errors"
	"reflect"
	"time"

	"github.com/trialmesh/trialmesh/localstore/sqldb"
	"github.com/trialmesh/trialmesh/node/audit"
	"github.com/trialmesh/trialmesh/protocol/canonical"
	"github.com/trialmesh/trialmesh/protocol/identity"
	"github.com/trialmesh/trialmesh/protocol/message"
	"github.com/trialmesh/trialmesh/protocol/problem"
	"github.com/trialmesh/trialmesh/protocol/query"
)

// Decided is a decision about a question. One that lets it pass by itself goes on record with
// the answer, in [Desk.Answered], or by [Desk.Keep] if there is none; any other is on record.
type Decided struct {
	Decision
	record *record // nil once it is there
}

// record is a row of approval_decision.
type record struct {
	Case
	terms message.Digest
	texts [3][]byte // of the decision, what it was given and the envelope
}

// Decide asks the policy about a question, once for the limits it comes under, and
// returns what it said. size counts how many persons the question would use here; it is
// called only if the decision depends on that. The refusals are [ErrPolicy],
// [ErrNoPolicy], [ErrNobody] and those of a person, and it is [ErrWaiting] while one
// has to decide who was asked before.
func (d *Desk) Decide(ctx context.Context, c Case, size func(context.Context) (int, error)) (Decided, error) {
	var decision Decision
	var found bool
	var standing error
	in := d.input(c)
	terms, err := c.terms()
	if err != nil {
		return Decided{}, err
	}
	err = d.cfg.DB.Read(ctx, func(tx *sqldb.Tx) error {
		var err error
		if decision, found, err = d.decision(ctx, tx, c.Query, terms); err != nil {
			return err
		}
		if found {
			standing, err = d.standing(ctx, tx, c, decision, terms)
			return err
		}
		in.Earlier, err = earlier(ctx, tx, c.Same, terms)
		return err
	})
	switch {
	case err != nil:
		return Decided{}, err
	case standing != nil:
		return Decided{}, standing
	case found:
		return Decided{Decision: decision}, nil
	}
	if err := errors.Join(in.touched(c.Request), in.name(ctx, d.cfg.Names)); err != nil {
		return Decided{}, err
	}
	decision, same, err := d.judgeUncounted(ctx, in)
	if err != nil {
		return Decided{}, err
	}
	if !same {
		n, err := size(ctx)
		if err != nil {
			return Decided{}, err
		}
		in.Size = BandOf(n)
		if decision, err = d.judge(ctx, in); err != nil {
			return Decided{}, err
		}
	}
	decided, err := d.decided(ctx, c, terms, in, decision)
	if err == nil && decided.Kind == Refuse {
		return Decided{}, refusedBy(decided.Decision)
	}
	return decided, err
}

// standing reports what is known of a question that was decided about: [ErrWaiting] while a
// person has to decide, the refusal if it was refused, else nil.
func (d *Desk) standing(ctx context.Context, tx *sqldb.Tx, c Case, decision Decision, terms message.Digest) (standing, err error) {
	if decision.Kind == Refuse {
		return refusedBy(decision), nil
	}
	if decision.Kind == Automatic {
		return nil, nil
	}
	list, err := requests(ctx, tx, `query = ? AND policy = ? AND terms = ?`, c.Query.String(), d.cfg.Policy.digest.String(), terms.String())
	if err != nil {
		return nil, err
	}
	for _, r := range list {
		switch {
		case r.verdict == nil && standing == nil:
			standing = ErrWaiting
		case r.verdict != nil && !r.approved:
			if standing, err = refusedIn(*r.verdict); err != nil {
				return nil, err
			}
		}
	}
	return standing, nil
}

// Size returns the band of how many persons a question would use, for the site's own people
// before they decide. That somebody looked is on the trail before the band is shown, the band
// is not.
func (d *Desk) Size(ctx context.Context, item Item, count func(context.Context, query.Request) (int, error)) (Band, error) {
	n, err := count(ctx, item.Request)
	if err != nil {
		return "", err
	}
	err = d.cfg.DB.Write(ctx, func(tx *sqldb.Tx) error {
		return d.cfg.Trail.Add(ctx, tx, audit.Record{At: d.cfg.Now(), Event: audit.ApprovalSized, Subject: item.Input.Query.String(), Rule: string(item.Gate)})
	})
	return BandOf(n), err
}

func (d *Desk) input(c Case) Input {
	return Input{
		Query: c.Query, Question: c.Same, Trial: c.Request.Trial, Researcher: c.Envelope.Issuer, Purpose: c.Request.Purpose,
		Node: d.cfg.Node, Sites: append([]identity.DID{}, c.Sites...),
		Size: Uncounted, Approvers: len(d.cfg.Approvers), Hub: c.Hub, Limits: c.Limits, Now: clock(d.cfg.Now()),
	}
}

// judgeUncounted asks the policy what it says whatever the size: same is false if that
// makes a difference.
func (d *Desk) judgeUncounted(ctx context.Context, in Input) (decision Decision, same bool, err error) {
	document, err := plain(in)
	if err != nil {
		return decision, false, nil //nolint:nilerr // judge says so
	}
	asked := bands
	if !d.cfg.Policy.sized {
		asked = bands[:1]
	}
	for i, band := range asked {
		document["size"] = string(band)
		other, err := d.cfg.Policy.decide(ctx, document)
		switch {
		case ctx.Err() != nil:
			return decision, false, ctx.Err()
		case err != nil: // also if it fails for one size only; judge says so
			return decision, false, nil
		case i == 0:
			decision = other
		case !reflect.DeepEqual(decision, other):
			return decision, false, nil
		}
	}
	if decision.Kind == Human && len(d.cfg.Approvers) == 0 {
		return decision, true, ErrNobody
	}
	return decision, true, nil
}

// judge asks the policy. One that has no answer lets nothing pass, but is asked
// again next time: the decision is not kept.
func (d *Desk) judge(ctx context.Context, in Input) (Decision, error) {
	decision, err := d.cfg.Policy.Decide(ctx, in)
	switch {
	case err != nil && ctx.Err() != nil:
		return decision, ctx.Err()
	case err != nil:
		d.cfg.Log.ErrorContext(ctx, "a question is refused because the approval policy failed", "query", in.Query.String(), "err", err)
		return decision, ErrNoPolicy
	case decision.Kind == Human && len(d.cfg.Approvers) == 0:
		return decision, ErrNobody
	}
	return decision, nil
}

// decided puts what the policy said on record, or leaves that to the answer.
func (d *Desk) decided(ctx context.Context, c Case, terms message.Digest, in Input, decision Decision) (Decided, error) {
	out := Decided{Decision: decision, record: &record{Case: c, terms: terms}}
	for i, value := range []any{decision, in, c.Envelope} {
		var err error
		if out.record.texts[i], err = json.Marshal(value); err != nil {
			return Decided{}, err
		}
	}
	if decision.Kind == Automatic {
		return out, nil
	}
	return d.Keep(ctx, out)
}

// Keep puts a decision on record, and returns what holds: another process may have been
// first.
func (d *Desk) Keep(ctx context.Context, decided Decided) (Decided, error) {
	if decided.record == nil {
		return decided, nil
	}
	var out Decided
	err := d.cfg.DB.Write(ctx, func(tx *sqldb.Tx) error {
		out = Decided{Decision: decided.Decision}
		first, err := d.keep(ctx, tx, decided)
		if err == nil && !first {
			out.Decision, _, err = d.decision(ctx, tx, decided.record.Query, decided.record.terms)
		}
		return err
	})
	return out, err
}

// keep is that in a transaction, and reports whether it was the first.
func (d *Desk) keep(ctx context.Context, tx *sqldb.Tx, decided Decided) (first bool, err error) {
	now, r, policy := d.cfg.Now(), decided.record, d.cfg.Policy.digest.String()
	n, err := tx.Exec(ctx, `INSERT INTO approval_decision (query, policy, terms, question, trial, researcher, decision, input, request, until, decided_at)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING`, r.Query.String(), policy, r.terms.String(), r.Same.String(),
		r.Request.Trial, r.Envelope.Issuer, r.texts[0], r.texts[1], r.texts[2], r.Until.Unix(), now.Unix())
	if err != nil || n == 0 {
		return false, err
	}
	return true, d.cfg.Trail.Add(ctx, tx, audit.Record{
		At: now, Event: audit.PolicyDecided, Actor: r.Envelope.Issuer, Subject: r.Query.String(), Rule: string(decided.Kind) + " under policy " + policy,
	})
}

// decision returns what the present policy said about a question on these terms.
func (d *Desk) decision(ctx context.Context, tx *sqldb.Tx, id query.ID, terms message.Digest) (decision Decision, found bool, err error) {
	var raw []byte
	err = tx.QueryRow(ctx, `SELECT decision FROM approval_decision WHERE query = ? AND policy = ? AND terms = ?`, id.String(), d.cfg.Policy.digest.String(), terms.String()).Scan(&raw)
	if errors.Is(err, sqldb.ErrNoRows) {
		return decision, false, nil
	}
	if err != nil {
		return decision, false, err
	}
	return decision, true, json.Unmarshal(raw, &decision)
}

// Pass lets a question through a gate if a person has approved it there, and
// puts it before them if not: [ErrWaiting]. numbers is the digest of what would
// leave at [Release], zero at [Run]. [Desk.Decide] came before.
func (d *Desk) Pass(ctx context.Context, c Case, gate Gate, numbers message.Digest) error {
	id := c.Query
	terms, err := c.terms()
	if err != nil {
		return err
	}
	name, err := d.name(id, gate, terms, numbers)
	if err != nil {
		return err
	}
	now := d.cfg.Now()
	var r request
	err = d.cfg.DB.Write(ctx, func(tx *sqldb.Tx) error {
		n, err := tx.Exec(ctx, `INSERT INTO approval_request (id, query, policy, terms, gate, numbers, asked_at, signer, approved, decided_at, sent_at)
			VALUES (?, ?, ?, ?, ?, ?, ?, '', 0, 0, 0) ON CONFLICT DO NOTHING`, name.String(), id.String(), d.cfg.Policy.digest.String(), terms.String(), string(gate), numbers.String(), now.Unix())
		if err != nil {
			return err
		}
		if n > 0 {
			err = d.cfg.Trail.Add(ctx, tx, audit.Record{At: now, Event: audit.ApprovalAsked, Subject: id.String(), Rule: string(gate)})
		}
		if err == nil {
			r, err = requestOf(ctx, tx, name)
		}
		return err
	})
	switch {
	case err != nil:
		return err
	case r.verdict == nil:
		return ErrWaiting
	case !r.approved:
		refusal, err := refusedIn(*r.verdict)
		return errors.Join(err, refusal)
	}
	return nil
}

// name returns the digest that names a request for approval.
func (d *Desk) name(id query.ID, gate Gate, terms, numbers message.Digest) (message.Digest, error) {
	raw, err := canonical.Marshal(struct {
		Node    identity.DID   `json:"node"`
		Query   query.ID       `json:"query"`
		Gate    Gate           `json:"gate"`
		Policy  message.Digest `json:"policy"`
		Terms   message.Digest `json:"terms"`
		Numbers message.Digest `json:"numbers"`
	}{d.cfg.Node, id, gate, d.cfg.Policy.digest, terms, numbers})
	return message.Sum(raw), err
}

// Leave returns what lets a question pass that was decided about, for the answer.
func (d *Desk) Leave(ctx context.Context, c Case, decided Decided) (Leave, error) {
	terms, err := c.terms()
	if err != nil {
		return Leave{}, err
	}
	l := Leave{Policy: d.cfg.Policy.digest, Decided: decided, terms: terms}
	if decided.Kind == Automatic {
		return l, nil
	}
	err = d.cfg.DB.Read(ctx, func(tx *sqldb.Tx) error {
		list, err := requests(ctx, tx, `query = ? AND policy = ? AND terms = ?`, c.Query.String(), d.cfg.Policy.digest.String(), terms.String())
		if err != nil {
			return err
		}
		l.Verdicts, l.signers = nil, nil
		for _, gate := range []Gate{Run, Release} {
			for _, r := range list {
				if r.gate == gate && r.verdict != nil && r.approved {
					l.Verdicts, l.signers = append(l.Verdicts, r.verdict.Digest()), append(l.signers, r.signer)
				}
			}
		}
		if len(l.Verdicts) == 0 || len(l.Verdicts) != len(decided.Gates) {
			return errTakenBack
		}
		return nil
	})
	return l, err
}

// Answered notes, in the transaction that makes the answer hold, that the node
// answers by this decision and these verdicts: from here on they cannot be taken back. It
// fails if one was taken back before.
func (d *Desk) Answered(ctx context.Context, tx *sqldb.Tx, id query.ID, l Leave) error {
	if l.Decided.record != nil {
		first, err := d.keep(ctx, tx, l.Decided)
		if err == nil && !first {
			err = errTakenBack // for what another process put on record; the hub tries again
		}
		return err
	}
	n, err := tx.Exec(ctx, `UPDATE approval_request SET sent_at = ? WHERE query = ? AND policy = ? AND terms = ? AND approved = 1`,
		d.cfg.Now().Unix(), id.String(), l.Policy.String(), l.terms.String())
	if err == nil && int(n) != len(l.Verdicts) {
		err = errTakenBack
	}
	return err
}

func refusedBy(d Decision) error {
	return problem.Refusal(ErrPolicy.Rule, ErrPolicy.Public+": "+d.Reason)
}

// refusedIn returns the refusal that a person signed; its error is that of a
// verdict that cannot be read.
func refusedIn(e message.Envelope) (refusal, err error) {
	v, err := message.Stored[Verdict](e, KindVerdict)
	if err != nil {
		return nil, err
	}
	if v.Public == "" {
		return ErrRefused, nil
	}
	return problem.Refusal(ErrRefused.Rule, ErrRefused.Public+": "+v.Public), nil
}

// request is a row of approval_request.
type request struct {
	id, query, policy, numbers message.Digest
	terms                      string // empty before terms were told apart
	gate                       Gate
	asked, decided, sent       time.Time // zero for not yet
	verdict                    *message.Envelope
	signer                     identity.DID
	approved                   bool
}

func requestOf(ctx context.Context, tx *sqldb.Tx, id message.Digest) (request, error) {
	list, err := requests(ctx, tx, `id = ?`, id.String())
	if err == nil && len(list) != 1 {
		err = ErrUnknown
	}
	if err != nil {
		return request{}, err
	}
	return list[0], nil
}

// requests returns the rows that fulfil a condition, newest first.
func requests(ctx context.Context, tx *sqldb.Tx, condition string, args ...any) ([]request, error) {
	var list []request
	err := tx.Each(ctx, `SELECT id, query, policy, terms, numbers, gate, asked_at, verdict, signer, approved, decided_at, sent_at
		FROM approval_request WHERE `+condition+` ORDER BY asked_at DESC, id`, args, func(rows *sqldb.Rows) error {
		var r request
		var texts [4]string
		var asked, approved, decided, sent int64
		var gate, signer string
		var verdict []byte
		if err := rows.Scan(&texts[0], &texts[1], &texts[2], &r.terms, &texts[3], &gate, &asked, &verdict, &signer, &approved, &decided, &sent); err != nil {
			return err
		}
		for i, digest := range []*message.Digest{&r.id, &r.query, &r.policy, &r.numbers} {
			if err := digest.UnmarshalText([]byte(texts[i])); err != nil {
				return err
			}
		}
		r.gate, r.signer, r.approved = Gate(gate), identity.DID(signer), approved == 1
		r.asked, r.decided, r.sent = moment(asked), moment(decided), moment(sent)
		if verdict != nil {
			r.verdict = new(message.Envelope)
			if err := json.Unmarshal(verdict, r.verdict); err != nil {
				return err
			}
		}
		list = append(list, r)
		return nil
	})
	return list, err
}

func moment(unix int64) time.Time {
	if unix == 0 {
		return time.Time{}
	}
	return time.Unix(unix, 0).UTC()
}

// earlierVerdicts is how many earlier verdicts a policy sees.
const earlierVerdicts = 100

// earlier returns the verdicts about a question: the refusals, and the approvals on the
// same terms. What was approved under strict limits is not approved under others.
func earlier(ctx context.Context, tx *sqldb.Tx, same, terms message.Digest) ([]Earlier, error) {
	list := []Earlier{}
	err := tx.Each(ctx, `SELECT d.researcher, r.gate, r.approved, r.decided_at FROM approval_request r
		JOIN approval_decision d ON d.query = r.query AND d.policy = r.policy AND d.terms = r.terms
		WHERE d.question = ? AND r.decided_at > 0 AND (r.approved = 0 OR r.terms = ?)
		ORDER BY r.decided_at DESC, r.id LIMIT ?`, []any{same.String(), terms.String(), earlierVerdicts}, func(rows *sqldb.Rows) error {
		var researcher, gate string
		var approved, at int64
		if err := rows.Scan(&researcher, &gate, &approved, &at); err != nil {
			return err
		}
		list = append(list, Earlier{Researcher: identity.DID(researcher), Gate: Gate(gate), Approved: approved == 1, At: moment(at)})
		return nil
	})
	return list, err
}

package wearable

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	maker "github.com/trialmesh/trialmesh/connectors/partner/wearable"
	source "github.com/trialmesh/trialmesh/connectors/source/wearable"
	"github.com/trialmesh/trialmesh/localstore/jobs"
	"github.com/trialmesh/trialmesh/localstore/sqldb"
)

const (
	// overlap is how far before the last pull the next one looks: a watch may send what it
	// measured days later.
	overlap = 7 * 24 * time.Hour

	// maxPages bounds the pages of a window.
	maxPages = 1000

	// maxDocument is the size from which on a document is not added to, in bytes.
	maxDocument = 8 << 20
)

// errPages says that a feed does not end.
var errPages = errors.New("the maker's pages do not end")

// fetching is one attempt to pull a connection.
type fetching struct {
	s      *Service
	l      lease
	c      Connection
	client *maker.Client
	tokens maker.Tokens
	zone   *time.Location
}

// fetch asks for everything that a connection lacks. missed are the feeds that could not be
// had, with why; the others are there.
func (s *Service) fetch(ctx context.Context, l lease, c Connection) (missed []string, err error) {
	f := &fetching{s: s, l: l, c: c}
	if f.client, err = s.client(c.Maker); err != nil {
		return nil, err
	}
	defer f.client.Close()
	if f.zone, err = time.LoadLocation(c.Timezone); err != nil {
		return nil, errors.New("the account's time zone is not one that this machine knows")
	}
	if f.tokens, err = s.unsealed(c); err != nil {
		return nil, fmt.Errorf("tokens: %w: connect again, if raw.key is the one it was", err)
	}
	until, err := s.progress(ctx, c.ID)
	if err != nil {
		return nil, err
	}
	var trouble error // of one feed, that passes
	for _, feed := range f.client.Feeds() {
		var own *feedError
		err := f.feed(ctx, feed, until[feed.Name])
		switch {
		case err == nil:
		case !errors.As(err, &own):
			return nil, err
		case maker.Passing(err):
			trouble = fmt.Errorf("%s: %w", feed.Name, err)
		default:
			missed = append(missed, feed.Name+" ("+err.Error()+")")
		}
	}
	return missed, trouble
}

// feedError is trouble with a feed that need not be that of another.
type feedError struct{ error }

func (e *feedError) Unwrap() error { return e.error }

// ofFeed makes trouble with a request for data that of its feed, if it is.
func ofFeed(err error) error {
	var status *maker.StatusError
	if errors.As(err, &status) || maker.Unreadable(err) {
		return &feedError{err}
	}
	return err
}

// feed fetches the windows of a feed, and notes each when the loads have it. until is how
// far it is, zero for nowhere.
func (f *fetching) feed(ctx context.Context, feed maker.Feed, until time.Time) error {
	now := f.s.cfg.Now()
	from := f.c.since
	if !until.IsZero() {
		from = until.Add(-overlap)
		if from.Before(f.c.since) {
			from = f.c.since
		}
	}
	for _, w := range windows(from, now, feed.Days, f.zone) {
		wait, err := f.window(ctx, feed, w)
		if err != nil {
			return err
		}
		done := w.To
		if done.After(now) {
			done = now
		}
		if err := f.s.acknowledged(ctx, f.l, feed.Name, until, done); err != nil {
			return err
		}
		if done.After(until) {
			until = done
		}
		if wait > 0 {
			return &maker.BusyError{Wait: wait}
		}
	}
	return nil
}

// windows are the spans of so many days that cover what is between from and now, with the
// whole of today. They lie on a grid, so that the same days are always asked for together.
func windows(from, now time.Time, days int, zone *time.Location) []maker.Window {
	day := func(n int) time.Time { return time.Date(1970, 1, 1+n, 0, 0, 0, 0, zone) }
	number := func(t time.Time) int {
		y, m, d := t.In(zone).Date()
		return int(time.Date(y, m, d, 0, 0, 0, 0, time.UTC).Unix() / 86_400)
	}
	var list []maker.Window
	tomorrow := number(now) + 1
	for n := number(from) / days * days; n < tomorrow; n += days {
		list = append(list, maker.Window{From: day(n), To: day(min(n+days, tomorrow))})
	}
	return list
}

// window brings the pages of a window to the loads. wait is what the maker wants before the
// next request.
func (f *fetching) window(ctx context.Context, feed maker.Feed, w maker.Window) (wait time.Duration, err error) {
	var pages [][]byte
	size, part := 0, 1
	for n, next := 1, ""; ; n++ {
		answer, err := f.page(ctx, feed, w, next)
		if err != nil {
			return 0, err
		}
		pages = append(pages, answer.Payload)
		size += len(answer.Payload)
		last := answer.Next == ""
		if last || size >= maxDocument {
			if err := f.accept(ctx, feed, w, part, pages); err != nil {
				return 0, err
			}
			pages, size, part = nil, 0, part+1
		}
		switch {
		case last:
			return answer.Wait, nil
		case answer.Wait > 0:
			return 0, &maker.BusyError{Wait: answer.Wait}
		case answer.Next == next, n == maxPages:
			return 0, &feedError{errPages}
		}
		next = answer.Next
	}
}

// page fetches one page, with new tokens if those at hand have ended or are not taken.
func (f *fetching) page(ctx context.Context, feed maker.Feed, w maker.Window, next string) (maker.Answer, error) {
	if !f.tokens.Fresh(f.s.cfg.Now()) {
		if err := f.refresh(ctx); err != nil {
			return maker.Answer{}, err
		}
	}
	for renewed := false; ; renewed = true {
		if err := f.s.renew(ctx, f.l); err != nil {
			return maker.Answer{}, err
		}
		answer, err := f.client.Page(ctx, f.tokens, feed, w, next)
		if !errors.Is(err, maker.ErrExpired) {
			return answer, ofFeed(err)
		}
		if renewed { // with tokens that it has just given
			return maker.Answer{}, maker.ErrRevoked
		}
		if err := f.refresh(ctx); err != nil {
			return maker.Answer{}, err
		}
	}
}

// Tries to write down new tokens, with pauses of 1 s, 2 s, 4 s and so on between them.
const keepTries = 6

// refresh gets new tokens and writes them down before anybody uses them. Once the maker has
// been asked it goes on to the end, also when ctx has ended.
func (f *fetching) refresh(ctx context.Context) error {
	if err := f.s.renew(ctx, f.l); err != nil {
		return err
	}
	ctx = context.WithoutCancel(ctx)
	tokens, err := f.client.Refresh(ctx, f.tokens)
	if err != nil {
		return err
	}
	sealed, err := f.s.cfg.Sealer.Seal(tokens.Text(), f.c.use())
	if err != nil {
		return err
	}
	for try := range keepTries {
		err = f.s.cfg.DB.Write(ctx, func(tx *sqldb.Tx) error { return f.l.set(ctx, tx, `tokens = ?`, sealed) })
		if err == nil {
			f.tokens = tokens
			return nil
		}
		if !jobs.Passing(err) || f.s.cfg.Wait(ctx, time.Second<<try) != nil {
			break
		}
	}
	return fmt.Errorf("new tokens could not be written: %w", err)
}

// accept hands pages to the loads as one document. They are durable when it returns.
func (f *fetching) accept(ctx context.Context, feed maker.Feed, w maker.Window, part int, pages [][]byte) error {
	h := source.Header{Wearable: f.client.Source(), Patient: f.c.Patient, Timezone: f.c.Timezone}
	name := fmt.Sprintf("%s-%d-%s-%s-%d", f.c.Maker, f.c.ID, feed.Name, w.From.Format(time.DateOnly), part)
	_, _, err := f.s.cfg.Loads.Accept(ctx, name, io.MultiReader(strings.NewReader(h.Open()), bytes.NewReader(bytes.Join(pages, []byte(","))), strings.NewReader(source.Close)))
	return err
}

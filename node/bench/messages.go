package bench

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/trialmesh/trialmesh/connectors/source/hl7v2"
	"github.com/trialmesh/trialmesh/localstore/sqldb"
	"github.com/trialmesh/trialmesh/node/ingest"
)

const mllpText = `HL7 v2.5.1 messages ORU^R01, each of one patient with three results, sent over MLLP on
loopback by 8 senders that each have up to 64 messages under way. ingest-mllp: messages
acknowledged with AA, and so durable, a second while those before are loaded, at least
3,000 (reference: a file of one message written and synced, in the same directory,
one after the other). ingest-mllp-stored: messages a second until all results can be
asked for.`

const mllpBar = 3000

// The senders.
const (
	mllpSenders = 8
	mllpWindow  = 64 // messages of a sender under way
	mllpResults = 3  // of a message
)

func messages(ctx context.Context, cfg Config) ([]Figure, error) {
	var figures []Figure
	err := with(ctx, cfg, func(ctx context.Context, s *site) error {
		sent := 0
		cfg.Progress("warming up")
		const warm = 25
		took, _, err := s.burst(ctx, &sent, warm)
		if err != nil {
			return err
		}
		n := cfg.share(warm, took, warm)
		var acknowledged, stored, synced []float64
		for i := range rounds {
			cfg.Progress(fmt.Sprintf("round %d of %d: %d messages", i+1, rounds, n*mllpSenders))
			took, whole, err := s.burst(ctx, &sent, n)
			if err != nil {
				return err
			}
			acknowledged = append(acknowledged, float64(n*mllpSenders)/took.Seconds())
			stored = append(stored, float64(n*mllpSenders)/whole.Seconds())
			rate, err := s.synced(cfg)
			if err != nil {
				return err
			}
			synced = append(synced, rate)
			n = cfg.share(n, took, warm)
		}
		figures = []Figure{
			NewFigure("ingest-mllp", Median(acknowledged), "messages/s").Beside("files of one message synced", Median(synced)).AtLeast(cfg.BarOr(mllpBar)),
			NewFigure("ingest-mllp-stored", Median(stored), "messages/s"),
		}
		return nil
	})
	return figures, err
}

// oru is the message with a number, of one of a thousand patients.
func oru(number int) []byte {
	doc := fmt.Appendf(nil, "MSH|^~\\&|LAB|H1|NODE|H1|20260301080000||ORU^R01^ORU_R01|B%d|P|2.5.1\r"+
		"PID|1||%d^^^H1^MR||Family^Given||19700101|F|||1 Main Street^^Springfield\rOBR|1||F%d|24323-8^Panel^LN|||20260301075500\r", number, number%1000, number)
	for i := range mllpResults {
		f := findings[(number+i*5)%len(findings)]
		doc = fmt.Appendf(doc, "OBX|%d|NM|%s^Result^LN||%.1f|%s|||||F|||20260301075900\r", i+1, f.code, f.low+(f.high-f.low)*float64(number%17)/17, f.unit)
	}
	return doc
}

// burst has every sender send n messages. It returns how long it took until all were
// acknowledged, and until all were stored.
func (s *site) burst(ctx context.Context, sent *int, n int) (acknowledged, stored time.Duration, err error) {
	begun := time.Now()
	var group errgroup.Group
	for i := range mllpSenders {
		first := *sent + i*n
		group.Go(func() error { return s.sender(ctx, first, n) })
	}
	*sent += mllpSenders * n
	if err := group.Wait(); err != nil {
		return 0, 0, err
	}
	acknowledged = time.Since(begun)
	err = s.measured(ctx, *sent*mllpResults)
	return acknowledged, time.Since(begun), err
}

// sender sends n messages over a connection of its own.
func (s *site) sender(ctx context.Context, first, n int) error {
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", s.senders.Addr().String())
	if err != nil {
		return err
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { _ = conn.Close() })()
	underWay := make(chan struct{}, mllpWindow)
	var group errgroup.Group
	group.Go(func() error {
		for i := range n {
			select {
			case underWay <- struct{}{}:
			case <-ctx.Done():
				return ctx.Err()
			}
			if err := hl7v2.WriteFrame(conn, oru(first+i)); err != nil {
				return err
			}
		}
		return nil
	})
	group.Go(func() error {
		frames := hl7v2.NewFrameReader(conn, 0)
		for range n {
			answer, err := frames.Next()
			if err == nil && !bytes.Contains(answer, []byte("MSA|AA|")) {
				err = errors.New("a message was not accepted")
			}
			if err != nil {
				_ = conn.Close() // so that the sender ends too
				for len(underWay) > 0 {
					<-underWay
				}
				return err
			}
			<-underWay
		}
		return nil
	})
	return group.Wait()
}

// measured waits until as many results can be asked for.
func (s *site) measured(ctx context.Context, results int) error {
	for {
		var n int
		if err := s.db.Read(ctx, func(tx *sqldb.Tx) error {
			return tx.QueryRow(ctx, "SELECT count(*) FROM measurement").Scan(&n)
		}); err != nil || n >= results {
			return err
		}
		jobs, err := s.loads.Jobs(ctx, 0, 1)
		if err != nil {
			return err
		}
		if len(jobs) == 1 && jobs[0].State.Ended() && jobs[0].State != ingest.Completed {
			return fmt.Errorf("a load is %s: %s", jobs[0].State, jobs[0].Error)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(20 * time.Millisecond):
		}
	}
}

package bench

import (
	"context"
	"crypto/sha256"
	"fmt"
	"time"

	"github.com/trialmesh/trialmesh/node/bench"
	"github.com/trialmesh/trialmesh/protocol/consent"
	"github.com/trialmesh/trialmesh/zk/circuits"
	"github.com/trialmesh/trialmesh/zk/prover"
)

const proveQueryText = `how fast consent is proven for a question. prove-query: records a second of processor time,
16 shards of 1,024 of whose people all who permit the question are proven to be used, from
bitmaps that earlier proofs established; at least 5,000 (reference: opening every consent
anew for each question, as the proof that establishes the bitmaps of a shard of 64 does).
Keys are made on first use, in less than a minute of processor time.`

const queryBar = 5000 // records a second and core

var (
	queryShape = circuits.Shape{ShardSize: 1024, Shards: 16, Slots: 2}
	openShape  = circuits.Shape{ShardSize: 64, Shards: 1, Slots: 4} // the network's, whose keys there are
)

func proveQuery(ctx context.Context, cfg bench.Config) ([]bench.Figure, error) {
	cfg.Progress("keys are read, or made")
	cache, err := prover.CacheDir()
	if err != nil {
		return nil, err
	}
	var keys [3]*prover.Keys
	for i, c := range []circuits.Circuit{queryShape.Cover(), openShape.Epoch(), openShape.Access()} {
		if keys[i], err = prover.DevelopmentKeys(ctx, cache, c); err != nil {
			return nil, err
		}
	}
	covering, err := prover.New(prover.Config{Cover: keys[0]})
	if err != nil {
		return nil, err
	}
	opening, err := prover.New(prover.Config{Epoch: keys[1], Access: keys[2]})
	if err != nil {
		return nil, err
	}
	question, err := coverWitness(queryShape)
	if err != nil {
		return nil, err
	}
	one, err := coverWitness(openShape)
	if err != nil {
		return nil, err
	}
	cfg.Progress("covers are proven")
	covered, err := proven(cfg, queryShape.ShardSize*queryShape.Shards, func() error {
		_, err := covering.Cover(ctx, question)
		return err
	})
	if err != nil {
		return nil, err
	}
	cfg.Progress("consents are opened")
	opened, err := proven(cfg, openShape.ShardSize, func() error {
		_, err := opening.Epoch(ctx, one.Shards[0].Epoch)
		return err
	})
	if err != nil {
		return nil, err
	}
	return []bench.Figure{
		bench.NewFigure("prove-query", covered, "records/cpu-s").Beside("each consent opened", opened).AtLeast(cfg.BarOr(queryBar)),
	}, nil
}

// proven is of how many records a second of processor time proves something.
func proven(cfg bench.Config, records int, prove func() error) (float64, error) {
	count, used := 0, processor()
	for begun := time.Now(); count == 0 || time.Since(begun) < cfg.For; count++ {
		if err := prove(); err != nil {
			return 0, err
		}
	}
	return float64(count*records) / (processor() - used).Seconds(), nil
}

// coverWitness uses the records of all people of full shards, but of every third, who withdrew.
func coverWitness(s circuits.Shape) (w circuits.AccessWitness, err error) {
	const day = 86400
	w = circuits.AccessWitness{
		Need: consent.MaskOf(consent.Conditions, consent.Statistics), Min: 2,
		QueryHash: circuits.Truncate(sha256.Sum256([]byte("question"))),
	}
	for k := range s.Shards {
		secret := func(label string, i int) circuits.Element {
			return circuits.Truncate(sha256.Sum256(fmt.Appendf(nil, "%s %d of shard %d", label, i, k)))
		}
		use := circuits.ShardUse{Salt: secret("used", 0)}
		use.Epoch.Window = circuits.Window{From: 20000 * day, To: 20001 * day}
		for i := range use.Epoch.Salts {
			use.Epoch.Salts[i] = secret("salt", i)
		}
		for i := range s.ShardSize {
			a := circuits.Attributes{Mask: w.Need, Status: circuits.Active, From: 19000 * day, To: 21000 * day}
			if i%3 == 2 {
				a.Status = circuits.Withdrawn
			} else {
				use.Used = append(use.Used, i)
			}
			participant, err := circuits.CommitParticipant(secret("participant", i), secret("blind", i))
			if err != nil {
				return w, err
			}
			use.Epoch.Consents = append(use.Epoch.Consents, circuits.Consent{Participant: participant, Attributes: a})
		}
		w.Shards = append(w.Shards, use)
	}
	return w, nil
}

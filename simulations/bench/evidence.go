package bench

import (
	"archive/zip"
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/trialmesh/trialmesh/hub/evidence"
	"github.com/trialmesh/trialmesh/node/bench"
	"github.com/trialmesh/trialmesh/protocol/canonical"
	"github.com/trialmesh/trialmesh/protocol/consent"
	"github.com/trialmesh/trialmesh/protocol/query"
	"github.com/trialmesh/trialmesh/simulations/network"
	"github.com/trialmesh/trialmesh/zk/circuits"
)

const evidenceText = `the evidence of a count over 3 nodes, exported from the hub and verified without it.
evidence: the size of the one file, at most 200 kB (reference: the same as a folder).
evidence-verify: seconds by the clock to verify it, at most 5 (median). -cpu: the same in
processor time. evidence-shard: the bytes that each further shard of 1,024 consents at a
node adds, before packing. evidence-entry: those that an entry of the ledger takes, whatever
it is about: whoever verifies sees all of them, so that none can be left out.`

const (
	evidenceBar       = 200 // kB
	evidenceVerifyBar = 5   // s
)

// measureEvidence asks a question, and exports and verifies its evidence.
func measureEvidence(ctx context.Context, cfg bench.Config, n *network.Network) (figures []bench.Figure, err error) {
	cfg.Progress("a question is asked and proven")
	_, id, err := asked(ctx, n, 0, 0, query.Analysis{Kind: query.Count})
	if err != nil {
		return nil, err
	}
	if err := proved(ctx, cfg, n, []query.ID{id}); err != nil {
		return nil, err
	}
	source, trust, closeSource, err := n.Evidence()
	if err != nil {
		return nil, err
	}
	defer closeSource()
	dir, err := os.MkdirTemp(cfg.Dir, "trialmesh-bench-")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	cfg.Progress("the evidence is exported")
	folder, report, err := export(ctx, source, trust, evidence.Scope{Question: id}, dir)
	if err != nil {
		return nil, err
	}
	var file bytes.Buffer
	if err := evidence.WriteArchive(&file, os.DirFS(folder)); err != nil {
		return nil, err
	}
	cfg.Progress("it is verified")
	var clock, processors []float64
	for begun := time.Now(); len(clock) == 0 || time.Since(begun) < cfg.For; {
		started, used := time.Now(), processor()
		copied, err := evidence.OpenArchive(bytes.NewReader(file.Bytes()), int64(file.Len()))
		if err != nil {
			return nil, err
		}
		again, err := evidence.VerifyQuery(ctx, copied, trust, "", id)
		if err != nil || len(again.Failed()) > 0 {
			return nil, errors.Join(err, fmt.Errorf("evidence that verified does not: %v", again.Failed()))
		}
		clock = append(clock, time.Since(started).Seconds())
		processors = append(processors, (processor() - used).Seconds())
	}
	s, err := sizes(file.Bytes(), report.Checkpoint.Size)
	if err != nil {
		return nil, err
	}
	return []bench.Figure{
		bench.NewFigure("evidence", float64(file.Len())/1000, "kB").Beside("as a folder", s.folder/1000).AtMost(cfg.BarOr(evidenceBar)),
		bench.NewFigure("evidence-verify", bench.Median(clock), "s").AtMost(evidenceVerifyBar),
		bench.NewFigure("evidence-verify-cpu", bench.Median(processors), "s"),
		bench.NewFigure("evidence-shard", s.shard, "B"),
		bench.NewFigure("evidence-entry", s.entry, "B"),
	}, nil
}

// exportPause is how long is waited for the hub to publish what it has recorded.
const exportPause = 100 * time.Millisecond

// export copies evidence into a folder in dir, as soon as the published ledger has all of it.
func export(ctx context.Context, source evidence.Source, trust evidence.Trust, scope evidence.Scope, dir string) (string, evidence.Report, error) {
	for i := 0; ; i++ {
		folder := filepath.Join(dir, fmt.Sprint(i))
		report, err := evidence.Export(ctx, source, trust, scope, folder)
		if err != nil || len(report.Failed()) == 0 {
			return folder, report, err
		}
		if i == 100 {
			return folder, report, fmt.Errorf("the evidence is not whole: %s", report.Failed()[0])
		}
		select {
		case <-ctx.Done():
			return folder, report, ctx.Err()
		case <-time.After(exportPause):
		}
	}
}

// partSizes are bytes of a copy in one file, and of parts of it.
type partSizes struct{ folder, shard, entry float64 }

func sizes(file []byte, entries int64) (s partSizes, err error) {
	archive, err := zip.NewReader(bytes.NewReader(file), int64(len(file)))
	if err != nil {
		return s, err
	}
	for _, f := range archive.File {
		s.folder += float64(f.UncompressedSize64)
		if strings.HasPrefix(f.Name, "tile/") {
			s.entry += float64(f.CompressedSize64) / float64(entries)
		}
	}
	now := time.Now().UTC().Truncate(time.Second)
	shard, err := canonical.Marshal(consent.Shard{From: now, To: now, Proof: make([]byte, len(circuits.Proof{}))})
	s.shard = float64(len(shard) + len(","))
	return s, err
}

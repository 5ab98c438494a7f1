package bench

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"

	"github.com/trialmesh/trialmesh/node/ingest"
)

const memoryText = `one file of FHIR NDJSON of --size, made while it is uploaded over HTTP on loopback and
then loaded. ingest-memory: the most memory (RSS) that this process has had, client
and generator included, in MiB, at most 300 whatever the size (reference: the size).
Needs Linux, and room for about three times the size.`

// memoryBar is in MiB.
const memoryBar = 300

func memory(ctx context.Context, cfg Config) ([]Figure, error) {
	if _, err := Peak(); err != nil {
		return nil, err
	}
	err := with(ctx, cfg, func(ctx context.Context, s *site) error {
		patients := 0
		file := newRecords(&patients, 0, cfg.Size)
		cfg.Progress(fmt.Sprintf("uploading %d MiB", cfg.Size>>20))
		sent := &tenths{of: cfg.Size, say: func(n int) { cfg.Progress(fmt.Sprintf("%d %% are sent", n)) }}
		id, _, err := s.upload(ctx, io.TeeReader(file, sent))
		if err != nil {
			return err
		}
		cfg.Progress(fmt.Sprintf("loading %d resources", file.resources))
		read := &tenths{of: int64(file.resources), say: func(n int) { cfg.Progress(fmt.Sprintf("%d %% are loaded", n)) }}
		job, err := s.await(ctx, id, func(job ingest.Job) { read.reach(job.Counts.Records) })
		if err == nil && job.Counts.Records != int64(file.resources) {
			err = fmt.Errorf("of %d resources %d were read", file.resources, job.Counts.Records)
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	most, err := Peak()
	if err != nil {
		return nil, err
	}
	f := NewFigure("ingest-memory", most, "MiB").Beside("size of the file", float64(cfg.Size)/(1<<20)).AtMost(cfg.BarOr(memoryBar))
	return []Figure{f}, nil
}

// tenths says each tenth of a total that is reached, in percent.
type tenths struct {
	of   int64
	say  func(percent int)
	done int64
	said int
}

func (t *tenths) reach(done int64) {
	t.done = done
	if n := int(min(10*done/t.of, 10)); n > t.said {
		t.said = n
		t.say(10 * n)
	}
}

// Write implements [io.Writer] for what is done when it is written.
func (t *tenths) Write(p []byte) (int, error) {
	t.reach(t.done + int64(len(p)))
	return len(p), nil
}

// Peak is the most MiB that this process has had in memory: VmHWM of proc(5).
func Peak() (float64, error) {
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0, fmt.Errorf("memory is known on Linux only: %w", err)
	}
	for line := range bytes.Lines(status) {
		if text, ok := bytes.CutPrefix(line, []byte("VmHWM:")); ok {
			kib, err := strconv.ParseFloat(string(bytes.TrimSpace(bytes.TrimSuffix(bytes.TrimSpace(text), []byte("kB")))), 64)
			return kib / 1024, err
		}
	}
	return 0, errors.New("/proc/self/status has no VmHWM")
}

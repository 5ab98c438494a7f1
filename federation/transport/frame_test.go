package transport

import (
	"bytes"
	"encoding/json"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/trialmesh/trialmesh/protocol/problem"
)

func plenty(int) error { return nil }

func TestFramesRoundTrip(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		body := rapid.SliceOfN(rapid.Byte(), 0, 500).Draw(rt, "body")
		wait := time.Duration(rapid.Int64Range(-10, 1<<41).Draw(rt, "wait")) * time.Microsecond
		var b bytes.Buffer
		if err := writeRequest(&b, body, wait); err != nil {
			rt.Fatal(err)
		}
		got, gotWait, err := readRequest(&b, 500, plenty)
		if err != nil || !bytes.Equal(body, got) {
			rt.Fatalf("got %x, %v", got, err)
		}
		if gotWait < wait || gotWait > max(wait, 0)+time.Millisecond {
			rt.Fatalf("deadline %v became %v", wait, gotWait)
		}
		if err := writeResponse(&b, statusAnswer, body); err != nil {
			rt.Fatal(err)
		}
		got, refusal, err := readResponse(&b, 500)
		if err != nil || refusal != nil || !bytes.Equal(body, got) {
			rt.Fatalf("got %x, %v, %v", got, refusal, err)
		}
	})
}

// Not parallel: it reads what the whole process allocates.
func TestReadBodyTakesNoMoreMemoryThanArrives(t *testing.T) {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	_, err := readBody(strings.NewReader("short"), 64<<20, 64<<20)
	runtime.ReadMemStats(&after)
	require.Error(t, err)
	require.Less(t, after.TotalAlloc-before.TotalAlloc, uint64(1<<20), "64 MiB were announced, 5 bytes came")
}

func FuzzReadRequest(f *testing.F) {
	f.Add([]byte{0, 0, 3, 0xe8, 0, 0, 0, 2, 'h', 'i'})
	f.Add([]byte{0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff})
	f.Add([]byte{0, 0, 0, 0, 0, 0, 0, 9, 1})
	f.Fuzz(func(t *testing.T, data []byte) {
		r := bytes.NewReader(data)
		body, wait, err := readRequest(r, 100, plenty)
		if err != nil {
			return
		}
		require.LessOrEqual(t, len(body), 100)
		if wait > 0 { // zero is read but never written
			var b bytes.Buffer
			require.NoError(t, writeRequest(&b, body, wait))
			require.Equal(t, data[:len(data)-r.Len()], b.Bytes())
		}
	})
}

func FuzzReadResponse(f *testing.F) {
	doc, err := json.Marshal(problem.From(problem.Refusal("rule", "no")))
	require.NoError(f, err)
	var b bytes.Buffer
	require.NoError(f, writeResponse(&b, statusProblem, doc))
	f.Add(b.Bytes())
	f.Add([]byte{0, 0, 0, 0, 1, 7})
	f.Add([]byte{1, 0, 0, 0, 2, '{', '}'})
	f.Add([]byte{2, 0, 0, 0, 0})
	f.Fuzz(func(t *testing.T, data []byte) {
		body, refusal, err := readResponse(bytes.NewReader(data), 100)
		require.LessOrEqual(t, len(body), 100)
		if refusal != nil {
			require.NoError(t, err)
			require.Equal(t, byte(statusProblem), data[0])
			var public *problem.Error
			require.ErrorAs(t, refusal, &public)
		}
	})
}

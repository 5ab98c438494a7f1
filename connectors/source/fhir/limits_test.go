package fhir

import (
	"bytes"
	"compress/gzip"
	"context"
	"io"
	"runtime"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

const onePatient = `{"resourceType":"Patient","id":"a"}` + "\n"

func zip(t testing.TB, text string) []byte {
	t.Helper()
	var b bytes.Buffer
	zw := gzip.NewWriter(&b)
	_, err := io.WriteString(zw, text)
	require.NoError(t, err)
	require.NoError(t, zw.Close())
	return b.Bytes()
}

func TestReadLimitsInputs(t *testing.T) {
	t.Parallel()
	t.Run("total", func(t *testing.T) {
		t.Parallel()
		c := collect(t, strings.NewReader(strings.Repeat(onePatient, 10_000)), Options{MaxTotal: 200_000})
		require.NoError(t, c.err)
		require.Equal(t, map[Rule]int{RuleTooLarge: 1}, c.summary.Problems)
		require.NotEmpty(t, c.records)
		require.Less(t, len(c.records), 200_000/len(onePatient))
	})
	t.Run("gzip expansion", func(t *testing.T) {
		t.Parallel()
		bomb := zip(t, onePatient+strings.Repeat(" ", 64<<20))
		require.Less(t, len(bomb), 100<<10)
		c := collect(t, bytes.NewReader(bomb), Options{})
		require.NoError(t, c.err)
		require.Equal(t, map[Rule]int{RuleGzipExpansion: 1}, c.summary.Problems)
		require.Len(t, c.records, 1)
	})
	t.Run("honest gzip passes", func(t *testing.T) {
		t.Parallel()
		c := collect(t, bytes.NewReader(zip(t, strings.Repeat(onePatient, 20_000))), Options{MaxExpansion: 500})
		require.Empty(t, c.places())
		require.Len(t, c.records, 20_000)
	})
	t.Run("gzip cut short", func(t *testing.T) {
		t.Parallel()
		whole, err := io.ReadAll(open(t, "synthea/kidney.json.gz"))
		require.NoError(t, err)
		c := collect(t, bytes.NewReader(whole[:len(whole)/2]), Options{})
		require.NoError(t, c.err)
		require.Equal(t, map[Rule]int{RuleTruncated: 1}, c.summary.Problems)
		require.Greater(t, len(c.records), 50, "what came before the cut is kept")
	})
	t.Run("gzip damaged", func(t *testing.T) {
		t.Parallel()
		data := zip(t, strings.Repeat(onePatient, 100))
		data[len(data)-6] ^= 1 // in the checksum
		c := collect(t, bytes.NewReader(data), Options{})
		require.NoError(t, c.err)
		require.Equal(t, map[Rule]int{RuleCorruptGzip: 1}, c.summary.Problems)
		c = collect(t, bytes.NewReader([]byte{0x1f, 0x8b, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9}), Options{})
		require.Equal(t, map[Rule]int{RuleCorruptGzip: 1}, c.summary.Problems)
	})
	t.Run("fullUrls", func(t *testing.T) {
		t.Parallel()
		var b strings.Builder
		b.WriteString(`{"resourceType":"Bundle","type":"transaction","entry":[`)
		for i := range 10 {
			if i > 0 {
				b.WriteByte(',')
			}
			b.WriteString(`{"fullUrl":"urn:uuid:` + string(rune('a'+i)) + `","resource":{"resourceType":"Patient"}}`)
		}
		b.WriteString(`]}`)
		c := collect(t, strings.NewReader(b.String()), Options{MaxTracked: 4})
		require.Len(t, c.records, 10)
		require.Equal(t, []string{"too-large 1 entry[4].resource"}, c.places())
	})
}

// endless yields copies of unit until size bytes have been read.
type endless struct {
	head, unit, tail string
	left             int
	rest             string
}

func (e *endless) Read(p []byte) (int, error) {
	if e.rest == "" {
		switch {
		case e.head != "":
			e.rest, e.head = e.head, ""
		case e.left > 0:
			e.rest, e.left = e.unit, e.left-len(e.unit)
		case e.tail != "":
			e.rest, e.tail = e.tail, ""
		default:
			return 0, io.EOF
		}
	}
	n := copy(p, e.rest)
	e.rest = e.rest[n:]
	return n, nil
}

// TestReadInConstantMemory reads 24 MB in each format and watches the live heap.
// It runs alone, as the heap is everybody's.
func TestReadInConstantMemory(t *testing.T) {
	unit := `{"resourceType":"Observation","id":"o","status":"final","code":{"text":"` + strings.Repeat("x", 4000) + `"},"subject":{"reference":"Patient/a"}}`
	for name, src := range map[string]*endless{
		"NDJSON": {unit: unit + "\n", left: 24 << 20},
		"bundle": {
			head: `{"resourceType":"Bundle","type":"collection","entry":[{"resource":` + unit + `}`,
			unit: `,{"resource":` + unit + `}`, tail: `]}`, left: 24 << 20,
		},
		"bundle with its type last": {
			head: `{"entry":[{"resource":` + unit + `}`,
			unit: `,{"resource":` + unit + `}`, tail: `],"resourceType":"Bundle","type":"collection"}`, left: 24 << 20,
		},
		"one endless string": {head: `{"resourceType":"Bundle","type":"collection","entry":[{"resource":{"id":"`, unit: strings.Repeat("x", 4096), tail: `"}}]}`, left: 24 << 20},
	} {
		var before, now runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&before)
		peak, n, bad := uint64(0), 0, 0
		for _, err := range Read(context.Background(), src, Options{MaxRecord: 1 << 20}) {
			if err != nil {
				bad++
			}
			if n++; n%2000 == 0 {
				runtime.GC()
				runtime.ReadMemStats(&now)
				peak = max(peak, now.HeapAlloc)
			}
		}
		if name == "one endless string" {
			require.Equal(t, 1, bad)
			continue
		}
		require.Zero(t, bad, name)
		require.Greater(t, n, 5_000, name)
		require.Less(t, peak, before.HeapAlloc+6<<20, name)
	}
}

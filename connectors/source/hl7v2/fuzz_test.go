package hl7v2

import (
	"bytes"
	"errors"
	"io"
	"regexp"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/trialmesh/trialmesh/connectors/source/fhir"
)

var plainID = regexp.MustCompile(`^[0-9a-f]{32}$`)

var publicPath = regexp.MustCompile(`^message\[\d+\](\.([A-Z][A-Z0-9]{2}|\*)\[\d+\](\.\d+)?)?$`)

// requirePublic fails if a problem could hold something of the input.
func requirePublic(t testing.TB, p *fhir.Problem) {
	t.Helper()
	require.NotEmpty(t, p.Rule)
	require.Positive(t, p.Line)
	if p.Path == "" {
		return
	}
	require.Regexp(t, publicPath, p.Path)
	if _, inside, ok := strings.Cut(p.Path, "."); ok && inside[0] != '*' {
		require.True(t, standard(inside[:3]), p.Path)
	}
}

func seeds(f *testing.F) {
	for _, s := range []string{
		"", "MSH", msh, admission, "\x0b" + admission + "\x1c\r", "FHS|^~\\&\rBHS|^~\\&\r" + admission + "BTS|1\rFTS|1\r",
		about("ORU^R01", "7^^^HOSP^MR", "OBR|1||F1|c^C^L", "OBX|1|SN|n^N^L||>^1^:^2|mL|1-2|H|||F", "OBX|2|NM|n^N^L||1~2|mL"),
		about("ADT^A40", "7^^^HOSP^MR", "MRG|8^^^HOSP^MR"), about("RDE^O11", "7", "ORC|NW|1", "RXO|1^A^NDC|2", "RXE||1^A^NDC|2", "RXR|IV"),
		about("VXU^V04", "7", "RXA|0|1|20240101||88^flu^CVX|999"), about("MDM^T02", "7", "TXA|1|PN", "OBX|1|TX|a||text"),
		"MSH|^~\\&|A|F|||2024||ADT^A08|1|P|2.5||||||8859/1\rPID|1||7||M\xfcller\r", msh + "OBX|1|TX|a||line\nline\r", "\x1f\x8b\x08\x00\x00\x00\x00\x00",
		msh + `ZZZ|\X41\\F\\.br\\\` + "\r",
	} {
		f.Add([]byte(s))
	}
}

// FuzzRead feeds any bytes to Read: it ends, problems hold nothing of the input, ids
// are FHIR's and records hold bytes of the input.
func FuzzRead(f *testing.F) {
	seeds(f)
	f.Fuzz(func(t *testing.T, data []byte) {
		zipped := bytes.HasPrefix(data, []byte("\x1f\x8b"))
		for rec, err := range Read(t.Context(), bytes.NewReader(data), Options{Limits: fhir.Options{MaxRecord: 1 << 14, MaxTotal: 1 << 16}, MaxFields: 1000}) {
			if err != nil {
				p, ok := fhir.AsProblem(err)
				require.True(t, ok, "bytes in memory cannot fail otherwise")
				requirePublic(t, p)
				continue
			}
			require.Regexp(t, plainID, rec.ID)
			require.Regexp(t, publicPath, rec.Path)
			require.True(t, zipped || rec.Type == "MessageHeader" || bytes.Contains(data, rec.Raw[:min(len(rec.Raw), 3)]))
			if o, ok := rec.Resource.(*fhir.Observation); ok && o.Value.String != nil {
				require.True(t, utf8.ValidString(*o.Value.String))
			}
			if rec.Resource != nil {
				rec.Resource.EachReference(func(_ string, r *fhir.Reference) { require.Len(t, r.ID, 32) })
			}
		}
	})
}

// FuzzMessage cuts any bytes: what is cut and joined again is what came.
func FuzzMessage(f *testing.F) {
	seeds(f)
	f.Fuzz(func(t *testing.T, data []byte) {
		var lines [][]byte
		for l := range bytes.FieldsFuncSeq(data, func(r rune) bool { return r == '\r' || r == '\n' }) {
			lines = append(lines, l)
		}
		if len(lines) == 0 {
			return
		}
		var m message
		if m.parse(lines, "", 10_000) != nil {
			return
		}
		require.Len(t, m.segments, len(lines))
		for i, s := range m.segments {
			joined := strings.Join(s.fields, string(m.d.field))
			require.True(t, utf8.ValidString(joined))
			if ascii(lines[i]) {
				require.Equal(t, string(lines[i]), joined)
			}
			for n := range s.fields {
				v := s.field(n + 1)
				for _, r := range v.repeats() {
					require.False(t, r.empty())
					_, _, _ = r.at(1).sub(1).text(), concept(r), telecom(r)
				}
				_ = v.text()
			}
		}
	})
}

// FuzzFrames reads any bytes as frames: no message holds a framing byte, none is over
// the limit, and nothing but framing is lost without being counted.
func FuzzFrames(f *testing.F) {
	seeds(f)
	f.Add([]byte("xx\x0ba\x0bb\x1cc\x1c\r\x0b" + strings.Repeat("y", 100)))
	f.Fuzz(func(t *testing.T, data []byte) {
		r := NewFrameReader(bytes.NewReader(data), 64)
		kept := int64(0)
		for {
			m, err := r.Next()
			if errors.Is(err, ErrFrameTooLarge) {
				continue
			}
			if err != nil {
				require.True(t, errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF))
				break
			}
			require.LessOrEqual(t, len(m), 64)
			require.Negative(t, bytes.IndexAny(m, "\x0b\x1c"))
			kept += int64(len(m))
		}
		require.LessOrEqual(t, kept+r.Skipped(), int64(len(data)))
	})
}

// A message is broken at random; every value in it is a marker that no problem and no
// path may repeat.
func TestProblemsNeverRepeatTheMessage(t *testing.T) {
	t.Parallel()
	text := strings.NewReplacer("HOSP", "SECRET", "Doe", "SECRET").Replace(admission) +
		"OBX|1|NM|SECRET^SECRET^SECRET||SECRET|SECRET|||||F|||20240101\rZSE|SECRET\rDG1|1||SECRET|SECRET|20240101\rMRG|SECRET\rRXA|0|1|20240101||SECRET\r"
	seen := map[fhir.Rule]bool{}
	rapid.Check(t, func(t *rapid.T) {
		broken := []byte(text)
		for range rapid.IntRange(1, 4).Draw(t, "faults") {
			at := rapid.IntRange(0, len(broken)-1).Draw(t, "at")
			switch rapid.IntRange(0, 2).Draw(t, "kind") {
			case 0:
				broken[at] = rapid.SampledFrom([]byte("\x00\xff|^~\\&\r\n\x0b\x1c9S\"")).Draw(t, "byte")
			case 1:
				broken = append(broken[:at:at], broken[at+1:]...)
			case 2:
				broken = append(broken[:at:at], append([]byte("SECRET"), broken[at:]...)...)
			}
		}
		for rec, err := range Read(t.Context(), bytes.NewReader(broken), Options{}) {
			if p, ok := fhir.AsProblem(err); ok {
				seen[p.Rule] = true
				if strings.Contains(p.Error(), "SECRET") {
					t.Fatalf("leaks: %v", p)
				}
			}
			if strings.Contains(rec.Path+rec.ID, "SECRET") {
				t.Fatalf("leaks: %s %s", rec.Path, rec.ID)
			}
		}
	})
	require.NotEmpty(t, seen)
}

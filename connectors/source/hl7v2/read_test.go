package hl7v2

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/stretchr/testify/require"

	"github.com/trialmesh/trialmesh/connectors/source/fhir"
)

const admission = "MSH|^~\\&|ADT|FAC|||20240102030405+0100||ADT^A01|1|P|2.5\rEVN|A01|20240102030000\rPID|1||7^^^HOSP^MR||Doe^Jo||19800203|F\rPV1|1|I|||||||||||||||||V9^^^HOSP|||||||||||||||||||||||||20240102\r"

func TestLineEndsAndFrames(t *testing.T) {
	t.Parallel()
	lf, crlf := strings.ReplaceAll(admission, "\r", "\n"), strings.ReplaceAll(admission, "\r", "\r\n")
	for name, text := range map[string]string{
		"CR":                       admission + admission,
		"LF":                       lf + lf,
		"CRLF":                     crlf + crlf,
		"empty lines":              admission + "\n\n" + admission + "\n",
		"byte order mark":          byteOrderMark + lf + byteOrderMark + lf,
		"frames":                   "\x0b" + admission + "\x1c\r\x0b" + admission + "\x1c\r",
		"frames in a file of LF":   "\x0b" + lf + "\x1c\n\x0b" + lf + "\x1c\n",
		"no end at the end":        admission + strings.TrimSuffix(admission, "\r"),
		"a batch":                  "FHS|^~\\&|A\rBHS|^~\\&|A\r" + admission + admission + "BTS|2\rFTS|1\r",
		"a batch that is not told": "BHS|^~\\&\r" + admission + admission + "BTS\r",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			require.True(t, Detect([]byte(text)[:40]))
			for _, chunked := range []bool{false, true} {
				var got collected
				if chunked {
					got = collect(t, iotest.OneByteReader(strings.NewReader(text)), Options{})
				} else {
					got = collectText(t, text)
				}
				require.Empty(t, got.places())
				require.Equal(t, map[string]int{"Patient": 2, "Encounter": 2}, got.summary.Decoded)
				require.Equal(t, got.records[1].ID, got.records[4].ID)
				require.Equal(t, "message[2].PID[1]", got.records[4].Path)
			}
		})
	}
}

func TestLinesAreCounted(t *testing.T) {
	t.Parallel()
	for _, end := range []string{"\r", "\n", "\r\n"} {
		got := collectText(t, strings.ReplaceAll(admission+"\r"+admission, "\r", end))
		require.Equal(t, 1, got.records[0].Line)
		require.Equal(t, 6, got.records[3].Line, "%q", end)
	}
}

// The standard ends segments with CR alone, so that a text may hold LF.
func TestTextWithLineFeeds(t *testing.T) {
	t.Parallel()
	got := collectText(t, admission+"OBX|1|TX|n^Note^L||first\nsecond line\r"+"OBX|2|TX|m^More^L||x\r")
	require.Empty(t, got.places())
	require.Equal(t, "first\nsecond line", *first[*fhir.Observation](t, got).Value.String)
	require.Equal(t, 2, got.summary.Decoded["Observation"])
}

func TestRawIsWhatWasSent(t *testing.T) {
	t.Parallel()
	got := collectText(t, "\x0b"+admission+"ZZZ|1\r\x1c\r")
	require.Equal(t, strings.TrimSuffix(admission+"ZZZ|1\r", "\r"), strings.TrimSuffix(string(got.records[0].Raw), "\r"))
	require.Equal(t, "PID|1||7^^^HOSP^MR||Doe^Jo||19800203|F", string(got.records[1].Raw))
}

func TestDamagedInput(t *testing.T) {
	t.Parallel()
	const badTime = admission + "OBX|1|NM|1^A^L||5|||||||||20241301\rOBX|2|NM|1^A^L||5|||||||||20241201\r"
	for name, c := range map[string]struct {
		text string
		want []string
		good int
	}{
		"text before":            {"hello\rworld\r" + admission, []string{"outside-message 1"}, 1},
		"text between frames":    {"\x0b" + admission + "\x1cnoise\r\x0b" + admission + "\x1c\r", []string{"outside-message 5"}, 2},
		"cut inside a frame":     {"\x0b" + admission + "\x1c\r\x0b" + admission, []string{"truncated 6 message[2]"}, 1},
		"begun again":            {"\x0b" + admission + "\x0b" + admission + "\x1c\r", []string{"truncated 1 message[1]"}, 1},
		"batch of another count": {"BHS|^~\\&\r" + admission + "BTS|2\r" + admission, []string{"batch-count 6"}, 2},
		"nobody":                 {strings.Replace(admission, "7^^^HOSP^MR", "", 1), []string{"no-patient 1 message[1].PID[1]"}, 0},
		"empty":                  {"", []string{}, 0},
		"one bad time":           {badTime, []string{"invalid-time 1 message[1].OBX[1].14"}, 1},
		"no code":                {admission + "OBX|1|NM|||5\r", []string{"missing-field 1 message[1].OBX[1].3"}, 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := collectText(t, c.text)
			require.Equal(t, c.want, got.places())
			require.Equal(t, c.good, got.summary.Decoded["Patient"])
		})
	}
}

func TestLimits(t *testing.T) {
	t.Parallel()
	long := strings.Replace(admission, "Doe", strings.Repeat("x", 5000), 1)
	for name, text := range map[string]string{
		"one segment":   long,
		"many segments": strings.TrimSuffix(admission, "\r") + strings.Repeat("\rNTE|1||text", 500) + "\r",
		"the header":    strings.Replace(admission, "ADT|FAC", strings.Repeat("y", 5000)+"|FAC", 1),
	} {
		got := collect(t, strings.NewReader(admission+text+admission), Options{Limits: fhir.Options{MaxRecord: 4096}})
		require.Equal(t, []string{"too-large 5 message[2]"}, got.places(), name)
		require.Equal(t, 2, got.summary.Decoded["Patient"], name)
	}
	got := collect(t, strings.NewReader(strings.Repeat(admission, 100)), Options{Limits: fhir.Options{MaxTotal: 1000}})
	require.Equal(t, fhir.RuleTooLarge, got.problems[len(got.problems)-1].Rule)

	var zipped bytes.Buffer
	zw := gzip.NewWriter(&zipped)
	_, err := zw.Write([]byte(admission + strings.Repeat(" ", 4<<20)))
	require.NoError(t, err)
	require.NoError(t, zw.Close())
	require.True(t, Detect(zipped.Bytes()))
	got = collect(t, bytes.NewReader(zipped.Bytes()), Options{})
	require.Equal(t, fhir.RuleGzipExpansion, got.problems[len(got.problems)-1].Rule)
}

// What a sender can make long at little cost must not take time that grows with its
// square, which would be minutes for each of these.
func TestHostileMessages(t *testing.T) {
	t.Parallel()
	const n = 100_000
	for name, text := range map[string]string{
		"visits":      admission + strings.Repeat("PV1|1|I\r", n),
		"documents":   strings.Replace(admission, "ADT^A01", "MDM^T02", 1) + strings.Repeat("TXA|1\r", n),
		"merges":      strings.Replace(admission, "A01", "A42", 1) + strings.Repeat("MRG|1\r", n),
		"identifiers": strings.Replace(admission, "7^^^HOSP^MR", strings.Repeat("7~", n)+"7^^^HOSP^MR", 1),
		"a range":     admission + "OBX|1|NM|1^A^L||5||" + strings.Repeat("-", n) + "\r",
		"escapes":     admission + "OBX|1|TX|1^A^L||" + strings.Repeat("\\X\\.", n) + "\r",
		"values":      admission + "OBX|1|NM|1^A^L||" + strings.Repeat("5~", n) + "\r",
		"results":     admission + strings.Repeat("OBX|1|NM|1^A^L||5\r", n/10),
		"the site's":  admission + strings.Repeat("ZZZ\r", n),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := collectText(t, text)
			require.Zero(t, got.summary.Problems[fhir.RuleTooLarge])
			require.Equal(t, 1, got.summary.Raw["MessageHeader"])
		})
	}
	require.Equal(t, []string{"too-large 1 message[1]"}, collectText(t, admission+strings.Repeat("ZZZ\r", 600_000)).places())
}

func TestDetectLeavesOthersAlone(t *testing.T) {
	t.Parallel()
	for _, head := range []string{"", "MSH", `{"resourceType":"Bundle"}`, "MSHA,B,C,D,E,F", "ISA*00*          *00*", "<ClinicalDocument>", "PID|1||7"} {
		require.False(t, Detect([]byte(head)), head)
	}
}

func TestReadStops(t *testing.T) {
	t.Parallel()
	n := 0
	for range Read(t.Context(), strings.NewReader(admission+admission), Options{}) {
		n++
		break
	}
	require.Equal(t, 1, n)

	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for _, err := range Read(ctx, strings.NewReader(admission), Options{}) {
		require.ErrorIs(t, err, context.Canceled)
	}
	broken := errors.New("disk")
	var last error
	for _, err := range Read(t.Context(), iotest.ErrReader(broken), Options{}) {
		last = err
	}
	require.ErrorIs(t, last, broken)
	_, isProblem := fhir.AsProblem(last)
	require.False(t, isProblem)
}

func TestNothingPrints(t *testing.T) {
	t.Parallel()
	text := strings.ReplaceAll(admission, "Doe", "SECRET")
	who, err := Identities([]byte(text), Options{})
	require.NoError(t, err)
	header, err := ParseHeader([]byte(text))
	require.NoError(t, err)
	m := parsed(t, text)
	for _, v := range []any{who[0], &who[0], who[0].Names[0], header, &Merge{ID: "SECRET"}, m, m.segments[2], m.segments[2].field(5)} {
		require.NotContains(t, fmt.Sprintf("%v %+v %#v %s", v, v, v, v), "SECRET")
		_, err := json.Marshal(v)
		require.Error(t, err)
	}
}

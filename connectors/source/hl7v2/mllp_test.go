package hl7v2

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/trialmesh/trialmesh/connectors/source/fhir"
)

// frames reads all frames of an input; refused ones are shown as their error.
func frames(t testing.TB, f *FrameReader) (all []string, last error) {
	t.Helper()
	for {
		m, err := f.Next()
		switch {
		case errors.Is(err, ErrFrameTooLarge):
			all = append(all, "too large")
		case err != nil:
			return all, err
		default:
			all = append(all, string(m))
		}
	}
}

// What is written frame by frame is read frame by frame, however the bytes arrive.
func TestFramesAreReadBack(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		sent := rapid.SliceOf(rapid.StringMatching(`[A-Za-z|^&\r\n]{0,40}`)).Draw(rt, "messages")
		var b bytes.Buffer
		for _, m := range sent {
			if err := WriteFrame(&b, []byte(m)); err != nil {
				rt.Fatal(err)
			}
		}
		var src io.Reader = &b
		if rapid.Bool().Draw(rt, "slow") {
			src = iotest.OneByteReader(src)
		}
		f := NewFrameReader(src, 0)
		for _, want := range sent {
			got, err := f.Next()
			if err != nil || string(got) != want {
				rt.Fatalf("%q: %q, %v", want, got, err)
			}
		}
		if _, err := f.Next(); !errors.Is(err, io.EOF) || f.Skipped() != 0 {
			rt.Fatalf("%v, %d skipped", err, f.Skipped())
		}
	})
}

func TestFrameReaderFindsItsWay(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		sent    string
		want    []string
		skipped int64
		last    error
	}{
		"garbage around":    {"GET / HTTP/1.1\r\n\x0bone\x1c\rxx\x0btwo\x1c\r", []string{"one", "two"}, 16, io.EOF},
		"begun again":       {"\x0bhalf\x0bwhole\x1c\r", []string{"whole"}, 5, io.EOF},
		"end without CR":    {"\x0bone\x1c\x0btwo\x1c", []string{"one", "two"}, 0, io.EOF},
		"too large":         {"\x0b" + strings.Repeat("x", 100) + "\x1c\r\x0bok\x1c\r", []string{"too large", "ok"}, 100, io.EOF},
		"too large, cut":    {"\x0b" + strings.Repeat("x", 100), nil, 100, io.ErrUnexpectedEOF},
		"cut":               {"\x0bone\x1c\r\x0btw", []string{"one"}, 0, io.ErrUnexpectedEOF},
		"nothing":           {"", nil, 0, io.EOF},
		"an empty frame":    {"\x0b\x1c\r", []string{""}, 0, io.EOF},
		"an end by mistake": {"\x1c\r\x0bone\x1c\r", []string{"one"}, 1, io.EOF},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := NewFrameReader(strings.NewReader(c.sent), 64)
			got, last := frames(t, f)
			require.Equal(t, c.want, got)
			require.Equal(t, c.skipped, f.Skipped())
			require.ErrorIs(t, last, c.last)
		})
	}
}

// A sender that never sends the last CR must not wait for ever for its answer.
func TestFrameEndsWithoutWaiting(t *testing.T) {
	t.Parallel()
	r, w := io.Pipe()
	go func() { _, _ = w.Write([]byte("\x0bone\x1c")) }()
	got, err := NewFrameReader(r, 0).Next()
	require.NoError(t, err)
	require.Equal(t, "one", string(got))
	require.NoError(t, r.Close())
}

func TestFramingBytesAreNotSent(t *testing.T) {
	t.Parallel()
	for _, m := range []string{"a\x0b", "a\x1cb"} {
		require.Error(t, WriteFrame(io.Discard, []byte(m)))
	}
	require.ErrorIs(t, WriteFrame(failing{}, nil), io.ErrClosedPipe)
}

type failing struct{}

func (failing) Write([]byte) (int, error) { return 0, io.ErrClosedPipe }

func TestAcknowledge(t *testing.T) {
	t.Parallel()
	h, err := ParseHeader([]byte("MSH|^~\\&|ADT|FAC^1.2.3^ISO|RX|OTHER|20240102||ADT^A01^ADT_A01|MSG7|T|2.5.1|||AL|NE\rPID|1||SECRET\r"))
	require.NoError(t, err)
	require.Equal(t, "AL", h.Accept)
	require.Equal(t, "NE", h.Application)
	at := time.Date(2024, 1, 2, 3, 4, 5, 0, time.UTC)

	// The layout is that of the example in HL7 v2.5.1 chapter 2, section 2.9.2.
	require.Equal(t, "MSH|^~\\&|RX|OTHER|ADT|FAC^1.2.3^ISO|20240102030405+0000||ACK^A01^ACK|A1|T|2.5.1\rMSA|AA|MSG7\r",
		string(h.Acknowledge(Reply{Code: Accepted, ID: "A1", At: at})))

	refusal := h.Acknowledge(Reply{Code: Failed, ID: "A2", At: at, Problem: &fhir.Problem{
		Rule: fhir.RuleInvalidTime, Line: 1, Path: "message[1].PID[1].7", Detail: "want a|b",
	}})
	require.Equal(t, "MSH|^~\\&|RX|OTHER|ADT|FAC^1.2.3^ISO|20240102030405+0000||ACK^A01^ACK|A2|T|2.5.1\rMSA|AE|MSG7|invalid-time\r"+
		"ERR||PID^1^7|102^Data type error^HL70357|E|invalid-time|||want a\\F\\b\r", string(refusal))
	require.NotContains(t, string(refusal), "SECRET")
}

// Whatever was sent, an answer can be built and read.
func TestAcknowledgeWithoutAHeader(t *testing.T) {
	t.Parallel()
	for _, sent := range []string{"", "MSH", "hello", "MSH|^^^^|", "\xff\xfe"} {
		h, err := ParseHeader([]byte(sent))
		p, ok := fhir.AsProblem(err)
		require.True(t, ok, "%q", sent)
		ack := h.Acknowledge(Reply{Code: Rejected, ID: "1", At: time.Unix(0, 0).UTC(), Problem: p})
		back, err := ParseHeader(ack)
		require.NoError(t, err)
		require.Equal(t, "ACK", back.Type)
		require.Contains(t, string(ack), "\rMSA|AR||")
	}
}

package hl7v2

import (
	"bytes"
	"errors"
	"io"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// BenchmarkRead reads Simulated Hospital's stream: results of a handful of OBX, and
// admissions.
func BenchmarkRead(b *testing.B) {
	data := unzip(b, "simhospital/messages.out.gz")
	b.SetBytes(int64(len(data)))
	b.ReportAllocs()
	messages := 0
	for b.Loop() {
		for rec, err := range Read(b.Context(), bytes.NewReader(data), Options{}) {
			require.NoError(b, err)
			if rec.Type == "MessageHeader" {
				messages++
			}
		}
	}
	b.ReportMetric(float64(messages)/b.Elapsed().Seconds(), "messages/s")
}

// BenchmarkFrames reads frames and acknowledges them, as a listener does before it
// stores anything.
func BenchmarkFrames(b *testing.B) {
	var stream bytes.Buffer
	for rec, err := range Read(b.Context(), bytes.NewReader(unzip(b, "simhospital/messages.out.gz")), Options{}) {
		require.NoError(b, err)
		if rec.Type == "MessageHeader" {
			require.NoError(b, WriteFrame(&stream, rec.Raw))
		}
	}
	b.SetBytes(int64(stream.Len()))
	b.ReportAllocs()
	at := time.Unix(0, 0).UTC()
	messages := 0
	for b.Loop() {
		f := NewFrameReader(bytes.NewReader(stream.Bytes()), 0)
		for {
			m, err := f.Next()
			if errors.Is(err, io.EOF) {
				break
			}
			require.NoError(b, err)
			h, err := ParseHeader(m)
			require.NoError(b, err)
			require.NoError(b, WriteFrame(io.Discard, h.Acknowledge(Reply{Code: Accepted, ID: "1", At: at})))
			messages++
		}
	}
	b.ReportMetric(float64(messages)/b.Elapsed().Seconds(), "messages/s")
}

package hl7v2

import (
	"bytes"
	"compress/gzip"
	"io"
)

// Detect reports whether an input that begins with head is HL7 v2: a message, a batch of
// them, or an MLLP frame, plain or gzip. A few hundred bytes are enough.
func Detect(head []byte) bool {
	if zr, err := gzip.NewReader(bytes.NewReader(head)); err == nil {
		plain := make([]byte, 64)
		n, _ := io.ReadFull(zr, plain) // head need not hold all of it
		head = plain[:n]
	}
	for _, before := range []string{byteOrderMark, "\r", "\n", string(rune(frameStart)), byteOrderMark} {
		head = bytes.TrimPrefix(head, []byte(before))
	}
	if len(head) < 8 {
		return false
	}
	switch string(head[:3]) {
	case "MSH", "FHS", "BHS":
		_, ok := parseDelimiters("MSH" + string(head[3:8]))
		return ok
	}
	return false
}

package ledger

import (
	"encoding/binary"
	"fmt"
)

// framingError reports where the lengths of an entry bundle stop making sense.
type framingError struct {
	entry  int // number of the entry in the bundle, or the count if bytes are left over
	offset int // where its length begins
	reason string
}

func (e *framingError) Error() string {
	return fmt.Sprintf("entry %d of the bundle, byte %d: %s", e.entry, e.offset, e.reason)
}

// appendEntry appends an entry to a bundle: 16 bits of length, then the bytes.
// The entry has at most MaxEntry bytes.
func appendEntry(bundle, entry []byte) []byte {
	bundle = binary.BigEndian.AppendUint16(bundle, uint16(len(entry)))
	return append(bundle, entry...)
}

// splitBundle returns the count entries of a bundle, which share its memory.
// When the framing is broken it returns the entries before the break and a
// *framingError.
func splitBundle(bundle []byte, count int) ([][]byte, error) {
	entries := make([][]byte, 0, count)
	at := 0
	for len(entries) < count {
		rest := bundle[at:]
		if len(rest) < 2 {
			return entries, &framingError{len(entries), at, "the file ends before its length"}
		}
		n := int(binary.BigEndian.Uint16(rest))
		if len(rest) < 2+n {
			return entries, &framingError{len(entries), at, fmt.Sprintf("length %d passes the end of the file", n)}
		}
		entries = append(entries, rest[2:2+n:2+n])
		at += 2 + n
	}
	if at != len(bundle) {
		return entries, &framingError{count, at, fmt.Sprintf("%d bytes after the last entry", len(bundle)-at)}
	}
	return entries, nil
}

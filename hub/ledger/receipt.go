package ledger

import (
	"encoding/base64"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/trialmesh/trialmesh/federation/cosign"
)

// Receipt proves offline that one entry is in the log (C2SP tlog-proof v1). Files that
// hold one end in ".tlog-proof".
type Receipt struct {
	// Extra is the extra data, nil for none: here the entry itself, so that a receipt
	// needs no other file. No signature covers it; [Receipt.Verify] proves it.
	Extra []byte

	Index      int64  // index of the entry
	Path       []Hash // RFC 6962 audit path, from the leaf's sibling to the root's child
	Checkpoint []byte // signed checkpoint
}

const (
	receiptHeader = "c2sp.org/tlog-proof@v1"

	// maxReceipt bounds a receipt in bytes: the checkpoint, at most 63 hashes, and
	// extra data that others may have put in.
	maxReceipt = cosign.MaxNote + 1<<17
)

// Marshal returns the text form.
func (r Receipt) Marshal() []byte {
	var b strings.Builder
	b.WriteString(receiptHeader + "\n")
	if r.Extra != nil {
		fmt.Fprintf(&b, "extra %s\n", base64.StdEncoding.EncodeToString(r.Extra))
	}
	fmt.Fprintf(&b, "index %d\n", r.Index)
	for _, h := range r.Path {
		fmt.Fprintf(&b, "%s\n", h)
	}
	b.WriteByte('\n')
	b.Write(r.Checkpoint)
	return []byte(b.String())
}

// ParseReceipt reads the text form. It verifies nothing; see [Receipt.Verify].
func ParseReceipt(text []byte) (Receipt, error) {
	if len(text) > maxReceipt {
		return Receipt{}, fmt.Errorf("ledger: receipt of %d bytes", len(text))
	}
	head, checkpoint, found := strings.Cut(string(text), "\n\n")
	if !found {
		return Receipt{}, errors.New("ledger: receipt without checkpoint")
	}
	lines := strings.Split(head, "\n")
	if lines[0] != receiptHeader {
		return Receipt{}, errors.New("ledger: not a tlog-proof of version 1")
	}
	lines = lines[1:]
	var extra []byte
	if len(lines) > 0 && strings.HasPrefix(lines[0], "extra ") {
		var err error
		if extra, err = base64.StdEncoding.DecodeString(lines[0][len("extra "):]); err != nil {
			return Receipt{}, errors.New("ledger: malformed extra line in receipt")
		}
		lines = lines[1:]
	}
	if len(lines) == 0 || len(lines) > 64 {
		return Receipt{}, errors.New("ledger: receipt without index or with too many hashes")
	}
	digits, ok := strings.CutPrefix(lines[0], "index ")
	index, err := strconv.ParseInt(digits, 10, 64)
	if !ok || err != nil || index < 0 || strconv.FormatInt(index, 10) != digits {
		return Receipt{}, errors.New("ledger: malformed index in receipt")
	}
	r := Receipt{Extra: extra, Index: index, Path: make([]Hash, 0, len(lines)-1), Checkpoint: []byte(checkpoint)}
	for i, line := range lines[1:] {
		h, err := cosign.ParseHash(line)
		if err != nil {
			return Receipt{}, fmt.Errorf("ledger: hash %d of receipt: %w", i, err)
		}
		r.Path = append(r.Path, h)
	}
	return r, nil
}

// Verify checks that entry is at r.Index of a log whose checkpoint trust accepts,
// and returns that checkpoint. It fails with [cosign.ErrUntrusted] for the checkpoint
// and [ErrDamaged] if the entry, the index or the path is not the one proven.
func (r Receipt) Verify(entry []byte, trust cosign.Trust) (cosign.Signed, error) {
	signed, err := trust.Open(r.Checkpoint)
	if err != nil {
		return cosign.Signed{}, fmt.Errorf("receipt of entry %d: %w", r.Index, err)
	}
	if r.Index < 0 || r.Index >= signed.Size {
		return cosign.Signed{}, fmt.Errorf("ledger: receipt of entry %d: log has %d: %w", r.Index, signed.Size, ErrDamaged)
	}
	if err := tlog.CheckRecord(r.Path, signed.Size, signed.Root, r.Index, tlog.RecordHash(entry)); err != nil {
		return cosign.Signed{}, fmt.Errorf("ledger: receipt of entry %d: entry is not at this place of the log: %w", r.Index, ErrDamaged)
	}
	return signed, nil
}

package evidence

import (
	"context"
	"fmt"
	"strings"

	"github.com/trialmesh/trialmesh/hub/ledger"
	entry "github.com/trialmesh/trialmesh/protocol/ledger"
	"github.com/trialmesh/trialmesh/protocol/query"
)

// receiptNames are the files of the receipts of a question.
var receiptNames = map[entry.Kind]string{
	entry.QuestionAsked:    "question.tlog-proof",
	entry.QuestionAnswered: "result.tlog-proof",
}

// Receipts returns the receipts of a question and of its result, if there is one, by
// file name. Each is a C2SP tlog-proof with its entry, and needs nothing else than
// the trust document; see [VerifyReceipt].
func Receipts(ctx context.Context, src Source, trust Trust, id query.ID) (map[string][]byte, error) {
	view, err := ledger.Open(ctx, src, trust.log())
	if err != nil {
		return nil, fmt.Errorf("receipts of question %s: %w", id, err)
	}
	files, index := make(map[string][]byte), int64(-1)
	for raw, err := range view.Entries(ctx, 0, view.Checkpoint().Size) {
		if err != nil {
			return nil, fmt.Errorf("receipts of question %s: %w", id, err)
		}
		index++
		e, err := entry.Parse(raw)
		name := receiptNames[e.Kind]
		if err != nil || name == "" || e.Subject != id.String() || files[name] != nil {
			continue
		}
		receipt, err := view.Receipt(ctx, index)
		if err != nil {
			return nil, fmt.Errorf("receipts of question %s: %w", id, err)
		}
		receipt.Extra = raw
		files[name] = receipt.Marshal()
	}
	if len(files) == 0 {
		return nil, fmt.Errorf("receipts of question %s: %w", id, ErrUnasked)
	}
	return files, nil
}

// VerifyReceipt checks a receipt that holds its entry. It needs no source.
func VerifyReceipt(raw []byte, trust Trust) (Report, error) {
	var report Report
	if err := trust.Validate(); err != nil {
		return report, err
	}
	receipt, err := ledger.ParseReceipt(raw)
	if err != nil {
		return report, err
	}
	subject := fmt.Sprintf("entry %d", receipt.Index)
	signed, err := receipt.Verify(receipt.Extra, trust.log())
	if err != nil {
		report.fail(CheckReceipt, subject, "%v", err)
		return report, nil
	}
	report.Checkpoint = checkpointOf(signed.Checkpoint)
	e, err := entry.Parse(receipt.Extra)
	if err != nil {
		report.fail(CheckReceipt, subject, "%v", err)
		return report, nil
	}
	report.pass(CheckReceipt, subject, "%s on %s: subject %s, document %s, one of %d entries of %s%s",
		e.Kind, e.At.Format("2006-01-02 15:04:05 MST"), e.Subject, e.Digest, signed.Size, signed.Origin, countersigners(signed.Cosigners))
	return report, nil
}

func countersigners(names []string) string {
	if len(names) == 0 {
		return ""
	}
	return ", countersigned by " + strings.Join(names, ", ")
}

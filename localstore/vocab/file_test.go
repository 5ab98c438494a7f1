package vocab

import (
	"errors"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// FuzzTable reads arbitrary bytes as a concept file: rows have as many fields as
// the header, and whatever is refused is refused as malformed.
func FuzzTable(f *testing.F) {
	head := strings.Join(conceptFields, "\t") + "\n"
	f.Add([]byte(head + "1\tname\tDrug\tRxNorm\tx\tS\tA\t19700101\t20991231\t\n"))
	f.Add([]byte(strings.ReplaceAll(head, "\t", ",") + "1,\"a \"\"b\"\", c\",Drug,RxNorm,x,S,A,1970-01-01,2099-12-31,\n"))
	f.Add([]byte("\uFEFF" + strings.ToUpper(head) + "\r\n\r\n"))
	f.Add([]byte("a,b\n\"x\n"))
	f.Add([]byte{0, 0xff, '\n'})
	if real, err := os.ReadFile("testdata/comma/VOCABULARY.csv"); err == nil {
		f.Add(real)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		tab, err := newTable("CONCEPT", strings.NewReader(string(data)), conceptFields...)
		for err == nil {
			var ok bool
			if ok, err = tab.next(); !ok {
				break
			}
			var values []any
			if values, err = conceptRow(tab); err == nil {
				require.Len(t, values, len(conceptFields))
			}
		}
		if err != nil && !errors.Is(err, ErrFormat) {
			t.Fatalf("%v", err)
		}
	})
}

package pull

import (
	"runtime"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestEmptyEntriesTakeNoMemory counts a line that lists nothing, over and
// over.
func TestEmptyEntriesTakeNoMemory(t *testing.T) {
	const entries = 1 << 16
	for name, begin := range map[string]string{"deleted, malformed": `{"entry":[{}`, "server: malformed": `{"issue":[{}`} {
		line := begin + strings.Repeat(",{}", entries-1) + "]}\n"
		c := new(counter)
		use := c.deleted
		if strings.HasPrefix(name, "server") {
			use = c.outcome
		}
		w := c.lines(use)
		_, err := w.Write([]byte(line)) // the line itself is kept, once
		require.NoError(t, err)
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		_, err = w.Write([]byte(line))
		require.NoError(t, err)
		runtime.ReadMemStats(&after)
		require.Equal(t, map[string]int64{name: 2 * entries}, c.end())
		require.Less(t, after.TotalAlloc-before.TotalAlloc, uint64(6<<20), name)
	}
}

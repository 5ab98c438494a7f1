package cdmdb_test

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// TestRowsAreFoundByTheLinesOfTheCopy: also where a value has lines, and the key is not first.
func TestRowsAreFoundByTheLinesOfTheCopy(t *testing.T) {
	t.Parallel()
	engines(t, func(t *testing.T, address string) {
		run(t, address, `CREATE TABLE person (gender_source_value text, person_id text)`,
			"INSERT INTO person VALUES ('a', '7'), ('b\nc\n\nd', '-8'), ('\"e\"', '9'), ('f', 'A1')")
		tables, _, err := read(t, address, "")
		require.NoError(t, err)
		require.Equal(t, "person", tables[0].CDM())
		for _, c := range []struct {
			lines []int
			want  map[int]int64
		}{
			{nil, map[int]int64{}},
			{[]int{0, 1}, map[int]int64{}},
			{[]int{3, 2}, map[int]int64{2: 7, 3: -8}},
			{[]int{5, 7, 8, 99}, map[int]int64{7: 9}}, // 5 is within a value, and the key of 8 is no number
		} {
			column, keys, err := tables[0].Keys(c.lines)
			require.NoError(t, err)
			require.Equal(t, "person_id", column)
			require.Equal(t, c.want, keys, c.lines)
		}
	})
}

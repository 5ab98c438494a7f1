package members_test

import (
	"archive/tar"
	"cmp"
	"compress/gzip"
	"context"
	"crypto/md5" //nolint:gosec // the checksum that came with the rows
	"encoding/csv"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/trialmesh/trialmesh/node/events"
	"github.com/trialmesh/trialmesh/node/events/memory"
	"github.com/trialmesh/trialmesh/node/members"
	"github.com/trialmesh/trialmesh/protocol/cohort"
)

// definitions are those of the conformance, by data set and id.
var definitions = sync.OnceValues(func() (map[string]cohort.Definition, error) {
	file, err := os.Open("../../protocol/cohort/testdata/definitions.tar.gz")
	if err != nil {
		return nil, err
	}
	defer file.Close()
	zipped, err := gzip.NewReader(file)
	if err != nil {
		return nil, err
	}
	all := map[string]cohort.Definition{}
	for in := tar.NewReader(zipped); ; {
		header, err := in.Next()
		if err == io.EOF {
			return all, nil
		}
		if err != nil {
			return nil, err
		}
		if header.Typeflag != tar.TypeReg {
			continue
		}
		raw, err := io.ReadAll(in)
		if err != nil {
			return nil, err
		}
		d, err := cohort.Read(raw)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", header.Name, err)
		}
		all[strings.TrimSuffix(header.Name, ".json")] = d
	}
})

// expectation is what the reference gives for a definition on a data set.
type expectation struct {
	id, checksum     string
	entries, persons int
	dropped          []int64 // for whom the reference depends on the order of rows
}

func expected(t *testing.T, set string) []expectation {
	t.Helper()
	file, err := os.Open("testdata/expected.csv")
	require.NoError(t, err)
	defer file.Close()
	rows, err := csv.NewReader(file).ReadAll()
	require.NoError(t, err)
	var list []expectation
	for _, r := range rows[1:] {
		if r[0] != set {
			continue
		}
		e := expectation{id: r[1], checksum: r[4]}
		e.entries, _ = strconv.Atoi(r[2])
		e.persons, _ = strconv.Atoi(r[3])
		for _, id := range strings.Fields(r[5]) {
			n, err := strconv.ParseInt(id, 10, 64)
			require.NoError(t, err)
			e.dropped = append(e.dropped, n)
		}
		list = append(list, e)
	}
	return list
}

// data are the data sets, with the folder that the definitions of each are in.
var data = map[string]string{"gibleed": "library", "library": "library", "generated": "generated"}

// read reads a data set, with what all definitions for it need.
func read(t *testing.T, from memory.Tables, set string) (*memory.Source, *memory.Vocabulary) {
	t.Helper()
	all, err := definitions()
	require.NoError(t, err)
	var sets []cohort.ConceptSet
	needs := memory.Needs{}
	for name, d := range all {
		if path.Dir(name) != data[set] {
			continue
		}
		sets = append(sets, d.ConceptSets...)
		more, err := members.Needs(d)
		require.NoError(t, err, name)
		needs.Add(more)
	}
	vocabulary, err := memory.ReadVocabulary(t.Context(), from, sets)
	require.NoError(t, err)
	source, err := memory.Read(t.Context(), from, needs)
	require.NoError(t, err)
	return source, vocabulary
}

// loaded is a data set as it is read from its files, once for all tests.
type loaded struct {
	once       sync.Once
	source     *memory.Source
	vocabulary *memory.Vocabulary
}

var files = map[string]*loaded{"gibleed": {}, "library": {}, "generated": {}}

func readFiles(t *testing.T, set string) (*memory.Source, *memory.Vocabulary) {
	t.Helper()
	f := files[set]
	f.once.Do(func() { f.source, f.vocabulary = read(t, memory.Folder("testdata/"+set), set) })
	require.NotNil(t, f.source, "another test could not read it")
	return f.source, f.vocabulary
}

// lines are the entries of a result as the conformance writes them.
func lines(people *events.People, list []members.Entry, dropped []int64) (text string, persons int) {
	type entry struct {
		id         int64
		start, end string
	}
	var rows []entry
	for _, e := range list {
		if id := people.ID[e.Person]; !slices.Contains(dropped, id) {
			rows = append(rows, entry{id, e.Start.String(), e.End.String()})
		}
	}
	slices.SortFunc(rows, func(a, b entry) int {
		return cmp.Or(cmp.Compare(a.id, b.id), cmp.Compare(a.start, b.start), cmp.Compare(a.end, b.end))
	})
	var out strings.Builder
	for i, r := range rows {
		fmt.Fprintf(&out, "%d,%s,%s\n", r.id, r.start, r.end)
		if i == 0 || rows[i-1].id != r.id {
			persons++
		}
	}
	return out.String(), persons
}

func checksum(text string) string {
	sum := md5.Sum([]byte(text)) //nolint:gosec // as above
	return hex.EncodeToString(sum[:])
}

// TestDefinitionsHaveTheReferencesMembers evaluates all definitions on all data sets, with
// the attrition of those that have rules.
func TestDefinitionsHaveTheReferencesMembers(t *testing.T) {
	t.Parallel()
	all, err := definitions()
	require.NoError(t, err)
	for set, folder := range data {
		t.Run(set, func(t *testing.T) {
			t.Parallel()
			source, vocabulary := readFiles(t, set)
			attrition := attritions(t, set)
			found := 0
			for _, e := range expected(t, set) {
				d, ok := all[folder+"/"+e.id]
				require.True(t, ok, e.id)
				result, err := members.Evaluate(t.Context(), d, source, vocabulary, members.Options{Attrition: len(attrition) > 0})
				require.NoError(t, err, e.id)
				text, persons := lines(source.People(), result.Entries, e.dropped)
				require.Equal(t, e.checksum, checksum(text), "%s: %d entries of %d persons, not %d of %d", e.id, strings.Count(text, "\n"), persons, e.entries, e.persons)
				found += e.entries
				if want := attrition[e.id]; want != nil {
					require.Equal(t, want[0], result.Attrition.ByEvent, e.id)
					require.Equal(t, want[1], result.Attrition.ByBest, e.id)
				}
			}
			require.Positive(t, found)
		})
	}
}

// attritions are the counts by mask of the rules that hold: by event, then by best event.
func attritions(t *testing.T, set string) map[string][]map[uint64]int64 {
	t.Helper()
	file, err := os.Open("testdata/inclusion.csv")
	require.NoError(t, err)
	defer file.Close()
	rows, err := csv.NewReader(file).ReadAll()
	require.NoError(t, err)
	all := map[string][]map[uint64]int64{}
	for _, r := range rows[1:] {
		if r[0] != set {
			continue
		}
		if all[r[1]] == nil {
			all[r[1]] = []map[uint64]int64{{}, {}}
		}
		mode, err := strconv.Atoi(r[2])
		require.NoError(t, err)
		mask, err := strconv.ParseUint(r[3], 10, 64)
		require.NoError(t, err)
		n, err := strconv.ParseInt(r[4], 10, 64)
		require.NoError(t, err)
		all[r[1]][mode][mask] = n
	}
	return all
}

// unit is one of the reference's own tests.
type unit struct {
	ID         string                      `json:"id"`
	Tables     map[string][]map[string]any `json:"tables"`
	Expression json.RawMessage             `json:"expression"`
	Expected   [][]any                     `json:"expected"`
}

// inMemory are tables as maps of cells.
type inMemory map[string][]map[string]any

func (m inMemory) Open(_ context.Context, table string, columns []string) (io.ReadCloser, error) {
	rows, ok := m[table]
	if !ok {
		return nil, os.ErrNotExist
	}
	var text strings.Builder
	out := csv.NewWriter(&text)
	_ = out.Write(columns)
	for _, row := range rows {
		cells := make([]string, len(columns))
		for i, c := range columns {
			if v := row[c]; v != nil {
				cells[i] = fmt.Sprint(v)
			}
		}
		_ = out.Write(cells)
	}
	out.Flush()
	return io.NopCloser(strings.NewReader(text.String())), nil
}

func TestTheReferencesOwnTestsHold(t *testing.T) {
	t.Parallel()
	file, err := os.Open("testdata/units.json.gz")
	require.NoError(t, err)
	defer file.Close()
	zipped, err := gzip.NewReader(file)
	require.NoError(t, err)
	in := json.NewDecoder(zipped)
	in.UseNumber()
	var units []unit
	require.NoError(t, in.Decode(&units))
	require.Len(t, units, 60)
	for _, u := range units {
		d, err := cohort.Read(u.Expression)
		require.NoError(t, err, u.ID)
		vocabulary, err := memory.ReadVocabulary(t.Context(), inMemory(u.Tables), d.ConceptSets)
		require.NoError(t, err, u.ID)
		source, err := memory.Read(t.Context(), inMemory(u.Tables), nil)
		require.NoError(t, err, u.ID)
		result, err := members.Evaluate(t.Context(), d, source, vocabulary, members.Options{})
		require.NoError(t, err, u.ID)
		text, _ := lines(source.People(), result.Entries, nil)
		var want []string
		for _, row := range u.Expected {
			want = append(want, fmt.Sprintf("%v,%v,%v\n", row[0], row[1], row[2]))
		}
		slices.Sort(want)
		require.Equal(t, strings.Join(want, ""), text, u.ID)
	}
}

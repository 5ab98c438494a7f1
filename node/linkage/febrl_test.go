package linkage_test

import (
	"compress/gzip"
	"encoding/csv"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/trialmesh/trialmesh/node/linkage"
)

// febrlColumns are the columns of the Febrl data sets.
const febrlColumns = "given=given_name,family=surname,birth=date_of_birth,house=street_number,street=address_1,address=address_2," +
	"town=suburb,region=state,postcode,id=soc_sec_id"

// febrl is a data set with known answers: the records, and which person each is about.
type febrl struct {
	records []linkage.Record
	persons []string
}

func readFebrl(t testing.TB, path, columns string) febrl {
	t.Helper()
	wanted, err := linkage.ParseColumns(columns)
	require.NoError(t, err)
	text := unzip(t, path)
	var d febrl
	d.records, err = linkage.ReadCSV(strings.NewReader(text), wanted, linkage.NoOrder)
	require.NoError(t, err)
	rows, err := csv.NewReader(strings.NewReader(text)).ReadAll()
	require.NoError(t, err)
	for _, row := range rows[1:] {
		d.persons = append(d.persons, strings.Split(row[0], "-")[1])
	}
	require.Len(t, d.records, len(d.persons))
	return d
}

func unzip(t testing.TB, path string) string {
	t.Helper()
	f, err := os.Open(path)
	require.NoError(t, err)
	defer f.Close()
	r, err := gzip.NewReader(f)
	require.NoError(t, err)
	var text strings.Builder
	_, err = io.Copy(&text, r)
	require.NoError(t, err)
	return text.String()
}

// quality is what pairs are worth.
type quality struct{ found, right, wanted int }

func (q quality) precision() float64 { return float64(q.right) / float64(max(q.found, 1)) }
func (q quality) recall() float64    { return float64(q.right) / float64(max(q.wanted, 1)) }
func (q quality) f1() float64        { return 2 * float64(q.right) / float64(q.found+q.wanted) }

// judge compares pairs within a data set with the truth.
func (d febrl) judge(pairs []linkage.Pair) quality {
	q := quality{found: len(pairs)}
	seen := make(map[string]int)
	for _, person := range d.persons {
		q.wanted += seen[person]
		seen[person]++
	}
	for _, p := range pairs {
		if d.persons[p.A] == d.persons[p.B] {
			q.right++
		}
	}
	return q
}

// method is a way to find pairs within a list.
type method struct {
	name    string
	columns string
	find    func(t testing.TB, records []linkage.Record) []linkage.Pair
}

// methods are all ways that deploy/docs/linkage.md reports.
func methods() []method {
	probable := func(t testing.TB, records []linkage.Record) []linkage.Pair {
		found, err := linkage.Link(t.Context(), records, nil, linkage.DefaultThreshold)
		require.NoError(t, err)
		require.Zero(t, found.Skipped)
		return found.Pairs
	}
	exact := func(by ...linkage.Recipe) func(testing.TB, []linkage.Record) []linkage.Pair {
		return func(_ testing.TB, records []linkage.Record) []linkage.Pair {
			pairs, _ := linkage.Exact(records, nil, by)
			return pairs
		}
	}
	codes := func(c linkage.Coding, threshold float64) func(testing.TB, []linkage.Record) []linkage.Pair {
		return func(t testing.TB, records []linkage.Record) []linkage.Pair {
			pairs, err := linkage.Match(t.Context(), encode(t, c, records), nil, threshold)
			require.NoError(t, err)
			return pairs
		}
	}
	withoutID := strings.TrimSuffix(febrlColumns, ",id=soc_sec_id")
	list := []method{{"probability", febrlColumns, probable}, {"probability without id", withoutID, probable}}
	for _, recipe := range linkage.Recipes() {
		list = append(list, method{recipe.String(), febrlColumns, exact(recipe)})
	}
	return append(list,
		method{"all recipes", febrlColumns, exact(linkage.Recipes()...)},
		method{"all recipes without id", febrlColumns, exact(linkage.Recipes()[1:]...)},
		method{"codes 0.75", febrlColumns, codes(linkage.Coding{}, 0.75)},
		method{"codes 0.70", febrlColumns, codes(linkage.Coding{}, 0.70)},
		method{"codes flip 0.05 0.65", febrlColumns, codes(linkage.Coding{Flip: 0.05}, 0.65)},
		method{"codes salt 0.70", febrlColumns, codes(linkage.Coding{Salt: true}, 0.70)},
		method{"codes salt flip 0.02 0.65", febrlColumns, codes(linkage.Coding{Salt: true, Flip: 0.02}, 0.65)})
}

func encode(t testing.TB, c linkage.Coding, records []linkage.Record) []linkage.Code {
	t.Helper()
	c.Key, c.Noise = [32]byte{1}, [32]byte{2}
	e, err := linkage.NewEncoder(c)
	require.NoError(t, err)
	list := make([]linkage.Code, len(records))
	for i := range records {
		list[i] = e.Encode(&records[i])
	}
	return list
}

// The data's own README says 500 true pairs, 450 of them with an equal identifier.
func TestFebrl1(t *testing.T) {
	t.Parallel()
	want := map[string]quality{
		"probability":               {500, 500, 500},
		"probability without id":    {498, 498, 500},
		"id":                        {450, 450, 500},
		"names-birth":               {237, 237, 500},
		"sounds-birth":              {291, 291, 500},
		"names-address":             {165, 165, 500},
		"birth-address":             {191, 191, 500},
		"all recipes":               {483, 483, 500},
		"all recipes without id":    {350, 350, 500},
		"codes 0.75":                {474, 474, 500},
		"codes 0.70":                {492, 492, 500},
		"codes flip 0.05 0.65":      {493, 491, 500},
		"codes salt 0.70":           {442, 442, 500},
		"codes salt flip 0.02 0.65": {443, 443, 500},
	}
	for _, m := range methods() {
		t.Run(m.name, func(t *testing.T) {
			t.Parallel()
			d := readFebrl(t, "testdata/dataset1.csv.gz", m.columns)
			require.Equal(t, want[m.name], d.judge(m.find(t, d.records)))
		})
	}
}

// A model that is learned where nobody is twice must not invent pairs.
func TestNobodyIsTwiceAmongTheOriginals(t *testing.T) {
	t.Parallel()
	d := readFebrl(t, "testdata/dataset1.csv.gz", strings.TrimSuffix(febrlColumns, ",id=soc_sec_id"))
	seen := make(map[string]bool)
	var once []linkage.Record
	for i, person := range d.persons {
		if !seen[person] {
			once = append(once, d.records[i])
		}
		seen[person] = true
	}
	require.Len(t, once, 500)
	found, err := linkage.Link(t.Context(), once, nil, 0.5)
	require.NoError(t, err)
	require.Empty(t, found.Pairs)
}

// BenchmarkFebrl measures what deploy/docs/linkage.md reports. Set FEBRL to a folder
// with more sets of the collection, as gzip, that are lists with duplicates.
func BenchmarkFebrl(b *testing.B) {
	files := []string{"testdata/dataset1.csv.gz", "testdata/dataset3.csv.gz"}
	if folder := os.Getenv("FEBRL"); folder != "" {
		more, err := filepath.Glob(filepath.Join(folder, "*.csv.gz"))
		require.NoError(b, err)
		files = append(files, more...)
	}
	for _, file := range files {
		for _, m := range methods() {
			b.Run(strings.TrimSuffix(filepath.Base(file), ".csv.gz")+"/"+m.name, func(b *testing.B) {
				d := readFebrl(b, file, m.columns)
				var pairs []linkage.Pair
				for b.Loop() {
					pairs = m.find(b, d.records)
				}
				q := d.judge(pairs)
				b.ReportMetric(float64(q.found), "pairs")
				b.ReportMetric(q.precision(), "precision")
				b.ReportMetric(q.recall(), "recall")
				b.ReportMetric(q.f1(), "F1")
			})
		}
	}
}

func BenchmarkMatch(b *testing.B) {
	d := readFebrl(b, "testdata/dataset3.csv.gz", febrlColumns)
	codes := encode(b, linkage.Coding{}, d.records)
	for b.Loop() {
		_, err := linkage.Match(b.Context(), codes, nil, 0.7)
		require.NoError(b, err)
	}
	n := float64(len(codes))
	b.ReportMetric(n*(n-1)/2*float64(b.N)/b.Elapsed().Seconds(), "pairs/s")
}

func BenchmarkEncode(b *testing.B) {
	d := readFebrl(b, "testdata/dataset1.csv.gz", febrlColumns)
	for b.Loop() {
		encode(b, linkage.Coding{}, d.records)
	}
	b.ReportMetric(float64(len(d.records)*b.N)/b.Elapsed().Seconds(), "records/s")
}

package release

import (
	"context"
	"crypto/rand"
	"fmt"
	"maps"
	"math"
	"slices"

	"github.com/trialmesh/trialmesh/federation/analysis"
	"github.com/trialmesh/trialmesh/protocol/message"
)

// Numbers of events add up: of the days to 99 and from 101 on, and of all to 200, the third sum less the
// others is what happened on day 100. Each two of them differ in many persons' values, so that no
// comparison finds it. So of such measures the values themselves are kept, and a question is refused with
// which sums can be added and subtracted until all but few persons' values are gone.

// numbersOf begins the measure of the values of another measure, as they are kept.
const numbersOf = "numbers of "

// numbers are the values behind a sum, of whom it is not 0.
type numbers map[int64]float64

// kept writes them as persons and the bits of their values, in turn.
func (n numbers) kept() set {
	s := slices.Sorted(maps.Keys(n))
	both := make(set, 0, 2*len(s))
	for _, person := range s {
		both = append(both, person, int64(math.Float64bits(n[person]))) // #nosec G115 -- bits
	}
	return both
}

func parseNumbers(raw []byte) (numbers, error) {
	both, err := parseSet(raw)
	if err != nil {
		return nil, err
	}
	n := make(numbers, len(both)/2)
	for i := 0; i+1 < len(both); i += 2 {
		n[both[i]] = math.Float64frombits(uint64(both[i+1])) // #nosec G115 -- bits
	}
	return n, nil
}

// meansOf begins it where some of a question's values are means.
const meansOf = "means of "

// partsOfMeans are the parts in which measurements are added up, so that the mean of ten values or fewer of six
// decimals is a whole number of parts.
const partsOfMeans = 2520 * 1e6

// added are values that may add up to others.
type added struct {
	measure string
	parts   float64 // of one in which they are whole numbers, where some are means; 0 for those that are sums
	mean    bool    // of the answer's are
}

// mayAddUp returns the values of an answer that do.
func (a Answer) mayAddUp() (list []added) {
	for _, measure := range a.Additive {
		list = append(list, added{measure: measure})
	}
	for _, measure := range slices.Sorted(maps.Keys(a.Averaged)) {
		list = append(list, added{measure, partsOfMeans, a.Averaged[measure]})
	}
	return list
}

// under is where the answer's values are kept.
func (m added) under() string {
	if m.mean {
		return meansOf + m.measure
	}
	return numbersOf + m.measure
}

// addUp refuses if sums of the answer and earlier ones add up to something about few persons' values.
// It returns what is to be kept of the answer's.
func (d *decision) addUp(ctx context.Context, a Answer, shown analysis.Table) (keep []measureSet, err error) {
	for _, m := range a.mayAddUp() {
		var cells [][]Value
		for i, values := range a.Values[m.measure] {
			if a.Frame != nil || !shown.Cells[i].Withheld {
				cells = append(cells, values)
			}
		}
		fresh, err := m.numbers(cells)
		if err != nil {
			return nil, err
		}
		for i, n := range fresh {
			keep = append(keep, measureSet{measure: m.under(), cell: i, members: n.kept(), choice: true})
		}
		if d.q.Policy.MinDifference <= 1 || len(fresh) == 0 {
			continue
		}
		if found, err := d.addsUp(ctx, m, fresh); err != nil {
			return nil, err
		} else if found {
			return nil, ErrDifference.With("sums of " + d.answer.Columns[m.measure] + " and of others, of other days, concepts or of another of a person's values, add up to those of few persons; ask for the same as before")
		}
	}
	return keep, nil
}

// numbers returns the values behind each cell that has some, those of two alike once.
func (m added) numbers(cells [][]Value) (list []numbers, err error) {
	seen := make(map[message.Digest]bool)
	for _, values := range cells {
		n := make(numbers, len(values))
		for _, v := range values {
			person, err := numberOf(v.Person)
			if err != nil {
				return nil, err
			}
			number := v.Number
			if m.parts != 0 {
				number = math.Round(number * m.parts)
			}
			if number != 0 {
				n[person] = number
			}
		}
		if key := message.Sum(n.kept().bytes()); len(n) > 0 && !seen[key] {
			seen[key] = true
			list = append(list, n)
		}
	}
	return list, nil
}

// addsUp reports whether fresh values and earlier ones do. Single values of measurements do
// not, unless there are means of them.
func (d *decision) addsUp(ctx context.Context, m added, fresh []numbers) (bool, error) {
	earlier, err := d.readNumbers(ctx, numbersOf+m.measure)
	if err != nil {
		return false, err
	}
	if m.parts != 0 {
		means, err := d.readNumbers(ctx, meansOf+m.measure)
		if err != nil || !m.mean && len(means) == 0 {
			return false, err
		}
		earlier = append(earlier, means...)
	} else if powersDiffer(earlier, fresh, d.q.Policy.MinDifference) {
		return true, nil
	}
	return leaveFew(&d.spent, earlier, fresh, d.q.Policy.MinDifference)
}

// readNumbers returns the values behind sums that were let out.
func (d *decision) readNumbers(ctx context.Context, measure string) (list []numbers, err error) {
	rows, err := d.tx.Query(ctx, `SELECT DISTINCT members FROM release_set WHERE measure = ?`, measure)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var raw []byte
		if err := rows.Scan(&raw); err != nil {
			return nil, err
		}
		n, err := parseNumbers(raw)
		if err != nil {
			return nil, err
		}
		list = append(list, n)
	}
	return list, rows.Err()
}

// leaveFew reports whether fresh sums, with those before, can be added and subtracted until fewer than
// least persons' values are left, but some; see [infers].
func leaveFew(spent *int, earlier, fresh []numbers, least int) (bool, error) {
	prime, err := rand.Prime(rand.Reader, 61)
	if err != nil {
		return false, fmt.Errorf("release: draw a prime: %w", err)
	}
	s := search{field: field{prime.Uint64(), spent}}
	sums := slices.Concat(earlier, fresh)
	columns := s.field.columnsOf(sums)
	if len(columns)*len(sums) > maxAuditedCells {
		return false, ErrAudit
	}
	b := basis{field: s.field, columns: len(columns)}
	for i := range sums {
		row := make([]uint64, len(columns)+len(fresh))
		for c, column := range columns {
			row[c] = column.values[i]
		}
		if i >= len(earlier) {
			row[len(columns)+i-len(earlier)] = 1
		}
		if b.add(row); s.over() {
			return false, ErrAudit
		}
	}
	for _, column := range columns {
		s.sizes = append(s.sizes, column.persons)
	}
	return s.light(b.rows, least-1)
}

// fourPowers of a column of numbers are what a description tells.
const fourPowers = 4

// powersDiffer reports whether the powers of a fresh sum's values less those of another are about fewer
// than least persons, but some. Of values that end at 6 and at 8, sums and squares differ by how many
// have 7 and how many 8.
func powersDiffer(earlier, fresh []numbers, least int) bool {
	for i, one := range fresh {
		for _, other := range slices.Concat(earlier, fresh[:i]) {
			both := make(map[[2]float64]int) // persons by their two values
			count := func(person int64) {
				if pair := [2]float64{one[person], other[person]}; pair[0] != pair[1] {
					both[pair]++
				}
			}
			for person := range one {
				count(person)
			}
			for person := range other {
				if one[person] == 0 {
					count(person)
				}
			}
			if analysis.PowersTellFew(slices.Collect(maps.Values(both)), fourPowers, least) {
				return true
			}
		}
	}
	return false
}

// numberColumn are persons who have the same value in each sum.
type numberColumn struct {
	values  []uint64
	persons int
}

// columnsOf returns the columns of the sums' values, those of most persons first.
func (f field) columnsOf(sums []numbers) (columns []numberColumn) {
	persons := make(map[int64][]uint64)
	var order set
	for i, n := range sums {
		for person, v := range n {
			if persons[person] == nil {
				persons[person] = make([]uint64, len(sums))
				order = append(order, person)
			}
			persons[person][i] = f.of(v)
		}
	}
	slices.Sort(order)
	at := make(map[string]int)
	for _, person := range order {
		key := string(wordsToBytes(persons[person]))
		c, there := at[key]
		if !there {
			c = len(columns)
			at[key] = c
			columns = append(columns, numberColumn{values: persons[person]})
		}
		columns[c].persons++
	}
	slices.SortStableFunc(columns, func(a, b numberColumn) int { return b.persons - a.persons })
	return columns
}

// of returns a number as one of the field: its digits times a power of two.
func (f field) of(v float64) uint64 {
	const digits = 53
	if v >= 0 && v < 1<<digits && v == math.Trunc(v) {
		return uint64(v)
	}
	fraction, exponent := math.Frexp(math.Abs(v))
	out := uint64(fraction*(1<<digits)) % f.prime
	by := uint64(2)
	if exponent -= digits; exponent < 0 {
		by, exponent = f.inverse(2), -exponent
	}
	for range exponent {
		out = f.mul(out, by)
	}
	if v < 0 {
		return f.prime - out
	}
	return out
}

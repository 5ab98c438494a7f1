package release

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/binary"
	"fmt"
	"iter"
	"maps"
	"math"
	"slices"

	"github.com/trialmesh/trialmesh/federation/analysis"
)

// Numbers of events add up: of the days to 99 and from 101 on, and of all to 200, the third sum less the
// others is what happened on day 100. Each two of them differ in many persons' values, so that no
// comparison finds it. So of such measures the values themselves are kept, and a question is refused with
// which sums can be added and subtracted until all but few persons' values are gone.

// numbersOf begins the measure of the values of another measure, as they are kept.
const numbersOf = "numbers of "

// numbers are the values behind a sum, of whom it is not 0.
type numbers struct {
	persons set
	values  []float64
}

// kept writes them as persons and the bits of their values, in turn.
func (n numbers) kept() set {
	both := make(set, 0, 2*len(n.persons))
	for i, person := range n.persons {
		both = append(both, person, int64(math.Float64bits(n.values[i]))) // #nosec G115 -- bits
	}
	return both
}

func parseNumbers(raw []byte) (n numbers, err error) {
	both, err := parseSet(raw)
	if err != nil {
		return n, err
	}
	n = numbers{make(set, 0, len(both)/2), make([]float64, 0, len(both)/2)}
	for i := 0; i+1 < len(both); i += 2 {
		n.persons, n.values = append(n.persons, both[i]), append(n.values, math.Float64frombits(uint64(both[i+1]))) // #nosec G115 -- bits
	}
	return n, nil
}

func (n numbers) equal(other numbers) bool {
	return slices.Equal(n.values, other.values) && slices.Equal(n.persons, other.persons)
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
	for _, values := range cells {
		n, err := m.of(values)
		if err != nil {
			return nil, err
		}
		if len(n.persons) > 0 && !slices.ContainsFunc(list, n.equal) {
			list = append(list, n)
		}
	}
	return list, nil
}

func (m added) of(values []Value) (n numbers, err error) {
	type one struct {
		person int64
		number float64
	}
	var all []one
	for _, v := range values {
		person, err := numberOf(v.Person)
		if err != nil {
			return n, err
		}
		number := v.Number
		if m.parts != 0 {
			number = math.Round(number * m.parts)
		}
		if number != 0 {
			all = append(all, one{person, number})
		}
	}
	slices.SortFunc(all, func(a, b one) int { return cmp.Compare(a.person, b.person) })
	for _, v := range all {
		n.persons, n.values = append(n.persons, v.person), append(n.values, v.number)
	}
	return n, nil
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
	} else if powersDiffer(&d.spent, earlier, fresh, d.q.Policy.MinDifference) {
		return true, nil
	}
	if len(earlier) > 0 && d.spent > maxAuditWork {
		return false, ErrAudit
	}
	return leaveFew(&d.spent, earlier, fresh, d.q.Policy.MinDifference)
}

// readTakes are the multiplications that take as long as reading a value.
const readTakes = 4

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
		if d.spent += readTakes * len(n.persons); d.spent > maxAuditWork {
			return nil, ErrAudit
		}
		list = append(list, n)
	}
	return list, rows.Err()
}

// leaveFew reports whether fresh sums, with those before, can be added and subtracted until fewer than
// least persons' values are left, but some; see [infers].
func leaveFew(spent *int, earlier, fresh []numbers, least int) (bool, error) {
	var sums []numbers // each once
	var persons []set
	known := 0
	for i, n := range slices.Concat(earlier, fresh) {
		if slices.ContainsFunc(sums, n.equal) {
			continue
		}
		*spent += len(n.persons)
		if sums, persons = append(sums, n), append(persons, n.persons); i < len(earlier) {
			known++
		}
	}
	// Sums of values of nobody in common, directly or over others, tell nothing together.
	for _, part := range connected(persons) {
		first := slices.IndexFunc(part, func(i int) bool { return i >= known })
		if first < 0 {
			continue // nothing that was not released before
		}
		together := make([]numbers, len(part))
		for i, at := range part {
			together[i] = sums[at]
		}
		if found, err := leaveFewOf(spent, together, first, least); found || err != nil {
			return found, err
		}
	}
	return false, nil
}

// leaveFewOf is leaveFew for different sums of which the first known are not fresh.
func leaveFewOf(spent *int, sums []numbers, known, least int) (bool, error) {
	if len(sums) == 1 {
		n := len(sums[0].persons)
		return 0 < n && n < least, nil
	}
	if len(sums) > maxAuditedSets {
		return false, ErrAudit
	}
	prime, err := rand.Prime(rand.Reader, 61)
	if err != nil {
		return false, fmt.Errorf("release: draw a prime: %w", err)
	}
	s := search{field: field{prime.Uint64(), spent}}
	// Few columns of each kind are nearly always enough. Those left out can only make a vector heavier, so
	// that what is found without them may be nothing: then all have to be searched. What is given without
	// them is looked at with all persons, and where it is not so for some they are a kind.
	most := maxAuditedCells / len(sums)
	few := columnsKept{most: min(most, max(4096, maxAuditWork/4/len(sums)/len(sums))), ofKind: fewOfKind * len(sums)}
	for range givenRounds {
		columns, all, so := s.field.columnsOf(sums, few)
		if len(few.given) > 0 && so {
			return false, nil
		}
		space, given, err := s.valueSpace(columns, len(sums), known)
		if err != nil {
			return false, err
		}
		found, err := s.light(space, least-1)
		if err != nil || all || !found && len(given) == 0 {
			return found, err
		}
		if found {
			break
		}
		few.given, few.looked = append(few.given, given...), len(few.given)
	}
	columns, all, _ := s.field.columnsOf(sums, columnsKept{most: most, ofKind: most})
	if s.over() || !all {
		return false, ErrAudit
	}
	space, _, err := s.valueSpace(columns, len(sums), known)
	if err != nil {
		return false, err
	}
	return s.light(space, least-1)
}

// givenRounds bounds how often columns are chosen anew.
const givenRounds = 4

// valueSpace is [search.space] for columns of values. For each fresh sum that
// others give it returns the factors by which all add up to nothing.
func (s *search) valueSpace(columns []numberColumn, sums, known int) (rows, given [][]uint64, err error) {
	s.sizes = nil
	for _, column := range columns {
		s.sizes = append(s.sizes, column.persons)
	}
	b := basis{field: s.field, columns: len(columns)}
	for i := range sums {
		row := make([]uint64, len(columns)+sums)
		for c, column := range columns {
			row[c] = column.values[i]
		}
		row[len(columns)+i] = 1
		if !b.add(row) && i >= known {
			given = append(given, row[len(columns):])
		}
		if s.over() {
			return nil, nil, ErrAudit
		}
	}
	for _, row := range b.rows {
		rows = append(rows, slices.Delete(row, len(columns), len(columns)+known))
	}
	return rows, given, nil
}

// fourPowers of a column of numbers are what a description tells.
const fourPowers = 4

// powersDiffer reports whether the powers of a fresh sum's values less those of another are about fewer
// than least persons, but some. Of values that end at 6 and at 8, sums and squares differ by how many
// have 7 and how many 8. What it costs is added to spent.
func powersDiffer(spent *int, earlier, fresh []numbers, least int) bool {
	for i, one := range fresh {
		for _, other := range slices.Concat(earlier, fresh[:i]) {
			if rows := differences(spent, one, other, least); analysis.PowersTellFew(rows, fourPowers, least) {
				return true
			}
		}
	}
	return false
}

// differences returns how many persons have each two values that differ, as far as it takes to say that their
// powers do not tell few: with more persons there are no fewer but for the most frequent values.
func differences(spent *int, one, other numbers, least int) (rows []int) {
	place := make(map[[2]float64]int)
	differ, look := 0, 64 // at the rows so far, once so many differ
	for pair := range together([]numbers{one, other}) {
		*spent++
		if pair[0] == pair[1] {
			continue
		}
		at, known := place[[2]float64(pair)]
		if !known {
			at = len(rows)
			rows, place[[2]float64(pair)] = append(rows, 0), at
		}
		rows[at]++
		if differ++; differ == look {
			if look *= 2; manyOthers(rows, least) {
				break
			}
		}
	}
	return rows
}

// manyOthers reports whether there are least persons or more besides those with the values that the powers can
// tell apart.
func manyOthers(rows []int, least int) bool {
	if len(rows) <= fourPowers {
		return false
	}
	sorted := slices.Sorted(slices.Values(rows))
	others := 0
	for _, n := range sorted[:len(sorted)-fourPowers+1] {
		others += n
	}
	return others >= least
}

// together yields the values of each person who has one, in each of the sums.
func together(sums []numbers) iter.Seq[[]float64] {
	return func(yield func([]float64) bool) {
		at, row := make([]int, len(sums)), make([]float64, len(sums))
		for {
			next, some := int64(0), false
			for i, n := range sums {
				if at[i] < len(n.persons) && (!some || n.persons[at[i]] < next) {
					next, some = n.persons[at[i]], true
				}
			}
			if !some {
				return
			}
			for i, n := range sums {
				row[i] = 0
				if at[i] < len(n.persons) && n.persons[at[i]] == next {
					row[i] = n.values[at[i]]
					at[i]++
				}
			}
			if !yield(row) {
				return
			}
		}
	}
}

// numberColumn are persons who have the same value in each sum.
type numberColumn struct {
	values  []uint64
	persons int
}

// columnsKept are how many columns are searched, and how many of them that are of one kind: that lack the same
// sums, change from one sum to the next alike and are in the same of some sums that seemed to be nothing.
type columnsKept struct {
	most, ofKind int
	given        [][]uint64 // factors of the sums
	looked       int        // given that were looked at before
}

// fewOfKind are of them, for each sum, more than enough to tell that the others do not add up to it by chance.
const fewOfKind = 64

// columnsOf returns the columns of the sums' values, those of most persons first, whether they are all,
// and whether what was given by those before is given by all persons.
func (f field) columnsOf(sums []numbers, keep columnsKept) (columns []numberColumn, all, so bool) {
	at, kinds := make(map[string]int), make(map[string]int)
	key, kind := make([]byte, 8*len(sums)), make([]byte, len(sums)+1)
	values := make([]uint64, len(sums))
	all, so = true, true
	for row := range together(sums) {
		*f.spent += len(sums)
		last := 0.0
		for i, v := range row {
			binary.LittleEndian.PutUint64(key[8*i:], math.Float64bits(v))
			switch kind[i] = 0; v {
			case 0:
			case last:
				kind[i] = 1
			default:
				kind[i], last = 2, v
			}
		}
		c, there := at[string(key)]
		if !there {
			for i, v := range row {
				values[i] = f.of(v)
			}
			kind[len(sums)] = 0
			for i, factors := range keep.given {
				if f.product(factors, values) != 0 {
					kind[len(sums)] = byte(i%255 + 1)
					so = so && i < keep.looked
				}
			}
			if len(columns) == keep.most || kinds[string(kind)] == keep.ofKind {
				all = false
				continue
			}
			kinds[string(kind)]++
			c = len(columns)
			at[string(key)] = c
			columns = append(columns, numberColumn{values: slices.Clone(values)})
		}
		columns[c].persons++
	}
	slices.SortStableFunc(columns, func(a, b numberColumn) int { return b.persons - a.persons })
	return columns, all, so
}

// product returns the sum of the products of each two.
func (f field) product(factors, values []uint64) (sum uint64) {
	*f.spent += len(values)
	for i, v := range values {
		if v != 0 && factors[i] != 0 {
			sum = (sum + f.mul(factors[i], v)) % f.prime
		}
	}
	return sum
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

package analysis

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"math"
	"slices"
)

// Limits of a frame.
const (
	MaxColumns = 64 // columns of one frame
	MaxLevels  = 64 // levels of one factor
)

// ColumnKind is what the values of a column are.
type ColumnKind string

// The kinds of columns.
const (
	// Numeric values lie within Low and High.
	Numeric ColumnKind = "numeric"
	// Factor values are indexes into Levels; the first level is the reference.
	Factor ColumnKind = "factor"
	// Logical values are 0 for false and 1 for true.
	Logical ColumnKind = "logical"
)

// Column declares one column of a [Frame]. All of it is part of the question and
// says nothing about a site. Weights, offsets, times and strata are columns like
// any other: a method names the ones that it takes for such.
type Column struct {
	Name string     `json:"name"`
	Kind ColumnKind `json:"kind"`

	// Levels of a factor, in order, whether or not a site has them.
	Levels []string `json:"levels,omitempty"`

	// Low and High bound a numeric column's values, Low < High.
	Low  float64 `json:"low,omitempty"`
	High float64 `json:"high,omitempty"`
}

func (c Column) validate() error {
	if c.Name == "" || len(c.Name) > MaxName {
		return fmt.Errorf("the name must have 1 to %d bytes", MaxName)
	}
	switch c.Kind {
	case Numeric:
		if !(c.Low < c.High) || math.IsInf(c.Low, 0) || math.IsInf(c.High, 0) {
			return fmt.Errorf("column %s: the plausible range must be finite, with low below high", c.Name)
		}
	case Factor:
		if len(c.Levels) == 0 || len(c.Levels) > MaxLevels {
			return fmt.Errorf("column %s: %d levels, want 1 to %d", c.Name, len(c.Levels), MaxLevels)
		}
		for i, l := range c.Levels {
			if l == "" || len(l) > MaxName || slices.Contains(c.Levels[:i], l) {
				return fmt.Errorf("column %s, level %d: the name must be unique, of 1 to %d bytes", c.Name, i, MaxName)
			}
		}
	case Logical:
	default:
		return fmt.Errorf("column %s: the kind must be numeric, factor or logical", c.Name)
	}
	return nil
}

// holds reports whether v can stand in the column, as a value that is not missing.
func (c Column) holds(v float64) bool {
	switch c.Kind {
	case Numeric:
		return c.Low <= v && v <= c.High
	case Factor:
		return v == math.Trunc(v) && 0 <= v && v < float64(len(c.Levels))
	default:
		return v == 0 || v == 1
	}
}

// Frame is a site's data as a method sees it: typed columns of one length, a row for
// each person (or each interval of a person). It must not leave the site and does not
// print or marshal. NaN stands for a missing value, R's NA.
type Frame struct {
	columns []Column
	values  [][]float64 // by column
	rows    int
}

// NewFrame returns a frame without rows.
func NewFrame(columns []Column) (*Frame, error) {
	if len(columns) == 0 || len(columns) > MaxColumns {
		return nil, fmt.Errorf("frame: %d columns, want 1 to %d", len(columns), MaxColumns)
	}
	for i, c := range columns {
		if err := c.validate(); err != nil {
			return nil, fmt.Errorf("frame: column %d: %w", i, err)
		}
		if slices.ContainsFunc(columns[:i], func(o Column) bool { return o.Name == c.Name }) {
			return nil, fmt.Errorf("frame: column %s stands twice", c.Name)
		}
	}
	return &Frame{columns: slices.Clone(columns), values: make([][]float64, len(columns))}, nil
}

// Append adds a row: one value a column, NaN where it is missing. It refuses values
// that the column's declaration does not allow, which are the caller's to keep out.
func (f *Frame) Append(row []float64) error {
	if len(row) != len(f.columns) {
		return fmt.Errorf("frame: row %d: %d values for %d columns", f.rows, len(row), len(f.columns))
	}
	if f.rows == MaxPersons {
		return fmt.Errorf("frame: more than %d rows", MaxPersons)
	}
	for i, v := range row {
		if !math.IsNaN(v) && !f.columns[i].holds(v) {
			return fmt.Errorf("frame: row %d: the value of column %s is not one of its declaration", f.rows, f.columns[i].Name)
		}
	}
	for i, v := range row {
		f.values[i] = append(f.values[i], v)
	}
	f.rows++
	return nil
}

// Len returns the number of rows.
func (f *Frame) Len() int { return f.rows }

// Columns returns the declarations.
func (f *Frame) Columns() []Column { return slices.Clone(f.columns) }

// Values returns a column's values, by row, or nil if there is none of that name.
// They are not to be changed.
func (f *Frame) Values(name string) []float64 {
	for i, c := range f.columns {
		if c.Name == name {
			return f.values[i][:f.rows:f.rows]
		}
	}
	return nil
}

// Complete returns the given columns of the rows in which none of them is missing, and
// the indexes of these rows in f: R's na.omit. It fails if a column is not in the
// frame as declared.
func (f *Frame) Complete(columns []Column) (*Frame, []int, error) {
	out, err := NewFrame(columns)
	if err != nil {
		return nil, nil, err
	}
	from := make([]int, len(columns))
	for i, c := range columns {
		from[i] = slices.IndexFunc(f.columns, c.same)
		if from[i] < 0 {
			return nil, nil, fmt.Errorf("frame: there is no column %s as declared", c.Name)
		}
	}
	var kept []int
	for row := range f.rows {
		if !slices.ContainsFunc(from, func(c int) bool { return math.IsNaN(f.values[c][row]) }) {
			kept = append(kept, row)
		}
	}
	for i, c := range from {
		out.values[i] = make([]float64, len(kept))
		for k, row := range kept {
			out.values[i][k] = f.values[c][row]
		}
	}
	out.rows = len(kept)
	return out, kept, nil
}

// pick returns the given columns of all rows. It fails if a column is not in the frame as
// declared.
func (f *Frame) pick(columns []Column) (*Frame, error) {
	out, err := NewFrame(columns)
	if err != nil {
		return nil, err
	}
	for i, c := range columns {
		from := slices.IndexFunc(f.columns, c.same)
		if from < 0 {
			return nil, fmt.Errorf("frame: there is no column %s as declared", c.Name)
		}
		out.values[i] = f.values[from]
	}
	out.rows = f.rows
	return out, nil
}

func (c Column) same(o Column) bool {
	return c.Name == o.Name && c.Kind == o.Kind && c.Low == o.Low && c.High == o.High && slices.Equal(c.Levels, o.Levels)
}

// Format hides the frame.
func (Frame) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, "frame:redacted") }

// MarshalJSON refuses.
func (Frame) MarshalJSON() ([]byte, error) {
	return nil, errors.New("analysis: a Frame must not leave the site")
}

// Bits returns the values, column after column, for the site's own store.
func (f *Frame) Bits() []uint64 {
	out := make([]uint64, 0, len(f.columns)*f.rows)
	for _, values := range f.values {
		for _, v := range values {
			out = append(out, math.Float64bits(v))
		}
	}
	return out
}

// FrameOf returns the frame that Bits were taken of.
func FrameOf(columns []Column, bits []uint64) (*Frame, error) {
	f, err := NewFrame(columns)
	if err != nil {
		return nil, err
	}
	if len(bits)%len(columns) != 0 {
		return nil, errors.New("frame: the stored values are of other columns")
	}
	rows := len(bits) / len(columns)
	row := make([]float64, len(columns))
	for i := range rows {
		for c := range columns {
			row[c] = math.Float64frombits(bits[c*rows+i])
		}
		if err := f.Append(row); err != nil {
			return nil, err
		}
	}
	return f, nil
}

// Crossing returns the rows of each combination of levels, over the factors and logical
// columns of those given, that some row has. The combinations are in order, the last column
// fastest; a row that misses a level is in none. Without such columns all rows are one
// combination.
func (f *Frame) Crossing(columns []Column) [][]int {
	var levels [][]float64
	for _, c := range columns {
		if c.levels() != nil {
			levels = append(levels, f.Values(c.Name))
		}
	}
	cells := make(map[string][]int)
	key := make([]byte, len(levels))
rows:
	for row := range f.rows {
		for i, values := range levels {
			if math.IsNaN(values[row]) {
				continue rows
			}
			key[i] = byte(values[row]) // below MaxLevels
		}
		cells[string(key)] = append(cells[string(key)], row)
	}
	out := make([][]int, 0, len(cells))
	for _, key := range slices.Sorted(maps.Keys(cells)) {
		out = append(out, cells[key])
	}
	return out
}

// Odd are the rows of a numeric column in which most rows have one value, and these another.
type Odd struct {
	Column string
	Rows   []int
}

// Odd returns, for each numeric column but those named of which half or more of some rows have
// one value, the rows that have another. Sums less that value are about them alone.
func (f *Frame) Odd(rows []int, but []string) (odd []Odd) {
	for i, c := range f.columns {
		if c.Kind != Numeric || slices.Contains(but, c.Name) {
			continue
		}
		with := make(map[float64]int)
		most := math.NaN()
		for _, row := range rows {
			v := f.values[i][row]
			if with[v]++; math.IsNaN(most) || with[v] > with[most] || with[v] == with[most] && v < most {
				most = v
			}
		}
		if n := with[most]; n < len(rows) && 2*n >= len(rows) {
			odd = append(odd, Odd{c.Name, slices.DeleteFunc(slices.Clone(rows), func(row int) bool { return f.values[i][row] == most })})
		}
	}
	return odd
}

// powersOf is in how many sums a column is by itself: a description has their number and four powers.
const powersOf = 5

// TellsFew returns the columns by which sums over some rows of products and powers of numeric
// columns, but those named, would be about some of them but fewer than least: those that are odd
// in the same columns, those with one of few values, or with none of four that nearly all have.
// Without any, they are about more.
func (f *Frame) TellsFew(rows []int, but []string, least int) (columns []string) {
	in := make(map[int]string) // the columns in which a row is odd
	list := f.Odd(rows, but)
	for _, odd := range list {
		for _, row := range odd.Rows {
			in[row] += " " + odd.Column
		}
	}
	alike := make(map[string]int)
	for _, row := range rows {
		alike[in[row]]++
	}
	few := func(n int) bool { return n < least }
	if slices.ContainsFunc(slices.Collect(maps.Values(alike)), few) {
		for _, odd := range list {
			columns = append(columns, odd.Column)
		}
		return columns
	}
	for i, c := range f.columns {
		if c.Kind != Numeric || slices.Contains(but, c.Name) {
			continue
		}
		with := make(map[float64]int)
		for _, row := range rows {
			with[f.values[i][row]]++
		}
		if PowersTellFew(slices.Collect(maps.Values(with)), powersOf, least) {
			return []string{c.Name}
		}
	}
	return nil
}

// PowersTellFew reports whether so many sums over rows, of which some have each number, are about
// fewer than least of them. As many sums as there are numbers tell how many rows have each. Of more
// numbers all but one of as many as there are sums can be made 0: if those make up nearly all rows, the
// sums are about the others.
func PowersTellFew(rows []int, sums, least int) bool {
	slices.SortFunc(rows, func(a, b int) int { return b - a })
	if len(rows) <= sums {
		return len(rows) > 1 && rows[len(rows)-1] < least
	}
	all, others := 0, 0
	for i, n := range rows {
		if all += n; i >= sums-1 {
			others += n
		}
	}
	return others < least && nearlyAll*others <= all
}

// nearlyAll are all but one in so many.
const nearlyAll = 10

// LargestShare returns the greatest share, 0 to 1, that one of some rows has in a numeric
// column's sum of magnitudes over them, or of a power of the distances from the mean in one that
// is not named, and in which column. Where most of the squares are one row's, a regression's fit
// to the row is its response.
func (f *Frame) LargestShare(rows []int, power float64, but []string) (share float64, column string) {
	for i, c := range f.columns {
		if c.Kind != Numeric {
			continue
		}
		values := make([]float64, 0, len(rows))
		for _, row := range rows {
			if v := f.values[i][row]; !math.IsNaN(v) {
				values = append(values, v)
			}
		}
		mean := 0.0
		for _, v := range values {
			mean += v / float64(len(values))
		}
		most := largest(values, math.Abs)
		if !slices.Contains(but, c.Name) {
			most = max(most, largest(values, func(v float64) float64 { return math.Pow(math.Abs(v-mean), power) }))
		}
		if most > share {
			share, column = most, c.Name
		}
	}
	return share, column
}

// largest returns the greatest share of a value in the sum of what each counts.
func largest(values []float64, count func(float64) float64) float64 {
	sum, most := 0.0, 0.0
	for _, v := range values {
		n := count(v)
		sum, most = sum+n, max(most, n)
	}
	if sum == 0 {
		return 0
	}
	return most / sum
}

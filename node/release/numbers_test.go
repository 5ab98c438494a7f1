package release

import (
	"math"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"
)

// of returns the values of 100 persons.
func of(value func(person int64) float64) numbers {
	var n numbers
	for person := range int64(100) {
		if v := value(person); v != 0 {
			n.persons, n.values = append(n.persons, person), append(n.values, v)
		}
	}
	return n
}

// TestSumsThatAddUp: each two differ in many values.
func TestSumsThatAddUp(t *testing.T) {
	t.Parallel()
	const least = 11
	a := func(person int64) float64 { return float64(person % 4) }
	b := func(person int64) float64 { return float64(person / 4 % 5) }
	rare := func(person int64, few int64) float64 {
		if person < few {
			return 1
		}
		return 0
	}
	more := func(few int64) numbers {
		return of(func(p int64) float64 { return a(p) + b(p) + rare(p, few) })
	}
	upTo := func(most float64, of7 int64) numbers {
		return of(func(p int64) float64 {
			if rare(p, of7) == 1 {
				return min(7, most)
			}
			return min(float64(p%12), most)
		})
	}
	for name, c := range map[string]struct {
		earlier, fresh []numbers
		found          bool
	}{
		"one":                       {fresh: []numbers{of(a)}},
		"the same again":            {earlier: []numbers{of(a)}, fresh: []numbers{of(a)}},
		"unrelated":                 {earlier: []numbers{of(a)}, fresh: []numbers{of(b)}},
		"the sum of both":           {earlier: []numbers{of(a), of(b)}, fresh: []numbers{more(0)}},
		"and of few more":           {earlier: []numbers{of(a), of(b)}, fresh: []numbers{more(3)}, found: true},
		"and of as many as allowed": {earlier: []numbers{of(a), of(b)}, fresh: []numbers{more(least)}},
		"in another order":          {earlier: []numbers{more(3), of(b)}, fresh: []numbers{of(a)}, found: true},
		"in one question":           {fresh: []numbers{more(3), of(a), of(b)}, found: true},
		"known before":              {earlier: []numbers{more(3), of(a), of(b)}, fresh: []numbers{more(3)}},
		"up to two numbers":         {earlier: []numbers{upTo(6, 0)}, fresh: []numbers{upTo(7, 0)}},
		"up to three, few have 7":   {earlier: []numbers{upTo(6, 0), upTo(7, 0)}, fresh: []numbers{upTo(8, 0)}, found: true},
		"up to three, many have 7":  {earlier: []numbers{upTo(6, 20), upTo(7, 20)}, fresh: []numbers{upTo(8, 20)}},
	} {
		found, err := leaveFew(new(int), c.earlier, c.fresh, least)
		require.NoError(t, err, name)
		require.Equal(t, c.found, found, name)
	}
}

// TestPowersThatDifferByFew: of two sums that end at two numbers, how many have each between.
func TestPowersThatDifferByFew(t *testing.T) {
	t.Parallel()
	const least = 11
	upTo := func(most float64, of7 int64) numbers {
		return of(func(p int64) float64 {
			if p < of7 {
				return min(7, most)
			}
			return min(float64(p%12), most)
		})
	}
	for name, c := range map[string]struct {
		earlier, fresh []numbers
		found          bool
	}{
		"one":                           {fresh: []numbers{upTo(8, 3)}},
		"the same again":                {earlier: []numbers{upTo(8, 3)}, fresh: []numbers{upTo(8, 3)}},
		"by one number":                 {earlier: []numbers{upTo(6, 0)}, fresh: []numbers{upTo(7, 0)}},
		"by two, few have 7":            {earlier: []numbers{upTo(6, 0)}, fresh: []numbers{upTo(8, 0)}, found: true},
		"in one question":               {fresh: []numbers{upTo(6, 0), upTo(8, 0)}, found: true},
		"by two, many have 7":           {earlier: []numbers{upTo(6, 20)}, fresh: []numbers{upTo(8, 20)}},
		"by more than there are powers": {earlier: []numbers{upTo(2, 0)}, fresh: []numbers{upTo(11, 0)}},
	} {
		require.Equal(t, c.found, powersDiffer(new(int), c.earlier, c.fresh, least), name)
	}
}

// TestSumsOfMany: of more persons with values of their own than are looked at first.
func TestSumsOfMany(t *testing.T) {
	t.Parallel()
	const least = 11
	random := rand.New(rand.NewPCG(1, 2))
	value := make([]float64, 5000)
	for i := range value {
		value[i] = float64(1 + random.IntN(1e9))
	}
	sum := func(in func(person int) bool, more func(person int) float64) (n numbers) {
		for person, v := range value {
			if in(person) {
				n.persons, n.values = append(n.persons, int64(person)), append(n.values, v+more(person))
			}
		}
		return n
	}
	everybody := func(int) bool { return true }
	nothing := func(int) float64 { return 0 }
	fifth := func(k int) func(int) bool { return func(person int) bool { return person%5 == k } }
	others := func(few int) numbers { // of nobody's value but that of the last few
		return sum(everybody, func(person int) float64 {
			return value[(person+1)%len(value)] * float64(min(1, person/(len(value)-few)))
		})
	}
	var fifths []numbers
	for k := range 5 {
		fifths = append(fifths, sum(fifth(k), nothing))
	}
	all := []numbers{sum(everybody, nothing)}
	after := func(person int) float64 { return value[(person+1)%len(value)] }
	both := func(few int) []numbers { // others, and what the values and those add up to, one more for the last few
		return []numbers{sum(everybody, after), sum(everybody, func(person int) float64 {
			return value[person] + after(person) + float64(min(1, (person+few)/len(value)))
		})}
	}
	for name, c := range map[string]struct {
		earlier, fresh []numbers
		found          bool
	}{
		"parts":                               {fresh: fifths},
		"parts of all":                        {earlier: all, fresh: fifths},
		"all of parts":                        {earlier: fifths, fresh: all},
		"parts of all, few of another value":  {earlier: []numbers{others(3)}, fresh: fifths, found: true},
		"parts of all, many of another value": {earlier: []numbers{others(40)}, fresh: fifths},
		"what others add up to":               {earlier: all, fresh: both(0)},
		"and few more":                        {earlier: all, fresh: both(3), found: true},
		"and many more":                       {earlier: all, fresh: both(40)},
		"all but few":                         {earlier: all, fresh: []numbers{sum(func(person int) bool { return person < 4993 }, nothing)}, found: true},
		"all but many":                        {earlier: all, fresh: []numbers{sum(func(person int) bool { return person < 4960 }, nothing)}},
		"few of another value":                {earlier: all, fresh: []numbers{others(3)}, found: true},
		"many of another value":               {earlier: all, fresh: []numbers{others(40)}},
		"few":                                 {fresh: []numbers{sum(func(person int) bool { return person < 10 }, nothing)}, found: true},
		"nearly few":                          {fresh: []numbers{sum(func(person int) bool { return person < 11 }, nothing)}},
	} {
		found, err := leaveFew(new(int), c.earlier, c.fresh, least)
		require.NoError(t, err, name)
		require.Equal(t, c.found, found, name)
	}
}

// TestMeansThatAddUp: twice the mean of two values, less both, is nothing, in parts that are whole numbers.
func TestMeansThatAddUp(t *testing.T) {
	t.Parallel()
	const least = 11
	for _, few := range []int{0, 3, least} {
		var cells [3][]Value // the first, the last and the mean
		for i := range 100 {
			v := Value{}
			require.NoError(t, v.Person.Scan(int64(i)))
			first, last := 60+float64(i*37%801)/1000, 70.1+float64(i*13%203)/7e4
			last = math.Round(last*1e6) / 1e6
			mean := first + (last-first)/2
			if i < few {
				mean = (first + last + 123.4) / 3
			}
			for k, number := range []float64{first, last, mean} {
				v.Number = number
				cells[k] = append(cells[k], v)
			}
		}
		sums, err := added{parts: partsOfMeans}.numbers(cells[:])
		require.NoError(t, err)
		found, err := leaveFew(new(int), sums[:2], sums[2:], least)
		require.NoError(t, err)
		require.Equal(t, few == 3, found, few)
	}
}

// TestNumbersInTheField are added as they are, in halves and below zero too.
func TestNumbersInTheField(t *testing.T) {
	t.Parallel()
	f := field{1<<61 - 1, new(int)}
	for _, v := range []float64{0, 1, 7, 0.5, -0.5, 12.75, -3, 1 << 40, 0x1p-20} {
		require.Equal(t, f.of(2*v), (f.of(v)+f.of(v))%f.prime, "%g", v)
		require.Zero(t, (f.of(v)+f.of(-v))%f.prime, "%g", v)
		n := numbers{set{1, 9}, []float64{v, 3}}
		kept, err := parseNumbers(n.kept().bytes())
		require.NoError(t, err)
		require.Equal(t, n, kept)
	}
}

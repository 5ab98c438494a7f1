package cohort

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"
)

// comparisons are the operators of numbers and days. The last two have an extent.
var comparisons = []string{"lt", "lte", "eq", "!eq", "gt", "gte", "bt", "!bt"}

func isBetween(op string) bool { return op == "bt" || op == "!bt" }

func (r *reader) operator(o object, allowed []string) string {
	op := o.text("Op")
	if !slices.Contains(allowed, op) {
		r.fail(o.at("Op"), "must be one of "+strings.Join(allowed, ", "))
	}
	return op
}

// numericRange reads a comparison whose numbers Circe rounds before it compares.
func (r *reader) numericRange(o object, round func(float64) float64) *NumericRange {
	n := &NumericRange{Op: r.operator(o, comparisons)}
	value, there := o.number("Value")
	if !there {
		r.fail(o.at("Value"), "is missing")
	}
	extent, there := o.number("Extent")
	if isBetween(n.Op) {
		if !there {
			r.fail(o.at("Extent"), "is missing")
		}
		n.Extent = round(extent) + 0 // no minus zero
	}
	n.Value = round(value) + 0
	o.end()
	return n
}

// fourDecimals rounds a number as Circe writes it into its queries, Java's %.4f: the shortest decimal
// number that tells it apart, half away from zero.
func fourDecimals(f float64) float64 {
	text := strconv.FormatFloat(math.Abs(f), 'f', -1, 64)
	point := strings.IndexByte(text, '.')
	if point < 0 || len(text)-point-1 <= 4 {
		return f
	}
	up := text[point+5] >= '5'
	short, err := strconv.ParseFloat(text[:point+5], 64)
	if err != nil {
		return f
	}
	if up {
		n, _ := strconv.ParseInt(strings.Replace(text[:point+5], ".", "", 1), 10, 64)
		digits := strconv.FormatInt(n+1, 10)
		for len(digits) < 5 {
			digits = "0" + digits
		}
		short, _ = strconv.ParseFloat(digits[:len(digits)-4]+"."+digits[len(digits)-4:], 64)
	}
	return math.Copysign(short, f)
}

func (r *reader) dateRange(o object) *DateRange {
	d := &DateRange{Op: r.operator(o, comparisons), Value: r.day(o, "Value")}
	if d.Value == "" {
		r.fail(o.at("Value"), "is missing")
	}
	if isBetween(d.Op) {
		if d.Extent = r.day(o, "Extent"); d.Extent == "" {
			r.fail(o.at("Extent"), "is missing")
		}
	} else {
		o.skip("Extent") // left over from another operator
	}
	o.end()
	return d
}

// day reads a date with its numbers in any width, "" if it is absent.
func (r *reader) day(o object, name string) string {
	value := o.take(name)
	if value == nil {
		return ""
	}
	written, _ := value.(string)
	var numbers [3]int
	parts := strings.Split(written, "-")
	ok := len(parts) == len(numbers)
	for i := 0; ok && i < len(numbers); i++ {
		n, err := strconv.ParseUint(parts[i], 10, 14)
		numbers[i], ok = int(n), err == nil
	}
	text := fmt.Sprintf("%04d-%02d-%02d", numbers[0], numbers[1], numbers[2])
	if _, err := time.Parse(time.DateOnly, text); !ok || err != nil {
		r.fail(o.at(name), "must be a date, YYYY-MM-DD")
	}
	return text
}

func (r *reader) period(o object) Period {
	p := Period{Start: r.day(o, "StartDate"), End: r.day(o, "EndDate")}
	o.end()
	return p
}

// matches are the operators of texts.
var matches = []string{"startsWith", "contains", "endsWith", "eq", "!startsWith", "!contains", "!endsWith", "!eq"}

func (r *reader) textFilter(o object) *TextFilter {
	f := &TextFilter{Op: r.operator(o, matches)}
	if _, there := o.members["Text"].(string); !there {
		r.fail(o.at("Text"), "is missing")
	}
	f.Text = r.keep(o, "Text")
	o.end()
	return f
}

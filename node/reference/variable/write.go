package variable

import (
	"bytes"
	"encoding/csv"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/trialmesh/trialmesh/localstore/sqldb"
)

// CSV returns the list as the file that is kept of a version, and that can be imported.
func (l *List) CSV() []byte { return write(l.variables) }

func write(list []Variable) []byte {
	var b bytes.Buffer
	w := csv.NewWriter(&b)
	_ = w.Write(slices.Concat(required, optional)) // a buffer takes everything
	for _, v := range list {
		for _, u := range v.Units {
			_ = w.Write([]string{
				v.System, v.Code, v.Category, u.Code, strconv.FormatInt(v.Concept, 10), v.Display, numbers(u.Concepts),
				number(u.Low), number(u.High), number(u.Min), number(u.Max), day(v.From, Always), day(v.To, Forever), flag(v.Site),
			})
		}
	}
	w.Flush()
	return b.Bytes()
}

func numbers(list []int64) string {
	texts := make([]string, len(list))
	for i, n := range list {
		texts[i] = strconv.FormatInt(n, 10)
	}
	return strings.Join(texts, " ")
}

func number(n float64) string {
	if math.IsInf(n, 0) {
		return ""
	}
	return strconv.FormatFloat(n, 'g', -1, 64)
}

func day(d, none sqldb.Date) string {
	if d == none {
		return ""
	}
	return d.String()
}

func flag(site bool) string {
	if site {
		return "true"
	}
	return ""
}

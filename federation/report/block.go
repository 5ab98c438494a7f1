package report

// block is a part of a report for people, the same on a terminal and on a page.
type block interface {
	text(out *textWriter)
	html(out *htmlWriter)
}

// table is a title, which may be empty, over columns.
type table struct {
	title string
	head  []string
	rows  [][]string
	words int      // how many columns, from the left, hold words and not numbers
	marks bool     // the last column holds words, too
	foot  []string // lines below, the first of which is a rule on a terminal
}

func (t *table) add(cells ...string) { t.rows = append(t.rows, cells) }

// left reports whether a column is aligned left.
func (t *table) left(column int) bool {
	return column < t.words || t.marks && column == len(t.head)-1
}

// facts are names with what they say.
type facts [][2]string

func (f *facts) add(name, value string) { *f = append(*f, [2]string{name, value}) }

// lines are sentences, or a test in a line.
type lines []string

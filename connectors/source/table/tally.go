package table

// Tally is what [Read] counts besides records and problems: what it put right, and what
// it handed on without understanding it. The codes and spellings of units in it come from
// the file, so it is for the site that owns the file.
type Tally struct {
	Rows    int64 // data rows that came, blank ones apart
	Unused  int64 // of these, rows that no record of the mapping is for
	Skipped int64 // of these, rows with a problem of the whole row

	Cleaned map[string]int64 // cells and names in which invisible characters were removed, by column
	Units   map[string]int64 // spellings that are not UCUM and not in units:
	Codes   map[Unknown]int64

	// Untracked counts rows whose key was not remembered, as Options.Limits.MaxTracked
	// were: that one of them comes again is not found.
	Untracked int64
}

// Unknown is a code that codes: of its column does not have, or that its system cannot
// have by its form or check digit.
type Unknown struct{ Column, Code string }

// Bounds of what is listed.
const (
	maxListed   = 1000 // names of each map; the rest is counted under "..."
	maxSpelling = 40   // bytes of a name
)

func (t *Tally) clean(column string) {
	if t.Cleaned == nil {
		t.Cleaned = map[string]int64{}
	}
	t.Cleaned[column]++
}

func (t *Tally) unit(spelling string) {
	if t.Units == nil {
		t.Units = map[string]int64{}
	}
	if spelling = short(spelling); len(t.Units) >= maxListed && t.Units[spelling] == 0 {
		spelling = "..."
	}
	t.Units[spelling]++
}

func (t *Tally) code(column, code string) {
	if t.Codes == nil {
		t.Codes = map[Unknown]int64{}
	}
	u := Unknown{column, short(code)}
	if len(t.Codes) >= maxListed && t.Codes[u] == 0 {
		u = Unknown{column, "..."}
	}
	t.Codes[u]++
}

func short(s string) string {
	if len(s) > maxSpelling {
		return "(longer than 40 bytes)"
	}
	return s
}

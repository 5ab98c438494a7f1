package table

// Tally is what [Read] counts besides records and problems: what it put right, and what
// it handed on without understanding it. The codes and spellings of units in it come from
// the file, so it is for the site that owns the file.
type Tally struct {
	Rows    int64 // data rows that came, blank ones apart: the sum of the next three
	Used    int64 // rows that made at least one record
	Unused  int64 // rows that made none, because of what Reasons says
	Skipped int64 // rows with a problem of the whole row

	// Reasons counts the rows of Unused. It names columns and rules, no cell.
	Reasons map[string]int64

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

func (t *Tally) unused(reason string) {
	t.Unused++
	if t.Reasons == nil {
		t.Reasons = map[string]int64{}
	}
	if len(t.Reasons) >= maxListed && t.Reasons[reason] == 0 {
		reason = "..."
	}
	t.Reasons[reason]++
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

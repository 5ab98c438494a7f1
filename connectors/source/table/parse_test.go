package table

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// small is a mapping that has what a mapping needs.
const small = `version: 1
name: small
columns: [pid, day, test, value, unit]
patient:
  id: pid
  authority: lab
records:
  - observation:
      time: day
      code: test
      system: {const: LOINC}
      value: value
      unit: unit
`

// with is small with its lines that begin with a key replaced, or with lines put before
// patient.
func with(replacements ...string) string {
	text := small
	for i := 0; i+1 < len(replacements); i += 2 {
		text = strings.Replace(text, replacements[i], replacements[i+1], 1)
	}
	return text
}

// adding is small with further settings.
func adding(lines string) string { return with("patient:\n", lines+"\npatient:\n") }

func TestAMappingIsReadStrictly(t *testing.T) {
	t.Parallel()
	_, err := Parse([]byte(small))
	require.NoError(t, err)
	for name, c := range map[string]struct {
		text string
		line int
		says string
	}{
		"empty":                      {"", 1, "this is no mapping"},
		"a list":                     {"- a\n", 1, "this is no mapping"},
		"not YAML":                   {"version: 1\nname: [\n", 2, "not YAML"},
		"another version":            {with("version: 1", "version: 2"), 1, "reads version 1"},
		"no name":                    {with("name: small\n", ""), 1, "name: is missing"},
		"a name with a blank":        {with("name: small", "name: our lab"), 2, "want 1 to 64 letters"},
		"a misspelled setting":       {adding("decimals: comma"), 4, `a mapping has no "decimals"; did you mean "decimal"?`},
		"misspelled columns":         {with("columns:", "colums:"), 3, `did you mean "columns"?`},
		"a misspelled field":         {with("system:", "systm:"), 11, `an observation has no "systm"; did you mean "system"?`},
		"a misspelled record":        {with("- observation", "- observtion"), 8, `did you mean "observation"?`},
		"a misspelled column":        {with("time: day", "time: dya"), 9, `columns: does not list "dya"; did you mean "day"?`},
		"a field of another record":  {with("unit: unit", "dose: unit"), 13, `an observation has no "dose"`},
		"a misspelled system":        {with("LOINC", "LONIC"), 11, `did you mean "LOINC"?`},
		"a setting twice":            {adding("decimal: comma\ndecimal: point"), 5, `"decimal" stands there twice`},
		"a column twice":             {with("value, unit]", "value, value]"), 3, `"value" stands there twice`},
		"a column without a name":    {with("[pid,", `["", pid,`), 3, "cannot be listed"},
		"a column with a long name":  {with("[pid,", "["+strings.Repeat("x", 201)+", pid,"), 3, "at most 200 bytes"},
		"a word that is none":        {adding("decimal: virgule"), 4, `there is no "virgule"; it can be one of: comma, point`},
		"a truth that is none":       {adding("extra: maybe"), 4, "want true or false"},
		"a zone that is none":        {adding("zone: Mars/Olympus"), 4, "no IANA time zone"},
		"extra without a header":     {adding("header: false\nextra: true"), 4, "extra cannot be true"},
		"a key that is no column":    {adding("key: [accession]"), 4, `columns: does not list "accession"`},
		"no patient column":          {with("  id: pid\n", ""), 5, "id is missing"},
		"an undecided column":        {with("id: pid", `id: "?"`), 5, `is still "?"`},
		"a unit that is none":        {adding("units:\n  mg%: mg/deciliter"), 5, `"mg/deciliter" is no UCUM unit`},
		"a constant unit":            {with("unit: unit", "unit: {const: mmHg}"), 13, `"mmHg" is no UCUM unit`},
		"a code with a wrong digit":  {adding("codes:\n  test:\n    K: LOINC 2823-4"), 6, "its form or check digit is wrong"},
		"a code of no system":        {adding("codes:\n  test:\n    K: LONIC 2823-3"), 6, `there is no code system "LONIC"; did you mean "LOINC"?`},
		"codes that nobody reads":    {adding("codes:\n  pid:\n    K: LOINC 2823-3"), 5, `no record reads column "pid"`},
		"a constant time":            {with("time: day", "time: {const: 31.1.2024}"), 9, "is no date"},
		"a constant without a text":  {with("{const: LOINC}", "{constant: LOINC}"), 11, `did you mean "const"?`},
		"a status that is none":      {with("unit: unit", "status: {const: done}"), 13, `there is no "done"`},
		"a list for a field":         {with("value: value", "value: [value, unit]"), 12, "want a column or {const: text}"},
		"no code":                    {with("      code: test\n", ""), 9, "needs code, or wide:"},
		"no time":                    {with("      time: day\n", ""), 9, "needs time"},
		"wide beside a value":        {with("unit: unit", "wide: {value: {code: LOINC 2823-3}}"), 9, "cannot stand beside it"},
		"a wide column without code": {with("      code: test\n      system: {const: LOINC}\n      value: value\n      unit: unit\n", "      wide:\n        value: {unit: mg/dL}\n"), 11, "needs code"},
		"an anchor":                  {with("name: small", "name: &n small"), 2, "anchors and aliases"},
		"no records":                 {with("records:", "records: []\nx:"), 7, "want a list of 1 to 100"},
		"the same record twice":      {small + small[strings.Index(small, "  - observation"):], 14, "is the same as that of line 8"},
		"a constant code":            {with("code: test", "code: {const: 1-1}"), 9, "its form or check digit is wrong"},
		"an empty when":              {with("unit: unit", "when: {}"), 13, "names no column"},
		"too large":                  {small + strings.Repeat("#", maxMapping), 1, "at most 1 MiB"},
	} {
		m, err := Parse([]byte(c.text))
		require.Error(t, err, name)
		require.Nil(t, m, name)
		found := false
		for _, f := range AsFaults(err) {
			found = found || f.Line == c.line && strings.Contains(f.Text, c.says)
		}
		require.True(t, found, "%s: want line %d: %s\ngot %v", name, c.line, c.says, err)
	}
}

func TestEveryFaultIsListed(t *testing.T) {
	t.Parallel()
	_, err := Parse([]byte(with("time: day", "time: dya", "code: test", "cod: test", "LOINC", "LONIC")))
	faults := AsFaults(err)
	require.Len(t, faults, 4, "three misspelled words, and the code that is missing for one of them")
	require.IsNonDecreasing(t, []int{faults[0].Line, faults[1].Line, faults[2].Line, faults[3].Line})
	require.Equal(t, 4, strings.Count(err.Error(), "line "))
	require.Nil(t, AsFaults(nil))
}

func TestTheTextOfAMappingMeansOneThing(t *testing.T) {
	t.Parallel()
	m, err := Parse([]byte(adding("null: NA\nunits: {mg%: mg/dL}\ncodes:\n  test:\n    1: SNOMED CT 38341003\n    K: 2823-3")))
	require.NoError(t, err)
	require.True(t, m.nulls["NA"], "one text is a list of one")
	require.Equal(t, translation{snomed, "38341003"}, m.codes[2]["1"], "the last blank ends the system's name")
	require.Equal(t, translation{"", "2823-3"}, m.codes[2]["K"], "a code of the record's system")
}

func TestNamesAreProposedThatAreAlike(t *testing.T) {
	t.Parallel()
	names := []string{"decimal", "dates", "encoding", "id"}
	for given, want := range map[string]string{"decimals": "decimal", "date": "dates", "Encoding": "encoding", "zzzzzz": "", "": "", "ids": "id"} {
		require.Equal(t, want, nearest(given, names), given)
	}
	require.Equal(t, 3, distance("kitten", "sitting"))
}

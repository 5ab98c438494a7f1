package cdm_test

import (
	"bytes"
	"encoding/csv"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/trialmesh/trialmesh/connectors/source/cdm"
	"github.com/trialmesh/trialmesh/connectors/source/fhir"
)

// FuzzRead states what holds for any input: rows come in order, have their key, person
// and date and no key twice, and no problem repeats a byte that only the input has.
func FuzzRead(f *testing.F) {
	const row = "1,2,3,2020-01-01,4\n"
	for _, seed := range []string{
		conditionHead + "\n" + row, "\xef\xbb\xbf" + strings.ToUpper(conditionHead) + "\r\n-1,2,3,20200101,4\r\n",
		strings.ReplaceAll(conditionHead+"\n"+row, ",", "\t"), conditionHead + "\n" + row + row + "x,\"y\nz\",3,\n",
		"person_id,death_date,cause_source_value\n1,2020-01-01 00:00:00,\"\xff\x00\"\n2,,\n", conditionHead + "\n1,2,3,2020-01-01,\"4",
		"PERSON_ID,date(birth_datetime,'unixepoch'),YEAR_OF_BIRTH,GENDER_CONCEPT_ID,RACE_CONCEPT_ID\n1,1950-01-01,1950,8507.0,NA\n",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		line, seen := 0, map[int64]bool{}
		for rec, err := range cdm.Read(t.Context(), bytes.NewReader(data), fhir.Options{MaxRecord: 64 << 10, MaxTotal: 1 << 20}) {
			if err != nil {
				p, bad := fhir.AsProblem(err)
				require.True(t, bad, "%v", err)
				require.NotContains(t, p.Error(), "\xff")
				continue
			}
			r := rec.Resource.(*cdm.Row)
			require.Greater(t, rec.Line, line)
			line = rec.Line
			key := r.Int(r.Table.Columns[0].Name)
			require.False(t, seen[key])
			seen[key] = true
			require.True(t, r.Has("person_id"))
			for _, c := range r.Table.Columns {
				if strings.HasSuffix(c.Name, "_concept_id") {
					_ = r.Int(c.Name)
				}
			}
		}
	})
}

// TestWhatIsWrittenIsRead states the law for any row, however it is written.
func TestWhatIsWrittenIsRead(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		table := cdm.Recognize(file("observation_id,person_id,observation_concept_id,observation_date,observation_type_concept_id"))
		order := rapid.Permutation(table.Columns).Draw(rt, "order")
		keys := rapid.SliceOfNDistinct(rapid.Int64(), 1, 5, func(k int64) int64 { return k }).Draw(rt, "keys")
		var out bytes.Buffer
		w, letters := csv.NewWriter(&out), `[a-z",;\n' ]{1,20}`
		if rapid.Bool().Draw(rt, "tabs") { // a row is a line there
			w.Comma, letters = '\t', `[a-z",;' ]{1,20}`
		}
		var head []string
		for _, c := range order {
			head = append(head, rapid.SampledFrom([]string{c.Name, strings.ToUpper(c.Name)}).Draw(rt, "name"))
		}
		require.NoError(rt, w.Write(head))
		concept, number := rapid.Int64Range(0, 1<<31-1).Draw(rt, "concept"), rapid.Float64().Draw(rt, "number")
		text := rapid.StringMatching(letters).Draw(rt, "text")
		values := map[string]string{
			"person_id": "-7", "observation_concept_id": strconv.FormatInt(concept, 10), "observation_date": "2020-02-29", "observation_type_concept_id": "32817",
			"value_as_number": strconv.FormatFloat(number, 'g', -1, 64), "value_as_string": text,
		}
		for _, k := range keys {
			values["observation_id"] = strconv.FormatInt(k, 10)
			var row []string
			for _, c := range order {
				row = append(row, values[c.Name])
			}
			require.NoError(rt, w.Write(row))
		}
		w.Flush()
		i := 0
		for rec, err := range cdm.Read(t.Context(), &out, fhir.Options{}) {
			require.NoError(rt, err)
			r := rec.Resource.(*cdm.Row)
			require.Empty(rt, r.Defects)
			require.Equal(rt, keys[i], r.Int("observation_id"))
			require.EqualValues(rt, -7, r.Int("person_id"))
			require.Equal(rt, concept, r.Int("observation_concept_id"))
			require.Equal(rt, number, *r.Number("value_as_number")) //nolint:testifylint // to the bit
			require.Equal(rt, text, r.Text("value_as_string"))
			i++
		}
		require.Len(rt, keys, i)
	})
}

// TestKeysAreASet compares it with a map, as long as there is room and after.
func TestKeysAreASet(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		add, model, words := cdm.NewKeys(4), map[int64]bool{}, map[int64]bool{}
		for range 100 {
			k := rapid.OneOf(rapid.Int64Range(-100, 100), rapid.Int64()).Draw(rt, "key")
			known, full := add(k)
			require.Equal(rt, model[k], known)
			require.Equal(rt, !words[k>>6] && len(words) == 4, full)
			if !full {
				model[k], words[k>>6] = true, true
			}
		}
	})
}

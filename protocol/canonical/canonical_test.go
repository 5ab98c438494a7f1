package canonical_test

import (
	"encoding/json"
	"math"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/trialmesh/trialmesh/protocol/canonical"
)

// TestRFC8785 are the examples of RFC 8785, sections 3.2.2 and 3.2.3.
func TestRFC8785(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ in, want string }{
		"section 3.2.2": {
			`{"numbers": [333333333.33333329, 1E30, 4.50, 2e-3, 0.000000000000000000000000001],
			  "string": "\u20ac$\u000F\u000aA'\u0042\u0022\u005c\\\"\/", "literals": [null, true, false]}`,
			`{"literals":[null,true,false],"numbers":[333333333.3333333,1e+30,4.5,0.002,1e-27],"string":"€$\u000f\nA'B\"\\\\\"/"}`,
		},
		"section 3.2.3": {
			`{"\u20ac": "Euro Sign", "\r": "Carriage Return", "\ufb33": "Hebrew Letter Dalet With Dagesh", "1": "One",
			  "\ud83d\ude00": "Emoji: Grinning Face", "\u0080": "Control", "\u00f6": "Latin Small Letter O With Diaeresis"}`,
			"{\"\\r\":\"Carriage Return\",\"1\":\"One\",\"\u0080\":\"Control\",\"ö\":\"Latin Small Letter O With Diaeresis\"," +
				"\"€\":\"Euro Sign\",\"😀\":\"Emoji: Grinning Face\",\"\ufb33\":\"Hebrew Letter Dalet With Dagesh\"}",
		},
	} {
		got, err := canonical.Transform([]byte(c.in))
		require.NoError(t, err, name)
		require.Equal(t, c.want, string(got), name)
	}
}

// TestRFC8785Numbers is the table of RFC 8785, appendix B.
func TestRFC8785Numbers(t *testing.T) {
	t.Parallel()
	for bits, want := range map[uint64]string{
		0x0000000000000000: "0", 0x8000000000000000: "0", 0x0000000000000001: "5e-324", 0x8000000000000001: "-5e-324",
		0x7fefffffffffffff: "1.7976931348623157e+308", 0xffefffffffffffff: "-1.7976931348623157e+308",
		0x4340000000000000: "9007199254740992", 0xc340000000000000: "-9007199254740992", 0x4430000000000000: "295147905179352830000",
		0x44b52d02c7e14af5: "9.999999999999997e+22", 0x44b52d02c7e14af6: "1e+23", 0x44b52d02c7e14af7: "1.0000000000000001e+23",
		0x444b1ae4d6e2ef4e: "999999999999999700000", 0x444b1ae4d6e2ef4f: "999999999999999900000", 0x444b1ae4d6e2ef50: "1e+21",
		0x3eb0c6f7a0b5ed8c: "9.999999999999997e-7", 0x3eb0c6f7a0b5ed8d: "0.000001",
		0x41b3de4355555553: "333333333.3333332", 0x41b3de4355555554: "333333333.33333325", 0x41b3de4355555555: "333333333.3333333",
		0x41b3de4355555556: "333333333.3333334", 0x41b3de4355555557: "333333333.33333343",
		0xbecbf647612f3696: "-0.0000033333333333333333", 0x43143ff3c1cb0959: "1424953923781206.2",
	} {
		f := math.Float64frombits(bits)
		got, err := canonical.Transform([]byte(strconv.FormatFloat(f, 'e', -1, 64)))
		require.NoError(t, err)
		require.Equal(t, want, string(got))
		again, err := canonical.Transform(got)
		require.NoError(t, err)
		require.Equal(t, want, string(again), "canonical text is its own canonical form")
		marshaled, err := canonical.Marshal(f)
		require.NoError(t, err)
		require.Equal(t, want, string(marshaled))
	}
}

func TestRefusals(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]error{
		`{"a":1,"a":1}`:          canonical.ErrDuplicateName,
		`{"a":1,"\u0061":2}`:     canonical.ErrDuplicateName,
		`[{"x":{"a":1,"a":2}}]`:  canonical.ErrDuplicateName,
		"\"\xff\"":               canonical.ErrInvalidUTF8,
		`"\ud800"`:               canonical.ErrInvalidUTF8,
		`"\udc00\ud800"`:         canonical.ErrInvalidUTF8,
		`{"\ud800x":1}`:          canonical.ErrInvalidUTF8,
		`1e400`:                  canonical.ErrNumber,
		`-1e400`:                 canonical.ErrNumber,
		`9007199254740993`:       canonical.ErrNumber,
		`-9007199254740993`:      canonical.ErrNumber,
		`18446744073709551615`:   canonical.ErrNumber,
		`1000000000000000000000`: canonical.ErrNumber,
		`1 2`:                    canonical.ErrTrailing,
		`{} x`:                   canonical.ErrTrailing,
		strings.Repeat("[", 65):  canonical.ErrTooDeep,
		strings.Repeat(`{"":`, 65) + "1" + strings.Repeat("}", 65): canonical.ErrTooDeep,
	} {
		_, err := canonical.Transform([]byte(in))
		require.ErrorIs(t, err, want, "%.40q", in)
	}
	for _, in := range []string{"", " ", "{", "[", "[1,]", `{"a":1,}`, "{1:1}", "[1 2]", `{"a" 1}`, "nul", "01", "+1", ".5", "1.", "NaN", `"`, "\"\n\"", `"\x"`, "'a'", "]", "//"} {
		_, err := canonical.Transform([]byte(in))
		require.Error(t, err, "%q", in)
	}
	deep := strings.Repeat("[", 64) + strings.Repeat("]", 64)
	_, err := canonical.Transform([]byte(deep))
	require.NoError(t, err)
	_, err = canonical.Marshal(uint64(math.MaxUint64))
	require.ErrorIs(t, err, canonical.ErrNumber, "our own numbers too")
	_, err = canonical.Marshal(math.NaN())
	require.Error(t, err)
}

// TestFieldsOfOneNameAreRefused: encoding/json would take them for one.
func TestFieldsOfOneNameAreRefused(t *testing.T) {
	t.Parallel()
	for _, in := range []string{`{"a":1,"A":2}`, `[{"x":{"kind":1,"b":0,"\u212aind":2}}]`, `{"\u017f":1,"s":2}`} {
		_, err := canonical.Fields([]byte(in))
		require.ErrorIs(t, err, canonical.ErrFoldedName, in)
		_, err = canonical.Transform([]byte(in))
		require.NoError(t, err, "other readers keep %s apart", in)
	}
	_, err := canonical.Fields([]byte(`{"a":1,"a":2}`))
	require.ErrorIs(t, err, canonical.ErrDuplicateName)
	const nested = `{"b":{"a":1},"A":{"B":2}}`
	fields, err := canonical.Fields([]byte(nested))
	require.NoError(t, err)
	same, err := canonical.Transform([]byte(nested))
	require.NoError(t, err)
	require.Equal(t, same, fields, "names of different objects may differ in case only")
}

// value draws JSON.
func value(depth int) *rapid.Generator[any] {
	kinds := []*rapid.Generator[any]{
		rapid.Just[any](nil), rapid.Bool().AsAny(), rapid.String().AsAny(),
		rapid.Float64().Filter(func(f float64) bool { return !math.IsInf(f, 0) && !math.IsNaN(f) }).AsAny(), rapid.Int32().AsAny(),
	}
	if depth > 0 {
		kinds = append(kinds, rapid.SliceOfN(value(depth-1), 0, 4).AsAny(), rapid.MapOfN(rapid.String(), value(depth-1), 0, 4).AsAny())
	}
	return rapid.OneOf(kinds...)
}

// TestCanonicalFormIsUnique: it means the same, is its own form, and does not
// depend on how the text was laid out.
func TestCanonicalFormIsUnique(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		v := value(3).Draw(t, "value")
		once, err := canonical.Marshal(v)
		require.NoError(t, err)
		twice, err := canonical.Transform(once)
		require.NoError(t, err)
		require.Equal(t, string(once), string(twice))
		wide, err := json.MarshalIndent(v, " ", "\t")
		require.NoError(t, err)
		other, err := canonical.Transform(wide)
		require.NoError(t, err)
		require.Equal(t, string(once), string(other))
		var back, plain any
		require.NoError(t, json.Unmarshal(once, &back))
		require.NoError(t, json.Unmarshal(wide, &plain))
		require.Equal(t, plain, back)
	})
}

func FuzzTransform(f *testing.F) {
	for _, seed := range []string{`{"b":[1,2.50,1e30],"a":"\u20ac\ud83d\ude00"}`, `[[[]]]`, `-0`, `9007199254740993`, `"\ud800"`, `{"a":1,"a":2}`} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		once, err := canonical.Transform(raw)
		if err != nil {
			return
		}
		require.True(t, json.Valid(raw), "accepted %q, which is not JSON", raw)
		twice, err := canonical.Transform(once)
		require.NoError(t, err)
		require.Equal(t, string(once), string(twice))
	})
}

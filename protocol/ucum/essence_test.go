package ucum_test

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/xml"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/trialmesh/trialmesh/protocol/ucum"
)

// TestEssenceIsUnchanged keeps the promise that its license asks for.
func TestEssenceIsUnchanged(t *testing.T) {
	t.Parallel()
	raw, err := os.ReadFile("ucum-essence.xml")
	require.NoError(t, err)
	sum := sha256.Sum256(raw)
	require.Equal(t, "dfccea1b5dc284245ebae97edd1dc03c45864da4e87df55bc9851797b4fd0b61", hex.EncodeToString(sum[:]))
	require.Equal(t, "2.2", ucum.Version())
}

// TestUnitsAreThoseOfTheEssence counts them by other means than the package does.
func TestUnitsAreThoseOfTheEssence(t *testing.T) {
	t.Parallel()
	raw, err := os.ReadFile("ucum-essence.xml")
	require.NoError(t, err)
	var want []string
	for decoder := xml.NewDecoder(strings.NewReader(strings.Replace(string(raw), "ascii", "UTF-8", 1))); ; {
		token, err := decoder.Token()
		if err != nil {
			break
		}
		if start, ok := token.(xml.StartElement); ok && (start.Name.Local == "unit" || start.Name.Local == "base-unit") {
			want = append(want, start.Attr[0].Value)
		}
	}
	units := ucum.Units()
	require.Len(t, want, len(units))
	bases, special, arbitrary := 0, 0, 0
	for i, d := range units {
		require.Equal(t, want[i], d.Code)
		require.NotEmpty(t, d.Name, d.Code)
		require.NotEmpty(t, d.Property, d.Code)
		require.Equal(t, d.Base, d.Class == "", d.Code)
		bases, special, arbitrary = bases+count(d.Base), special+count(d.Special), arbitrary+count(d.Arbitrary)
		require.Equal(t, "("+d.Name+")", unit(t, d.Code).Display())
	}
	require.Equal(t, []int{312, 7, 21, 41}, []int{len(units), bases, special, arbitrary})

	units[0].Code = "changed"
	require.Equal(t, "m", ucum.Units()[0].Code, "the slice is the caller's")
}

func count(b bool) int {
	if b {
		return 1
	}
	return 0
}

func TestDefinitions(t *testing.T) {
	t.Parallel()
	byCode := make(map[string]ucum.Definition)
	for _, d := range ucum.Units() {
		byCode[d.Code] = d
	}
	require.Equal(t, ucum.Definition{Code: "m", Name: "meter", Symbol: "m", Property: "length", Base: true, Metric: true}, byCode["m"])
	require.Equal(t, ucum.Definition{Code: "Cel", Name: "degree Celsius", Symbol: "\u00b0C", Property: "temperature", Class: "si", Metric: true, Special: true}, byCode["Cel"])
	require.Equal(t, ucum.Definition{Code: "[iU]", Name: "international unit", Symbol: "IU", Property: "arbitrary", Class: "chemical", Metric: true, Arbitrary: true}, byCode["[iU]"])
	require.Equal(t, ucum.Definition{Code: "gon", Name: "gon", Synonyms: []string{"grade"}, Symbol: "g", Property: "plane angle", Class: "iso1000"}, byCode["gon"])
	require.Equal(t, "calorie at 15 \u00b0C", byCode["cal_[15]"].Name)
	require.Equal(t, "cal15\u00b0C", byCode["cal_[15]"].Symbol, "markup is removed")
}

// TestPrefixes puts every prefix before every unit. Metric ones take it and others
// do not, and no symbol can be read in two ways, so that it does not matter whether
// a parser looks for long prefixes or short ones first.
func TestPrefixes(t *testing.T) {
	t.Parallel()
	prefixes := strings.Fields("Y Z E P T G M k h da d c m u n p f a z y Ki Mi Gi Ti")
	meaning := make(map[string]string)
	for _, d := range ucum.Units() {
		meaning[d.Code] = d.Code
	}
	for _, d := range ucum.Units() {
		for _, prefix := range prefixes {
			if d.Metric {
				require.Empty(t, meaning[prefix+d.Code], "%s before %s", prefix, d.Code)
				meaning[prefix+d.Code] = d.Code
			}
		}
	}
	for _, d := range ucum.Units() {
		for _, prefix := range prefixes {
			_, err := ucum.Parse(prefix + d.Code)
			require.Equal(t, meaning[prefix+d.Code] != "", err == nil, "%s before %s", prefix, d.Code)
		}
	}
}

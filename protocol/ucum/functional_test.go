package ucum_test

import (
	_ "embed"
	"encoding/xml"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/trialmesh/trialmesh/protocol/ucum"
)

//go:embed testdata/UcumFunctionalTests.part1.xml
var functionalXML []byte

// functional is the published cases, in their own words.
type functional struct {
	Validation []struct {
		ID    string `xml:"id,attr"`
		Unit  string `xml:"unit,attr"`
		Valid bool   `xml:"valid,attr"`
	} `xml:"validation>case"`
	Display []struct {
		ID      string `xml:"id,attr"`
		Unit    string `xml:"unit,attr"`
		Display string `xml:"display,attr"`
	} `xml:"displayNameGeneration>case"`
	Conversion []struct {
		ID      string `xml:"id,attr"`
		Value   string `xml:"value,attr"`
		Source  string `xml:"srcUnit,attr"`
		Target  string `xml:"dstUnit,attr"`
		Outcome string `xml:"outcome,attr"`
	} `xml:"conversion>case"`
	Multiplication []arithmetic `xml:"multiplication>case"`
	Division       []arithmetic `xml:"division>case"`
}

type arithmetic struct {
	ID     string `xml:"id,attr"`
	Value1 string `xml:"v1,attr"`
	Unit1  string `xml:"u1,attr"`
	Value2 string `xml:"v2,attr"`
	Unit2  string `xml:"u2,attr"`
	Value  string `xml:"vRes,attr"`
	Unit   string `xml:"uRes,attr"`
}

func readFunctional(t *testing.T) functional {
	t.Helper()
	var f functional
	require.NoError(t, xml.Unmarshal(functionalXML, &f))
	return f
}

func unit(t require.TestingT, code string) ucum.Unit {
	u, err := ucum.Parse(code)
	require.NoError(t, err, code)
	return u
}

func decimal(t require.TestingT, text string) ucum.Decimal {
	d, err := ucum.ParseDecimal(text)
	require.NoError(t, err, text)
	return d
}

// TestFunctionalValidation parses what is valid and refuses what is not.
func TestFunctionalValidation(t *testing.T) {
	t.Parallel()
	cases := readFunctional(t).Validation
	require.Len(t, cases, 318)
	for _, c := range cases {
		_, err := ucum.Parse(c.Unit)
		require.Equal(t, c.Valid, err == nil, "case %s: %s: %v", c.ID, c.Unit, err)
	}
}

func TestFunctionalDisplay(t *testing.T) {
	t.Parallel()
	cases := readFunctional(t).Display
	require.Len(t, cases, 6)
	for _, c := range cases {
		require.Equal(t, c.Display, unit(t, c.Unit).Display(), "case %s", c.ID)
	}
}

// TestFunctionalConversion compares the digits as they are written, so that the
// significant ones count.
func TestFunctionalConversion(t *testing.T) {
	t.Parallel()
	cases := readFunctional(t).Conversion
	require.Len(t, cases, 18)
	for _, c := range cases {
		got, err := ucum.Convert(decimal(t, c.Value), unit(t, c.Source), unit(t, c.Target))
		require.NoError(t, err, "case %s", c.ID)
		require.Equal(t, c.Outcome, got.String(), "case %s", c.ID)
	}
}

func TestFunctionalMultiplication(t *testing.T) {
	t.Parallel()
	cases := readFunctional(t).Multiplication
	require.Len(t, cases, 2)
	for _, c := range cases {
		product, err := unit(t, c.Unit1).Times(unit(t, c.Unit2))
		require.NoError(t, err, "case %s", c.ID)
		c.require(t, decimal(t, c.Value1).Times(decimal(t, c.Value2)), product)
	}
}

func TestFunctionalDivision(t *testing.T) {
	t.Parallel()
	cases := readFunctional(t).Division
	require.Len(t, cases, 3)
	for _, c := range cases {
		quotient, err := unit(t, c.Unit1).Over(unit(t, c.Unit2))
		require.NoError(t, err, "case %s", c.ID)
		value, err := decimal(t, c.Value1).Over(decimal(t, c.Value2))
		require.NoError(t, err, "case %s", c.ID)
		c.require(t, value, quotient)
	}
}

// require compares a result with the expected one, in the expected unit.
func (c arithmetic) require(t *testing.T, value ucum.Decimal, u ucum.Unit) {
	t.Helper()
	got, err := ucum.Convert(value, u, unit(t, c.Unit))
	require.NoError(t, err, "case %s", c.ID)
	require.Equal(t, c.Value, got.String(), "case %s", c.ID)
}

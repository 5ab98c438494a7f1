package hl7v2

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/text/encoding/charmap"
	"golang.org/x/text/encoding/simplifiedchinese"
	"pgregory.net/rapid"
)

const msh = "MSH|^~\\&|APP|FAC|||20240102030405+0100||ADT^A08|42|P|2.5\r"

var usual = &delimiters{'|', '^', '~', '\\', '&'}

func TestEscapes(t *testing.T) {
	t.Parallel()
	for sent, want := range map[string]string{
		"plain":                      "plain",
		`a\F\b\S\c\T\d\R\e\E\f`:      `a|b^c&d~e\f`,
		`\H\bold\N\ text`:            "bold text",
		`one\.br\two\.sp2\three`:     "one\ntwo\n\nthree",
		`\.in+4\left\.sk3\right`:     "left   right",
		`caf\XC3A9\`:                 "café",
		`\X0D0A\`:                    "\n\n",
		`bad \XZZ\ hex`:              `bad \XZZ\ hex`,
		`C:\Temp\file`:               `C:\Temp\file`,
		`ends with \`:                `ends with \`,
		`\\`:                         `\\`,
		`shift \C2842\ and \M2442\ `: "shift  and  ",
	} {
		require.Equal(t, want, unescape(sent, usual), sent)
	}
}

// What escape writes, unescape reads.
func TestEscapeIsUndone(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		s := rapid.StringMatching(`[|^~\\&A-Za-z0-9 .é]*`).Draw(t, "text")
		escaped := escape(s, *usual)
		if got := unescape(escaped, usual); got != s {
			t.Fatalf("%q: %q: %q", s, escaped, got)
		}
		if strings.ContainsAny(escaped, "|^~&") {
			t.Fatalf("a delimiter is left in %q", escaped)
		}
	})
}

func TestFieldsAndTheirParts(t *testing.T) {
	t.Parallel()
	m := parsed(t, msh+`PID|1||7^^^A&1.2.3&ISO^MR~8^^^B||""|x & y\T\z|`+"\r"+"ZPI|1|own")
	pid := &m.segments[1]
	require.Len(t, pid.field(3).repeats(), 2)
	require.Equal(t, "8", pid.field(3).repeats()[1].at(1).text())
	require.Equal(t, "7", pid.field(3).at(1).text(), "a component of a repeating field is that of the first")
	require.Equal(t, "1.2.3", pid.field(3).at(4).sub(2).text())
	require.Equal(t, "ISO", pid.field(3).at(4).sub(3).text())
	require.Equal(t, "1", pid.field(1).at(1).sub(1).text(), "one part is the whole on every level")
	require.Empty(t, pid.field(1).at(2).text())
	require.True(t, pid.field(5).empty(), "null")
	require.Empty(t, pid.field(5).text())
	require.Equal(t, "x & y&z", pid.field(6).text(), "a delimiter that was not escaped is kept")
	require.True(t, pid.field(99).empty())
	require.Equal(t, "|", m.segments[0].field(1).text())
	require.Equal(t, `^~\&`, m.segments[0].field(2).raw)
	require.Equal(t, "42", m.segments[0].field(10).text())
	require.Equal(t, 1, m.counts["ZPI"])
}

func TestOtherDelimiters(t *testing.T) {
	t.Parallel()
	m := parsed(t, "MSH#*!$%#APP#FAC\rPID#1##7***A%1.2.3%ISO!8\r")
	require.Equal(t, "1.2.3", m.segments[1].field(3).at(4).sub(2).text())
	require.Len(t, m.segments[1].field(3).repeats(), 2)

	m = parsed(t, "MSH|^~\\|APP|FAC\rPID|1||7^^^A&B\r")
	require.Equal(t, "A&B", m.segments[1].field(3).at(4).sub(1).text(), "no subcomponent delimiter was given")

	for _, bad := range []string{"MSH", "MSH|^~", "MSH||||||||", "MSH|^^\\&|", "MSHA^~\\&A", "MSH|^~ &|", "MSH|^~\\1|"} {
		_, ok := parseDelimiters(bad)
		require.False(t, ok, bad)
	}
}

func TestCharacterSets(t *testing.T) {
	t.Parallel()
	latin, err := charmap.ISO8859_1.NewEncoder().String("Müller")
	require.NoError(t, err)
	cyrillic, err := charmap.ISO8859_5.NewEncoder().String("Иванов")
	require.NoError(t, err)
	chinese, err := simplifiedchinese.GB18030.NewEncoder().String("王小明丂") // the last one ends with a byte below 0x80
	require.NoError(t, err)
	with := func(charset, name string) string {
		return "MSH|^~\\&|APP|FAC|||20240102||ADT^A08|1|P|2.5||||||" + charset + "\rPID|1||7^^^A||" + name + "^X\r"
	}
	for charset, c := range map[string]struct{ sent, want string }{
		"":                    {"Müller", "Müller"},
		"UNICODE UTF-8":       {"Müller", "Müller"},
		"ASCII":               {"Müller", "Müller"},
		"8859/1":              {latin, "Müller"},
		"8859/1~8859/5":       {latin, "Müller"},
		"ISO-8859-1":          {latin, "Müller"},
		"WINDOWS-1252":        {latin, "Müller"},
		"8859/5":              {cyrillic, "Иванов"},
		"GB 18030-2000":       {chinese, "王小明丂"},
		"8859/15":             {latin, "Müller"},
		"unicode utf-8~ASCII": {"Müller", "Müller"},
	} {
		got, err := Identities([]byte(with(charset, c.sent)), Options{})
		require.NoError(t, err, charset)
		require.Equal(t, c.want, got[0].Names[0].Family, charset)
	}
	got, err := Identities([]byte(with("", latin)), Options{Charset: "8859/1"})
	require.NoError(t, err)
	require.Equal(t, "Müller", got[0].Names[0].Family, "the site's own default")

	require.Equal(t, []string{"invalid-utf8 1 message[1].PID[1]"}, collectText(t, with("", latin)).places())
	require.Equal(t, []string{"unsupported-charset 1 message[1].MSH[1].18"}, collectText(t, with("ISO IR87", "x")).places())
}

func TestWhatCannotBeCut(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"MSH|^^\\&|APP\rPID|1\r":                          "malformed-header 1 message[1].MSH[1]",
		msh + "PID|1\rnonsense\rPV1|1\r":                  "malformed-segment 1 message[1].PID[1]",
		msh + "PID|1||7\x00\r":                            "forbidden-character 1 message[1].PID[1]",
		"MSH|^~\\&|A|F|||2024||ADT^A08|1|P|3.0\rPID|1\r":  "unsupported-version 1 message[1].MSH[1].12",
		msh + "PID|1||7\r\nPV 1|1\r\n":                    "malformed-segment 1 message[1].PID[1]",
		msh + "PID" + strings.Repeat("|", 2_000_000) + "": "too-large 1 message[1]",
	} {
		got := collectText(t, text+"\r"+msh+"PID|1||7\r")
		require.Equal(t, []string{want}, got.places())
		require.Equal(t, map[string]int{"Patient": 1}, got.summary.Decoded, "reading goes on at the next message")
		require.Equal(t, "message[2].PID[1]", got.records[1].Path)
	}
}

func TestSegmentsOfTheSiteAreKept(t *testing.T) {
	t.Parallel()
	got := collectText(t, msh+"ZPI|1|SECRET\rPID|1||7\rZPI|2\rQQQ|1\rNTE|1||text\r")
	require.Empty(t, got.places())
	require.Equal(t, map[string]int{"MessageHeader": 1, "Segment": 3}, got.summary.Raw)
	require.Equal(t, "ZPI|1|SECRET", string(got.records[1].Raw))
	require.Equal(t, "message[1].*[1]", got.records[1].Path, "a name that is the site's own is not told")
}

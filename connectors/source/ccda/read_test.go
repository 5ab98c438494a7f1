package ccda

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/stretchr/testify/require"
	"golang.org/x/text/encoding"
	"golang.org/x/text/encoding/charmap"
	"golang.org/x/text/encoding/unicode"

	"github.com/trialmesh/trialmesh/connectors/source/fhir"
	"github.com/trialmesh/trialmesh/connectors/source/hl7v2"
)

// pulse is an observation of vital signs, of a rate per minute on a day.
func pulse(rate, day string) string {
	return `<organizer moodCode="EVN"><component><observation moodCode="EVN"><code code="8867-4" codeSystem="2.16.840.1.113883.6.1"/>` +
		`<statusCode code="completed"/><effectiveTime value="` + day + `"/><value xsi:type="PQ" value="` + rate + `" unit="/min"/></observation></component></organizer>`
}

// problem is a problem observation, with what its value holds.
func problem(value string) string {
	return `<act moodCode="EVN"><statusCode code="active"/><entryRelationship typeCode="SUBJ"><observation moodCode="EVN">` +
		`<effectiveTime><low value="20240102"/></effectiveTime>` + value + `</observation></entryRelationship></act>`
}

const asthma = `<value xsi:type="CD" code="195967001" codeSystem="2.16.840.1.113883.6.96" displayName="Müdigkeit"/>`

func TestEncodings(t *testing.T) {
	t.Parallel()
	body := document(section("11450-4", "", problem(asthma)))
	encoded := func(declaration string, e encoding.Encoding) []byte {
		out, err := e.NewEncoder().Bytes([]byte(declaration + body))
		require.NoError(t, err)
		return out
	}
	for name, data := range map[string][]byte{
		"UTF-8":                         []byte(body),
		"UTF-8, declared":               []byte(`<?xml version="1.0" encoding="UTF-8" standalone="yes"?>` + body),
		"UTF-8, mark":                   []byte("\xef\xbb\xbf" + `<?xml version='1.0' encoding='utf-8'?>` + body),
		"UTF-8, declared as UTF-16":     []byte(`<?xml version="1.0" encoding="utf-16"?>` + body),
		"UTF-16 little endian, mark":    encoded(`<?xml version="1.0" encoding="UTF-16"?>`, unicode.UTF16(unicode.LittleEndian, unicode.UseBOM)),
		"UTF-16 big endian, mark":       encoded(`<?xml version="1.0" encoding="UTF-16"?>`, unicode.UTF16(unicode.BigEndian, unicode.UseBOM)),
		"UTF-16 little endian, no mark": encoded(`<?xml version="1.0"?>`, unicode.UTF16(unicode.LittleEndian, unicode.IgnoreBOM)),
		"ISO 8859-1":                    encoded(`<?xml version="1.0" encoding="ISO-8859-1"?>`, charmap.ISO8859_1),
		"Windows 1252":                  encoded(`<?xml version="1.0" encoding="windows-1252"?>`, charmap.Windows1252),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			require.True(t, Detect(data[:min(len(data), 256)]))
			got := collect(t, iotest.OneByteReader(bytes.NewReader(data)), Options{})
			require.Empty(t, got.places())
			require.Equal(t, "Müdigkeit", only[*fhir.Condition](t, got).Code.Coding[0].Display)
			require.Contains(t, string(got.records[2].Raw), "Müdigkeit", "raw is UTF-8")
		})
	}
}

func TestDamagedDocuments(t *testing.T) {
	t.Parallel()
	good := document(section("11450-4", "", problem(asthma), problem(asthma)))
	for name, c := range map[string]struct {
		text, want string
		conditions int
	}{
		"empty":                  {"", "truncated 1", 0},
		"cut in an entry":        {good[:strings.LastIndex(good, "<value")+20], "truncated 4 section[Problems].entry[2]", 1},
		"cut in the header":      {good[:200], "truncated 1", 0},
		"another element":        {"<Bundle/>", "not-a-clinical-document 1", 0},
		"no namespace":           {strings.Replace(good, `xmlns="urn:hl7-org:v3"`, "", 1), "undeclared-namespace 1", 0},
		"undeclared prefix":      {strings.Replace(good, "xmlns:xsi", "xmlns:x", 1), "undeclared-namespace 3 section[Problems].entry[1]", 0},
		"undeclared in the head": {strings.Replace(good, "<recordTarget>", "\n<voc:recordTarget/><recordTarget>", 1), "undeclared-namespace 2", 0},
		"mismatched tags":        {strings.Replace(good, "</act>", "</entry>", 1), "malformed-xml 3 section[Problems].entry[1]", 0},
		"not closed":             {strings.Replace(good, "</act>", "", 1), "malformed-xml 3 section[Problems].entry[1]", 0},
		"an unknown entity":      {strings.Replace(good, "Müdigkeit", "&nbsp;", 1), "malformed-xml 3 section[Problems].entry[1]", 0},
		"invalid UTF-8":          {strings.Replace(good, "Müdigkeit", "M\xfcde", 1), "invalid-utf8 3 section[Problems].entry[1]", 0},
		"a control character":    {strings.Replace(good, "Müdigkeit", "M\x01", 1), "malformed-xml 3 section[Problems].entry[1]", 0},
		"a NUL as an entity":     {strings.Replace(good, "Müdigkeit", "&#0;", 1), "malformed-xml 3 section[Problems].entry[1]", 0},
		"text before":            {"x" + good, "malformed-xml 1", 0},
		"text behind":            {good + "\nx", "malformed-xml 4", 2},
		"two documents":          {good + good, "malformed-xml 4", 2},
		"XML 1.1":                {`<?xml version="1.1"?>` + good, "malformed-xml 1", 0},
		"an unknown encoding":    {`<?xml version="1.0" encoding="EBCDIC-CP-US"?>` + good, "unsupported-charset 1", 0},
		"nobody":                 {strings.Replace(good, somebody, "", 1), "no-patient 1 recordTarget", 0},
		"nobody with a number":   {strings.Replace(good, `extension="7"`, `extension="7" nullFlavor="UNK"`, 1), "no-patient 1 recordTarget", 0},
		"two people":             {strings.Replace(good, somebody, somebody+somebody, 1), "no-patient 1 recordTarget", 0},
		"a date that is none":    {strings.Replace(good, "20240102", "20241301", 1), "invalid-time 3 section[Problems].entry[1].act.entryRelationship[1].observation.effectiveTime", 1},
		"a problem of nothing":   {strings.Replace(good, asthma, "", 1), "missing-field 3 section[Problems].entry[1].act.entryRelationship[1].observation.value", 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := collectText(t, c.text)
			require.Equal(t, []string{c.want}, got.places())
			require.Equal(t, c.conditions, got.summary.Decoded["Condition"])
		})
	}
}

// What XML allows and no document needs ends it at once, before anything is expanded or
// fetched.
func TestEntityAttacks(t *testing.T) {
	t.Parallel()
	body := document(section("11450-4", "&x;", problem(asthma)))
	var laughs strings.Builder
	laughs.WriteString(`<!DOCTYPE ClinicalDocument [<!ENTITY x0 "ha">`)
	for i := range 30 {
		fmt.Fprintf(&laughs, `<!ENTITY x%d "&x%d;&x%d;">`, i+1, i, i)
	}
	laughs.WriteString(`<!ENTITY x "&x30;">]>`)
	for name, head := range map[string]string{
		"billion laughs":     laughs.String(),
		"an external entity": `<!DOCTYPE ClinicalDocument [<!ENTITY x SYSTEM "file:///etc/passwd">]>`,
		"an external subset": `<!DOCTYPE ClinicalDocument SYSTEM "http://127.0.0.1:1/x.dtd">`,
		"a parameter entity": `<!DOCTYPE ClinicalDocument [<!ENTITY % p SYSTEM "file:///dev/zero"> %p;]>`,
		"a mere declaration": `<!DOCTYPE ClinicalDocument>`,
	} {
		got := collectText(t, "\n"+head+body)
		require.Equal(t, []string{"forbidden-dtd 2"}, got.places(), name)
		require.Empty(t, got.records, name)
	}
	require.Equal(t, []string{"malformed-xml 2 section[Problems]"}, collectText(t, body).places(), "no declaration, no entity")
}

func TestLimits(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("x", 5000)
	small := Options{Limits: fhir.Options{MaxRecord: 4096, MaxDepth: 30}, MaxNodes: 100}
	for name, c := range map[string]struct{ text, want string }{
		"an entry":           {document(section("8716-3", "", pulse("1", "2024"), pulse("2", "2024")+"<!-- "+long+" -->", pulse("3", "2024"))), "too-large 4 section[VitalSigns].entry[2]"},
		"many elements":      {document(section("8716-3", "", pulse("1", "2024"), strings.Repeat("<a/>", 200), pulse("3", "2024"))), "too-large 4 section[VitalSigns].entry[2]"},
		"a section not read": {document(section("10157-6", long), section("8716-3", "", pulse("1", "2024"), pulse("3", "2024"))), "too-large 2 section[FamilyHistory]"},
		"depth":              {document(section("8716-3", "", pulse("1", "2024"), pulse("3", "2024"), strings.Repeat("<a>", 40)+strings.Repeat("</a>", 40))), "too-deep 5 section[VitalSigns].entry[3]"},
	} {
		got := collect(t, strings.NewReader(c.text), small)
		require.Equal(t, []string{c.want}, got.places(), name)
		require.Equal(t, 2, got.summary.Decoded["Observation"], name)
	}
	for name, c := range map[string]struct{ text, want string }{
		"the header":            {strings.Replace(document(), "<recordTarget>", "<title>"+long+"</title><recordTarget>", 1), "too-large 1"},
		"elements of the head":  {strings.Replace(document(), "<recordTarget>", strings.Repeat("<title/>", 200)+"<recordTarget>", 1), "too-large 1"},
		"a tag":                 {strings.Replace(document(), "<recordTarget>", "<title a='>' "+strings.Repeat(`a=">" `, maxTag/6)+"/><recordTarget>", 1), "too-large 1"},
		"prefixes":              {strings.Replace(document(), "<recordTarget>", "<title "+counted("xmlns:a%d='a' ", 200)+"/><recordTarget>", 1), "too-large 1"},
		"all that is not a tag": {strings.Replace(document(), "<recordTarget>", "<!-- a < "+strings.Repeat("b", maxTag)+" --><recordTarget>", 1), "too-large 1"},
	} {
		got := collect(t, strings.NewReader(c.text), small)
		require.Equal(t, []string{c.want}, got.places(), name)
	}
	got := collect(t, strings.NewReader(document(section("8716-3", long))), Options{Limits: fhir.Options{MaxTotal: 1000}})
	require.Equal(t, []string{"too-large 1"}, got.places())

	var zipped bytes.Buffer
	zw := gzip.NewWriter(&zipped)
	_, err := zw.Write([]byte(document(section("8716-3", strings.Repeat(" ", 3<<19)))))
	require.NoError(t, err)
	require.NoError(t, zw.Close())
	got = collect(t, bytes.NewReader(zipped.Bytes()), Options{})
	require.Equal(t, fhir.RuleGzipExpansion, got.problems[len(got.problems)-1].Rule)
}

// What a sender can make long at little cost must not take time that grows with its
// square, which would be minutes for each of these.
func TestHostileDocuments(t *testing.T) {
	t.Parallel()
	const n = 20_000
	for name, text := range map[string]string{
		"sections":       document(strings.Repeat("<section/></component><component>", n/4)),
		"nested IDs":     document(section("11450-4", strings.Repeat(`<content ID="a">`, 50)+strings.Repeat("x", n)+strings.Repeat("</content>", 50), problem(`<value nullFlavor="OTH">`+strings.Repeat(`<originalText><reference value="#a"/></originalText>`, 10)+"</value>"))),
		"pieces of text": document(section("8716-3", "", "<observation><text>"+strings.Repeat("x<br/>", n)+"</text></observation>")),
		"codings":        document(section("11450-4", "", problem(`<value xsi:type="CD" code="1">`+counted(`<translation code="%d"/>`, n)+"</value>"))),
		"a concern":      document(section("11450-4", "", "<act>"+strings.Repeat("<entryRelationship typeCode='SUBJ'><observation/></entryRelationship>", n/2)+"</act>")),
		"an organizer":   document(section("30954-2", "", "<organizer><effectiveTime>"+strings.Repeat("<a/>", n)+"</effectiveTime>"+strings.Repeat("<component><observation><code code='1'/></observation></component>", n/2)+"</organizer>")),
		"entries":        document(section("8716-3", "", strings.Repeat("<act/></entry><entry>", n/4))),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := collectText(t, text)
			require.Zero(t, got.summary.Problems[RuleMalformedXML], got.places())
			require.Equal(t, 1, got.summary.Decoded["Patient"])
		})
	}
}

// counted repeats a format n times, with a number.
func counted(format string, n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, format, i)
	}
	return b.String()
}

func TestPlacesLinesAndBytes(t *testing.T) {
	t.Parallel()
	text := "<?xml version=\"1.0\"?>\n" + document(
		section("8716-3", "", pulse("1", "2024"), pulse("2", "2024")),
		"\n"+section("8716-3", "", pulse("3", "2024")),
		"<section><code code='99999-9'/><title>who knows</title><component>"+section("11450-4", "", problem(asthma))+"</component></section>")
	got := collectText(t, text)
	require.Empty(t, got.places())
	lines := []string{}
	for _, r := range got.records {
		lines = append(lines, fmt.Sprintf("%d %s %s", r.Line, r.Type, r.Path))
		require.Contains(t, text, string(r.Raw))
	}
	require.Equal(t, []string{
		"2 ClinicalDocument ",
		"2 Patient recordTarget",
		"4 Observation section[VitalSigns].entry[1].organizer.component[1]",
		"5 Observation section[VitalSigns].entry[2].organizer.component[1]",
		"7 Observation section[VitalSigns#2].entry[1].organizer.component[1]",
		"7 Section section[Other]",
		"8 Condition section[Problems].entry[1].act.entryRelationship[1].observation",
	}, lines)
	require.Equal(t, "<entry>"+pulse("2", "2024")+"</entry>", string(got.records[3].Raw))
	require.Equal(t, "<section><code code='99999-9'/><title>who knows</title>", string(got.records[5].Raw), "without what stands in it")
	require.True(t, strings.HasSuffix(string(got.records[0].Raw), "</recordTarget>\n"))
}

func TestSectionsAreToldByTemplateOrCode(t *testing.T) {
	t.Parallel()
	entry := "<entry>" + problem(asthma) + "</entry></section>"
	for name, head := range map[string]string{
		"template":              `<section><templateId root="2.16.840.1.113883.10.20.22.2.5.1"/>`,
		"template of R2.1":      `<section><templateId root="2.16.840.1.113883.10.20.22.2.5.1" extension="2015-08-01"/>`,
		"code":                  `<section><code code="11450-4"/>`,
		"template against code": `<section><templateId root="2.16.840.1.113883.10.20.22.2.5"/><code code="10157-6"/>`,
		"prefixed names":        "",
	} {
		text := document(head + entry)
		if head == "" {
			text = document(`<section><code code="11450-4"/>` + entry)
			text = strings.NewReplacer("</", "</n1:", "<", "<n1:", "xmlns=", "xmlns:n1=", `xsi:type="CD"`, `xsi:type="n1:CD"`).Replace(text)
		}
		require.Equal(t, "195967001", only[*fhir.Condition](t, collectText(t, text)).Code.Coding[0].Code, name)
	}
	got := collectText(t, document(section("10157-6", "x"), section("11450-4", "no entry"), "<section/>"))
	require.Equal(t, []string{"ClinicalDocument", "Patient", "Section 10157-6", "Section 11450-4", "Section"}, got.types())
}

// The names are in places and the codes in types, so each means one section.
func TestSectionTypesAreDistinct(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	for _, s := range sectionTypes {
		require.Regexp(t, `^[A-Za-z]+$`, s.name)
		require.NotEmpty(t, s.codes, s.name)
		for _, word := range slices.Concat([]string{s.name}, s.codes, s.templates) {
			require.False(t, seen[word], word)
			seen[word] = true
		}
		_, read := statements[s.kind]
		require.Equal(t, s.kind != unread, read, s.name)
	}
}

// A document that was read before gives the same records, and one that comes without its
// neighbours the same ids.
func TestIDsAreOfWhatIsSaid(t *testing.T) {
	t.Parallel()
	for _, c := range append(outsideCases(t, "examples/documents.ndjson.gz")[4:6], outsideCases(t, "connectathon/cases.ndjson.gz")...) {
		once, twice := collectText(t, c.Document), collectText(t, c.Document)
		ids := map[string]facts{}
		for i, r := range once.records {
			require.Equal(t, r.ID, twice.records[i].ID)
			require.Regexp(t, plainID, r.ID)
			require.Equal(t, fmt.Sprintf("%s %s", r.Type, r.Path), fmt.Sprintf("%s %s", twice.records[i].Type, twice.records[i].Path))
			if r.Resource != nil {
				f := factsOf([]fhir.Resource{r.Resource})
				if before, ok := ids[r.Type+r.ID]; ok {
					require.Equal(t, before, f, "%s: one id for two that are not the same, at %s", c.Name, r.Path)
				}
				ids[r.Type+r.ID] = f
			}
		}
	}
	read := func(entries ...string) (ids []string) {
		for _, r := range collectText(t, document(section("8716-3", "", entries...))).records[2:] {
			ids = append(ids, r.ID)
		}
		return ids
	}
	apart := read(pulse("80", "2024"), pulse("80", "2025"), pulse("90", "2024"), pulse("80", "2024"))
	require.Equal(t, apart[0], apart[3], "the same said twice")
	require.Equal(t, apart[0], read(pulse("80", "2024"))[0])
	require.Len(t, map[string]bool{apart[0]: true, apart[1]: true, apart[2]: true}, 3)
	numbered := strings.Replace(pulse("80", "2024"), "<code", `<id root="1.2" extension="n"/><code`, 1)
	require.Equal(t, read(numbered), read(strings.Replace(numbered, `value="80"`, `value="81"`, 1)), "a correction")
}

// The same number by the same authority is one patient and one visit, whichever of the
// two interfaces they came by.
func TestOnePatientOverBothInterfaces(t *testing.T) {
	t.Parallel()
	visit := `<componentOf><encompassingEncounter><id root="1.2.9" extension="V1"/><effectiveTime><low value="20240102"/></effectiveTime></encompassingEncounter></componentOf>`
	got := collectText(t, strings.Replace(document(), "</recordTarget>", "</recordTarget>"+visit, 1))
	message := "MSH|^~\\&|A|F|||20240102||ADT^A01|1|P|2.5\rPID|1||7^^^HOSP&1.2.3&ISO^MR||Doe^Jo||19700203|F\r" +
		"PV1|1|I|||||||||||||||||V1^^^HOSP&1.2.9&ISO|||||||||||||||||||||||||20240102\r"
	for rec, err := range hl7v2.Read(t.Context(), strings.NewReader(message), hl7v2.Options{}) {
		require.NoError(t, err)
		switch rec.Type {
		case "Patient":
			require.Equal(t, rec.ID, only[*fhir.Patient](t, got).ID)
		case "Encounter":
			require.Equal(t, rec.ID, only[*fhir.Encounter](t, got).ID)
		}
	}
}

func TestReadStops(t *testing.T) {
	t.Parallel()
	text := document(section("8716-3", "", pulse("1", "2024"), pulse("2", "2024")))
	for stop := 1; stop <= 4; stop++ {
		n := 0
		for range Read(t.Context(), strings.NewReader(text), Options{}) {
			if n++; n == stop {
				break
			}
		}
		require.Equal(t, stop, n)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for _, err := range Read(ctx, strings.NewReader(text), Options{}) {
		require.ErrorIs(t, err, context.Canceled)
	}
	broken := errors.New("disk")
	for at := 0; at < len(text); at += 13 {
		var last error
		for _, err := range Read(t.Context(), &failing{text[:at], broken}, Options{}) {
			last = err
		}
		require.ErrorIs(t, last, broken)
		_, isProblem := fhir.AsProblem(last)
		require.False(t, isProblem)
	}
}

// failing is a reader that breaks behind its text.
type failing struct {
	text string
	err  error
}

func (f *failing) Read(p []byte) (int, error) {
	if f.text == "" {
		return 0, f.err
	}
	n := copy(p, f.text)
	f.text = f.text[n:]
	return n, nil
}

func TestNothingPrints(t *testing.T) {
	t.Parallel()
	e := &element{name: "SECRET", text: []byte("SECRET"), attrs: []attribute{{"SECRET", "SECRET"}}}
	n := &narrative{spans: map[string][2]int{"SECRET": {}}}
	got := collectText(t, strings.ReplaceAll(document(section("11450-4", "", problem(asthma))), "Müdigkeit", "SECRET"))
	for _, v := range []any{e, *e, n, got.records[2], got.records[2].Resource} {
		require.NotContains(t, fmt.Sprintf("%v %+v %#v %s", v, v, v, v), "SECRET")
		_, err := json.Marshal(v)
		require.Error(t, err)
	}
}

func TestDetectLeavesOthersAlone(t *testing.T) {
	t.Parallel()
	for _, head := range []string{"", "<", "MSH|^~\\&|", `{"resourceType":"Bundle"}`, `<Bundle xmlns="http://hl7.org/fhir">`, `<?xml version="1.0"?><ODM>`, "<html>", "\xff\xfe", "\x00<"} {
		require.False(t, Detect([]byte(head)), head)
	}
	for _, head := range []string{"<ClinicalDocument>", " \r\n<n1:ClinicalDocument ", `<?xml version="1.0"?><!-- a licence that goes on and on`, `<!DOCTYPE ClinicalDocument [<!ENTITY a "b">]><ClinicalDocument>`} {
		require.True(t, Detect([]byte(head)), head)
	}
}

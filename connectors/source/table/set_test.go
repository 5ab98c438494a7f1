package table

import (
	"bytes"
	"compress/gzip"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/stretchr/testify/require"

	"github.com/trialmesh/trialmesh/connectors/source/fhir"
)

func folder(files map[string]string) fstest.MapFS {
	out := fstest.MapFS{}
	for name, text := range files {
		out[name] = &fstest.MapFile{Data: []byte(text)}
	}
	return out
}

func TestASetIsAFolderOfMappings(t *testing.T) {
	t.Parallel()
	s, err := LoadSet(folder(map[string]string{"a.yaml": small, "b.yml": with("name: small", "name: other", "unit]", "unit, more]"), "README.md": "no mapping", "old/c.yaml": "no"}))
	require.NoError(t, err)
	require.Len(t, s.mappings, 2, "files of other names and folders are left alone")
	require.Len(t, s.Version(), 16)

	same, err := LoadSet(folder(map[string]string{"a.yaml": small, "b.yml": with("name: small", "name: other", "unit]", "unit, more]")}))
	require.NoError(t, err)
	require.Equal(t, s.Version(), same.Version())
	changed, err := LoadSet(folder(map[string]string{"a.yaml": small}))
	require.NoError(t, err)
	require.NotEqual(t, s.Version(), changed.Version())

	_, err = LoadSet(folder(map[string]string{"a.yaml": small, "b.yaml": small}))
	require.ErrorContains(t, err, `b.yaml: a.yaml has the name "small" as well`)
	_, err = LoadSet(folder(map[string]string{"a.yaml": with("version: 1", "version: 9"), "b.yaml": "x: 1"}))
	require.ErrorContains(t, err, "a.yaml: line 1: version")
	require.ErrorContains(t, err, "b.yaml: line 1: ", "every file that is none is named")
	_, err = LoadSet(folder(map[string]string{"a.yaml": small + strings.Repeat("#", maxMapping)}))
	require.ErrorContains(t, err, "1 MiB")
}

func TestASetFindsTheOneMappingForAHeader(t *testing.T) {
	t.Parallel()
	const row = "1,2024-01-31,2823-3,5.9,mmol/L\n"
	files := map[string]string{
		"a.yaml": small, "b.yaml": with("name: small", "name: wider", "unit]", "unit, more]"),
		"c.yaml": with("name: small", "name: any-b", "columns: [pid, day, test, value, unit]", "columns: [pid, day, test, value, unit, x1]\nextra: true"),
		"d.yaml": with("name: small", "name: any-c", "columns: [pid, day, test, value, unit]", "columns: [pid, day, test, value, unit, x2]\nextra: true"),
		"e.yaml": with("name: small", "name: no-header", "columns: [pid", "header: false\ncolumns: [pid"),
		"f.yaml": with("name: small", "name: umlaut", "unit]", "unit, Größe]\nencoding: latin-1"),
	}
	s, err := LoadSet(folder(files))
	require.NoError(t, err)
	for head, want := range map[string]string{
		header: "small", header + row: "small", byteOrderMark + header: "small", "pid;day;test;value;unit;more\n": "wider",
		"pid,day,test,value,unit,x1,other\n": "any-b", "pid,day,test,value,unit,Gr\xf6\xdfe\n": "umlaut",
		"": "", "\n": "", row: "", strings.TrimSpace(header): "", "pid,day,test,value\n": "", "{\"resourceType\":\"Bundle\"}\n": "", "MSH|^~\\&|A\r": "",
		"\x1f\x8bno gzip": "", "pid,day,test,value,unit,pid\n": "",
	} {
		m, err := s.Detect([]byte(head))
		require.NoError(t, err, "%q", head)
		if want == "" {
			require.Nil(t, m, "%q", head)
			continue
		}
		require.NotNil(t, m, "%q", head)
		require.Equal(t, want, m.Name, "%q", head)
	}
	_, err = s.Detect([]byte("pid,day,test,value,unit,x1,x2\n"))
	var ambiguous *AmbiguousError
	require.ErrorAs(t, err, &ambiguous)
	require.Equal(t, []string{"any-b", "any-c"}, []string{ambiguous.First, ambiguous.Second})
	require.ErrorContains(t, err, "any-b and any-c")

	for text, want := range map[string]fhir.Rule{"pid,day,test,value,unit,x1,x2\n": RuleAmbiguousTable, "a,b\n1,2\n": RuleWrongHeader} {
		for rec, err := range s.Read(t.Context(), strings.NewReader(text), fhir.Options{}) {
			p, ok := fhir.AsProblem(err)
			require.True(t, ok)
			require.Equal(t, want, p.Rule)
			require.Empty(t, rec.Type)
		}
	}
	var none *Set
	m, err := none.Detect([]byte(header))
	require.NoError(t, err)
	require.Nil(t, m)
	require.Empty(t, none.Version())
}

func TestWhatIsNoTextIsNotTakenForATable(t *testing.T) {
	t.Parallel()
	var zipped bytes.Buffer
	w := gzip.NewWriter(&zipped)
	_, err := w.Write([]byte("PK\x03\x04,a,b\n"))
	require.NoError(t, err)
	require.NoError(t, w.Close())
	for name, head := range map[string]string{
		"zip or xlsx":      "PK\x03\x04\x14\x00\x06\x00\x08,;,\n",
		"zip of text":      "PK\x03\x04a,b\n1,2\n",
		"empty zip":        "PK\x05\x06,,\n",
		"zip in gzip":      zipped.String(),
		"png":              "\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR,;,",
		"pdf":              "%PDF-1.7\n1 0 obj, 2\n",
		"old workbook":     "\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1,\x00,\n",
		"a byte below tab": "a,b\n1,\x08\n",
	} {
		require.False(t, Detect([]byte(head)), name)
	}
	for name, head := range map[string]string{
		"csv": "a,b\n1,2\n", "tsv": "a\tb\r\n1\t2\r\n", "PK as a name": "PK,day\n1,2\n", "with its mark": byteOrderMark + "a,b\n",
		"Latin-1": "Gr\xf6\xdfe;b\n", "UTF-16": "\xff\xfea\x00,\x00b\x00\n\x00",
	} {
		require.True(t, Detect([]byte(head)), name)
	}
}

package cdisc

import (
	"bytes"
	"compress/gzip"
	"compress/zlib"
	"encoding/csv"
	"io"
	"regexp"
	"slices"
	"strings"
)

// headSize is how many bytes of an input tell what it is.
const headSize = 4096

// Detect reports whether an input that begins with head, plain or compressed, is a SAS
// transport file, Dataset-JSON or define.xml. 4 KiB are enough.
func Detect(head []byte) bool { return containerOf(plain(head)) != noContainer }

// container is how a data set is written down.
type container uint8

const (
	noContainer container = iota
	xportFile
	cportFile // of SAS's procedure CPORT, whose layout is not published
	jsonFile
	defineFile // metadata that comes with data sets, and no data
)

func containerOf(head []byte) container {
	text := bytes.TrimLeft(bytes.TrimPrefix(head, []byte(byteOrderMark)), " \t\r\n")
	switch {
	case bytes.HasPrefix(head, []byte(libraryV5)), bytes.HasPrefix(head, []byte(libraryV8)):
		return xportFile
	case bytes.HasPrefix(head, []byte("**COMPRESSED** **COMPRESSED**")):
		return cportFile
	case bytes.HasPrefix(text, []byte("{")) && bytes.Contains(text, []byte(`"datasetJSONVersion"`)):
		return jsonFile
	case bytes.HasPrefix(text, []byte("<")) && bytes.Contains(text, []byte("http://www.cdisc.org/ns/def/")):
		return defineFile
	}
	return noContainer
}

const byteOrderMark = "\xef\xbb\xbf"

// DetectTable reports whether a table of text that begins with head, plain or gzip, has the
// variables of a data set. The header has to be whole.
func DetectTable(head []byte) bool {
	header, _ := headerOf(plain(head))
	return isDataset(header)
}

// isDataset reports whether variables are those of SDTM or ADaM: all have STUDYID, and
// either DOMAIN, RDOMAIN or a subject with a variable of ADSL or BDS.
func isDataset(names []string) bool {
	has := func(name string) bool { return slices.Contains(names, name) }
	return has("STUDYID") && (has("DOMAIN") || has("USUBJID") && (has("RDOMAIN") || has("SUBJID") || has("PARAMCD")))
}

// headerOf returns the names in the first line of a table, in capitals, and the delimiter;
// nil if the line does not end in head.
func headerOf(head []byte) ([]string, rune) {
	line, _, whole := bytes.Cut(bytes.TrimPrefix(head, []byte(byteOrderMark)), []byte("\n"))
	if !whole {
		return nil, 0
	}
	for _, delimiter := range ",\t;|" {
		r := csv.NewReader(bytes.NewReader(line))
		r.Comma = delimiter
		cells, err := r.Read()
		if err == nil && len(cells) > 1 {
			return upper(cells), delimiter
		}
	}
	return nil, 0
}

func upper(names []string) []string {
	out := make([]string, len(names))
	for i, n := range names {
		out[i] = strings.ToUpper(strings.TrimSpace(n))
	}
	return out
}

// plain returns the uncompressed beginning of what head begins.
func plain(head []byte) []byte {
	var zipped io.Reader
	var err error
	switch {
	case bytes.HasPrefix(head, []byte{0x1f, 0x8b}):
		zipped, err = gzip.NewReader(bytes.NewReader(head))
	case isZlib(head):
		zipped, err = zlib.NewReader(bytes.NewReader(head))
	default:
		return head
	}
	if err != nil {
		return head
	}
	out := make([]byte, headSize)
	n, _ := io.ReadFull(zipped, out) // head need not hold all of it
	return out[:n]
}

// Stage says when a data set that begins with head, plain or compressed, can be loaded: after all
// of a lower stage, as its rows refer to theirs. It is 0 for subjects (DM, ADSL), 1 for
// visits (SV), else 2; ok is false for what is no data set.
func Stage(head []byte) (stage int, ok bool) {
	head = plain(head)
	name := ""
	switch containerOf(head) {
	case xportFile:
		name = memberName(head)
	case jsonFile:
		if found := datasetName.FindSubmatch(sourceSystem.ReplaceAll(head, nil)); found != nil {
			name = string(found[1])
		}
	case noContainer:
		header, _ := headerOf(head)
		if !isDataset(header) {
			return 0, false
		}
		name = tableName(header)
	}
	switch strings.ToUpper(name) {
	case "DM", "ADSL":
		return 0, true
	case "SV":
		return 1, true
	}
	return 2, true
}

var (
	sourceSystem = regexp.MustCompile(`"sourceSystem"\s*:\s*\{[^}]*\}`) // it has a name as well
	datasetName  = regexp.MustCompile(`"name"\s*:\s*"(\w+)"`)
)

// tableName is the name of the data set that has these variables, as far as loading it in
// the right order needs one.
func tableName(names []string) string {
	has := func(name string) bool { return slices.Contains(names, name) }
	switch {
	case has("SVSTDTC"):
		return "SV"
	case has("SEX") && has("SUBJID") && !has("PARAMCD") && has("DOMAIN"):
		return "DM"
	case has("SEX") && has("SUBJID") && !has("PARAMCD") && !has("RDOMAIN") && !slices.ContainsFunc(names, isNumber):
		return "ADSL"
	}
	return ""
}

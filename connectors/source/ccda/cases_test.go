package ccda

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/trialmesh/trialmesh/connectors/source/fhir"
)

// outside is a document that others wrote and the FHIR resources that others made of it.
type outside struct {
	Name     string
	Document string
	Expected []map[string]any
}

func outsideCases(t testing.TB, set string) []outside {
	t.Helper()
	zipped, err := os.ReadFile(filepath.Join("testdata", set))
	require.NoError(t, err)
	zr, err := gzip.NewReader(bytes.NewReader(zipped))
	require.NoError(t, err)
	var all []outside
	lines := bufio.NewScanner(zr)
	lines.Buffer(nil, 4<<20)
	for lines.Scan() {
		var c outside
		require.NoError(t, json.Unmarshal(lines.Bytes(), &c))
		all = append(all, c)
	}
	require.NoError(t, lines.Err())
	return all
}

const (
	namespaces = `xmlns="urn:hl7-org:v3" xmlns:sdtc="urn:hl7-org:sdtc" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"`

	// somebody is the patient of documents that tests write.
	somebody = `<recordTarget><patientRole><id root="1.2.3" extension="7"/><patient>` +
		`<administrativeGenderCode code="F"/><birthTime value="19700203"/></patient></patientRole></recordTarget>`
)

// document is one about somebody with the sections given.
func document(sections ...string) string {
	body := ""
	for _, s := range sections {
		body += "<component>" + s + "</component>"
	}
	return "<ClinicalDocument " + namespaces + `><id root="1.2.3.4" extension="doc"/>` + somebody + "\n<component><structuredBody>" + body + "</structuredBody></component></ClinicalDocument>"
}

// section is one with a code of LOINC, a narrative and entries.
func section(code, narrative string, entries ...string) string {
	s := `<section><code code="` + code + `" codeSystem="2.16.840.1.113883.6.1"/><text>` + narrative + "</text>"
	for _, e := range entries {
		s += "\n<entry>" + e + "</entry>"
	}
	return s + "</section>"
}

// fragment makes a document of a section that stands alone, as those of HL7's examples do.
func fragment(section string) string {
	section = strings.ReplaceAll(section, `<?xml version="1.0" encoding="UTF-8"?>`, "")
	if before, _, _ := strings.Cut(section, "<section"); !strings.Contains(before, "<component") {
		section = "<component>" + section + "</component>"
	}
	return "<ClinicalDocument " + namespaces + ">" + somebody + "<component><structuredBody>" + section + "</structuredBody></component></ClinicalDocument>"
}

// collected is everything one Read gave.
type collected struct {
	records  []fhir.Record
	problems []*fhir.Problem
	summary  fhir.Summary
}

func collect(t testing.TB, src io.Reader, opts Options) (c collected) {
	t.Helper()
	for rec, err := range Read(t.Context(), src, opts) {
		c.summary.Note(rec, err)
		if p, ok := fhir.AsProblem(err); ok {
			c.problems = append(c.problems, p)
			continue
		}
		require.NoError(t, err)
		c.records = append(c.records, rec)
	}
	return c
}

func collectText(t testing.TB, text string) collected {
	t.Helper()
	return collect(t, strings.NewReader(text), Options{})
}

// places renders problems as "rule line path".
func (c collected) places() []string {
	all := []string{}
	for _, p := range c.problems {
		all = append(all, strings.TrimSpace(fmt.Sprintf("%s %d %s", p.Rule, p.Line, p.Path)))
	}
	return all
}

// resources are what was decoded, in order.
func (c collected) resources() (all []fhir.Resource) {
	for _, rec := range c.records {
		if rec.Resource != nil {
			all = append(all, rec.Resource)
		}
	}
	return all
}

// types are those of the records, in order.
func (c collected) types() (all []string) {
	for _, rec := range c.records {
		all = append(all, rec.Type)
	}
	return all
}

// only is the resource of the first record of a type.
func only[R fhir.Resource](t testing.TB, c collected) R {
	t.Helper()
	for _, r := range c.resources() {
		if r, ok := r.(R); ok {
			return r
		}
	}
	var none R
	require.Failf(t, "no such record", "%T, only %v, %v", none, c.types(), c.places())
	return none
}

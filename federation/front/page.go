package front

import (
	"bytes"
	_ "embed"
	"html/template"
	"net/http"
)

// StylePath is where a status page finds its stylesheet.
const StylePath = "/style.css"

//go:embed style.css
var stylesheet []byte

// Style serves the stylesheet of the status pages.
func Style(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "text/css; charset=utf-8")
	w.Header().Set("Cache-Control", "public, max-age=3600")
	_, _ = w.Write(stylesheet) // the reader is gone; nobody is left to tell
}

// WritePage writes a page whole or, with an error, not at all.
func WritePage(w http.ResponseWriter, page *template.Template, data any) error {
	var buf bytes.Buffer
	if err := page.Execute(&buf, data); err != nil {
		return err
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	_, _ = w.Write(buf.Bytes()) // the reader is gone; nobody is left to tell
	return nil
}

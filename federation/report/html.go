package report

import (
	"html"
	"io"
	"strings"
)

// pageHead has the whole style, and forbids what a page could load or run.
const pageHead = `<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>TITLE</title>
<style>
body { font: 15px/1.45 "Liberation Sans", Arial, Helvetica, sans-serif; color: #111; max-width: 60em; margin: 2em auto; padding: 0 1em; }
h1 { font-size: 1.35em; }
table { border-collapse: collapse; margin: 1.2em 0; border-top: 1.5px solid #111; border-bottom: 1.5px solid #111; }
caption { text-align: left; font-weight: bold; padding-bottom: .4em; }
th, td { padding: .2em .8em; text-align: right; vertical-align: top; font-variant-numeric: tabular-nums; font-weight: normal; white-space: pre; }
thead th { border-bottom: 1px solid #111; font-weight: bold; }
.w { text-align: left; white-space: pre-wrap; }
.facts { border: none; }
.facts th { color: #555; }
figure { margin: 2em 0; }
svg { max-width: 100%; height: auto; }
</style>
</head>
<body>
`

// htmlWriter makes a page.
type htmlWriter struct{ strings.Builder }

func (w *htmlWriter) put(text string) { _, _ = w.WriteString(text) } // it cannot fail

// writeHTML writes a page with blocks and a figure, which may be nil.
func writeHTML(out io.Writer, title string, blocks []block, drawn drawing) error {
	var w htmlWriter
	w.put(strings.Replace(pageHead, "TITLE", escaped(title), 1))
	w.put("<h1>" + escaped(title) + "</h1>\n")
	for _, b := range blocks {
		b.html(&w)
	}
	if drawn != nil {
		w.put("<figure>\n")
		if err := drawn.Draw().SVG(&w); err != nil {
			return err
		}
		w.put("</figure>\n")
	}
	w.put("</body>\n</html>\n")
	_, err := io.WriteString(out, w.String())
	return err
}

func (l lines) html(w *htmlWriter) {
	if len(l) == 0 {
		return
	}
	w.put("<p>")
	for i, text := range l {
		if i > 0 {
			w.put("<br>\n")
		}
		w.put(escaped(text))
	}
	w.put("</p>\n")
}

func (f facts) html(w *htmlWriter) {
	if len(f) == 0 {
		return
	}
	w.put("<table class=\"facts\">\n")
	for _, fact := range f {
		w.put(`<tr><th scope="row" class="w">` + escaped(fact[0]) + `</th><td class="w">` + escaped(fact[1]) + "</td></tr>\n")
	}
	w.put("</table>\n")
}

func (t *table) html(w *htmlWriter) {
	w.put("<table>\n")
	if t.title != "" {
		w.put("<caption>" + escaped(t.title) + "</caption>\n")
	}
	w.put("<thead><tr>")
	for i, cell := range t.head {
		w.cell("th", ` scope="col"`, cell, t.left(i))
	}
	w.put("</tr></thead>\n<tbody>\n")
	for _, cells := range t.rows {
		w.put("<tr>")
		for i, cell := range cells {
			if i == 0 && t.words > 0 {
				w.cell("th", ` scope="row"`, cell, true)
				continue
			}
			w.cell("td", "", cell, t.left(i))
		}
		w.put("</tr>\n")
	}
	w.put("</tbody>\n</table>\n")
	if n := len(t.foot); n > 0 {
		lines(t.foot[1:]).html(w) // without the rule above it
	}
}

func (w *htmlWriter) cell(element, attribute, text string, left bool) {
	if left {
		attribute += ` class="w"`
	}
	w.put("<" + element + attribute + ">" + escaped(text) + "</" + element + ">")
}

func escaped(text string) string { return html.EscapeString(visible(text)) }

// Package page is the page that verifies evidence in a browser, without talking to anyone.
//
// It is one HTML file that also opens from a disk: the script, package evidence compiled to
// WebAssembly, and a content security policy that lets it load and send nothing. [Assemble]
// makes the file when the program is built, and [Handler] serves it. A program that was
// built without it says so there.
package page

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"embed"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/trialmesh/trialmesh/protocol/problem"
)

//go:embed all:dist
var dist embed.FS

// File is where the page is built to, below this folder.
const File = "dist/verify.html"

//go:embed verify.html verify.css verify.js worker.js
var sources embed.FS

// ErrUnbuilt reports a program that was built without the page.
var ErrUnbuilt = problem.New(problem.NotFound, "this hub was built without the page: make build has it; trialmesh verify does the same")

// Assemble returns the page of a verifier and of the runtime that Go has for it.
func Assemble(wasm, runtime []byte) ([]byte, error) {
	var packed bytes.Buffer
	w, err := gzip.NewWriterLevel(&packed, gzip.BestCompression)
	if err != nil {
		return nil, err
	}
	if _, err := w.Write(wasm); err != nil {
		return nil, err
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	source := func(name string) string {
		raw, missing := sources.ReadFile(name)
		err = errors.Join(err, missing)
		return strings.TrimSpace(string(raw))
	}
	style, script, worker := source("verify.css"), source("verify.js"), strings.TrimSpace(string(runtime))+"\n"+source("worker.js")
	for _, text := range []string{style, script, worker} {
		if strings.Contains(text, "</") && strings.Contains(strings.ToLower(text), "</s") {
			err = errors.Join(err, errors.New("page: a script or style ends its own element"))
		}
	}
	page := strings.NewReplacer(
		"{{policy}}", policy(style, script), "{{style}}", style, "{{script}}", script, "{{worker}}", worker,
		"{{digest}}", fmt.Sprintf("%x", sha256.Sum256(wasm)), "{{verifier}}", base64.StdEncoding.EncodeToString(packed.Bytes()),
	).Replace(source("verify.html"))
	return []byte(page), err
}

// policy lets the page run its own script and verifier, and neither load nor send anything.
func policy(style, script string) string {
	hash := func(text string) string {
		sum := sha256.Sum256([]byte(text))
		return "'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'"
	}
	return "default-src 'none'; connect-src 'none'; script-src " + hash(script) + " 'wasm-unsafe-eval'; worker-src blob:; style-src " +
		hash(style) + "; base-uri 'none'; form-action 'none'"
}

// Handler serves the page, or fails with [ErrUnbuilt].
func Handler() func(http.ResponseWriter, *http.Request) error {
	built, missing := dist.ReadFile(File)
	tag := fmt.Sprintf("%q", fmt.Sprintf("%x", sha256.Sum256(built)))
	return func(w http.ResponseWriter, r *http.Request) error {
		if missing != nil {
			return ErrUnbuilt
		}
		_, rest, _ := strings.Cut(string(built[:min(len(built), 1024)]), `http-equiv="Content-Security-Policy" content="`)
		stated, _, _ := strings.Cut(rest, `"`)
		h := w.Header()
		h.Set("Content-Security-Policy", stated+"; frame-ancestors 'none'")
		h.Set("Content-Type", "text/html; charset=utf-8")
		h.Set("Cache-Control", "no-cache")
		h.Set("ETag", tag)
		http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(built))
		return nil
	}
}

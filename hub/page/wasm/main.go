//go:build js

// Command wasm is the verifier that runs in the page: package evidence, compiled to
// WebAssembly. It gives JavaScript one function, verify, and reads nothing else.
package main

import (
	"bytes"
	"context"
	"encoding/json"
	"syscall/js"

	"github.com/trialmesh/trialmesh/hub/evidence"
)

func main() {
	js.Global().Set("verify", js.FuncOf(func(_ js.Value, args []js.Value) any {
		archive := make([]byte, args[0].Length())
		js.CopyBytesToGo(archive, args[0])
		return answer(archive, []byte(args[1].String()))
	}))
	select {} // verify is called again
}

// found is what the page is told.
type found struct {
	// Fault says why nothing was verified, and is empty if something was.
	Fault string `json:"fault,omitempty"`

	// About is what the evidence was exported for.
	About string `json:"about,omitempty"`

	Report *evidence.Report `json:"report,omitempty"`
}

// answer verifies an archive against a trust document.
func answer(archive, trust []byte) string {
	about, report, err := verify(archive, trust)
	out := found{About: about, Report: &report}
	if err != nil {
		out = found{Fault: err.Error()}
	}
	raw, err := json.Marshal(out)
	if err != nil {
		panic(err) // strings, numbers and lists
	}
	return string(raw)
}

func verify(archive, document []byte) (string, evidence.Report, error) {
	trust, err := evidence.ParseTrust(document)
	if err != nil {
		return "", evidence.Report{}, err
	}
	copied, err := evidence.OpenArchive(bytes.NewReader(archive), int64(len(archive)))
	if err != nil {
		return "", evidence.Report{}, err
	}
	scope, _, err := copied.Scope()
	if err != nil {
		return "", evidence.Report{}, err
	}
	report, err := evidence.Verify(context.Background(), copied, trust, "", scope)
	return scope.String(), report, err
}

// Command assemble makes the page of a verifier that was compiled to WebAssembly:
//
//	go run ./hub/page/assemble verify.wasm wasm_exec.js verify.html
package main

import (
	"fmt"
	"os"

	"github.com/trialmesh/trialmesh/hub/page"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "assemble:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	if len(args) != 3 {
		return fmt.Errorf("%d arguments, want the verifier, Go's wasm_exec.js and the page", len(args))
	}
	wasm, err := os.ReadFile(args[0]) //nolint:gosec // of whoever builds
	if err != nil {
		return err
	}
	runtime, err := os.ReadFile(args[1]) //nolint:gosec // of whoever builds
	if err != nil {
		return err
	}
	made, err := page.Assemble(wasm, runtime)
	if err != nil {
		return err
	}
	return os.WriteFile(args[2], made, 0o644) //nolint:gosec // a public page
}

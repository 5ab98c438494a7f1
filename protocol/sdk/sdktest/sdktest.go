// Package sdktest finds what the tests of the clients under protocol/sdk run with.
//
// The tests are in the clients' own languages and are started by Go tests: of a node, of
// the program, of the demonstration. [Python] gives the interpreter, [ReadSources] tells
// go test what they are made of.
package sdktest

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// FindPython returns a Python of 3.10 or later in which the modules can be imported, that
// of the system before the first on the PATH. The error says what to install.
func FindPython(ctx context.Context, modules ...string) (string, error) {
	needed := "import sys, " + strings.Join(modules, ", ") + "; sys.exit(sys.version_info < (3, 10))"
	for _, name := range []string{"/usr/bin/python3", "python3"} {
		//nolint:gosec // one of two names, and the modules that a test asks for
		if exec.CommandContext(ctx, name, "-c", needed).Run() == nil {
			return name, nil
		}
	}
	packages := make([]string, len(modules))
	for i, module := range modules {
		packages[i] = "python3-" + module
	}
	return "", fmt.Errorf("no Python of 3.10 or later with %s: on Debian, apt-get install %s", strings.Join(modules, ", "), strings.Join(packages, " "))
}

// Python is [FindPython] for a test that is about nothing else; see [Missing].
func Python(t testing.TB, modules ...string) string {
	t.Helper()
	program, err := FindPython(t.Context(), modules...)
	if err != nil {
		Missing(t, err.Error())
	}
	return program
}

// PythonEnv has Python find the client in sdk, the folder protocol/sdk, and leave nothing
// beside its sources.
func PythonEnv(sdk string) ([]string, error) {
	source, err := filepath.Abs(filepath.Join(sdk, "python", "src"))
	return []string{"PYTHONPATH=" + source, "PYTHONDONTWRITEBYTECODE=1"}, err
}

// Tool finds a program.
func Tool(t testing.TB, name string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		Missing(t, "no "+name)
	}
	return path
}

// Missing skips a test, which in CI is a failure.
func Missing(t testing.TB, what string) {
	t.Helper()
	if os.Getenv("CI") == "true" {
		t.Fatal(what)
	}
	t.Skip(what)
}

// Run runs a program of a client's tests to its end. Its status has to be 0.
func Run(t testing.TB, sdk string, cmd *exec.Cmd, env ...string) {
	t.Helper()
	python, err := PythonEnv(sdk)
	if err != nil {
		t.Fatal(err)
	}
	cmd.Env = append(append(os.Environ(), python...), env...)
	if output, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%s", strings.Join(cmd.Args, " "), err, output)
	}
}

// ReadSources reads what a client's tests are made of, files or patterns under dir: go test
// runs a test again when what it has read has changed, and knows nothing of what other
// programs read. A file that is not there is passed over.
func ReadSources(t testing.TB, dir string, patterns ...string) {
	t.Helper()
	for _, pattern := range patterns {
		files := []string{filepath.Join(dir, pattern)}
		if strings.Contains(pattern, "*") { // else the folder is not listed: tests write beside their sources
			var err error
			if files, err = filepath.Glob(files[0]); err != nil {
				t.Fatal(err)
			}
		}
		for _, file := range files {
			if _, err := os.ReadFile(file); err != nil && !errors.Is(err, fs.ErrNotExist) {
				t.Fatal(err)
			}
		}
	}
}

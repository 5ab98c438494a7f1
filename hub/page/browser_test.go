package page

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/trialmesh/trialmesh/protocol/sdk/sdktest"
)

// built returns the page, which make page builds. CI must have it.
func built(t testing.TB) string {
	t.Helper()
	path, err := filepath.Abs(File)
	require.NoError(t, err)
	if _, err := os.Stat(path); err != nil {
		sdktest.Missing(t, "the page is not built: run make page")
	}
	return path
}

// browser returns Chromium. CI must have it.
func browser(t testing.TB) string {
	t.Helper()
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome"} {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	sdktest.Missing(t, "Chromium is not installed: run make prepare")
	return ""
}

// tab is a page in a browser without windows, driven over a pipe by the DevTools protocol.
type tab struct {
	t       testing.TB
	send    *os.File
	receive *bufio.Reader
	session string
	last    int

	requested []string // addresses that the page asked for
	refused   []string // what its policy kept it from, and errors
}

// open starts a browser and shows the page from the disk.
func open(t testing.TB, path string) *tab {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	profile, err := os.MkdirTemp("", "trialmesh-browser-") //nolint:usetesting // it may take more than one try to remove
	require.NoError(t, err)
	toBrowser, send, err := os.Pipe()
	require.NoError(t, err)
	receive, fromBrowser, err := os.Pipe()
	require.NoError(t, err)
	cmd := exec.CommandContext(ctx, browser(t), "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--disable-extensions",
		"--disable-background-networking", "--no-first-run", "--user-data-dir="+profile, "--remote-debugging-pipe", "about:blank")
	cmd.ExtraFiles = []*os.File{toBrowser, fromBrowser}
	require.NoError(t, cmd.Start())
	require.NoError(t, toBrowser.Close())
	require.NoError(t, fromBrowser.Close())
	tab := &tab{t: t, send: send, receive: bufio.NewReader(receive)}
	t.Cleanup(func() {
		tab.session = ""
		tab.call("Browser.close", nil, nil)
		_ = cmd.Wait() // it was told to end
		cancel()
		_ = send.Close()
		_ = receive.Close()
		for os.RemoveAll(profile) != nil { // its last processes may still write
		}
	})
	var target struct{ TargetID, SessionID string }
	tab.call("Target.createTarget", map[string]any{"url": "about:blank"}, &target)
	tab.call("Target.attachToTarget", map[string]any{"targetId": target.TargetID, "flatten": true}, &target)
	tab.session = target.SessionID
	for _, domain := range []string{"Page", "Runtime", "Network", "DOM", "Log"} {
		tab.call(domain+".enable", nil, nil)
	}
	tab.call("Page.navigate", map[string]any{"url": "file://" + path}, nil)
	tab.wait(`document.readyState === "complete" && location.protocol === "file:"`)
	return tab
}

// call sends a command and waits for its answer.
func (b *tab) call(method string, params, result any) {
	b.t.Helper()
	b.last++
	command := map[string]any{"id": b.last, "method": method}
	if params != nil {
		command["params"] = params
	}
	if b.session != "" {
		command["sessionId"] = b.session
	}
	raw, err := json.Marshal(command)
	require.NoError(b.t, err)
	_, err = b.send.Write(append(raw, 0))
	require.NoError(b.t, err)
	for {
		raw, err := b.receive.ReadBytes(0)
		if err != nil && method == "Browser.close" {
			return
		}
		require.NoError(b.t, err)
		var answer struct {
			ID     int
			Method string
			Params json.RawMessage
			Result json.RawMessage
			Error  *struct{ Message string }
		}
		require.NoError(b.t, json.Unmarshal(raw[:len(raw)-1], &answer))
		b.note(answer.Method, answer.Params)
		if answer.ID != b.last {
			continue
		}
		require.Nil(b.t, answer.Error, "%s: %v", method, answer.Error)
		if result != nil {
			require.NoError(b.t, json.Unmarshal(answer.Result, result))
		}
		return
	}
}

// note keeps what an event says about requests and refusals.
func (b *tab) note(method string, params json.RawMessage) {
	var event struct {
		Request struct{ URL string }
		Entry   struct{ Level, Text string }
	}
	if json.Unmarshal(params, &event) != nil {
		return
	}
	switch {
	case method == "Network.requestWillBeSent":
		b.requested = append(b.requested, event.Request.URL)
	case method == "Runtime.exceptionThrown":
		b.refused = append(b.refused, string(params))
	case method == "Log.entryAdded" && event.Entry.Level == "error":
		b.refused = append(b.refused, event.Entry.Text)
	}
}

// eval returns the value of an expression in the page.
func (b *tab) eval(expression string) any {
	b.t.Helper()
	var out struct {
		Result           struct{ Value any }
		ExceptionDetails json.RawMessage
	}
	b.call("Runtime.evaluate", map[string]any{"expression": expression, "awaitPromise": true, "returnByValue": true}, &out)
	require.Empty(b.t, out.ExceptionDetails, "%s", out.ExceptionDetails)
	return out.Result.Value
}

// wait waits until an expression in the page is true.
func (b *tab) wait(expression string) {
	b.t.Helper()
	for b.eval("new Promise((done) => setTimeout(() => done(Boolean("+expression+")), 20))") != true {
	}
}

// choose gives a file input a file.
func (b *tab) choose(input, path string) {
	b.t.Helper()
	var object struct {
		Result struct{ ObjectID string }
	}
	b.call("Runtime.evaluate", map[string]any{"expression": fmt.Sprintf("document.getElementById(%q)", input)}, &object)
	b.call("DOM.setFileInputFiles", map[string]any{"objectId": object.Result.ObjectID, "files": []string{path}}, nil)
}

// press sends a key to what has the focus.
func (b *tab) press(key string, code int) {
	for _, kind := range []string{"rawKeyDown", "char", "keyUp"} {
		event := map[string]any{"type": kind, "key": key, "code": key, "windowsVirtualKeyCode": code}
		if key == "Enter" {
			event["text"] = "\r"
		} else if kind == "char" {
			continue
		}
		b.call("Input.dispatchKeyEvent", event, nil)
	}
}

// verdict verifies a file and returns what the page says.
func (b *tab) verdict(path string) string {
	b.t.Helper()
	b.choose("evidence", path)
	b.eval(`document.getElementById("verdict").textContent = ""; document.getElementById("verify").click()`)
	b.wait(`document.getElementById("verdict").textContent && document.getElementById("stop").hidden`)
	return b.eval(`document.getElementById("verdict").textContent`).(string) //nolint:forcetypeassert // it has one
}

// write makes a file for the browser.
func write(t testing.TB, name string, data []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	require.NoError(t, os.WriteFile(path, data, 0o600))
	return path
}

func TestPageVerifiesInABrowser(t *testing.T) {
	t.Parallel()
	b := open(t, built(t))
	good, err := filepath.Abs("testdata/count.zip")
	require.NoError(t, err)
	trust, err := filepath.Abs("testdata/trust.json")
	require.NoError(t, err)

	require.Equal(t, "Nothing was verified: the trust document is missing.", b.verdict(good))
	b.choose("trust", trust)
	b.wait(`document.getElementById("trust-text").value`)

	require.Regexp(t, `^Verified: \d+ checks passed, \d were not made\.$`, b.verdict(good))
	require.Equal(t, "verdict", b.eval(`document.activeElement.id`), "a screen reader is taken to the verdict")
	require.Regexp(t, `^About question [0-9a-f]{64}, in the ledger hub\.example\.org/log of \d+ entries\.$`, b.eval(`document.getElementById("about").textContent`))
	require.InDelta(t, 3, b.eval(`[...document.querySelectorAll("li.ok .name")].filter((n) => n.textContent.startsWith("access.proof ")).length`), 0)
	require.Equal(t, true, b.eval(`[...document.querySelectorAll("li")].every((li) => li.querySelector(".state").textContent && li.querySelector("p").textContent.length > 10)`))

	file, err := os.ReadFile(good)
	require.NoError(t, err)
	altered := write(t, "altered.zip", alter(t, file))
	require.Regexp(t, `^Not verified: [1-9]\d* of \d+ checks failed\.$`, b.verdict(altered))
	require.Equal(t, "Failed", b.eval(`document.querySelector("#checks h3").textContent`), "what failed comes first")
	require.Contains(t, b.eval(`document.querySelector("li.failed").textContent`), "altered")

	require.Regexp(t, "^Nothing was verified: the file is not a zip file", b.verdict(write(t, "garbage.zip", []byte("garbage"))))
	require.Regexp(t, "^Nothing was verified: ", b.verdict(write(t, "cut.zip", file[:len(file)/2])))
	require.Regexp(t, "^Nothing was verified: ", b.verdict(write(t, "empty.zip", nil)))
	huge := write(t, "huge.zip", nil)
	require.NoError(t, os.Truncate(huge, 3<<30)) // a hole: it takes no room
	require.Equal(t, "Nothing was verified: the file has 3221.2 MB, and this page takes up to 67.1 MB. trialmesh verify takes larger ones.", b.verdict(huge))

	// Another trust document: the same evidence, and nobody signed it. Names bring no markup along.
	b.eval(`document.getElementById("trust-text").value = document.getElementById("trust-text").value.replaceAll("hub.example.org/log", "other.example/log")`)
	require.Regexp(t, "^(Not|Nothing was) verified", b.verdict(good))
	b.eval(`document.getElementById("trust-text").value = "{"`)
	require.Regexp(t, "^Nothing was verified: trust document", b.verdict(good))

	// By keyboard alone: from the evidence to the button, and press it.
	b.eval(`document.getElementById("evidence").focus()`)
	var passed []any
	for range 5 {
		b.press("Tab", 9)
		passed = append(passed, b.eval(`document.activeElement.id`))
	}
	require.Equal(t, []any{"trust", "trust-text", "verify"}, passed[:3])
	b.eval(`document.getElementById("verdict").textContent = ""; document.getElementById("verify").focus()`)
	b.press("Enter", 13)
	b.wait(`document.getElementById("verdict").textContent.startsWith("Nothing was verified")`)

	require.Equal(t, true, b.eval(`[...document.querySelectorAll("input, textarea")].every((input) => input.labels.length > 0)`), "each input has a label")
	for _, url := range b.requested {
		require.True(t, strings.HasPrefix(url, "file://") || strings.HasPrefix(url, "blob:"), "the page asked for %s", url)
	}
	require.Empty(t, b.refused)

	// Nor could it, if its script were another.
	require.Equal(t, "refused", b.eval(`fetch("https://hub.example.org/").then(() => "sent", () => "refused")`))
	require.Contains(t, strings.Join(b.refused, " "), "Content Security Policy")
}

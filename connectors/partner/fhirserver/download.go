package fhirserver

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"io"
	"net/http"
	"strconv"
	"strings"
)

// ErrChanged says that a file was another one when its download was taken up again. Reading
// it from the start may work.
var ErrChanged = errors.New("the file changed while it was read")

// Open returns the content of a file of an export, NDJSON, and with zipped gzip of it if the
// server likes to send that. Whoever reads closes.
//
// A connection that breaks is made again, Config.Tries times without a byte: from where it
// was if the server can say that the file is still the same one, else from the start, and
// then what was read before has to come again. Nothing comes twice.
func (c *Client) Open(ctx context.Context, f File, zipped bool) io.ReadCloser {
	encoding := "identity"
	if zipped {
		encoding = "gzip"
	}
	d := &download{c: c, file: f, encoding: encoding, sum: sha256.New()}
	d.connect = func() (*http.Response, error) { return d.ask(ctx) }
	d.wait = func(tries int) error { return c.cfg.Wait(ctx, pause(tries)) }
	return d
}

// errEncoding says that a file comes as nobody asked for it.
var errEncoding = errors.New("file of the export: the server sends it in an encoding that was not asked for")

// download reads a file over as many connections as it takes.
type download struct {
	c        *Client
	file     File
	encoding string // that is asked for
	connect  func() (*http.Response, error)
	wait     func(tries int) error

	body    io.ReadCloser // nil while there is no connection
	at      int64         // bytes that were read
	sum     hash.Hash     // of them
	sent    string        // encoding of what is read
	version string        // tells by ETag or date whether the file is still the same; may be empty
	broken  int           // connections since the last byte
}

func (d *download) Read(p []byte) (int, error) {
	for {
		if d.body == nil {
			if err := d.resume(); err != nil {
				return 0, err
			}
			continue // it may have broken at once
		}
		n, err := d.body.Read(p)
		d.at += int64(n)
		_, _ = d.sum.Write(p[:n]) // never fails
		if n > 0 {
			d.broken = 0
		}
		if err == nil || errors.Is(err, io.EOF) {
			return n, err
		}
		_ = d.Close() // it is broken
		if n > 0 {
			return n, nil
		}
		if err := d.again(err); err != nil {
			return 0, err
		}
	}
}

// again pauses before the next connection, and says so if there is none.
func (d *download) again(err error) error {
	d.broken++
	if !Passing(err) || d.broken >= d.c.cfg.Tries {
		return fmt.Errorf("file of the export: %w", err)
	}
	return d.wait(d.broken)
}

// Close ends the connection.
func (d *download) Close() error {
	if d.body == nil {
		return nil
	}
	body := d.body
	d.body = nil
	return body.Close()
}

func (d *download) ask(ctx context.Context) (*http.Response, error) {
	header := http.Header{"Accept-Encoding": {d.encoding}}
	if d.at > 0 && d.version != "" {
		header.Set("Range", "bytes="+strconv.FormatInt(d.at, 10)+"-")
		header.Set("If-Range", d.version)
	}
	return d.c.send(ctx, request{
		what: "file of the export", method: http.MethodGet, url: d.file.URL, accept: "application/fhir+ndjson", header: header, token: d.file.Token,
	})
}

// resume connects and brings the body to where reading was.
func (d *download) resume() error {
	resp, err := d.connect() //nolint:bodyclose // Close does
	if err != nil {
		return err
	}
	d.body = resp.Body
	sent := resp.Header.Get("Content-Encoding")
	switch {
	case sent != "" && sent != "identity" && sent != d.encoding:
		err = errEncoding
	case d.at == 0:
		d.sent, d.version = sent, version(resp.Header)
	case sent != d.sent:
		err = ErrChanged
	case resp.StatusCode == http.StatusPartialContent:
		if !strings.HasPrefix(resp.Header.Get("Content-Range"), "bytes "+strconv.FormatInt(d.at, 10)+"-") {
			err = ErrChanged
		}
	default:
		err = d.skip()
	}
	if err != nil {
		_ = d.Close() // the error says more
	}
	return err
}

// skip reads again what was read before, which has to be the same.
func (d *download) skip() error {
	sum := sha256.New()
	_, err := io.CopyN(sum, d.body, d.at)
	switch {
	case errors.Is(err, io.EOF):
		return ErrChanged
	case err != nil:
		_ = d.Close() // it broke once more
		return d.again(err)
	case !bytes.Equal(sum.Sum(nil), d.sum.Sum(nil)):
		return ErrChanged
	}
	return nil
}

// version returns what a server tells a file's versions apart by, empty if that is nothing
// that can be relied on.
func version(h http.Header) string {
	if etag := h.Get("ETag"); strings.HasPrefix(etag, `"`) {
		return etag
	}
	return h.Get("Last-Modified")
}

package client

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"

	"github.com/trialmesh/trialmesh/protocol/problem"
)

// ErrChanged says that a file is shorter than it was said to be.
var ErrChanged = errors.New("the file has changed while it was sent")

// ErrBusy says that another request to the same upload is under way, perhaps one that
// broke off and of which the node does not know yet.
var ErrBusy = errors.New("the node is busy with this upload")

// Passing reports whether it may help to try again in a moment: the node was out of
// reach or hung up, had no room, or was busy.
func Passing(err error) bool {
	var p *problem.Error
	if errors.As(err, &p) {
		return p.Kind == problem.Unavailable || p.Kind == problem.TooMany
	}
	return errors.Is(err, ErrBusy) || Unreachable(err)
}

// Unreachable reports whether the node was not reached or hung up.
func Unreachable(err error) bool {
	return errors.Is(err, errUnreachable) && !errors.Is(err, errSource)
}

// Sending is a file to be sent bit by bit.
type Sending struct {
	Name string // for people
	Size int64  // bytes
	Data io.ReaderAt

	// Key names this file in this state, among all that are sent: the same key
	// goes on with the upload that there is. At most 255 printable characters.
	Key string

	// Sent, if it is set, is told how many bytes the node has or is being sent.
	Sent func(bytes int64)
}

// UploadParts sends a file so that it can go on where it stopped. On an error for
// which [Passing] is true, or in another process, call it again with the same Sending:
// what the node has is not sent twice. It returns when the node has all on disk and
// its load enqueued.
func (c *Client) UploadParts(ctx context.Context, f Sending) (Upload, error) {
	at, err := c.createUpload(ctx, f)
	if err != nil {
		return Upload{}, err
	}
	header, err := c.tus(ctx, http.MethodHead, at, nil, nil, 0)
	if err != nil {
		return Upload{}, err
	}
	if header.Get("Trialmesh-Job") == "" {
		if header, err = c.appendUpload(ctx, at, header, f); err != nil {
			return Upload{}, err
		}
	}
	done := Upload{File: header.Get("Trialmesh-File"), Job: header.Get("Trialmesh-Job")}
	if done.File == "" || done.Job == "" {
		return Upload{}, errors.New("the node's answer is malformed")
	}
	// The key is free again: sending the file once more is another request.
	_, _ = c.tus(ctx, http.MethodDelete, at, nil, nil, 0) // else it expires
	return done, nil
}

// createUpload returns the path of the upload.
func (c *Client) createUpload(ctx context.Context, f Sending) (string, error) {
	header, err := c.tus(ctx, http.MethodPost, "/v1/ingest/uploads", map[string]string{
		"Upload-Length":   strconv.FormatInt(f.Size, 10),
		"Upload-Metadata": "filename " + base64.StdEncoding.EncodeToString([]byte(f.Name)),
		"Idempotency-Key": strconv.Quote(f.Key),
	}, nil, 0)
	if err != nil {
		return "", err
	}
	u, err := url.Parse(header.Get("Location"))
	if err != nil || u.Path == "" {
		return "", errors.New("the node's answer is malformed")
	}
	return u.Path, nil
}

// appendUpload sends what is missing, in one request.
func (c *Client) appendUpload(ctx context.Context, at string, stands http.Header, f Sending) (http.Header, error) {
	offset, err := strconv.ParseInt(stands.Get("Upload-Offset"), 10, 64)
	if err != nil || offset < 0 || offset > f.Size {
		return nil, errors.New("the node's answer is malformed")
	}
	rest := io.Reader(&source{io.NewSectionReader(f.Data, offset, f.Size-offset), f.Size - offset})
	if f.Sent != nil {
		rest = &counting{r: rest, n: offset, sent: f.Sent}
	}
	return c.tus(ctx, http.MethodPatch, at, map[string]string{
		"Upload-Offset": strconv.FormatInt(offset, 10), "Content-Type": "application/offset+octet-stream",
	}, rest, f.Size-offset)
}

// tus sends a request of tus 1.0.0 and returns the header of its answer.
func (c *Client) tus(ctx context.Context, method, path string, header map[string]string, body io.Reader, size int64) (http.Header, error) {
	req, err := c.request(ctx, method, path, body)
	if err != nil {
		return nil, err
	}
	req.ContentLength = size
	req.Header.Set("Tus-Resumable", "1.0.0")
	for name, value := range header {
		req.Header.Set(name, value)
	}
	resp, err := c.send(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	_, err = answerOf(resp)
	switch status := resp.StatusCode; {
	case status == http.StatusLocked, status == http.StatusConflict,
		method != http.MethodPost && (status == http.StatusNotFound || status == http.StatusGone): // its key is free
		return nil, fmt.Errorf("%w (status %d)", ErrBusy, status)
	}
	return resp.Header, err
}

// counting tells how far it has been read.
type counting struct {
	r    io.Reader
	n    int64
	sent func(int64)
}

func (c *counting) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.n += int64(n)
	c.sent(c.n)
	return n, err
}

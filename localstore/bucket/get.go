package bucket

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/smithy-go"
)

// Get returns an object and its size, or an error that wraps fs.ErrNotExist. A connection
// that breaks off is made anew from there on, if the object is still the same one. ctx
// holds until the object is closed.
func (b *Bucket) Get(ctx context.Context, name string) (io.ReadCloser, int64, error) {
	key := b.prefix + name
	got, err := b.client.GetObject(ctx, &s3.GetObjectInput{Bucket: &b.name, Key: &key})
	if err != nil {
		return nil, 0, fmt.Errorf("bucket: get: %w", meaning(err))
	}
	if got.ContentLength == nil {
		return nil, 0, errors.Join(errors.New("bucket: get: the store does not tell the size of an object"), got.Body.Close())
	}
	return &object{ctx: ctx, b: b, key: key, tag: got.ETag, body: got.Body, size: *got.ContentLength}, *got.ContentLength, nil
}

// object is an object that is being read.
type object struct {
	ctx  context.Context //nolint:containedctx // lives as long as one call
	b    *Bucket
	key  string
	tag  *string
	body io.ReadCloser

	at, size int64
	broken   int // connections that broke off since anything was read
}

func (o *object) Read(p []byte) (int, error) {
	for {
		n, err := o.body.Read(p)
		o.at += int64(n)
		if n > 0 {
			o.broken = 0
			return n, nil // what err says is said again
		}
		switch {
		case o.at == o.size:
			return 0, io.EOF
		case err == nil:
			return 0, nil
		case o.ctx.Err() != nil:
			return 0, o.ctx.Err()
		}
		if o.broken++; o.broken >= attempts {
			return 0, fmt.Errorf("bucket: get: after %d of %d bytes: %w", o.at, o.size, notEOF(err))
		}
		if err := o.resume(); err != nil {
			return 0, fmt.Errorf("bucket: get: after %d of %d bytes: %w", o.at, o.size, notEOF(meaning(err)))
		}
	}
}

// notEOF keeps an error from passing for the end of an object.
func notEOF(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return errors.New("the connection broke off")
	}
	return err
}

// resume reads on where a connection broke off.
func (o *object) resume() error {
	_ = o.body.Close()
	o.body = http.NoBody
	got, err := o.b.client.GetObject(o.ctx, &s3.GetObjectInput{
		Bucket: &o.b.name, Key: &o.key, IfMatch: o.tag, Range: ptr(fmt.Sprintf("bytes=%d-", o.at)),
	})
	if err != nil {
		return err
	}
	o.body = got.Body
	if got.ContentRange == nil || !strings.HasPrefix(*got.ContentRange, fmt.Sprintf("bytes %d-", o.at)) {
		return errors.New("the store does not go on where the connection broke off")
	}
	return nil
}

func (o *object) Close() error { return o.body.Close() }

// List calls each with the objects whose names begin with prefix, ascending, and when they
// were put. It ends with the first error of each.
func (b *Bucket) List(ctx context.Context, prefix string, each func(name string, at time.Time) error) error {
	pages := s3.NewListObjectsV2Paginator(b.client, &s3.ListObjectsV2Input{Bucket: &b.name, Prefix: ptr(b.prefix + prefix)})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return fmt.Errorf("bucket: list: %w", meaning(err))
		}
		for _, o := range page.Contents {
			if o.Key == nil || o.LastModified == nil {
				return errors.New("bucket: list: the store does not tell name and time of an object")
			}
			if err := each(strings.TrimPrefix(*o.Key, b.prefix), *o.LastModified); err != nil {
				return err
			}
		}
	}
	return nil
}

// Remove removes objects; those that are not there are no error.
func (b *Bucket) Remove(ctx context.Context, names ...string) error {
	for _, name := range names {
		_, err := b.client.DeleteObject(ctx, &s3.DeleteObjectInput{Bucket: &b.name, Key: ptr(b.prefix + name)})
		if err = meaning(err); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("bucket: remove: %w", err)
		}
	}
	return nil
}

// meaning gives err the sentinel of what a caller acts on, and the words of what the site
// does.
func meaning(err error) error {
	if own := ofCredentials(err); own != nil {
		return own
	}
	var said smithy.APIError
	if !errors.As(err, &said) {
		return err
	}
	switch said.ErrorCode() {
	case "NoSuchKey", "NoSuchUpload": // not NoSuchBucket
		return fmt.Errorf("%w: %w", fs.ErrNotExist, err)
	case "PreconditionFailed":
		return fmt.Errorf("%w: %w", fs.ErrExist, err)
	}
	return err
}

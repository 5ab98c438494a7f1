package bucket

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"golang.org/x/sync/errgroup"
)

const (
	partSize = 16 << 20 // of Config.Part

	// maxParts is how many parts S3 takes of one object.
	maxParts = 10_000

	// abortTime bounds giving an upload up.
	abortTime = 30 * time.Second

	// markName is the metadata that tell one upload of an object from another.
	markName = "upload"

	// sending is how many parts are sent at a time.
	sending = 4
)

// Put stores size bytes of content under a name. They are durable when it returns nil;
// the store has then compared their checksum. After an error the object is there whole or
// not at all. If an object has the name and replace is not set, the error wraps
// fs.ErrExist; so it may also when an answer to this call itself was lost.
func (b *Bucket) Put(ctx context.Context, name string, content io.ReaderAt, size int64, replace bool) error {
	var unless *string
	if !replace {
		unless = ptr("*")
	}
	key := b.prefix + name
	var err error
	if size <= b.part {
		_, err = b.client.PutObject(ctx, &s3.PutObjectInput{
			Bucket: &b.name, Key: &key, Body: io.NewSectionReader(content, 0, size), ContentLength: &size, IfNoneMatch: unless,
		})
	} else {
		err = b.putParts(ctx, key, content, size, unless)
	}
	if err != nil {
		return fmt.Errorf("bucket: put: %w", meaning(err))
	}
	return nil
}

// putParts stores a large object: nothing has its name until all parts are there.
func (b *Bucket) putParts(ctx context.Context, key string, content io.ReaderAt, size int64, unless *string) error {
	mark := map[string]string{markName: rand.Text()}
	begun, err := b.client.CreateMultipartUpload(ctx, &s3.CreateMultipartUploadInput{
		Bucket: &b.name, Key: &key, ChecksumAlgorithm: types.ChecksumAlgorithmCrc32, Metadata: mark,
	})
	if err != nil {
		return err
	}
	parts, err := b.sendParts(ctx, key, begun.UploadId, content, size)
	if err == nil {
		_, err = b.client.CompleteMultipartUpload(ctx, &s3.CompleteMultipartUploadInput{
			Bucket: &b.name, Key: &key, UploadId: begun.UploadId, IfNoneMatch: unless, MultipartUpload: &types.CompletedMultipartUpload{Parts: parts},
		})
	}
	if errors.Is(meaning(err), fs.ErrNotExist) || errors.Is(meaning(err), fs.ErrExist) {
		// An earlier try may have ended the upload, and its answer was lost.
		if is, herr := b.client.HeadObject(ctx, &s3.HeadObjectInput{Bucket: &b.name, Key: &key}); herr == nil && is.Metadata[markName] == mark[markName] {
			return nil
		}
	}
	if err == nil {
		return nil
	}
	abort, cancel := context.WithTimeout(context.WithoutCancel(ctx), abortTime)
	defer cancel()
	// What cannot be given up now is by Abort.
	_, _ = b.client.AbortMultipartUpload(abort, &s3.AbortMultipartUploadInput{Bucket: &b.name, Key: &key, UploadId: begun.UploadId})
	return err
}

func (b *Bucket) sendParts(ctx context.Context, key string, upload *string, content io.ReaderAt, size int64) ([]types.CompletedPart, error) {
	length := max(b.part, (size+maxParts-1)/maxParts)
	parts := make([]types.CompletedPart, (size+length-1)/length)
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(sending)
	for i := range parts {
		start := int64(i) * length
		group.Go(func() error {
			n := min(length, size-start)
			sent, err := b.client.UploadPart(ctx, &s3.UploadPartInput{
				Bucket: &b.name, Key: &key, UploadId: upload, PartNumber: ptr(int32(i + 1)), //nolint:gosec // up to maxParts
				Body: io.NewSectionReader(content, start, n), ContentLength: &n, ChecksumAlgorithm: types.ChecksumAlgorithmCrc32,
			})
			if err != nil {
				return err
			}
			parts[i] = types.CompletedPart{PartNumber: ptr(int32(i + 1)), ETag: sent.ETag, ChecksumCRC32: sent.ChecksumCRC32} //nolint:gosec // likewise
			return nil
		})
	}
	return parts, group.Wait()
}

// Abort gives up uploads of large objects that began before the time until and did not
// end, of processes that died.
func (b *Bucket) Abort(ctx context.Context, until time.Time) error {
	pages := s3.NewListMultipartUploadsPaginator(b.client, &s3.ListMultipartUploadsInput{Bucket: &b.name, Prefix: &b.prefix})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err = meaning(err); errors.Is(err, fs.ErrNotExist) {
			return nil // some stores say so where there are none
		}
		if err != nil {
			return fmt.Errorf("bucket: list uploads: %w", err)
		}
		for _, u := range page.Uploads {
			if u.Initiated == nil || !u.Initiated.Before(until) {
				continue
			}
			_, err := b.client.AbortMultipartUpload(ctx, &s3.AbortMultipartUploadInput{Bucket: &b.name, Key: u.Key, UploadId: u.UploadId})
			if err = meaning(err); err != nil && !errors.Is(err, fs.ErrNotExist) {
				return fmt.Errorf("bucket: give an upload up: %w", err)
			}
		}
	}
	return nil
}

func ptr[T any](v T) *T { return &v }

package ingest

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/trialmesh/trialmesh/localstore/raw"
	"github.com/trialmesh/trialmesh/localstore/sqldb"
	"github.com/trialmesh/trialmesh/protocol/problem"
)

// Upload is a file that comes bit by bit, from its creation until it expires. When
// all of it has come its load is enqueued, as by [Service.Accept], before anybody is
// told that nothing is missing.
type Upload struct {
	ID       raw.PartialID
	Name     string // as the sender called it, for people
	Metadata string // as the sender gave it, with the name; it may say more

	Size, Offset     int64 // bytes: of the whole file, and of it that is durable
	Created, Expires time.Time

	Job  JobID      // 0 until the file is whole
	File raw.Digest // of the content, zero until then
}

// What is refused of uploads.
var (
	ErrUpload        = problem.New(problem.NotFound, "no such upload: create one")
	ErrUploadExpired = problem.New(problem.NotFound, "the upload has expired: create another and send the file from its beginning")
	ErrUploadOffset  = problem.New(problem.Conflict, "the offset is not where the upload is: ask for it (HEAD) and go on from there")
	ErrUploadBusy    = problem.New(problem.Conflict, "another request to this upload is under way: try again when it has ended")
	ErrUploadSize    = problem.New(problem.TooLarge, "more bytes came than the upload was created for: create one of the file's size")
	ErrUploads       = problem.New(problem.TooMany, "as many uploads are open as may be at once: finish one, delete one, or wait until one expires")
)

// MaxMetadata bounds what a sender says of an upload, in bytes.
const MaxMetadata = 4096

var errMetadata = problem.New(problem.Invalid, "the metadata of the upload are over 4,096 bytes")

// CreateUpload makes room for a file of size bytes. With a key that came before and
// the same size and metadata it is the upload that there is. The refusals are
// [ErrEmpty], [ErrName], [raw.ErrTooLarge], [ErrUploads], and those of keys.
func (s *Service) CreateUpload(ctx context.Context, key Key, name, metadata string, size int64) (Upload, error) {
	switch {
	case len(name) > MaxName:
		return Upload{}, ErrName
	case len(metadata) > MaxMetadata:
		return Upload{}, errMetadata
	case size < 1:
		return Upload{}, ErrEmpty
	case size > s.cfg.MaxFile:
		return Upload{}, fmt.Errorf("create upload: %w", raw.ErrTooLarge)
	}
	release, err := s.claimKey(key)
	if err != nil {
		return Upload{}, err
	}
	defer release()
	var id raw.PartialID
	_, _ = rand.Read(id[:]) // never fails
	answer := id.String()
	request := hashOf(fmt.Sprintf("upload of %d bytes: %s", size, metadata))
	err = s.cfg.DB.Write(ctx, func(tx *sqldb.Tx) error {
		if key != "" {
			if before, err := s.answered(ctx, tx, key, request); err != nil || before != "" {
				answer = before
				return err
			}
			if err := s.answer(ctx, tx, key, request, answer); err != nil {
				return err
			}
		}
		return s.insertUpload(ctx, tx, key, answer, name, metadata, size)
	})
	if err != nil {
		return Upload{}, fmt.Errorf("create upload: %w", err)
	}
	if id, err = raw.ParsePartialID(answer); err != nil {
		return Upload{}, err
	}
	return s.Upload(ctx, id)
}

func (s *Service) insertUpload(ctx context.Context, tx *sqldb.Tx, key Key, id, name, metadata string, size int64) error {
	if err := tx.Lock(ctx, "ingest/uploads"); err != nil {
		return err
	}
	var open int
	since := s.cfg.Now().Add(-s.cfg.KeepUploads)
	if err := tx.QueryRow(ctx, `SELECT count(*) FROM ingest_upload WHERE job_id IS NULL AND created_at > ?`, since).Scan(&open); err != nil {
		return err
	}
	if open >= s.cfg.MaxUploads {
		return ErrUploads
	}
	_, err := tx.Exec(ctx, `INSERT INTO ingest_upload (upload_id, name, metadata, bytes_total, created_at, key) VALUES (?, ?, ?, ?, ?, ?)`,
		id, printable(name), metadata, size, s.cfg.Now(), key.hash())
	return err
}

const uploadColumns = `u.upload_id, u.name, u.metadata, u.bytes_total, u.created_at, u.job_id, coalesce(j.file, '')
	FROM ingest_upload u LEFT JOIN ingest_job j ON j.job_id = u.job_id`

// scanUpload reads an upload but for its offset.
func (s *Service) scanUpload(row interface{ Scan(...any) error }) (Upload, error) {
	var u Upload
	var id, file string
	var job *int64
	if err := row.Scan(&id, &u.Name, &u.Metadata, &u.Size, &u.Created, &job, &file); err != nil {
		return Upload{}, err
	}
	u.Expires = u.Created.Add(s.cfg.KeepUploads)
	var err error
	if u.ID, err = raw.ParsePartialID(id); err != nil || job == nil {
		return u, err
	}
	u.Job = JobID(*job)
	u.File, err = raw.ParseDigest(file)
	return u, err
}

// uploadRow returns an upload without its offset, or [ErrUpload] or
// [ErrUploadExpired].
func (s *Service) uploadRow(ctx context.Context, id raw.PartialID) (u Upload, err error) {
	err = s.cfg.DB.Read(ctx, func(tx *sqldb.Tx) error {
		u, err = s.scanUpload(tx.QueryRow(ctx, `SELECT `+uploadColumns+` WHERE u.upload_id = ?`, id.String()))
		return err
	})
	switch {
	case errors.Is(err, sqldb.ErrNoRows):
		return Upload{}, ErrUpload
	case err != nil:
		return Upload{}, fmt.Errorf("upload %s: %w", id, err)
	case s.expired(u.Created):
		return Upload{}, ErrUploadExpired
	}
	return u, nil
}

// upload returns how an upload stands.
func (s *Service) upload(ctx context.Context, id raw.PartialID) (Upload, error) {
	// The parts are counted before the row is read: they are removed after it says
	// that they were put together.
	size, err := s.cfg.Raw.Partial(id).Size(ctx)
	if err != nil {
		return Upload{}, err
	}
	u, err := s.uploadRow(ctx, id)
	if u.Offset = size; u.Job != 0 {
		u.Offset = u.Size
	}
	return u, err
}

// Upload returns how an upload stands. One of which the last byte has come has its
// load enqueued when Upload returns, whatever happened to the request that brought
// that byte; while another request does so, Upload returns [ErrUploadBusy].
func (s *Service) Upload(ctx context.Context, id raw.PartialID) (Upload, error) {
	u, err := s.upload(ctx, id)
	if err != nil || u.Job != 0 || u.Offset < u.Size {
		return u, err
	}
	return s.AppendUpload(ctx, id, u.Size, nothing{})
}

// nothing is a reader of no byte.
type nothing struct{}

func (nothing) Read([]byte) (int, error) { return 0, io.EOF }

// AppendUpload adds what r gives until its end, behind the offset that the upload
// has, and enqueues its load if nothing is missing then. What came is durable and
// counts, also if r failed. The refusals are [ErrUpload], [ErrUploadExpired],
// [ErrUploadOffset], [ErrUploadBusy] and [ErrUploadSize].
func (s *Service) AppendUpload(ctx context.Context, id raw.PartialID, offset int64, r io.Reader) (Upload, error) {
	release := s.claims.take("upload " + id.String())
	if release == nil {
		return Upload{}, ErrUploadBusy
	}
	defer release()
	u, err := s.upload(ctx, id)
	switch {
	case err != nil:
		return Upload{}, err
	case offset != u.Offset:
		return Upload{}, ErrUploadOffset
	case u.Job != 0:
		return u, nil
	}
	n, err := s.cfg.Raw.Partial(id).Append(ctx, offset, r, u.Size-offset)
	u.Offset += n
	if errors.Is(err, raw.ErrTooLarge) {
		err = errors.Join(ErrUploadSize, err)
	}
	if err == nil && u.Offset == u.Size {
		// Whoever sent it may not wait so long, and would find it undone each time.
		err = s.finishUpload(context.WithoutCancel(ctx), &u)
	}
	return u, err
}

// finishUpload makes the raw copy of an upload of which all has come, and enqueues
// its load.
func (s *Service) finishUpload(ctx context.Context, u *Upload) error {
	parts := s.cfg.Raw.Partial(u.ID)
	content, err := parts.Open(ctx)
	if err != nil {
		return err
	}
	defer content.Close()
	file, size, _, err := s.cfg.Raw.Put(ctx, content, u.Size, origin(ctx, u.Name))
	if err != nil {
		return fmt.Errorf("finish upload %s: %w", u.ID, err)
	}
	if u.Job, err = s.acceptKept(ctx, file, size, u.Name, uploadTie(u.ID)); err != nil {
		return err
	}
	u.File = file
	if err := parts.Remove(ctx); err != nil { // for the next cleaning
		s.cfg.Log.WarnContext(ctx, "parts of an upload were not removed", "err", err)
	}
	return nil
}

// uploadTie ties a job to the upload that brought its file.
type uploadTie raw.PartialID

func (t uploadTie) find(ctx context.Context, tx *sqldb.Tx) (JobID, error) {
	var id *int64
	err := tx.QueryRow(ctx, `SELECT job_id FROM ingest_upload WHERE upload_id = ?`, raw.PartialID(t).String()).Scan(&id)
	switch {
	case errors.Is(err, sqldb.ErrNoRows):
		return 0, ErrUpload
	case err != nil || id == nil:
		return 0, err
	}
	return JobID(*id), nil
}

func (t uploadTie) keep(ctx context.Context, tx *sqldb.Tx, id JobID) error {
	_, err := tx.Exec(ctx, `UPDATE ingest_upload SET job_id = ? WHERE upload_id = ?`, int64(id), raw.PartialID(t).String())
	return err
}

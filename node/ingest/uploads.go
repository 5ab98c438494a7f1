package ingest

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/trialmesh/trialmesh/localstore/raw"
	"github.com/trialmesh/trialmesh/localstore/sqldb"
)

// Uploads returns the uploads that wait for more, oldest first. There are
// Config.MaxUploads at most.
func (s *Service) Uploads(ctx context.Context) ([]Upload, error) {
	var list []Upload
	since := s.cfg.Now().Add(-s.cfg.KeepUploads)
	err := s.cfg.DB.Read(ctx, func(tx *sqldb.Tx) error {
		return tx.Each(ctx, `SELECT `+uploadColumns+` WHERE u.job_id IS NULL AND u.created_at > ? ORDER BY u.created_at, u.upload_id`, []any{since}, func(rows *sqldb.Rows) error {
			u, err := s.scanUpload(rows)
			if err != nil {
				return err
			}
			list = append(list, u)
			return nil
		})
	})
	if err != nil {
		return nil, fmt.Errorf("uploads: %w", err)
	}
	for i := range list {
		if list[i].Offset, err = s.cfg.Raw.Partial(list[i].ID).Size(ctx); err != nil {
			return nil, fmt.Errorf("uploads: %w", err)
		}
	}
	return list, nil
}

// DropUpload forgets an upload and what has come of it, or returns [ErrUpload],
// [ErrUploadExpired] or [ErrUploadBusy]. The load of one that was whole goes on.
func (s *Service) DropUpload(ctx context.Context, id raw.PartialID) error {
	release := s.claims.take("upload " + id.String())
	if release == nil {
		return ErrUploadBusy
	}
	defer release()
	if _, err := s.uploadRow(ctx, id); err != nil {
		return err
	}
	err := s.cfg.DB.Write(ctx, func(tx *sqldb.Tx) error {
		if _, err := tx.Exec(ctx, `DELETE FROM ingest_key WHERE key = (SELECT key FROM ingest_upload WHERE upload_id = ?)`, id.String()); err != nil {
			return err
		}
		_, err := tx.Exec(ctx, `DELETE FROM ingest_upload WHERE upload_id = ?`, id.String())
		return err
	})
	if err != nil {
		return fmt.Errorf("drop upload %s: %w", id, err)
	}
	return s.cfg.Raw.Partial(id).Remove(ctx)
}

// CleanUploads forgets the uploads and keys that have expired, and removes parts
// that belong to no open upload.
func (s *Service) CleanUploads(ctx context.Context) error {
	until := s.cfg.Now().Add(-s.cfg.KeepUploads)
	err := s.cfg.DB.Write(ctx, func(tx *sqldb.Tx) error {
		if _, err := tx.Exec(ctx, `DELETE FROM ingest_key WHERE created_at <= ?`, until); err != nil {
			return err
		}
		_, err := tx.Exec(ctx, `DELETE FROM ingest_upload WHERE created_at <= ?`, until)
		return err
	})
	if err != nil {
		return fmt.Errorf("clean uploads: %w", err)
	}
	ids, err := s.cfg.Raw.Partials(ctx)
	if err != nil {
		return fmt.Errorf("clean uploads: %w", err)
	}
	for _, id := range ids {
		if err := s.cleanParts(ctx, id); err != nil {
			return fmt.Errorf("clean uploads: %w", err)
		}
	}
	return nil
}

// cleanParts removes the parts of an upload that is over, unless a request has it.
func (s *Service) cleanParts(ctx context.Context, id raw.PartialID) error {
	release := s.claims.take("upload " + id.String())
	if release == nil {
		return nil
	}
	defer release()
	u, err := s.uploadRow(ctx, id)
	if errors.Is(err, ErrUpload) || err == nil && u.Job != 0 {
		return s.cfg.Raw.Partial(id).Remove(ctx)
	}
	return err
}

// cleanEvery is how often uploads and keys that have expired are removed.
const cleanEvery = time.Hour

// keepClean cleans until ctx ends. What fails is tried again the next time.
func (s *Service) keepClean(ctx context.Context) {
	tick := time.NewTicker(cleanEvery)
	defer tick.Stop()
	for {
		if err := s.CleanUploads(ctx); err != nil && ctx.Err() == nil {
			s.cfg.Log.WarnContext(ctx, "uploads that have expired were not removed", "err", err)
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

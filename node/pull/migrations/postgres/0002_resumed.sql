-- +goose Up

-- When a run that had met its deadline was taken up again, from when its next one counts.
ALTER TABLE pull_run ADD COLUMN resumed_at TIMESTAMP;

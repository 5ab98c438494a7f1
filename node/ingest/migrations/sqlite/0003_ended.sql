-- +goose Up

-- For which loads ended while another one ran.
CREATE INDEX ingest_job_by_end ON ingest_job (ended_at);

-- +goose Up

-- One row is a screening rule of this site, by its trial: JSON, and the SHA-256 of it.
-- added_at is in Unix seconds.
CREATE TABLE screen_rule (
    trial    TEXT PRIMARY KEY,
    digest   TEXT NOT NULL,
    rule     BYTEA NOT NULL,
    added_at BIGINT NOT NULL
);

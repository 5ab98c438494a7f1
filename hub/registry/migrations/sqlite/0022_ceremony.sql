-- +goose Up

-- One row is a signed statement about a ceremony of keys, after those that it names. plan is the
-- digest of the first.
CREATE TABLE ceremony (
    digest   TEXT PRIMARY KEY,
    plan     TEXT NOT NULL,
    kind     TEXT NOT NULL,
    document TEXT NOT NULL
) WITHOUT ROWID;

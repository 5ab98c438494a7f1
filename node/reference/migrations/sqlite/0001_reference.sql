-- +goose Up

-- One row is a version of a list of reference data, whole, as a gzip of its file. It is
-- never changed; the newest of a list is in force.
CREATE TABLE reference_version (
    list TEXT NOT NULL,        -- variables or codes
    version INTEGER NOT NULL,  -- from 1, without gaps
    created_at TIMESTAMP NOT NULL,
    entries INTEGER NOT NULL,
    digest TEXT NOT NULL,      -- SHA-256 of the file, in 64 hexadecimal digits
    content BLOB NOT NULL,
    PRIMARY KEY (list, version)
) WITHOUT ROWID;

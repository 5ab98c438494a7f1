-- +goose Up

-- One row is one pass of a mapper over one raw file. raw is the SHA-256 of the
-- file's bytes; loaded_at is when the first rows of the pass were stored.
CREATE TABLE load (
    load_id INTEGER NOT NULL PRIMARY KEY,
    raw BLOB NOT NULL CHECK (length(raw) = 32),
    mapper TEXT NOT NULL,
    loaded_at TIMESTAMP NOT NULL,
    UNIQUE (raw, mapper)
);

-- One row says where a row of a CDM table came from. row_id is that row's key
-- (for death, a number of its own). row_key is 8 bytes of the person's and 16 of
-- the record's source key, hashed, so that one person's keys lie together;
-- content is 8 bytes of a hash over the row's values, which tells a change from a
-- repetition. pointer says where in the raw file.
CREATE TABLE lineage (
    row_id INTEGER NOT NULL PRIMARY KEY,
    row_key BLOB NOT NULL CHECK (length(row_key) = 24),
    table_id INTEGER NOT NULL,
    content BLOB NOT NULL CHECK (length(content) = 8),
    load_id INTEGER NOT NULL,
    pointer TEXT NOT NULL
);
CREATE UNIQUE INDEX lineage_by_key ON lineage (row_key);

-- One row is a finding of the quality checks about the CDM row with that key. A
-- row that is not here is valid and no outlier.
CREATE TABLE quality (
    row_id INTEGER NOT NULL PRIMARY KEY,
    is_valid BOOLEAN NOT NULL,
    is_outlier BOOLEAN NOT NULL
);

-- The last key that was given to a row of any table.
CREATE TABLE last_row_id (value INTEGER NOT NULL);
INSERT INTO last_row_id (value) VALUES (0);

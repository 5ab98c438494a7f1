-- +goose Up
-- How far a load has come: up to which line each file is in the tables that it fills.
-- Source is the digest of all its files; the row without a file says that it began.
CREATE TABLE vocabulary_begun (
    file TEXT NOT NULL PRIMARY KEY,
    source TEXT NOT NULL,
    line INTEGER NOT NULL
);

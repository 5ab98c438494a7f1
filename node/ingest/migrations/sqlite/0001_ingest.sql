-- +goose Up

-- One row is an attempt to load one file, from its acceptance to its outcome. The
-- digest is the SHA-256 of the file's bytes in 64 hexadecimal digits.
CREATE TABLE ingest_job (
    job_id INTEGER NOT NULL PRIMARY KEY, -- number in the queue
    file TEXT NOT NULL,                  -- digest of the raw copy
    name TEXT NOT NULL,                  -- as the sender called it
    bytes_total BIGINT NOT NULL,
    accepted_at TIMESTAMP NOT NULL,
    state TEXT NOT NULL,
    attempt INTEGER NOT NULL DEFAULT 0,
    mapper TEXT NOT NULL DEFAULT '',     -- mapper and vocabulary that the steps were done with
    steps BIGINT NOT NULL DEFAULT 0,     -- records and problems of the reader whose effect is committed
    counts TEXT NOT NULL DEFAULT '{}',   -- JSON, see Counts
    listed INTEGER NOT NULL DEFAULT 0,   -- rows of ingest_problem
    started_at TIMESTAMP,
    ended_at TIMESTAMP,
    error TEXT NOT NULL DEFAULT ''       -- of the last attempt that failed
);
CREATE INDEX ingest_job_by_file ON ingest_job (file, job_id);

-- One row is a part of a file that was not stored. No column repeats a value of it.
CREATE TABLE ingest_problem (
    job_id INTEGER NOT NULL,
    number INTEGER NOT NULL, -- from 1
    line INTEGER NOT NULL,   -- on which the record begins, from 1; 0 if unknown
    path TEXT NOT NULL,
    rule TEXT NOT NULL,
    detail TEXT NOT NULL,
    PRIMARY KEY (job_id, number)
) WITHOUT ROWID;

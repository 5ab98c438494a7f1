-- +goose Up

-- One row is a file that comes in parts, for some days from its creation. How much of it
-- has come is told by the parts themselves, in the raw store.
CREATE TABLE ingest_upload (
    upload_id TEXT NOT NULL PRIMARY KEY, -- random, 32 hexadecimal digits
    name TEXT NOT NULL,                  -- as the sender called it
    metadata TEXT NOT NULL,              -- as the sender sent it, with the name
    bytes_total BIGINT NOT NULL,
    created_at TIMESTAMP NOT NULL,
    job_id BIGINT,                       -- of its load, once the file is whole
    key TEXT NOT NULL                    -- of ingest_key, empty if its creation had none
);

-- One row is a request to which its sender gave a key, for some days: the same request
-- with that key gets the same answer.
CREATE TABLE ingest_key (
    key TEXT NOT NULL PRIMARY KEY, -- SHA-256 of the key, in hexadecimal digits
    request TEXT NOT NULL,         -- SHA-256 of what was asked
    answer TEXT NOT NULL,          -- number of the job, or id of the upload
    created_at TIMESTAMP NOT NULL
);
CREATE INDEX ingest_key_by_time ON ingest_key (created_at);

-- +goose Up

-- One row is a question that was cancelled, by a did:key. cancelled_at is Unix seconds.
CREATE TABLE approval_cancelled (
    query        TEXT NOT NULL PRIMARY KEY,
    signer       TEXT NOT NULL,
    cancelled_at BIGINT NOT NULL
);

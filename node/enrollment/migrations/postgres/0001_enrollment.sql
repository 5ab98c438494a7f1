-- +goose Up

-- One row is a participant whom this site enrolls in a trial. salt, 64 hex digits, opens what
-- the ledger says of the site. ledger_index and enrolled_at (seconds since 1970) are null until
-- the ledger has it; refused is the problem document of why it never will, or empty.
CREATE TABLE enrollment (
    trial        TEXT NOT NULL,
    participant  TEXT NOT NULL,
    salt         TEXT NOT NULL,
    asked_at     BIGINT NOT NULL,
    enrolled_at  BIGINT,
    ledger_index BIGINT,
    refused      TEXT NOT NULL,
    PRIMARY KEY (trial, participant)
);

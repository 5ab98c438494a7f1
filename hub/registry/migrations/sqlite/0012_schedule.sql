-- +goose Up

-- One row is a recurring question, by the SHA-256 of what its plan says.
CREATE TABLE schedule (
    digest        TEXT PRIMARY KEY,
    name          TEXT NOT NULL UNIQUE,
    researcher    TEXT NOT NULL,
    document      TEXT NOT NULL,
    registered_at INTEGER NOT NULL,
    ledger_index  INTEGER NOT NULL,
    cancellation  TEXT NOT NULL DEFAULT '' -- document of the signed cancellation
) WITHOUT ROWID;
CREATE INDEX schedule_age ON schedule (ledger_index);

-- One row is an occurrence of one. query is its question's id, which is known before it is asked.
CREATE TABLE schedule_occurrence (
    schedule TEXT NOT NULL,
    number   INTEGER NOT NULL, -- from 1
    query    TEXT NOT NULL UNIQUE,
    due_at   INTEGER NOT NULL,
    state    TEXT NOT NULL DEFAULT 'pending',
    miss     TEXT NOT NULL DEFAULT '', -- document that says why it was missed
    PRIMARY KEY (schedule, number)
) WITHOUT ROWID;
CREATE INDEX schedule_occurrence_due ON schedule_occurrence (state, due_at);

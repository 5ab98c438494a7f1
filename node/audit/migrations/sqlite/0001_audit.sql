-- +goose Up

-- One row is a decision of this node about data. Appended, never changed.
CREATE TABLE audit (
    id      INTEGER PRIMARY KEY,
    at      INTEGER NOT NULL,
    event   TEXT NOT NULL,
    actor   TEXT NOT NULL,
    subject TEXT NOT NULL,
    rule    TEXT NOT NULL
);

-- +goose Up

-- One row is a node's commitment to columns of a data set, for the participants of a trial.
-- document is the digest of the signed message, digest that of what it says.
CREATE TABLE columns_committed (
    digest       TEXT PRIMARY KEY,
    document     TEXT NOT NULL,
    trial        TEXT NOT NULL,
    node         TEXT NOT NULL,
    dataset      TEXT NOT NULL,
    number       INTEGER NOT NULL,
    ledger_index INTEGER NOT NULL,
    UNIQUE (trial, node, dataset, number)
) WITHOUT ROWID;

-- One row is a node's proof of its figures in the answer to a question.
CREATE TABLE result_proof (
    query        TEXT NOT NULL,
    node         TEXT NOT NULL,
    document     TEXT NOT NULL,
    ledger_index INTEGER NOT NULL,
    PRIMARY KEY (query, node)
) WITHOUT ROWID;

-- How many proofs of figures are still to come in all, as proofs_due is of accesses.
ALTER TABLE question ADD COLUMN results_due INTEGER NOT NULL DEFAULT 0;

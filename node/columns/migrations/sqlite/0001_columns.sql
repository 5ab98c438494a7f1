-- +goose Up

-- One row is a commitment to columns of a data set for a trial's participants: what it says,
-- as canonical JSON, by its digest. ledger_index is NULL until the hub has it.
CREATE TABLE columns_commitment (
    digest       TEXT PRIMARY KEY,
    trial        TEXT NOT NULL,
    dataset      TEXT NOT NULL,
    number       INTEGER NOT NULL,
    body         BLOB NOT NULL,
    ledger_index INTEGER,
    UNIQUE (trial, dataset, number)
);

-- One row is the cells of a shard of a commitment, column after column, 4 bytes a cell: what
-- opens it, with salts that derive from it and the node's secret.
CREATE TABLE columns_shard (
    digest TEXT NOT NULL,
    shard  INTEGER NOT NULL,
    cells  BLOB NOT NULL,
    PRIMARY KEY (digest, shard)
);

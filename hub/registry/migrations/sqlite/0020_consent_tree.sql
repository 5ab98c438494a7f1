-- +goose Up

-- One row is a node's consent tree of a trial after its last changes. leaves is how many
-- leaves are in use, root 32 bytes.
CREATE TABLE consent_tree (
    tree   INTEGER PRIMARY KEY,
    trial  TEXT NOT NULL,
    node   TEXT NOT NULL,
    number INTEGER NOT NULL,
    leaves INTEGER NOT NULL,
    root   BLOB NOT NULL,
    UNIQUE (trial, node)
);

-- One row is four siblings of a tree, 128 bytes: elements 4n to 4n+3 of a level, where
-- level 0 is the leaves. Groups that were never set are not there.
CREATE TABLE consent_tree_group (
    tree   INTEGER NOT NULL,
    level  INTEGER NOT NULL,
    number INTEGER NOT NULL,
    hashes BLOB NOT NULL,
    PRIMARY KEY (tree, level, number)
) WITHOUT ROWID;

-- One row is changes that a node published. body is the SHA-256 of what it signed, which
-- it may have signed again.
CREATE TABLE consent_changes (
    tree         INTEGER NOT NULL,
    number       INTEGER NOT NULL,
    body         TEXT NOT NULL,
    document     TEXT NOT NULL,
    ledger_index INTEGER NOT NULL,
    PRIMARY KEY (tree, number)
) WITHOUT ROWID;

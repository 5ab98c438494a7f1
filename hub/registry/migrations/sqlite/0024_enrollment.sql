-- +goose Up

-- The one row names who shares the key by which people are told apart.
CREATE TABLE person_key (
    digest   TEXT PRIMARY KEY,
    document TEXT NOT NULL
) WITHOUT ROWID;

-- One row is how many people a node had looked up on a day, counted from 1970.
CREATE TABLE person_count (
    node   TEXT NOT NULL,
    day    INTEGER NOT NULL,
    people INTEGER NOT NULL,
    PRIMARY KEY (node, day)
) WITHOUT ROWID;

-- One row is a block of 1,024 leaves of a node's consent tree, at its place in the tree over
-- all sites of the trial: the order in which blocks came onto the ledger.
CREATE TABLE people_block (
    trial TEXT NOT NULL,
    place INTEGER NOT NULL,
    tree  INTEGER NOT NULL,
    block INTEGER NOT NULL,
    PRIMARY KEY (trial, place),
    UNIQUE (tree, block)
);

-- One row is four siblings of the tree over all sites, 128 bytes, as in consent_tree_group.
-- The blocks are level 5.
CREATE TABLE people_group (
    trial  TEXT NOT NULL,
    level  INTEGER NOT NULL,
    number INTEGER NOT NULL,
    hashes BLOB NOT NULL,
    PRIMARY KEY (trial, level, number)
) WITHOUT ROWID;

-- One row is a root of the tree over all sites, until an hour after another took its place.
CREATE TABLE people_root (
    trial    TEXT NOT NULL,
    root     BLOB NOT NULL,
    ended_at INTEGER,
    PRIMARY KEY (trial, root)
) WITHOUT ROWID;

-- One row is somebody who is enrolled.
CREATE TABLE enrollment (
    trial        TEXT NOT NULL,
    nullifier    TEXT NOT NULL,
    signal       TEXT NOT NULL,
    document     TEXT NOT NULL,
    recorded_at  INTEGER NOT NULL,
    ledger_index INTEGER NOT NULL,
    PRIMARY KEY (trial, nullifier)
) WITHOUT ROWID;

-- +goose Up

-- One row is one entry of the public log, in the order the log has them.
CREATE TABLE ledger_entry (
    entry_index INTEGER PRIMARY KEY, -- 0, 1, 2, … without a gap
    body        BLOB    NOT NULL     -- 1 to 65,535 bytes
) STRICT;

-- One row is one tile of the tree as C2SP tlog-tiles names it: up to 256
-- consecutive hashes of 32 bytes. Only the last tile of a level is not full; it
-- grows at its end. Hashes between two levels are computed when asked for.
CREATE TABLE ledger_tile (
    level  INTEGER NOT NULL, -- 0 = hashes of entries, l = hashes over 256^l entries
    n      INTEGER NOT NULL, -- number of the tile in its level
    hashes BLOB    NOT NULL, -- 32 to 8,192 bytes
    PRIMARY KEY (level, n)
) STRICT;

-- One row is one signed checkpoint that was published, with every verified
-- signature known for it.
CREATE TABLE ledger_checkpoint (
    size INTEGER PRIMARY KEY, -- entries it covers
    note BLOB    NOT NULL     -- C2SP tlog-checkpoint
) STRICT;

-- An append-only log in an updatable database: a mistake elsewhere must fail.
-- +goose StatementBegin
CREATE TRIGGER ledger_entry_stays BEFORE DELETE ON ledger_entry
BEGIN
    SELECT RAISE(ABORT, 'an entry of the ledger is never deleted');
END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER ledger_entry_is_fixed BEFORE UPDATE ON ledger_entry
BEGIN
    SELECT RAISE(ABORT, 'an entry of the ledger is never changed');
END;
-- +goose StatementEnd

CREATE TABLE ledger_checkpoint (
    size INTEGER PRIMARY KEY, -- entries it covers
    note BLOB    NOT NULL     -- C2SP tlog-checkpoint
) STRICT;

CREATE TABLE ledger_entry (
    entry_index INTEGER PRIMARY KEY, -- 0, 1, 2, … without a gap
    body        BLOB    NOT NULL     -- 1 to 65,535 bytes
) STRICT;

CREATE TRIGGER ledger_entry_is_fixed BEFORE UPDATE ON ledger_entry
BEGIN
    SELECT RAISE(ABORT, 'an entry of the ledger is never changed');
END;

CREATE TRIGGER ledger_entry_stays BEFORE DELETE ON ledger_entry
BEGIN
    SELECT RAISE(ABORT, 'an entry of the ledger is never deleted');
END;

CREATE TABLE ledger_tile (
    level  INTEGER NOT NULL, -- 0 = hashes of entries, l = hashes over 256^l entries
    n      INTEGER NOT NULL, -- number of the tile in its level
    hashes BLOB    NOT NULL, -- 32 to 8,192 bytes
    PRIMARY KEY (level, n)
) STRICT;


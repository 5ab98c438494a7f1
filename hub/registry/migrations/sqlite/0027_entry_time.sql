-- +goose Up

-- The time of the ledger's last entry, in seconds since 1970: no later entry is of an earlier time, whatever
-- the clock of the replica says that leads by then.
ALTER TABLE registry_applied ADD COLUMN entry_at INTEGER NOT NULL DEFAULT 0;

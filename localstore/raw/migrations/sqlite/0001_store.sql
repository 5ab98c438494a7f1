-- +goose Up

-- The one row is the raw store that has the copies of this database's loads. The
-- identity is that of Store.Identity, 32 hexadecimal digits.
CREATE TABLE raw_store (
    one INTEGER NOT NULL PRIMARY KEY CHECK (one = 1),
    identity TEXT NOT NULL
);

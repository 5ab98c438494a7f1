-- +goose Up

-- position is that of the raw file in the order in which files came: a row of a later
-- one is not replaced by an earlier.
CREATE TABLE load_in_order (
    load_id INTEGER NOT NULL PRIMARY KEY,
    raw BLOB NOT NULL CHECK (length(raw) = 32),
    mapper TEXT NOT NULL,
    position INTEGER NOT NULL,
    loaded_at TIMESTAMP NOT NULL,
    UNIQUE (raw, mapper, position)
);
INSERT INTO load_in_order SELECT load_id, raw, mapper, 0, loaded_at FROM load;
DROP TABLE load;
ALTER TABLE load_in_order RENAME TO load;

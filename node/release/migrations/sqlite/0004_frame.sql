-- +goose Up

-- One row has the values behind a method's sums, for the rounds of the question and of
-- those that repeat it. It goes after a while; release keeps what the guard needs.
CREATE TABLE release_frame (
    query       TEXT PRIMARY KEY,
    bits        BLOB NOT NULL,
    released_at INTEGER NOT NULL
);
INSERT INTO release_frame (query, bits, released_at)
    SELECT query, words, released_at FROM release WHERE measure LIKE 'columns %' AND query = source AND words IS NOT NULL;
UPDATE release SET words = NULL WHERE measure LIKE 'columns %';

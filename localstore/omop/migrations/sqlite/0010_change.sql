-- +goose Up

-- One row is a transaction that has changed what is known of persons, the last hundred thousand.
-- mark is random: a store that was put back to an earlier state and went on from there has
-- other marks under the same numbers.
CREATE TABLE change (
    change_id INTEGER NOT NULL PRIMARY KEY,
    mark INTEGER NOT NULL
);
INSERT INTO change (change_id, mark) VALUES (1, random());

-- One row says which change was the last of a person, also of one who is no more. Who is
-- not here was stored before changes were counted.
CREATE TABLE person_change (
    person_id INTEGER NOT NULL PRIMARY KEY,
    change_id INTEGER NOT NULL
);
CREATE INDEX person_change_by_change ON person_change (change_id);

-- The one row names this store, by which what is derived from it knows it again.
CREATE TABLE store_identity (id TEXT NOT NULL);
INSERT INTO store_identity (id) VALUES (lower(hex(randomblob(16))));

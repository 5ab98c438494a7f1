-- +goose Up

-- One row says which change was the last of a person, also of one who is no more: change_id
-- is the number of the transaction, which a snapshot has seen or not whatever the order in
-- which transactions ended. Who is not here was stored before changes were counted.
CREATE TABLE person_change (
    person_id BIGINT NOT NULL PRIMARY KEY,
    change_id BIGINT NOT NULL
);
CREATE INDEX person_change_by_change ON person_change (change_id);

-- The one row names this store, by which what is derived from it knows it again.
CREATE TABLE store_identity (id TEXT NOT NULL);
INSERT INTO store_identity (id) VALUES (replace(gen_random_uuid()::text, '-', ''));

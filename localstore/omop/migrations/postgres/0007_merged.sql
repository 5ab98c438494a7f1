-- +goose Up

-- One row is a source's name of a person who turned out to be another: row_key is that
-- of lineage, person_id whom it names since the load with that number said so.
CREATE TABLE merged_person (
    row_key BYTEA NOT NULL PRIMARY KEY CHECK (length(row_key) = 24),
    person_id BIGINT NOT NULL,
    load_id BIGINT NOT NULL,
    pointer TEXT NOT NULL
);
CREATE INDEX merged_person_by_person ON merged_person (person_id);

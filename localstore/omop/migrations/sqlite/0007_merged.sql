-- +goose Up

-- One row is a source's name of a person who turned out to be another: row_key is that
-- of lineage, person_id whom it names since the load with that number said so.
CREATE TABLE merged_person (
    row_key BLOB NOT NULL PRIMARY KEY CHECK (length(row_key) = 24),
    person_id INTEGER NOT NULL,
    load_id INTEGER NOT NULL,
    pointer TEXT NOT NULL
) WITHOUT ROWID;
CREATE INDEX merged_person_by_person ON merged_person (person_id);

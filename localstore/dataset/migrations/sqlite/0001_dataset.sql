-- +goose Up

-- One row is a named data set. schema is JSON, the site's own description of it; missing is
-- a JSON list of how many rows had no value when it was loaded, one number a column.
CREATE TABLE dataset (
    dataset_id INTEGER NOT NULL PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    schema TEXT NOT NULL,
    missing TEXT NOT NULL,
    loaded_at TIMESTAMP NOT NULL
);

-- One row is a person's row in a data set: body has 8 bytes a column in the order of the
-- schema, a little-endian IEEE 754 number: a value, the place of a level, 0 or 1; NaN is
-- a missing one.
CREATE TABLE dataset_row (
    dataset_id INTEGER NOT NULL REFERENCES dataset (dataset_id),
    person_id INTEGER NOT NULL,
    body BLOB NOT NULL,
    PRIMARY KEY (dataset_id, person_id)
) WITHOUT ROWID;
CREATE INDEX dataset_row_by_person ON dataset_row (person_id);

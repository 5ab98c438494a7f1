-- +goose Up

-- One row is a resource of the FHIR API, in the order in which they were created.
-- version and updated_ms (milliseconds since 1970 UTC) are of the newest version.
CREATE TABLE fhir_resource (
    number INTEGER PRIMARY KEY,
    type TEXT NOT NULL,
    id TEXT NOT NULL,
    version INTEGER NOT NULL,
    deleted BOOLEAN NOT NULL,
    updated_ms INTEGER NOT NULL,
    UNIQUE (type, id)
);
CREATE INDEX fhir_resource_by_type ON fhir_resource (type, number);

-- One row is a version of a resource. Its bytes are in the raw copy file (SHA-256),
-- length of them from start. content is a keyed hash of the resource without its
-- version, digest one of its bytes.
CREATE TABLE fhir_version (
    number INTEGER NOT NULL REFERENCES fhir_resource (number),
    version INTEGER NOT NULL,
    deleted BOOLEAN NOT NULL,
    updated_ms INTEGER NOT NULL,
    file BLOB NOT NULL CHECK (length(file) = 32),
    start INTEGER NOT NULL,
    length INTEGER NOT NULL,
    content BLOB NOT NULL,
    digest BLOB NOT NULL,
    PRIMARY KEY (number, version)
) WITHOUT ROWID;

-- One row says that the newest version of a resource answers a search. term is a keyed
-- hash of the parameter and the value.
CREATE TABLE fhir_term (
    term BLOB NOT NULL,
    number INTEGER NOT NULL,
    PRIMARY KEY (term, number)
) WITHOUT ROWID;
CREATE INDEX fhir_term_by_number ON fhir_term (number);

-- One row is a date or period of the newest version of a resource, from low_ms up to
-- but without high_ms. param is the type and the parameter.
CREATE TABLE fhir_date (
    number INTEGER NOT NULL,
    param TEXT NOT NULL,
    low_ms INTEGER NOT NULL,
    high_ms INTEGER NOT NULL,
    PRIMARY KEY (number, param, low_ms, high_ms)
) WITHOUT ROWID;

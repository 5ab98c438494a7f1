-- +goose Up

-- One row is a resource of the FHIR API, in the order in which they were created.
-- version and updated_ms (milliseconds since 1970 UTC) are of the newest version.
CREATE TABLE fhir_resource (
    number BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    type TEXT NOT NULL,
    id TEXT NOT NULL,
    version BIGINT NOT NULL,
    deleted BOOLEAN NOT NULL,
    updated_ms BIGINT NOT NULL,
    UNIQUE (type, id)
);
CREATE INDEX fhir_resource_by_type ON fhir_resource (type, number);

-- One row is a version of a resource. Its bytes are in the raw copy file (SHA-256),
-- length of them from start. content is a keyed hash of the resource without its
-- version, digest one of its bytes.
CREATE TABLE fhir_version (
    number BIGINT NOT NULL REFERENCES fhir_resource (number),
    version BIGINT NOT NULL,
    deleted BOOLEAN NOT NULL,
    updated_ms BIGINT NOT NULL,
    file BYTEA NOT NULL CHECK (length(file) = 32),
    start BIGINT NOT NULL,
    length BIGINT NOT NULL,
    content BYTEA NOT NULL,
    digest BYTEA NOT NULL,
    PRIMARY KEY (number, version)
);

-- One row says that the newest version of a resource answers a search. term is a keyed
-- hash of the parameter and the value.
CREATE TABLE fhir_term (
    term BYTEA NOT NULL,
    number BIGINT NOT NULL,
    PRIMARY KEY (term, number)
);
CREATE INDEX fhir_term_by_number ON fhir_term (number);

-- One row is a date or period of the newest version of a resource, from low_ms up to
-- but without high_ms. param is the type and the parameter.
CREATE TABLE fhir_date (
    number BIGINT NOT NULL,
    param TEXT NOT NULL,
    low_ms BIGINT NOT NULL,
    high_ms BIGINT NOT NULL,
    PRIMARY KEY (number, param, low_ms, high_ms)
);

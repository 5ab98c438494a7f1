-- +goose Up

-- One row is a kind of value: what a code of a code system means, in one unit.
-- concept_id is the OMOP concept, 0 for none; unit is UCUM.
CREATE TABLE series_variable (
    variable_id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    concept_id BIGINT NOT NULL,
    system TEXT NOT NULL,
    code TEXT NOT NULL,
    unit TEXT NOT NULL,
    UNIQUE (system, code, unit)
);

-- One row is where observations come from, for example a kind of device.
CREATE TABLE series_source (
    source_id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name TEXT NOT NULL UNIQUE
);

-- One row is one batch that was appended. raw is the SHA-256 of the raw file, mapper
-- its reader with the version, pointer the part of the file. The counts say what became
-- of its points; they are final when settled.
CREATE TABLE series_load (
    load_id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    raw BYTEA NOT NULL CHECK (length(raw) = 32),
    mapper TEXT NOT NULL,
    pointer TEXT NOT NULL,
    landed_at TIMESTAMPTZ NOT NULL,
    points BIGINT NOT NULL,
    settled BOOLEAN NOT NULL DEFAULT FALSE,
    stored BIGINT NOT NULL DEFAULT 0,
    replaced BIGINT NOT NULL DEFAULT 0,
    duplicates BIGINT NOT NULL DEFAULT 0,
    expired BIGINT NOT NULL DEFAULT 0
);

-- One row is a batch that is not yet merged into chunks. first_ms and last_ms bound its
-- times (milliseconds since 1970 UTC), low_person and high_person its persons.
CREATE TABLE series_landed (
    load_id BIGINT NOT NULL PRIMARY KEY,
    source_id BIGINT NOT NULL,
    points BIGINT NOT NULL,
    first_ms BIGINT NOT NULL,
    last_ms BIGINT NOT NULL,
    low_person BIGINT NOT NULL,
    high_person BIGINT NOT NULL,
    body BYTEA NOT NULL
);

-- One row is the series of one variable of one person from one source.
CREATE TABLE series (
    series_id BIGINT NOT NULL PRIMARY KEY,
    person_id BIGINT NOT NULL,
    variable_id BIGINT NOT NULL,
    source_id BIGINT NOT NULL,
    UNIQUE (person_id, variable_id, source_id)
);

-- One row is a stretch of consecutive points of a series. The stretches of a series do
-- not overlap, and none reaches over the end of a partition. The index holds all but the
-- points, for counts.
CREATE TABLE series_chunk (
    chunk_id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    series_id BIGINT NOT NULL,
    first_ms BIGINT NOT NULL,
    last_ms BIGINT NOT NULL,
    points BIGINT NOT NULL,
    body BYTEA NOT NULL
);
CREATE UNIQUE INDEX series_chunk_by_series ON series_chunk (series_id, first_ms) INCLUDE (last_ms, points, chunk_id);

-- The bodies are compressed already.
ALTER TABLE series_landed ALTER COLUMN body SET STORAGE EXTERNAL;
ALTER TABLE series_chunk ALTER COLUMN body SET STORAGE EXTERNAL;

-- One row is a stretch of aggregates over width_ms milliseconds each, which stand for
-- points that are no longer kept. One aggregate may be in two rows, in parts.
CREATE TABLE series_aggregate (
    aggregate_id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    series_id BIGINT NOT NULL,
    width_ms BIGINT NOT NULL,
    first_ms BIGINT NOT NULL,
    last_ms BIGINT NOT NULL,
    aggregates BIGINT NOT NULL,
    body BYTEA NOT NULL
);
CREATE INDEX series_aggregate_by_series ON series_aggregate (series_id, width_ms, first_ms, last_ms);

-- The one row that every change to series, series_chunk and series_aggregate goes
-- through. generation is the number of such changes. Points before closed_ms are kept
-- as aggregates at most. merge is the merge in progress: the loads, how far it got and
-- what it counted, as JSON; NULL for none.
CREATE TABLE series_state (
    generation BIGINT NOT NULL,
    closed_ms BIGINT NOT NULL,
    next_series BIGINT NOT NULL,
    partition_ms BIGINT NOT NULL,
    merge TEXT
);
INSERT INTO series_state (generation, closed_ms, next_series, partition_ms) VALUES (0, -9223372036854775808, 1, 0);

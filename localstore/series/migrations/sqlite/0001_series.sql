-- +goose Up

-- One row is a kind of value: what a code of a code system means, in one unit.
-- concept_id is the OMOP concept, 0 for none; unit is UCUM.
CREATE TABLE series_variable (
    variable_id INTEGER NOT NULL PRIMARY KEY,
    concept_id INTEGER NOT NULL,
    system TEXT NOT NULL,
    code TEXT NOT NULL,
    unit TEXT NOT NULL,
    UNIQUE (system, code, unit)
);

-- One row is where observations come from, for example a kind of device.
CREATE TABLE series_source (
    source_id INTEGER NOT NULL PRIMARY KEY,
    name TEXT NOT NULL UNIQUE
);

-- One row is one batch that was appended. raw is the SHA-256 of the raw file, mapper
-- its reader with the version, pointer the part of the file. The counts say what became
-- of its points; they are final when settled.
CREATE TABLE series_load (
    load_id INTEGER NOT NULL PRIMARY KEY,
    raw BLOB NOT NULL CHECK (length(raw) = 32),
    mapper TEXT NOT NULL,
    pointer TEXT NOT NULL,
    landed_at TIMESTAMP NOT NULL,
    points INTEGER NOT NULL,
    settled BOOLEAN NOT NULL DEFAULT FALSE,
    stored INTEGER NOT NULL DEFAULT 0,
    replaced INTEGER NOT NULL DEFAULT 0,
    duplicates INTEGER NOT NULL DEFAULT 0,
    expired INTEGER NOT NULL DEFAULT 0
);

-- One row is a batch that is not yet merged into chunks. first_ms and last_ms bound its
-- times (milliseconds since 1970 UTC), low_person and high_person its persons.
CREATE TABLE series_landed (
    load_id INTEGER NOT NULL PRIMARY KEY,
    source_id INTEGER NOT NULL,
    points INTEGER NOT NULL,
    first_ms INTEGER NOT NULL,
    last_ms INTEGER NOT NULL,
    low_person INTEGER NOT NULL,
    high_person INTEGER NOT NULL,
    body BLOB NOT NULL
);

-- One row is the series of one variable of one person from one source.
CREATE TABLE series (
    series_id INTEGER NOT NULL PRIMARY KEY,
    person_id INTEGER NOT NULL,
    variable_id INTEGER NOT NULL,
    source_id INTEGER NOT NULL,
    UNIQUE (person_id, variable_id, source_id)
);

-- One row is a stretch of consecutive points of a series. The stretches of a series do
-- not overlap, and none reaches over the end of a partition. The index holds all but the
-- points, for counts; that first_ms is unique in a series is kept by series_state.
CREATE TABLE series_chunk (
    chunk_id INTEGER NOT NULL PRIMARY KEY,
    series_id INTEGER NOT NULL,
    first_ms INTEGER NOT NULL,
    last_ms INTEGER NOT NULL,
    points INTEGER NOT NULL,
    body BLOB NOT NULL
);
CREATE INDEX series_chunk_by_series ON series_chunk (series_id, first_ms, last_ms, points);

-- One row is a stretch of aggregates over width_ms milliseconds each, which stand for
-- points that are no longer kept. One aggregate may be in two rows, in parts.
CREATE TABLE series_aggregate (
    aggregate_id INTEGER NOT NULL PRIMARY KEY,
    series_id INTEGER NOT NULL,
    width_ms INTEGER NOT NULL,
    first_ms INTEGER NOT NULL,
    last_ms INTEGER NOT NULL,
    aggregates INTEGER NOT NULL,
    body BLOB NOT NULL
);
CREATE INDEX series_aggregate_by_series ON series_aggregate (series_id, width_ms, first_ms, last_ms);

-- The one row that every change to series, series_chunk and series_aggregate goes
-- through. generation is the number of such changes. Points before closed_ms are kept
-- as aggregates at most. merge is the merge in progress: the loads, how far it got and
-- what it counted, as JSON; NULL for none.
CREATE TABLE series_state (
    generation INTEGER NOT NULL,
    closed_ms INTEGER NOT NULL,
    next_series INTEGER NOT NULL,
    partition_ms INTEGER NOT NULL,
    merge TEXT
);
INSERT INTO series_state (generation, closed_ms, next_series, partition_ms) VALUES (0, -9223372036854775808, 1, 0);

-- +goose Up
-- Tables of the OMOP Standardized Vocabularies, CDM 5.4: names, types and required
-- columns of OHDSI/CommonDataModel, inst/ddl/5.4, commit f853f6e39c61 (Apache-2.0).

-- One row is a concept of any vocabulary, standard or not. CDM 5.4.
CREATE TABLE concept (
    concept_id INTEGER NOT NULL PRIMARY KEY,
    concept_name TEXT NOT NULL,
    domain_id TEXT NOT NULL,
    vocabulary_id TEXT NOT NULL,
    concept_class_id TEXT NOT NULL,
    standard_concept TEXT,
    concept_code TEXT NOT NULL,
    valid_start_date DATE NOT NULL,
    valid_end_date DATE NOT NULL,
    invalid_reason TEXT
);
CREATE INDEX concept_by_code ON concept (vocabulary_id, concept_code);

-- One row leads from a concept to another. Only "Maps to" is kept. CDM 5.4.
CREATE TABLE concept_relationship (
    concept_id_1 INTEGER NOT NULL,
    concept_id_2 INTEGER NOT NULL,
    relationship_id TEXT NOT NULL,
    valid_start_date DATE NOT NULL,
    valid_end_date DATE NOT NULL,
    invalid_reason TEXT,
    PRIMARY KEY (concept_id_1, concept_id_2, relationship_id)
) WITHOUT ROWID;

-- The one row says which release is loaded; empty before the first load.
-- generation counts loads, so that a process sees that another one has loaded.
CREATE TABLE vocabulary_load (
    generation INTEGER NOT NULL,
    version TEXT NOT NULL
);
INSERT INTO vocabulary_load (generation, version) VALUES (0, '');

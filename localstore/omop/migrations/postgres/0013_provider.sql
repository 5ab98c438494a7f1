-- +goose Up
-- Who gives care, and where: tables of the OMOP Common Data Model 5.4, from the same source and
-- with the same changes as those of 0001_cdm.sql. They are of the site and of no person.

-- One row is a place where care is given: its region alone. What else the CDM has of an address
-- is never filled, and nobody's home is here. CDM 5.4.
CREATE TABLE location (
    location_id BIGINT NOT NULL PRIMARY KEY,
    address_1 VARCHAR(50),
    address_2 VARCHAR(50),
    city VARCHAR(50),
    state VARCHAR(2),
    zip VARCHAR(9),
    county VARCHAR(20),
    location_source_value VARCHAR(50),
    country_concept_id INTEGER,
    country_source_value VARCHAR(80),
    latitude NUMERIC,
    longitude NUMERIC
);

-- One row is a unit that gives care, by the kind of its place; its name and its number elsewhere are
-- never filled. CDM 5.4.
CREATE TABLE care_site (
    care_site_id BIGINT NOT NULL PRIMARY KEY,
    care_site_name VARCHAR(255),
    place_of_service_concept_id INTEGER,
    location_id BIGINT,
    care_site_source_value VARCHAR(50),
    place_of_service_source_value VARCHAR(50)
);

-- One row is a person who gives care, by specialty and unit alone: name, numbers elsewhere, birth and
-- gender are never filled. CDM 5.4.
CREATE TABLE provider (
    provider_id BIGINT NOT NULL PRIMARY KEY,
    provider_name VARCHAR(255),
    npi VARCHAR(20),
    dea VARCHAR(20),
    specialty_concept_id INTEGER,
    care_site_id BIGINT,
    year_of_birth INTEGER,
    gender_concept_id INTEGER,
    provider_source_value VARCHAR(50),
    specialty_source_value VARCHAR(50),
    specialty_source_concept_id INTEGER,
    gender_source_value VARCHAR(50),
    gender_source_concept_id INTEGER
);

-- Whose rows name a provider or a care site, when that changes or goes.
CREATE INDEX visit_occurrence_by_provider ON visit_occurrence (provider_id) WHERE provider_id IS NOT NULL;
CREATE INDEX condition_occurrence_by_provider ON condition_occurrence (provider_id) WHERE provider_id IS NOT NULL;
CREATE INDEX drug_exposure_by_provider ON drug_exposure (provider_id) WHERE provider_id IS NOT NULL;
CREATE INDEX procedure_occurrence_by_provider ON procedure_occurrence (provider_id) WHERE provider_id IS NOT NULL;
CREATE INDEX measurement_by_provider ON measurement (provider_id) WHERE provider_id IS NOT NULL;
CREATE INDEX observation_by_provider ON observation (provider_id) WHERE provider_id IS NOT NULL;
CREATE INDEX device_exposure_by_provider ON device_exposure (provider_id) WHERE provider_id IS NOT NULL;
CREATE INDEX visit_detail_by_provider ON visit_detail (provider_id) WHERE provider_id IS NOT NULL;
CREATE INDEX visit_occurrence_by_care_site ON visit_occurrence (care_site_id) WHERE care_site_id IS NOT NULL;
CREATE INDEX visit_detail_by_care_site ON visit_detail (care_site_id) WHERE care_site_id IS NOT NULL;
CREATE INDEX provider_by_care_site ON provider (care_site_id) WHERE care_site_id IS NOT NULL;
CREATE INDEX care_site_by_location ON care_site (location_id) WHERE location_id IS NOT NULL;

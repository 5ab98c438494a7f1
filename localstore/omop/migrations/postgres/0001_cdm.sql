-- +goose Up
-- Tables of the OMOP Common Data Model 5.4: names, types and required columns of
-- OHDSI/CommonDataModel, inst/ddl/5.4, commit f853f6e39c61 (Apache-2.0), reduced to the
-- tables this store fills. Two changes: keys of people and events are 64 bits wide (BIGINT),
-- and each table has its primary key.

-- One row is a person of this site. CDM 5.4.
CREATE TABLE person (
    person_id BIGINT NOT NULL PRIMARY KEY,
    gender_concept_id INTEGER NOT NULL,
    year_of_birth INTEGER NOT NULL,
    month_of_birth INTEGER,
    day_of_birth INTEGER,
    birth_datetime TIMESTAMP,
    race_concept_id INTEGER NOT NULL,
    ethnicity_concept_id INTEGER NOT NULL,
    location_id BIGINT,
    provider_id BIGINT,
    care_site_id BIGINT,
    person_source_value VARCHAR(50),
    gender_source_value VARCHAR(50),
    gender_source_concept_id INTEGER,
    race_source_value VARCHAR(50),
    race_source_concept_id INTEGER,
    ethnicity_source_value VARCHAR(50),
    ethnicity_source_concept_id INTEGER
);

-- One row is the span of days in which events of a person can be expected; one per person here. CDM 5.4.
CREATE TABLE observation_period (
    observation_period_id BIGINT NOT NULL PRIMARY KEY,
    person_id BIGINT NOT NULL,
    observation_period_start_date DATE NOT NULL,
    observation_period_end_date DATE NOT NULL,
    period_type_concept_id INTEGER NOT NULL
);

-- One row is a visit. CDM 5.4.
CREATE TABLE visit_occurrence (
    visit_occurrence_id BIGINT NOT NULL PRIMARY KEY,
    person_id BIGINT NOT NULL,
    visit_concept_id INTEGER NOT NULL,
    visit_start_date DATE NOT NULL,
    visit_start_datetime TIMESTAMP,
    visit_end_date DATE NOT NULL,
    visit_end_datetime TIMESTAMP,
    visit_type_concept_id INTEGER NOT NULL,
    provider_id BIGINT,
    care_site_id BIGINT,
    visit_source_value VARCHAR(50),
    visit_source_concept_id INTEGER,
    admitted_from_concept_id INTEGER,
    admitted_from_source_value VARCHAR(50),
    discharged_to_concept_id INTEGER,
    discharged_to_source_value VARCHAR(50),
    preceding_visit_occurrence_id BIGINT
);

-- One row is a condition as recorded once. CDM 5.4.
CREATE TABLE condition_occurrence (
    condition_occurrence_id BIGINT NOT NULL PRIMARY KEY,
    person_id BIGINT NOT NULL,
    condition_concept_id INTEGER NOT NULL,
    condition_start_date DATE NOT NULL,
    condition_start_datetime TIMESTAMP,
    condition_end_date DATE,
    condition_end_datetime TIMESTAMP,
    condition_type_concept_id INTEGER NOT NULL,
    condition_status_concept_id INTEGER,
    stop_reason VARCHAR(20),
    provider_id BIGINT,
    visit_occurrence_id BIGINT,
    visit_detail_id BIGINT,
    condition_source_value VARCHAR(50),
    condition_source_concept_id INTEGER,
    condition_status_source_value VARCHAR(50)
);

-- One row is a prescription, dispensing, administration or immunization; quantity in the unit of the product, days_supply in days. CDM 5.4.
CREATE TABLE drug_exposure (
    drug_exposure_id BIGINT NOT NULL PRIMARY KEY,
    person_id BIGINT NOT NULL,
    drug_concept_id INTEGER NOT NULL,
    drug_exposure_start_date DATE NOT NULL,
    drug_exposure_start_datetime TIMESTAMP,
    drug_exposure_end_date DATE NOT NULL,
    drug_exposure_end_datetime TIMESTAMP,
    verbatim_end_date DATE,
    drug_type_concept_id INTEGER NOT NULL,
    stop_reason VARCHAR(20),
    refills INTEGER,
    quantity NUMERIC,
    days_supply INTEGER,
    sig TEXT,
    route_concept_id INTEGER,
    lot_number VARCHAR(50),
    provider_id BIGINT,
    visit_occurrence_id BIGINT,
    visit_detail_id BIGINT,
    drug_source_value VARCHAR(50),
    drug_source_concept_id INTEGER,
    route_source_value VARCHAR(50),
    dose_unit_source_value VARCHAR(50)
);

-- One row is a procedure. CDM 5.4.
CREATE TABLE procedure_occurrence (
    procedure_occurrence_id BIGINT NOT NULL PRIMARY KEY,
    person_id BIGINT NOT NULL,
    procedure_concept_id INTEGER NOT NULL,
    procedure_date DATE NOT NULL,
    procedure_datetime TIMESTAMP,
    procedure_end_date DATE,
    procedure_end_datetime TIMESTAMP,
    procedure_type_concept_id INTEGER NOT NULL,
    modifier_concept_id INTEGER,
    quantity INTEGER,
    provider_id BIGINT,
    visit_occurrence_id BIGINT,
    visit_detail_id BIGINT,
    procedure_source_value VARCHAR(50),
    procedure_source_concept_id INTEGER,
    modifier_source_value VARCHAR(50)
);

-- One row is a measured value in the unit of unit_concept_id (UCUM). CDM 5.4.
CREATE TABLE measurement (
    measurement_id BIGINT NOT NULL PRIMARY KEY,
    person_id BIGINT NOT NULL,
    measurement_concept_id INTEGER NOT NULL,
    measurement_date DATE NOT NULL,
    measurement_datetime TIMESTAMP,
    measurement_time VARCHAR(10),
    measurement_type_concept_id INTEGER NOT NULL,
    operator_concept_id INTEGER,
    value_as_number NUMERIC,
    value_as_concept_id INTEGER,
    unit_concept_id INTEGER,
    range_low NUMERIC,
    range_high NUMERIC,
    provider_id BIGINT,
    visit_occurrence_id BIGINT,
    visit_detail_id BIGINT,
    measurement_source_value VARCHAR(50),
    measurement_source_concept_id INTEGER,
    unit_source_value VARCHAR(50),
    unit_source_concept_id INTEGER,
    value_source_value VARCHAR(50),
    measurement_event_id BIGINT,
    meas_event_field_concept_id INTEGER
);

-- One row is a clinical fact that fits no other table. CDM 5.4.
CREATE TABLE observation (
    observation_id BIGINT NOT NULL PRIMARY KEY,
    person_id BIGINT NOT NULL,
    observation_concept_id INTEGER NOT NULL,
    observation_date DATE NOT NULL,
    observation_datetime TIMESTAMP,
    observation_type_concept_id INTEGER NOT NULL,
    value_as_number NUMERIC,
    value_as_string VARCHAR(60),
    value_as_concept_id INTEGER,
    qualifier_concept_id INTEGER,
    unit_concept_id INTEGER,
    provider_id BIGINT,
    visit_occurrence_id BIGINT,
    visit_detail_id BIGINT,
    observation_source_value VARCHAR(50),
    observation_source_concept_id INTEGER,
    unit_source_value VARCHAR(50),
    qualifier_source_value VARCHAR(50),
    value_source_value VARCHAR(50),
    observation_event_id BIGINT,
    obs_event_field_concept_id INTEGER
);

-- One row is the death of a person. CDM 5.4.
CREATE TABLE death (
    person_id BIGINT NOT NULL PRIMARY KEY,
    death_date DATE NOT NULL,
    death_datetime TIMESTAMP,
    death_type_concept_id INTEGER,
    cause_concept_id INTEGER,
    cause_source_value VARCHAR(50),
    cause_source_concept_id INTEGER
);

-- For cohorts: by concept, then person; and all of one person.
CREATE INDEX visit_occurrence_by_concept ON visit_occurrence (visit_concept_id, person_id, visit_start_date);
CREATE INDEX visit_occurrence_by_person ON visit_occurrence (person_id, visit_concept_id, visit_start_date);
CREATE INDEX condition_occurrence_by_concept ON condition_occurrence (condition_concept_id, person_id, condition_start_date);
CREATE INDEX condition_occurrence_by_person ON condition_occurrence (person_id, condition_concept_id, condition_start_date);
CREATE INDEX drug_exposure_by_concept ON drug_exposure (drug_concept_id, person_id, drug_exposure_start_date);
CREATE INDEX drug_exposure_by_person ON drug_exposure (person_id, drug_concept_id, drug_exposure_start_date);
CREATE INDEX procedure_occurrence_by_concept ON procedure_occurrence (procedure_concept_id, person_id, procedure_date);
CREATE INDEX procedure_occurrence_by_person ON procedure_occurrence (person_id, procedure_concept_id, procedure_date);
CREATE INDEX measurement_by_concept ON measurement (measurement_concept_id, person_id, measurement_date, value_as_number, unit_concept_id);
CREATE INDEX measurement_by_person ON measurement (person_id, measurement_concept_id, measurement_date);
CREATE INDEX observation_by_concept ON observation (observation_concept_id, person_id, observation_date, value_as_number);
CREATE INDEX observation_by_person ON observation (person_id, observation_concept_id, observation_date);
CREATE UNIQUE INDEX observation_period_by_person ON observation_period (person_id);

-- +goose Up
-- More tables of the OMOP Common Data Model 5.4, from the same source and with the same
-- changes as those of 0001_cdm.sql.

-- One row is the use of a device, an implant or a supply; quantity counts them. CDM 5.4.
CREATE TABLE device_exposure (
    device_exposure_id INTEGER NOT NULL PRIMARY KEY,
    person_id INTEGER NOT NULL,
    device_concept_id INTEGER NOT NULL,
    device_exposure_start_date DATE NOT NULL,
    device_exposure_start_datetime DATETIME,
    device_exposure_end_date DATE,
    device_exposure_end_datetime DATETIME,
    device_type_concept_id INTEGER NOT NULL,
    unique_device_id TEXT,
    production_id TEXT,
    quantity INTEGER,
    provider_id INTEGER,
    visit_occurrence_id INTEGER,
    visit_detail_id INTEGER,
    device_source_value TEXT,
    device_source_concept_id INTEGER,
    unit_concept_id INTEGER,
    unit_source_value TEXT,
    unit_source_concept_id INTEGER
);

-- One row is a sample that was taken of a person; quantity in the unit of unit_concept_id. CDM 5.4.
CREATE TABLE specimen (
    specimen_id INTEGER NOT NULL PRIMARY KEY,
    person_id INTEGER NOT NULL,
    specimen_concept_id INTEGER NOT NULL,
    specimen_type_concept_id INTEGER NOT NULL,
    specimen_date DATE NOT NULL,
    specimen_datetime DATETIME,
    quantity REAL,
    unit_concept_id INTEGER,
    anatomic_site_concept_id INTEGER,
    disease_status_concept_id INTEGER,
    specimen_source_id TEXT,
    specimen_source_value TEXT,
    unit_source_value TEXT,
    anatomic_site_source_value TEXT,
    disease_status_source_value TEXT
);

-- One row is a part of a visit; visit_occurrence_id is 0 if that visit is not stored. CDM 5.4.
CREATE TABLE visit_detail (
    visit_detail_id INTEGER NOT NULL PRIMARY KEY,
    person_id INTEGER NOT NULL,
    visit_detail_concept_id INTEGER NOT NULL,
    visit_detail_start_date DATE NOT NULL,
    visit_detail_start_datetime DATETIME,
    visit_detail_end_date DATE NOT NULL,
    visit_detail_end_datetime DATETIME,
    visit_detail_type_concept_id INTEGER NOT NULL,
    provider_id INTEGER,
    care_site_id INTEGER,
    visit_detail_source_value TEXT,
    visit_detail_source_concept_id INTEGER,
    admitted_from_concept_id INTEGER,
    admitted_from_source_value TEXT,
    discharged_to_source_value TEXT,
    discharged_to_concept_id INTEGER,
    preceding_visit_detail_id INTEGER,
    parent_visit_detail_id INTEGER,
    visit_occurrence_id INTEGER NOT NULL
);

-- One row is a span of days in which somebody pays for a person's care. CDM 5.4.
CREATE TABLE payer_plan_period (
    payer_plan_period_id INTEGER NOT NULL PRIMARY KEY,
    person_id INTEGER NOT NULL,
    payer_plan_period_start_date DATE NOT NULL,
    payer_plan_period_end_date DATE NOT NULL,
    payer_concept_id INTEGER,
    payer_source_value TEXT,
    payer_source_concept_id INTEGER,
    plan_concept_id INTEGER,
    plan_source_value TEXT,
    plan_source_concept_id INTEGER,
    sponsor_concept_id INTEGER,
    sponsor_source_value TEXT,
    sponsor_source_concept_id INTEGER,
    family_source_value TEXT,
    stop_reason_concept_id INTEGER,
    stop_reason_source_value TEXT,
    stop_reason_source_concept_id INTEGER
);

-- For cohorts: by concept, then person; and all of one person.
CREATE INDEX device_exposure_by_concept ON device_exposure (device_concept_id, person_id, device_exposure_start_date);
CREATE INDEX device_exposure_by_person ON device_exposure (person_id, device_concept_id, device_exposure_start_date);
CREATE INDEX specimen_by_concept ON specimen (specimen_concept_id, person_id, specimen_date);
CREATE INDEX specimen_by_person ON specimen (person_id, specimen_concept_id, specimen_date);
CREATE INDEX visit_detail_by_concept ON visit_detail (visit_detail_concept_id, person_id, visit_detail_start_date);
CREATE INDEX visit_detail_by_person ON visit_detail (person_id, visit_detail_concept_id, visit_detail_start_date);
CREATE INDEX payer_plan_period_by_person ON payer_plan_period (person_id, payer_plan_period_start_date);

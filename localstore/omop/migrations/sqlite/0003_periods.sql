-- +goose Up

-- A person may have several observation periods: those that a source states are
-- stored as they come, and then have lineage. The one that is made from a person's
-- events has none, and goes when a source states one.
DROP INDEX observation_period_by_person;
CREATE INDEX observation_period_by_person ON observation_period (person_id, observation_period_start_date);

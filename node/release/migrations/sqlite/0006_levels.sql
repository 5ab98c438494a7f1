-- +goose Up

-- What is known of a set without any number: what was asked but for the levels, and the
-- levels, a line each. Of sets from before nothing is.
ALTER TABLE release_set ADD COLUMN whole TEXT NOT NULL DEFAULT '';
ALTER TABLE release_set ADD COLUMN levels TEXT NOT NULL DEFAULT '';

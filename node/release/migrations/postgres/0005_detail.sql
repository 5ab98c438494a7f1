-- +goose Up

-- What a refusal says besides its rule: of which cell or column, by the question's own
-- names, and what to change.
ALTER TABLE release ADD COLUMN detail TEXT NOT NULL DEFAULT '';

-- +goose Up

-- position is that of the raw file in the order in which files came: a row of a later
-- one is not replaced by an earlier.
ALTER TABLE load ADD COLUMN position BIGINT NOT NULL DEFAULT 0;
ALTER TABLE load ALTER COLUMN position DROP DEFAULT;
ALTER TABLE load DROP CONSTRAINT load_raw_mapper_key;
ALTER TABLE load ADD CONSTRAINT load_raw_mapper_position_key UNIQUE (raw, mapper, position);

-- +goose Up

-- What a pass has made of one table, in the order of the rows' keys: a sweep goes through
-- it in parts and begins each where the one before has ended.
DROP INDEX lineage_by_load;
CREATE INDEX lineage_by_load ON lineage (load_id, table_id, row_id);

-- Passes that have made nothing but merges are looked for when others are forgotten.
CREATE INDEX merged_person_by_load ON merged_person (load_id);

-- +goose Up

-- earlier_load_id is a pass over another file that makes the row too, if there is one: it
-- gets the row when the pass that has it is replaced by one that does not make it.
ALTER TABLE lineage ADD COLUMN earlier_load_id BIGINT;
CREATE INDEX lineage_by_load ON lineage (load_id);

-- replaced says that a later pass over the same file has ended.
ALTER TABLE load ADD COLUMN replaced BOOLEAN NOT NULL DEFAULT FALSE;
CREATE INDEX load_replaced ON load (load_id) WHERE replaced;

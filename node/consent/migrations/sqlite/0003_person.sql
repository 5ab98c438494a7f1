-- +goose Up

-- person is the secret by which the leaf names a participant who enrolls, 64 hex digits, or
-- empty of one who does not.
ALTER TABLE consent_slot ADD COLUMN person TEXT NOT NULL DEFAULT '';
ALTER TABLE consent_leaf ADD COLUMN person TEXT NOT NULL DEFAULT '';
CREATE UNIQUE INDEX consent_slot_secret ON consent_slot (trial, person) WHERE person <> '';

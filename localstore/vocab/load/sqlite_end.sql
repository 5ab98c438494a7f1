-- Puts the filled tables in the place of the current ones.
DROP TABLE concept;
ALTER TABLE concept_next RENAME TO concept;
CREATE INDEX concept_by_code ON concept (vocabulary_id, concept_code);
DROP TABLE concept_relationship;
ALTER TABLE concept_relationship_next RENAME TO concept_relationship;

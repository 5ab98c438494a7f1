-- Puts the filled tables in the place of the current ones.
DROP TABLE concept;
ALTER TABLE concept_next RENAME TO concept;
ALTER INDEX concept_next_pkey RENAME TO concept_pkey;
CREATE INDEX concept_by_code ON concept (vocabulary_id, concept_code);
DROP TABLE concept_relationship;
ALTER TABLE concept_relationship_next RENAME TO concept_relationship;
ALTER INDEX concept_relationship_next_pkey RENAME TO concept_relationship_pkey;
CREATE INDEX concept_relationship_by_target ON concept_relationship (concept_id_2);
DROP TABLE concept_ancestor;
ALTER TABLE concept_ancestor_next RENAME TO concept_ancestor;
DROP TABLE drug_ingredient;
ALTER TABLE drug_ingredient_next RENAME TO drug_ingredient;
ALTER INDEX concept_ancestor_next_pkey RENAME TO concept_ancestor_pkey;
ALTER INDEX drug_ingredient_next_pkey RENAME TO drug_ingredient_pkey;

-- Tables that a load fills while lookups go on in the current ones; what a load
-- that was broken off left is dropped.
DROP TABLE IF EXISTS concept_next;
DROP TABLE IF EXISTS concept_relationship_next;
CREATE TABLE concept_next (LIKE concept, CONSTRAINT concept_next_pkey PRIMARY KEY (concept_id));
CREATE TABLE concept_relationship_next (LIKE concept_relationship, CONSTRAINT concept_relationship_next_pkey
    PRIMARY KEY (concept_id_1, concept_id_2, relationship_id));
DROP TABLE IF EXISTS concept_ancestor_next;
DROP TABLE IF EXISTS drug_ingredient_next;
CREATE TABLE concept_ancestor_next (LIKE concept_ancestor, CONSTRAINT concept_ancestor_next_pkey
    PRIMARY KEY (ancestor_concept_id, descendant_concept_id));
CREATE TABLE drug_ingredient_next (LIKE drug_ingredient, CONSTRAINT drug_ingredient_next_pkey
    PRIMARY KEY (drug_concept_id, ingredient_concept_id));

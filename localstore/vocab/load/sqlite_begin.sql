-- Tables that a load fills while lookups go on in the current ones. They have the
-- columns of the migrations; what a load that was broken off left is dropped.
DROP TABLE IF EXISTS concept_next;
DROP TABLE IF EXISTS concept_relationship_next;
CREATE TABLE concept_next (
    concept_id INTEGER NOT NULL PRIMARY KEY,
    concept_name TEXT NOT NULL,
    domain_id TEXT NOT NULL,
    vocabulary_id TEXT NOT NULL,
    concept_class_id TEXT NOT NULL,
    standard_concept TEXT,
    concept_code TEXT NOT NULL,
    valid_start_date DATE NOT NULL,
    valid_end_date DATE NOT NULL,
    invalid_reason TEXT
);
CREATE TABLE concept_relationship_next (
    concept_id_1 INTEGER NOT NULL,
    concept_id_2 INTEGER NOT NULL,
    relationship_id TEXT NOT NULL,
    valid_start_date DATE NOT NULL,
    valid_end_date DATE NOT NULL,
    invalid_reason TEXT,
    PRIMARY KEY (concept_id_1, concept_id_2, relationship_id)
) WITHOUT ROWID;
DROP TABLE IF EXISTS concept_ancestor_next;
DROP TABLE IF EXISTS drug_ingredient_next;
CREATE TABLE concept_ancestor_next (
    ancestor_concept_id INTEGER NOT NULL,
    descendant_concept_id INTEGER NOT NULL,
    min_levels_of_separation INTEGER NOT NULL,
    max_levels_of_separation INTEGER NOT NULL,
    PRIMARY KEY (ancestor_concept_id, descendant_concept_id)
) WITHOUT ROWID;
CREATE TABLE drug_ingredient_next (
    drug_concept_id INTEGER NOT NULL,
    ingredient_concept_id INTEGER NOT NULL,
    PRIMARY KEY (drug_concept_id, ingredient_concept_id)
) WITHOUT ROWID;
